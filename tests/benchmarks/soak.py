"""Half an hour at half of what the daemon can answer, with short tokens and a failing provider.

Of a hundred refreshes one meets a fault: an answer of 503 or 502, a connection that is reset or
lost before the server has acted (what it does to a strictly rotating grant to lose an answer after
that is a matter of its own: see the decision table). Told are answers that are not 200, how long
answers took, and what of the daemon grows: memory, file descriptors, threads. It fails where
anything but 200 was answered or something grew.

    python -m tests.benchmarks.soak [SECONDS]      by default 1,800
"""

import asyncio
import itertools
import statistics
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from connector.simulator import Fault, Settings, Simulator
from tests.acceptance.installation import Installation
from tests.benchmarks.load import ask_together, request

SECONDS: Final = 1800.0
ACCOUNTS: Final = 60
#: Seconds that a token lives: each is refreshed about once in twenty seconds.
LIFETIME: Final = 30
CALLERS: Final = 16
SAMPLES: Final = 30
#: One of a hundred refreshes meets the next of these.
FAULTS: Final = (
    Fault(endpoint="token", grant_type="refresh_token", kind="status", status=503),
    Fault(endpoint="token", grant_type="refresh_token", kind="reset"),
    Fault(endpoint="token", grant_type="refresh_token", kind="status", status=502),
    Fault(endpoint="token", grant_type="refresh_token", kind="drop"),
)
#: The daemon may grow by so much after its first tenth: caches that fill, pools that were small.
MOST_GROWTH_MIB: Final = 8.0
MOST_MORE_DESCRIPTORS: Final = 8


@dataclass(slots=True, kw_only=True)
class Soak:
    """What was seen.

    Attributes:
        answers: by status.
        times: of the answers since the last sample, in seconds.
        samples: lines of the table.
        memory: of the daemon at each sample, in MiB.
        descriptors: that it had open.
    """

    answers: Counter[int] = field(default_factory=Counter)
    times: list[float] = field(default_factory=list)
    samples: list[str] = field(default_factory=list)
    memory: list[float] = field(default_factory=list)
    descriptors: list[int] = field(default_factory=list)


def main(seconds: float = SECONDS) -> None:
    """Soak, and print what was seen."""
    with (
        tempfile.TemporaryDirectory() as folder,
        Simulator(Settings(access_token_lifetime=LIFETIME)) as simulator,
        Installation(Path(folder), simulator) as installation,
    ):
        installation.configure()
        names = [f"acme/a{number}" for number in range(ACCOUNTS)]
        _connect(installation, simulator, names)
        made = installation.run(
            *("keys", "create", "soak", "--accounts", "**", "--scope", "token:read")
        )
        key = made.stdout.strip()
        daemon = installation.serve()
        here = ("127.0.0.1", installation.port)
        host = f"{here[0]}:{here[1]}"
        requests = [request(f"/v1/accounts/{name}/token", key, host=host) for name in names]
        most = asyncio.run(ask_together(here, requests, callers=CALLERS, seconds=10)).rate
        print(f"at most {most:.0f} answers a second; soaking at {most / 2:.0f} for {seconds:.0f} s")
        print("| after | answers/s | p50 ms | p99 ms | not 200 | MiB | descriptors | threads |")
        print("|---:|---:|---:|---:|---:|---:|---:|---:|", flush=True)
        seen = Soak()
        asyncio.run(_soak(seen, simulator, here, requests, most / 2, seconds, daemon.pid))
        installation.stop(daemon)
    _judge(seen, simulator.ledger.count("token"))


def _connect(installation: Installation, simulator: Simulator, names: Sequence[str]) -> None:
    """Bring grants that another program had."""
    lines = [
        f"{name},{simulator.grant('ada', scope='ads_read')['refresh_token']}" for name in names
    ]
    text = "\n".join(["account,refresh_token", *lines, ""])
    assert installation.run("init").returncode == 0
    done = installation.run("accounts", "import", "-", "--provider", "ads", input_text=text)
    assert done.returncode == 0, done.stderr


