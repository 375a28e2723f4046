"""Kills writers of a destination at every moment of a commit; run as a program of its own.

    python -m tests.unit.jobs.killing URL

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
from functools import partial
from pathlib import Path
from types import FrameType
from typing import Final

from connector.jobs.destination import Destination, open_destination

BATCH: Final = 5
ANYWHERE: Final = 30


def open_at(url: str, account: str = "acme/ads") -> Destination:
    """Open the destination."""
    return open_destination(
        url, table="t", key=(), job="job", account=account, account_id=f"of {account}"
    )


def batch(number: int) -> list[dict[str, object]]:
    """Give the records of a batch; without a key, so that one that comes twice is seen."""
    return [{"batch": number, "n": n, f"field{number % 7}": "x" * 50} for n in range(BATCH)]


def write_next(destination: Destination) -> None:
    """Commit the batch after the cursor."""
    cursor = destination.cursor()
    number = cursor + 1 if isinstance(cursor, int) else 0
    destination.commit(batch(number), number)


def check(url: str) -> int:
    """Check that records and cursor agree; give the number of batches."""
    destination = open_at(url)
    cursor = destination.cursor()
    destination.close()
    count = cursor + 1 if isinstance(cursor, int) else 0
    found = sorted(records(url))
    expected = [(number, n) for number in range(count) for n in range(BATCH)]
    assert found == expected, f"{len(found)} records, {len(expected)} expected"
    return count


def records(url: str) -> list[tuple[int, int]]:
    """Read what a user would find."""
    kind, _, path = url.partition(":")
    if kind == "jsonl":
        lines = Path(path).read_bytes().splitlines() if Path(path).exists() else []
        return [(record["batch"], record["n"]) for record in map(json.loads, lines)]
    connection = sqlite3.connect(path.removeprefix("///"))
    try:
        return connection.execute("SELECT batch, n FROM t").fetchall()
    except sqlite3.OperationalError:
        return []  # there is no table yet
    finally:
        connection.close()


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
    """Kill before each line of opening and committing; give the number of deaths."""
    for count in range(1, 10_000):

        def work(count: int = count) -> None:
            kill_at_line(count)
            destination = open_at(url)
            write_next(destination)

        _, status = os.waitpid(fork(work), 0)
        check(url)
        if os.WIFEXITED(status):
            assert os.waitstatus_to_exitcode(status) == 0
            return count - 1
    raise AssertionError("a commit has no end")


def anywhere(url: str) -> None:
    """Kill while batches are written, at moments that fall anywhere."""
    moments = random.Random(7)  # noqa: S311 - moments to die at

    def work() -> None:
        destination = open_at(url)
        while True:
            write_next(destination)

    for _ in range(ANYWHERE):
        child = fork(work)
        threading.Event().wait(moments.uniform(0.001, 0.03))
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)
        check(url)


def together(url: str, writers: int = 4, batches: int = 15) -> None:
    """Have several processes write into one new destination at once."""
    ready, go = os.pipe()

    def work(name: str) -> None:
        os.close(go)
        os.read(ready, 1)
        destination = open_at(url, name)
        for number in range(batches):
            destination.commit([{"batch": number, "n": 0, f"{name[-1]}{number}": 1}], number)
        destination.close()

    children = [fork(partial(work, f"acme/{i}")) for i in range(writers)]
    os.close(go)
    statuses = [os.waitpid(child, 0)[1] for child in children]
    assert statuses == [0] * writers
    assert sorted(records(url)) == sorted((n, 0) for n in range(batches) for _ in range(writers))


def main() -> None:
    """Do all of it and print what was done."""
    url = sys.argv[1]
    together(url.replace("ads", "together"))
    deaths = at_every_line(url)
    anywhere(url)
    print(json.dumps({"deaths": deaths, "batches": check(url)}))  # noqa: T201 - its answer


if __name__ == "__main__":
    main()
