"""Kills writers of a destination at every moment of a commit; run as a program of its own.

    python -m tests.unit.jobs.destinations.killing URL

Writers are forked off, so that hundreds of them take seconds. One writes batch after batch, with
the number of the batch as its cursor, until it is killed: first before each line of the commit's
own code, then at moments that fall anywhere, system calls included. After each death the
destination must hold the batches up to its cursor, whole and once, and nothing else.
"""

import json
import os
import random
import signal
import sqlite3
import sys
import threading
import traceback
from collections.abc import Callable
from contextlib import closing
from functools import partial
from pathlib import Path
from types import FrameType
from typing import Any, Final

import psycopg

from connector.jobs.destinations.destination import Destination, open_destination
from connector.jobs.destinations.rejecting import reject
from connector.jobs.destinations.stream import State, Stream

from .places import read_duckdb, read_parquet

BATCH: Final = 5
ANYWHERE: Final = 30
#: Lines between two deaths where they are slow; no round numbers, so that loops are met everywhere.
STEPS: Final = {"postgresql:": 11, "duckdb:": 11, "parquet:": 29}


def open_at(url: str, account: str = "acme/ads", table: str = "t") -> Destination:
    """Open the destination."""
    return open_destination(
        url,
        table=table,
        key=(),
        stream=Stream(job="job", account=account, account_id=f"of {account}"),
    )


def batch(number: int) -> list[dict[str, object]]:
    """Give the records of a batch; without a key, so that one that comes twice is seen."""
    return [{"batch": number, "n": n, f"field{number % 7}": "x" * 50} for n in range(BATCH)]


def write_next(destination: Destination) -> None:
    """Commit the batch after the cursor, and a record that is set aside."""
    cursor = destination.state().cursor
    number = cursor + 1 if isinstance(cursor, int) else 0
    rejected = [reject({"batch": number}, "lacks id")]
    destination.commit(batch(number), State(cursor=number), rejected=rejected)


def check(url: str) -> int:
    """Check that records and cursor agree; give the number of batches."""
    destination = open_at(url)
    cursor = destination.state().cursor
    destination.close()
    count = cursor + 1 if isinstance(cursor, int) else 0
    found = sorted(records(url))
    expected = [(number, n) for number in range(count) for n in range(BATCH)]
    assert found == expected, f"{len(found)} records, {len(expected)} expected"
    aside = sorted(rejected(url))
    assert aside == list(range(count)), f"{len(aside)} set aside, {count} expected"
    return count


def rows(url: str, columns: str, table: str) -> list[tuple[Any, ...]]:
    """Read a table; none is there: nothing."""
    query = f"SELECT {columns} FROM {table}"  # noqa: S608 - of this module
    if url.startswith("postgresql:"):
        with psycopg.connect(url) as server:
            try:
                return server.execute(query.encode()).fetchall()
            except psycopg.errors.UndefinedTable:
                return []
    if url.startswith(("duckdb:", "parquet:")):
        read = read_duckdb if url.startswith("duckdb:") else read_parquet
        found = read(Path(url.partition(":")[2]), table)
        return [tuple(row[name] for name in columns.split(", ")) for row in found]
    with closing(sqlite3.connect(url.removeprefix("sqlite:///"))) as connection:
        try:
            return connection.execute(query).fetchall()
        except sqlite3.OperationalError:
            return []


def lines(path: Path) -> list[dict[str, Any]]:
    """Read a file of lines; none is there: nothing."""
    return list(map(json.loads, path.read_bytes().splitlines())) if path.exists() else []


def records(url: str, table: str = "t") -> list[tuple[int, int]]:
    """Read what a user would find."""
    if url.startswith("jsonl:"):
        path = Path(url.removeprefix("jsonl:"))
        return [(record["batch"], record["n"]) for record in lines(path)]
    return rows(url, "batch, n", table)


def rejected(url: str) -> list[int]:
    """Read what was set aside."""
    if url.startswith("jsonl:"):
        path = Path(url.removeprefix("jsonl:") + ".rejected.jsonl")
        return [row["record"]["batch"] for row in lines(path)]
    found = [record for (record,) in rows(url, "record", "t_rejected")]
    return [(json.loads(one) if isinstance(one, str) else one)["batch"] for one in found]


def fork(work: Callable[[], None]) -> int:
    """Run work in a child process."""
    child = os.fork()
    if child == 0:
        try:
            work()
            os._exit(0)
        finally:
            traceback.print_exc()
            os._exit(1)
    return child


def kill_at_line(count: int) -> None:
    """Have this process killed before a line of the destination's code."""
    left = count

    def on_line(frame: FrameType, event: str, _argument: object) -> object:
        nonlocal left
        if "/connector/jobs/" not in frame.f_code.co_filename:
            return None
        if event == "line":
            left -= 1
            if left == 0:
                os.kill(os.getpid(), signal.SIGKILL)
        return on_line

    sys.settrace(on_line)  # type: ignore[arg-type]


def at_every_line(url: str) -> int:
    """Kill before each line of opening and committing; give the number of deaths.

    Where it takes long to open, before one line of some.
    """
    step = next((step for kind, step in STEPS.items() if url.startswith(kind)), 1)
    for deaths, count in enumerate(range(1, 10_000, step)):

        def work(count: int = count) -> None:
            kill_at_line(count)
            destination = open_at(url)
            write_next(destination)
            destination.close()

        _, status = os.waitpid(fork(work), 0)
        check(url)
        if os.WIFEXITED(status):
            assert os.waitstatus_to_exitcode(status) == 0
            return deaths
    raise AssertionError("a commit has no end")


def anywhere(url: str) -> None:
    """Kill while batches are written, at moments that fall anywhere; each time a bit later.

    So a slow machine gets to write too.
    """
    moments = random.Random(7)  # noqa: S311 - moments to die at
    longest = 0.5 if url.startswith("duckdb:") else 0.03

    def work() -> None:
        destination = open_at(url)
        while True:
            write_next(destination)
            if url.startswith("parquet:"):  # has readers see it
                destination.close()
                destination = open_at(url)

    for number in range(ANYWHERE):
        child = fork(work)
        threading.Event().wait(moments.uniform(0.001, longest + number * 0.01))
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)
        check(url)


def together(url: str, table: str, writers: int = 4, batches: int = 15) -> None:
    """Have several processes write into one new destination at once."""
    ready, go = os.pipe()

    def work(name: str) -> None:
        os.close(go)
        os.read(ready, 1)
        destination = open_at(url, name, table)
        for number in range(batches):
            destination.commit(
                [{"batch": number, "n": 0, f"{name[-1]}{number}": 1}], State(cursor=number)
            )
        destination.close()

    children = [fork(partial(work, f"acme/{i}")) for i in range(writers)]
    os.close(go)
    statuses = [os.waitpid(child, 0)[1] for child in children]
    assert statuses == [0] * writers
    assert sorted(records(url, table)) == sorted(
        (n, 0) for n in range(batches) for _ in range(writers)
    )


def main() -> None:
    """Do all of it and print what was done."""
    url = sys.argv[1]
    together(url.replace("ads", "together"), "together")
    deaths = at_every_line(url)
    anywhere(url)
    print(json.dumps({"deaths": deaths, "batches": check(url)}))  # noqa: T201 - its answer


if __name__ == "__main__":
    main()
