"""Runs of every kind in one daemon, well and ill: what of it and its template is left, or grows.

Functions and declared pulls succeed, fail, crash, take too much memory, or are killed at their
deadline with processes that have left their session. Told are memory and file descriptors of the
daemon and of the process that runs are forked from. It fails where they grow, or where a zombie, a
process or a temporary file is left.

    python -m tests.benchmarks.soak_runs [RUNS]      by default 200
"""

import os
import subprocess
import sys
import tempfile
import time
from collections import Counter
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Final

from connector.jobs.descendants import children_of, state_of
from connector.simulator import Simulator
from tests.acceptance.installation import Installation

RUNS: Final = 200
ACCOUNTS: Final = 6
SAMPLES: Final = 20
#: What may be added after the first quarter, by when every kind has run: caches of the store that
#: fill (MiB), and what happens to be open at that moment, of up to sixteen runs under way.
MOST_GROWTH_MIB: Final = 8.0
MOST_TEMPLATE_GROWTH_MIB: Final = 1.0
MOST_MORE_DESCRIPTORS: Final = 64
#: The template has its channel, and nothing else but what it began with.
MOST_MORE_OF_TEMPLATE: Final = 3
#: On a busy machine a run ends in each of these (seconds).
PATIENCE: Final = 5.0

PULLS: Final = """
import os, subprocess, tempfile, time

def leave(context):
    started = subprocess.Popen(["sleep", "600"], start_new_session=True)
    with open("started", "a") as file:
        file.write(f"{started.pid}\\n")

def well(api, context):
    with tempfile.TemporaryFile() as file:
        file.write(b"x" * 1000)
        for number in range(5):
            yield [{"id": number * 100 + row} for row in range(100)]

async def asynchronous(api, context):
    response = await api.get("me")
    yield {"id": response.status_code}

def failing(api, context):
    yield {"id": 1}
    raise ValueError("as it is meant to")

def crashing(api, context):
    leave(context)
    os._exit(3)

def hanging(api, context):
    leave(context)
    time.sleep(600)

def leaking(api, context):
    taken = []
    while True:
        taken.append(b"x" * (10 << 20))
        time.sleep(0.02)
"""
FUNCTIONS: Final = {
    "well": "",
    "asynchronous": "",
    "failing": "",
    "crashing": "",
    "hanging": 'deadline = "1s"',
    "leaking": 'memory = "64 MiB"',
}


@dataclass(slots=True, kw_only=True)
class Sample:
    """What a process has.

    Attributes:
        memory: anonymous, in MiB.
        descriptors: that it has open.
    """

    memory: float
    descriptors: int


@dataclass(slots=True, kw_only=True)
class Seen:
    """What was seen, at each sample."""

    daemon: list[Sample] = field(default_factory=list)
    template: list[Sample] = field(default_factory=list)
    zombies: set[int] = field(default_factory=set)


def main(runs: int = RUNS) -> None:
    """Run them, and print what was seen."""
    with (
        tempfile.TemporaryDirectory() as folder,
        Simulator() as simulator,
        Installation(Path(folder), simulator) as installation,
    ):
        here = Path(folder)
        (here / "temporary").mkdir()
        installation.environment["TMPDIR"] = str(here / "temporary")
        (here / "pulls.py").write_text(PULLS)
        installation.configure(_jobs())
        _connect(installation, simulator)
        daemon = _serve(installation)
        seen = Seen()
        print("| runs | daemon MiB | descriptors | template MiB | descriptors |")
        print("|---:|---:|---:|---:|---:|", flush=True)
        try:
            outcomes = _soak(seen, installation, daemon.pid, runs)
        except BaseException:
            daemon.kill()
            raise
        daemon.terminate()
        assert daemon.wait(60) == 0
        print(f"\n{dict(outcomes)}")
        started = [int(pid) for pid in (here / "started").read_text().split()]
        _judge(seen, outcomes)
        left = [pid for pid in started if state_of(pid) is not None]
        assert not left, f"{len(left)} of {len(started)} processes that runs have started go on"
        files = [file.name for file in (here / "temporary").iterdir()]
        assert not files, files
        print(f"none of {len(started)} processes, no zombie and no temporary file is left")


def _jobs() -> str:
    until = datetime.now(UTC).date() - timedelta(days=1)
    what = {
        name: f'run = "pulls:{name}"\n{settings}\n'
        f'destination = {{ to = "sqlite:///ads.db", table = "{name}", key = ["id"] }}'
        for name, settings in FUNCTIONS.items()
    }
    params = f'{{ ad_account = "act_1001", since = "{until - timedelta(days=9)}", limit = "20" }}'
    what["declared"] = f"""
        destination = {{ to = "jsonl:ads.jsonl", key = ["date", "ad_id"] }}
        [jobs.declared.request]
        url = "insights"
        params = {params}
        records = "data"
        pagination = {{ kind = "cursor", next = "paging.after", param = "after" }}"""
    head = 'provider = "ads"\naccount = "acme/*"\nschedule = "every 2s"\njitter = "0"'
    return "\n".join(f"[jobs.{name}]\n{head}\n{text}" for name, text in what.items())


