"""A daemon, and on Postgres a worker, are killed while missed slots are caught up with, in a chain.

Killed is whoever executes the job, whoever executes the job that is ``after`` it, and the daemon
between the success of the one and the beginning of the other, each in another slot; all are started
again. Each slot is run once, in order, and the job that follows is run once for it.
"""

import itertools
import json
import signal
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any, Final

import psycopg
import pytest
from psycopg.rows import dict_row

from connector.simulator import Settings
from tests.unit.workbench import ACCOUNT, Workbench

from .installation import PATIENCE, free_port
from .real_time import real_time_workbench

SLOTS: Final = 6
HOUR: Final = 3600.0
#: Seconds of a run: longer than a look of the test.
LENGTH: Final = 0.4
#: A daemon is started and gets to a slot: longer than one command takes (seconds).
LONGEST: Final = 3 * PATIENCE
#: The one that follows waits for up to so long before it begins: time to kill somebody.
JOBS: Final = """
[daemon]
heartbeat = "1s"
port = {port}
[jobs.pull]
account = "acme/*"
schedule = "every 1h"
catch_up = "all"
jitter = "0s"
run = "pulls:work"
destination = {{ to = "sqlite:///done.db", table = "done", key = ["run", "job"] }}
[jobs.report]
account = "acme/*"
after = "pull"
jitter = "4s"
run = "pulls:work"
destination = {{ to = "sqlite:///done.db", table = "done", key = ["run", "job"] }}
"""
CODE: Final = f"""
import time
def work(api, context):
    time.sleep({LENGTH})
    yield [{{"run": context.run_id, "job": context.job, "due": context.due_at}}]
"""


class Chain:
    """Processes that share a vault, and what they have done."""

    def __init__(self, bench: Workbench, url: str | None) -> None:
        self.bench = bench
        self._url = url
        self.commands = ["serve"] if url is None else ["serve", "worker"]
        self._logs = itertools.count()
        self.processes: dict[str, subprocess.Popen[bytes]] = {}
        (bench.folder / "pulls.py").write_text(CODE)

    def start(self, command: str) -> None:
        with (self.bench.folder / f"log{next(self._logs):02}").open("wb") as log:
            self.processes[command] = subprocess.Popen(
                [sys.executable, "-m", "connector", command],
                cwd=self.bench.folder,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
            )

    def kill(self, command: str) -> None:
        process = self.processes.pop(command)
        assert process.poll() is None, self.told()
        process.kill()
        process.wait()

    def kill_owner(self, run: dict[str, Any]) -> str:
        """Kill the process that executes a run; give what it was."""
        pid = int(run["owner"].split(":")[2])
        (command,) = (name for name, one in self.processes.items() if one.pid == pid)
        self.kill(command)
        return command

    def stop(self) -> None:
        for process in self.processes.values():
            process.send_signal(signal.SIGTERM)
        for process in self.processes.values():
            assert process.wait(PATIENCE) == 0, self.told()

    def close(self) -> None:
        for process in self.processes.values():
            process.kill()
            process.wait()

    def told(self) -> str:
        return "\n".join(path.read_text() for path in sorted(self.bench.folder.glob("log??")))

    def execute(self, statement: str) -> None:
        if self._url is not None:
            with psycopg.connect(self._url) as connection:
                connection.execute(statement.encode())
            return
        with closing(sqlite3.connect(self.bench.folder / "vault.db", timeout=30)) as connection:
            connection.execute(statement)
            connection.commit()

    def runs(self, condition: str = "1 = 1") -> list[dict[str, Any]]:
        """Give the rows of runs, by slot."""
        query = f"SELECT * FROM run WHERE {condition} ORDER BY due_at, job"  # noqa: S608
        if self._url is not None:
            with psycopg.connect(self._url, row_factory=dict_row) as connection:
                return connection.execute(query.encode()).fetchall()
        with closing(sqlite3.connect(self.bench.folder / "vault.db", timeout=30)) as connection:
            connection.row_factory = sqlite3.Row
            return [dict(row) for row in connection.execute(query)]

    def wait_for(self, condition: str, *, count: int = 1) -> dict[str, Any]:
        """Wait until there are runs of which something is so; give the last of them."""
        found: list[dict[str, Any]] = []

        def is_so() -> bool:
            found[:] = self.runs(condition)
            return len(found) >= count

        wait_for(is_so, lambda: f"{condition}: {self.summary()}\n{self.told()}")
        return found[-1]

    def summary(self) -> str:
        names = ("job", "due_at", "outcome", "attempt")
        return json.dumps([[run[name] for name in names] for run in self.runs()])

    def done(self) -> list[tuple[str, str, float]]:
        with closing(sqlite3.connect(self.bench.folder / "done.db", timeout=30)) as connection:
            return connection.execute("SELECT run, job, due FROM done").fetchall()


def wait_for(is_so: Callable[[], bool], otherwise: Callable[[], str]) -> None:
    ends_at = time.monotonic() + LONGEST
    while not is_so():
        assert time.monotonic() < ends_at, otherwise()
        time.sleep(0.02)  # polls what other processes do


@pytest.fixture(params=["sqlite", "postgres"])
def chain(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Chain]:
    url = None
    if request.param == "postgres":
        url = request.getfixturevalue("postgres_vault_url").replace("+psycopg", "")
    settings = Settings(access_token_lifetime=7200)
    more = JOBS.format(port=free_port())
    with real_time_workbench(tmp_path, settings, postgres_url=url, more=more) as bench:
        bench.connect_apart(ACCOUNT)
        made = Chain(bench, url)
        try:
            yield made
        finally:
            made.close()


@pytest.mark.timeout(600)  # up to eight processes, one after the other
def test_each_slot_is_run_once_and_in_order_and_what_follows_once_for_it(chain: Chain) -> None:
    latest = time.time() // HOUR * HOUR
    due = [latest - HOUR * number for number in range(SLOTS)][::-1]
    chain.execute(f"INSERT INTO job (name, slot_at) VALUES ('pull', {due[0] - HOUR})")  # noqa: S608
    for command in chain.commands:
        chain.start(command)

    run = chain.wait_for(f"job = 'pull' AND due_at = {due[1]} AND outcome = 'running'")
    chain.start(chain.kill_owner(run))
    chain.wait_for(f"job = 'report' AND due_at >= {due[2]} AND outcome = 'queued'")
    chain.kill("serve")
    chain.start("serve")
    run = chain.wait_for(f"job = 'report' AND due_at = {due[3]} AND outcome = 'running'")
    chain.start(chain.kill_owner(run))
    run = chain.wait_for(f"job = 'pull' AND due_at = {due[4]} AND outcome = 'running'")
    chain.start(chain.kill_owner(run))  # one slot is left
    chain.wait_for("job = 'report' AND outcome = 'succeeded'", count=SLOTS)
    chain.stop()

    runs = chain.runs(f"due_at <= {latest}")
    expected = [(slot, job) for slot in due for job in ("pull", "report")]
    assert [(run["due_at"], run["job"]) for run in runs] == expected, "each slot, once"
    assert {run["outcome"] for run in runs} == {"succeeded"}, chain.summary()
    assert sum(run["attempt"] == 2 for run in runs) == 3, "those in the middle of which was killed"
    in_order = list(itertools.pairwise([run for run in runs if run["job"] == "pull"]))
    assert all(before["finished_at"] <= after["started_at"] for before, after in in_order)
    done = [row for row in chain.done() if row[2] <= latest]
    assert sorted(done) == sorted((run["id"], run["job"], run["due_at"]) for run in runs)