async def _soak(
    seen: Soak,
    simulator: Simulator,
    here: tuple[str, int],
    requests: Sequence[bytes],
    rate: float,
    seconds: float,
    pid: int,
) -> None:
    turn = itertools.cycle(requests)
    ends_at = time.monotonic() + seconds
    async with asyncio.TaskGroup() as group:
        for number in range(CALLERS):
            start = number / rate
            group.create_task(_call(seen, here, turn, CALLERS / rate, start, ends_at))
        group.create_task(_injure(simulator, ends_at))
        group.create_task(_sample(seen, pid, seconds / SAMPLES, ends_at))


async def _call(
    seen: Soak,
    here: tuple[str, int],
    turn: "itertools.cycle[bytes]",
    pause: float,
    start: float,
    ends_at: float,
) -> None:
    """Ask at a steady pace over one connection; a slow answer is not made up for."""
    reader, writer = await asyncio.open_connection(*here)
    next_at = time.monotonic() + start
    while (now := time.monotonic()) < ends_at:
        await asyncio.sleep(max(0.0, next_at - now))  # the pace
        next_at = max(next_at + pause, now)
        began = time.perf_counter()
        writer.write(next(turn))
        head = await reader.readuntil(b"\r\n\r\n")
        length = head.lower().partition(b"content-length: ")[2].partition(b"\r")[0]
        await reader.readexactly(int(length))
        seen.times.append(time.perf_counter() - began)
        seen.answers[int(head[9:12])] += 1
    writer.close()


async def _injure(simulator: Simulator, ends_at: float) -> None:
    """Have one of a hundred refreshes fail."""
    faults, done = itertools.cycle(FAULTS), 0
    while time.monotonic() < ends_at:
        if simulator.ledger.count("token") >= done + 100:
            done += 100
            simulator.faults.add(next(faults))
        await asyncio.sleep(0.5)  # looks at a count of another thread


async def _sample(seen: Soak, pid: int, pause: float, ends_at: float) -> None:
    began = time.monotonic()
    while time.monotonic() < ends_at:
        await asyncio.sleep(pause)  # this is how often it is looked at
        times, seen.times = sorted(seen.times), []
        memory, descriptors, threads = _taken(pid)
        seen.memory.append(memory)
        seen.descriptors.append(descriptors)
        others = {code: count for code, count in seen.answers.items() if code != 200}
        cells = [
            f"{time.monotonic() - began:.0f} s",
            f"{len(times) / pause:.0f}",
            f"{statistics.median(times) * 1e3:.1f}",
            f"{times[int(len(times) * 0.99)] * 1e3:.1f}",
            str(others or 0),
            f"{seen.memory[-1]:.1f}",
            str(seen.descriptors[-1]),
            threads,
        ]
        print(f"| {' | '.join(cells)} |", flush=True)


def _taken(pid: int) -> tuple[float, int, str]:
    """Give memory in MiB, file descriptors and threads of a process."""
    status = Path(f"/proc/{pid}/status").read_text()
    fields = dict(line.split(":", 1) for line in status.splitlines())
    descriptors = len(list(Path(f"/proc/{pid}/fd").iterdir()))
    return int(fields["VmRSS"].split()[0]) / 1024, descriptors, fields["Threads"].strip()


def _judge(seen: Soak, refreshes: int) -> None:
    first = max(1, len(seen.memory) // 10)
    growth = seen.memory[-1] - seen.memory[first - 1]
    more = seen.descriptors[-1] - seen.descriptors[first - 1]
    total = sum(seen.answers.values())
    print(f"\n{total:,} answers, {refreshes:,} requests for tokens, {refreshes // 100} faults")
    print(f"after the first tenth: {growth:+.1f} MiB, {more:+d} descriptors")
    assert set(seen.answers) == {200}, seen.answers
    assert growth < MOST_GROWTH_MIB
    assert more < MOST_MORE_DESCRIPTORS


if __name__ == "__main__":
    main(*map(float, sys.argv[1:2]))