def _connect(installation: Installation, simulator: Simulator) -> None:
    """Bring grants that another program had."""
    lines = [
        f"acme/a{number},{simulator.grant('ada', scope='ads_read')['refresh_token']}"
        for number in range(ACCOUNTS)
    ]
    text = "\n".join(["account,refresh_token", *lines, ""])
    assert installation.run("init").returncode == 0
    done = installation.run("accounts", "import", "-", "--provider", "ads", input_text=text)
    assert done.returncode == 0, done.stderr


def _serve(installation: Installation) -> "subprocess.Popen[bytes]":
    """Start a daemon whose log goes into a file: lines that nobody reads are kept in memory."""
    with (installation.folder / "log").open("wb") as log:
        daemon = subprocess.Popen(
            [sys.executable, "-m", "connector", "serve"],
            cwd=installation.folder,
            env=installation.environment,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
        )
    while not installation.is_listening():
        assert daemon.poll() is None, (installation.folder / "log").read_text()
        time.sleep(0.1)  # polls a socket that another process opens
    return daemon


def _soak(seen: Seen, installation: Installation, daemon: int, runs: int) -> Counter[str]:
    """Look again and again until so many runs have ended; give how they did, by job and outcome."""
    ends_at, suspects = time.monotonic() + PATIENCE * runs, set[int]()
    outcomes: Counter[str] = Counter()
    while (ended := outcomes.total()) < runs:
        assert time.monotonic() < ends_at, f"{ended} of {runs} runs have ended: {outcomes}"
        time.sleep(1)  # this is how often it is looked at
        query = "SELECT job, outcome, count(*) FROM run GROUP BY 1, 2"
        rows = installation.rows(query, database="vault.db")
        ends = [row for row in rows if row[1] not in {"queued", "running"}]
        outcomes = Counter({f"{job} {outcome}": count for job, outcome, count in ends})
        zombies = {pid for pid in _descendants(daemon) if state_of(pid) == "Z"}
        seen.zombies |= zombies & suspects  # twice in a row: nobody reaps it
        suspects = zombies
        if outcomes.total() * SAMPLES // runs > len(seen.daemon):
            _sample(seen, daemon, outcomes.total())
    return outcomes


def _sample(seen: Seen, daemon: int, ended: int) -> None:
    templates = [pid for pid in children_of(daemon) if b"fork_template" in _command(pid)]
    (template,) = templates
    cells = [f"{ended:,}"]
    for pid, samples in ((daemon, seen.daemon), (template, seen.template)):
        status = Path(f"/proc/{pid}/status").read_text()
        fields = dict(line.split(":", 1) for line in status.splitlines())
        descriptors = len(os.listdir(f"/proc/{pid}/fd"))  # noqa: PTH208 - it is no folder of files
        memory = int(fields["RssAnon"].split()[0]) / 1024
        samples.append(Sample(memory=memory, descriptors=descriptors))
        cells += [f"{memory:.1f}", str(descriptors)]
    print(f"| {' | '.join(cells)} |", flush=True)


def _descendants(pid: int) -> list[int]:
    found = [pid]
    for one in found:
        found.extend(children_of(one))
    return found[1:]


def _command(pid: int) -> bytes:
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes()
    except OSError:
        return b""


def _judge(seen: Seen, outcomes: Counter[str]) -> None:
    first = len(seen.daemon) // 4
    for name, samples, most, more in (
        ("daemon", seen.daemon, MOST_GROWTH_MIB, MOST_MORE_DESCRIPTORS),
        ("template", seen.template, MOST_TEMPLATE_GROWTH_MIB, MOST_MORE_OF_TEMPLATE),
    ):
        growth = samples[-1].memory - samples[first].memory
        opened = samples[-1].descriptors - samples[first].descriptors
        print(f"{name} after the first quarter: {growth:+.1f} MiB, {opened:+d} descriptors")
        assert growth <= most
        assert opened <= more
    assert not seen.zombies, seen.zombies
    kinds = {kind for kind in outcomes if not kind.endswith("interrupted")}
    ends = {"failing", "crashing", "hanging", "leaking"}
    expected = {f"{name} {'failed' if name in ends else 'succeeded'}" for name in FUNCTIONS}
    assert kinds == expected | {"declared succeeded"}, kinds


if __name__ == "__main__":
    main(*map(int, sys.argv[1:2]))
