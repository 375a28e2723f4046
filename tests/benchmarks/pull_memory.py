"""What a run's process grows by while it pulls ten million records from an API without an end.

Its peak is read when 100,000 records have been asked for, by when all is imported and every buffer
has been used, and again when it ends.
"""

import subprocess
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from tests.benchmarks.pull_contenders import ACCOUNT
from tests.benchmarks.pull_server import PAGE
from tests.benchmarks.pull_stage import Stage

RECORDS: Final = 10_000_000
#: From here on it is looked at.
FIRST: Final = 100_000
#: MiB.
MOST_GROWTH: Final = 15.0
#: How often its peak is read (seconds); a page takes a thousandth of one.
LOOK: Final = 0.1
#: Where the records go; a destination more is an entry more.
DESTINATIONS: Final[Mapping[str, str]] = {
    "JSON Lines": "jsonl:{folder}/pulled.jsonl",
    "SQLite": "sqlite:///{folder}/pulled.db",
}


def measure(stage: Stage, records: int) -> None:
    """Measure each destination and print the table."""
    pages = records // PAGE
    what = stage.declared(stage.url(pages=pages))
    folder = stage.folder / "memory"
    jobs = {
        f"memory-{number}": f"""
            account = "{ACCOUNT}"
            deadline = "6h"
            {what}
            destination = {{ to = "{to.format(folder=folder)}", table = "records" }}"""
        for number, to in enumerate(DESTINATIONS.values())
    }
    stage.configure(jobs)
    print(f"\n## Peak memory of a run's process over {records:,} records\n")
    print(f"| to | MiB at {FIRST:,} | MiB at the end | growth | bound | | records/s |")
    print("|---|---:|---:|---:|---:|---|---:|")
    for name, job in zip(DESTINATIONS, jobs, strict=True):
        began = time.monotonic()
        first, last = _watch(stage, job, pages)
        rate = records / (time.monotonic() - began)
        verdict = "met" if last - first <= MOST_GROWTH else "**not met**"
        cells = f"{first:.1f} | {last:.1f} | {last - first:.1f} | ≤ {MOST_GROWTH:g} | {verdict}"
        print(f"| {name} | {cells} | {rate:.0f} |", flush=True)
        for written in folder.iterdir():
            written.unlink()


def _watch(stage: Stage, job: str, pages: int) -> tuple[float, float]:
    """Run a job to its end; give the peak of its run's process early and late (MiB)."""
    stage.api.begin()
    first = last = 0.0
    with subprocess.Popen(
        [sys.executable, "-m", "connector", "jobs", "run", job],
        cwd=stage.installation.folder,
        env=stage.installation.environment,
        stdout=subprocess.DEVNULL,
    ) as process:
        while process.poll() is None:
            time.sleep(LOOK)  # what is watched is another process
            last = max(last, _peak_of_run(process.pid))
            if not first and stage.api.told()["count"] * PAGE >= FIRST:
                first = last
        assert process.returncode == 0
    assert stage.api.told()["count"] == pages
    assert first, "it ended before it could be looked at"
    return first, last


def _peak_of_run(command: int) -> float:
    """Give the peak, in MiB, of the run's process; 0 where there is none.

    It is forked from a process that the command has started, whose own peak is another.
    """
    try:
        (template,) = _children(command)
        (run,) = _children(template)
        status = Path(f"/proc/{run}/status").read_text()
        (line,) = (line for line in status.splitlines() if line.startswith("VmHWM:"))
    except (OSError, ValueError):  # it is not there yet, or ends at this moment
        return 0.0
    return int(line.split()[1]) / 1024


def _children(pid: int) -> list[int]:
    tasks = Path(f"/proc/{pid}/task").iterdir()
    return [int(child) for task in tasks for child in (task / "children").read_text().split()]
