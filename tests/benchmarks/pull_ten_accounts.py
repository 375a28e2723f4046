"""Ten accounts at once at an API that takes 50 ms for a page: a process for each, of one command.

Beside them stand the ideal, which is the waiting alone, a bare loop of ten tasks in one process,
and dlt with a worker for each account. Of ours two times are told: of the whole command, and of the
runs, from when the first was claimed to when the last had ended.
"""

import statistics
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Final

from tests.benchmarks.pull_contenders import PEERS, Contender, Entries
from tests.benchmarks.pull_outputs import JsonLines, Output, Sqlite
from tests.benchmarks.pull_server import PAGE
from tests.benchmarks.pull_stage import Stage
from tests.benchmarks.table import print_table

ACCOUNTS: Final = 10
PAGES: Final = 100
#: Milliseconds.
LATENCY: Final = 50
#: Seconds.
IDEAL: Final = PAGES * LATENCY / 1000
MOST: Final = 1.3
RECORDS: Final = ACCOUNTS * PAGES * PAGE


def measure(stage: Stage, rounds: int) -> None:
    """Measure in turns, and print the table."""
    made, jobs = _contenders(stage)
    stage.configure(jobs)
    runs: dict[str, list[float]] = {one.name: [] for one in made}
    for _ in range(rounds):
        for one in made:
            one.pull(stage, RECORDS)
            job = one.command[-1]
            if job in jobs:
                runs[one.name].append(_of_runs(stage, job))
    rows: list[tuple[str, Sequence[float]]] = [("the waiting alone", [IDEAL])]
    rows += [(one.name, [took.seconds for took in one.rounds]) for one in made]
    ratios = [_ratio(values) for values in runs.values()]
    cpu = [f"{statistics.median(took.cpu for took in one.rounds):.1f}" for one in made]
    print_table(
        f"{ACCOUNTS} accounts, {PAGES} pages each, {LATENCY} ms a page",
        "s, whole",
        rows,
        more={"the runs alone, ratio": ["", *ratios], "CPU (s)": ["", *cpu]},
    )
    print(f"\nAim: {MOST} of the waiting alone, for the runs.")


def _contenders(stage: Stage) -> tuple[list[Contender], dict[str, str]]:
    url = stage.url(latency=LATENCY, pages=PAGES)
    what = stage.declared(url)
    here = stage.folder / "ten"
    shared: dict[str, tuple[str, Output]] = {
        "one file of JSON Lines": (
            "jsonl:{folder}/pulled.jsonl",
            JsonLines(here / "ten-0", "*.jsonl"),
        ),
        "one SQLite database": (
            "sqlite:///{folder}/pulled.db",
            Sqlite(here / "ten-1", "pulled.db", "id || _account"),
        ),
    }
    jobs: dict[str, str] = {}
    made = [_peer(stage, "bare loop, ten tasks", here / "bare", url, "bare.py")]
    for to, (place, output) in shared.items():
        job = f"ten-{len(jobs)}"
        destination = place.format(folder=here / job)
        jobs[job] = f"""
            account = "acme/*"
            {what}
            destination = {{ to = "{destination}", table = "records" }}"""
        made.append(
            Contender(
                name=f"Connector, {to}",
                command=[sys.executable, "-m", "connector", "jobs", "run", job],
                output=output,
            )
        )
    made.append(_peer(stage, "dlt, JSON Lines, 10 workers", here / "dlt", url, "dlt_pull.py"))
    return made, jobs


def _peer(stage: Stage, name: str, folder: Path, url: str, program: str) -> Contender:
    """Give a peer that pulls ten times from the same place, and so has each record ten times."""
    entries = Entries(stage, "ten")
    if program == "bare.py":
        output = JsonLines(folder, "*.jsonl")
        arguments, python = ["async", str(folder / "pulled.jsonl")], Path(sys.executable)
    else:
        output = JsonLines(folder, "files/pulled/records/*.jsonl")
        arguments, python = ["jsonl", "append", str(folder)], PEERS
    urls = [url] * ACCOUNTS
    made = entries.peer(name, output, program, *arguments, *urls, python=python)
    return replace(made, copies=ACCOUNTS)


def _of_runs(stage: Stage, job: str) -> float:
    """Give the seconds from the first claim to the last end of the newest runs of a job."""
    ((began, ended),) = stage.installation.rows(
        "SELECT min(started_at), max(finished_at) FROM (SELECT * FROM run"  # noqa: S608 - ours
        f" WHERE job = '{job}' ORDER BY started_at DESC LIMIT {ACCOUNTS})",
        database="vault.db",
    )
    return float(ended) - float(began)


def _ratio(values: Sequence[float]) -> str:
    if not values:
        return ""
    took = statistics.median(values)
    verdict = "met" if took <= MOST * IDEAL else "**not met**"
    return f"{took:.1f} s, {took / IDEAL:.2f}: {verdict}"
