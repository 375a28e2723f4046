"""Pulls from a paginated API: ours beside the least possible, dlt, singer-sdk and airbyte-cdk.

Each round is a process of its own, started as its user starts it, in turns with the others. Rates
are net of its start: from the first page that it asks for to its end. Told as well are the whole
time; the processor time of all its processes, which depends less on who else wants the machine,
apart for a pull of one page and for each record beyond it; and the memory of the largest of them.
What was written is read and counted each time.

    python -m tests.benchmarks.pulls [--rounds N] [--pages N] [--only jsonl,sqlite,…,ten,memory]
"""

import argparse
import statistics
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Final

from sqlalchemy.engine import URL

from tests.benchmarks import pull_contenders as contenders
from tests.benchmarks import pull_memory, pull_ten_accounts
from tests.benchmarks.pull_contenders import BOUNDS, KINDS, Contender, Entries
from tests.benchmarks.pull_server import PAGE
from tests.benchmarks.pull_stage import Stage, set_up
from tests.benchmarks.table import print_table
from tests.postgres import running_server

ROUNDS: Final = 3
PAGES: Final = 1000
#: Tables that are not of one kind of destination.
OTHERS: Final = ("ten", "memory")


def main(arguments: Sequence[str] = ()) -> None:
    """Measure; takes a quarter of an hour, and as long again for ten million records."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--rounds", type=int, default=ROUNDS)
    parser.add_argument("--pages", type=int, default=PAGES)
    parser.add_argument("--records", type=int, default=pull_memory.RECORDS, help="of the last one")
    parser.add_argument("--only", default=",".join([*KINDS, *OTHERS]))
    options = parser.parse_args(arguments)
    assert contenders.PEERS.exists(), "make .venv/.peers installs those that ours is beside"
    with (
        tempfile.TemporaryDirectory() as folder,
        set_up(Path(folder), pages=options.pages, accounts=pull_ten_accounts.ACCOUNTS) as stage,
    ):
        for name in options.only.split(","):
            if name in KINDS:
                _measure(stage, name, options.rounds)
            elif name == "ten":
                pull_ten_accounts.measure(stage, options.rounds)
            else:
                pull_memory.measure(stage, options.records)
            sys.stdout.flush()


def _measure(stage: Stage, kind: str, rounds: int) -> None:
    """Measure those that write to one kind of destination, in turns; print their table."""
    with _database(kind) as url:
        starts = _pull_in_turns(replace(stage, pages=1), kind, url, 1)
        made = _pull_in_turns(stage, kind, url, rounds)
    records = stage.pages * PAGE
    for one, start in zip(made, starts, strict=True):
        one.cost = (_median(one, "cpu") - _median(start, "cpu")) / (records - PAGE) * 1e6
    print_table(
        f"{KINDS[kind]}: {stage.pages:,} pages of {PAGE} records",
        "records/s",
        [(one.name, [records / took.net for took in one.rounds]) for one in made],
        more={
            "whole (s)": [f"{_median(one, 'seconds'):.2f}" for one in made],
            "CPU of a record (µs)": [f"{one.cost:.1f}" for one in made],
            "CPU to start (s)": [f"{_median(start, 'cpu'):.2f}" for start in starts],
            "peak (MiB)": [f"{_median(one, 'peak'):.0f}" for one in made],
        },
    )
    _judge(kind, {one.name: one for one in made})


@contextmanager
def _database(kind: str) -> Iterator[URL | None]:
    """Give a database of Postgres where one is needed."""
    if kind != "postgres":
        yield None
        return
    with running_server() as server, server.database() as url:
        yield url


def _pull_in_turns(stage: Stage, kind: str, url: URL | None, rounds: int) -> list[Contender]:
    entries = Entries(stage, kind)
    made = contenders.make(entries, url)
    stage.configure(entries.jobs)
    for _ in range(rounds):
        for one in made:
            one.pull(stage, stage.pages * PAGE)
    return made


def _judge(kind: str, made: dict[str, Contender]) -> None:
    """Say of each bound how it is met."""
    if not BOUNDS[kind]:
        return
    print("\n| demanded | bound | records/s | | whole time | CPU of a record |")
    print("|---|---:|---:|---|---:|---:|")
    for bound in BOUNDS[kind]:
        what = f"| {bound.ours} beside {bound.peer} | ≥ {bound.least:g} |"
        if bound.ours not in made:
            print(f"{what} | not measured | | |")
            continue
        ours, peer = made[bound.ours], made[bound.peer]
        rate, whole = (_median(peer, name) / _median(ours, name) for name in ("net", "seconds"))
        verdict = "met" if rate >= bound.least else "**not met**"
        print(f"{what} {rate:.2f} | {verdict} | {whole:.2f} | {peer.cost / ours.cost:.2f} |")


def _median(one: Contender, name: str) -> float:
    return float(statistics.median(getattr(took, name) for took in one.rounds))


if __name__ == "__main__":
    main(sys.argv[1:])
