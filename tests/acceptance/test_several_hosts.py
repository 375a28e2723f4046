"""Daemons and workers in processes of their own on one Postgres, some of which are killed mid-run.

A job is due every second for several accounts; its function yields a batch, with a checkpoint, now
and again. Whatever is killed: a slot has one row, each row succeeds, and what was lost is taken
over within its heartbeat limit, at the checkpoint.
"""

import itertools
import os
import re
import shutil
import signal
import sqlite3
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import psycopg
import pytest
from psycopg.rows import dict_row

from connector.simulator import Settings
from connector.store.queued_runs import SILENT_HEARTBEATS
from tests.unit.workbench import Workbench

from .installation import PATIENCE, free_port
from .real_time import real_time_workbench

pytestmark = pytest.mark.traced

ACCOUNTS: Final = tuple(f"acme/{number}" for number in range(5))
BATCHES: Final = 6
#: Seconds: a run takes longer than that between two looks of the test.
PAUSE: Final = 0.4
HEARTBEAT: Final = 1.0
#: An owner that was silent for so long is gone, and that is looked for twice in a heartbeat; the
#: rest is for machines that are busy (seconds).
TAKEN_OVER: Final = SILENT_HEARTBEATS * HEARTBEAT + HEARTBEAT / 2 + 1.0 + 5.0
JOB: Final = """
[daemon]
heartbeat = "1s"
port = 1
[jobs.pull]
account = "acme/*"
schedule = "every 1s"
jitter = "0s"
run = "pulls:pull"
destination = { to = "sqlite:///ads.db", table = "rows", key = ["id"] }
"""
CODE: Final = f"""
import time
def pull(api, context):
    for number in range(context.checkpoint or 0, {BATCHES}):
        context.checkpoint = number + 1
        yield [{{"id": f"{{context.run_id}} {{number}}", "run": context.run_id}}]
        time.sleep({PAUSE})
"""


@dataclass(slots=True, kw_only=True)
class Hosts:
    """Processes that share a vault."""

    bench: Workbench
    url: str
    numbers: Iterator[int] = field(default_factory=itertools.count)
    processes: dict[int, "subprocess.Popen[bytes]"] = field(default_factory=dict)

    def start(self, *commands: str) -> list[int]:
        """Start processes; give their PIDs once all are ready, and have the job begin then."""
        self.execute("INSERT INTO job (name, paused_at) VALUES ('pull', 1)")
        pids = [self._start(command) for command in commands]
        wait_for(
            lambda: len(re.findall(r"(?:worker|daemon)\.ready", self.logs())) == len(commands),
            self.logs,
        )
        self.execute("DELETE FROM job")
        return pids

    def execute(self, statement: str) -> None:
        with psycopg.connect(self.url) as connection:
            connection.execute(statement.encode())

    def _start(self, command: str) -> int:
        """Start a process in a folder of its own, as on a host of its own; give its PID."""
        folder = self.bench.folder / f"host{next(self.numbers)}"
        folder.mkdir()
        for name in ("root.key", "acme.secret", "facebook.secret", "authority.pem", "pulls.py"):
            shutil.copy2(self.bench.folder / name, folder / name)
        text = self.bench.config.read_text()
        text = text.replace("port = 1\n", f"port = {free_port()}\n")
        text = text.replace("sqlite:///ads.db", f"sqlite:///{self.bench.folder}/ads.db")
        (folder / "config.toml").write_text(text)
        with (folder / "log").open("wb") as log:
            process = subprocess.Popen(
                [sys.executable, "-m", "connector", command],
                cwd=folder,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
            )
        self.processes[process.pid] = process
        return process.pid

    def kill(self, pid: int, number: signal.Signals = signal.SIGKILL) -> None:
        """Send a signal to a process; one that is killed is gone afterwards."""
        self.processes[pid].send_signal(number)
        if number is signal.SIGKILL:
            self.processes.pop(pid).wait()

    def stop(self) -> None:
        """Stop all that are left, in order."""
        for process in self.processes.values():
            process.send_signal(signal.SIGTERM)
        for process in self.processes.values():
            assert process.wait(timeout=PATIENCE) == 0, self.logs()
        self.processes.clear()

    def logs(self) -> str:
        return "\n".join(path.read_text() for path in sorted(self.bench.folder.glob("host*/log")))

    def runs(self, condition: str = "true") -> list[dict[str, Any]]:
        """Give rows of runs, each with the PID of its owner."""
        with psycopg.connect(self.url, row_factory=dict_row) as connection:
            query = f"SELECT * FROM run WHERE {condition} ORDER BY started_at"  # noqa: S608
            rows = connection.execute(query.encode()).fetchall()
        return [row | {"pid": int(row["owner"].split(":")[2] or 0)} for row in rows if row["owner"]]

    def records(self) -> dict[str, Counter[str]]:
        """Give how often each record stands in the destination, by run."""
        with closing(sqlite3.connect(self.bench.folder / "ads.db", timeout=30)) as connection:
            found: dict[str, Counter[str]] = {}
            for run, record in connection.execute("SELECT run, id FROM rows"):
                found.setdefault(run, Counter())[record] += 1
        return found


def wait_for(is_so: Callable[[], bool], otherwise: Callable[[], str]) -> None:
    ends_at = time.monotonic() + PATIENCE
    while not is_so():
        assert time.monotonic() < ends_at, otherwise()
        time.sleep(0.05)  # polls what other processes do


@contextmanager
def hosts_on(folder: Path, url: str) -> Iterator[Hosts]:
    with real_time_workbench(
        folder, Settings(access_token_lifetime=3600), postgres_url=url, more=JOB
    ) as bench:
        for account in ACCOUNTS:
            bench.connect_apart(account)
        (folder / "pulls.py").write_text(CODE)
        hosts = Hosts(bench=bench, url=url)
        try:
            yield hosts
        finally:
            for process in hosts.processes.values():
                process.send_signal(signal.SIGCONT)
                process.kill()
                process.wait()


@pytest.fixture
def hosts(tmp_path: Path, postgres_vault_url: str) -> Iterator[Hosts]:
    with hosts_on(tmp_path, postgres_vault_url.replace("+psycopg", "")) as made:
        yield made


def victim(hosts: Hosts, pids: list[int]) -> dict[str, Any]:
    """Wait until one of some processes is in the middle of a run; give that run."""
    found: list[dict[str, Any]] = []

    def is_in_the_middle() -> bool:
        found[:] = [
            run
            for run in hosts.runs("outcome = 'running' AND attempt = 1 AND batches BETWEEN 1 AND 3")
            if run["pid"] in pids
        ]
        return bool(found)

    wait_for(is_in_the_middle, hosts.logs)
    return found[-1]


@pytest.mark.timeout(300)  # six processes, on a machine that may be busy
def test_a_daemon_and_a_worker_are_killed_mid_run(hosts: Hosts) -> None:
    pids = hosts.start(*["serve"] * 3, *["worker"] * 3)
    killed: dict[str, float] = {}
    for some in (pids[:3], pids[3:]):
        pid = victim(hosts, some)["pid"]
        hosts.kill(pid)
        killed_at = time.time()
        lost = hosts.runs(f"owner LIKE '%:{pid}:%' AND outcome IN ('running', 'queued')")
        assert lost, "it was killed in the middle of a run"
        for run in lost:
            killed[run["id"]] = killed_at

    took: dict[str, float] = {}

    def are_taken_over() -> bool:
        for run in hosts.runs("attempt >= 2"):
            if run["outcome"] != "queued":
                took.setdefault(run["id"], time.time() - killed.get(run["id"], time.time()))
        return took.keys() >= killed.keys()

    wait_for(are_taken_over, hosts.logs)
    assert max(took.values()) < TAKEN_OVER, took
    rows = hosts.runs()
    wait_for(lambda: len(hosts.runs("outcome = 'succeeded'")) > len(rows) + 8, hosts.logs)
    pause = "INSERT INTO job (name, paused_at) VALUES ('pull', 1)"
    hosts.execute(f"{pause} ON CONFLICT (name) DO UPDATE SET paused_at = 1")
    wait_for(lambda: not hosts.runs("outcome IN ('queued', 'running')"), hosts.logs)
    hosts.stop()
    runs = hosts.runs()
    slots = Counter((run["account"], run["due_at"]) for run in runs)
    assert set(slots.values()) == {1}, "a slot has one row"
    assert {run["outcome"] for run in runs} == {"succeeded"}, hosts.logs()
    assert {run["id"] for run in runs if run["attempt"] >= 2} >= killed.keys()
    assert len({run["pid"] for run in runs}) >= 2, "several processes shared the work"
    records = hosts.records()
    assert records.keys() == {run["id"] for run in runs}
    for run in runs:
        expected = {f"{run['id']} {number}": 1 for number in range(BATCHES)}
        assert records[run["id"]] == expected, "each record once"
    for run in runs:
        if run["id"] in killed:
            assert 0 < run["records"] <= BATCHES, "resumed at the checkpoint, not from the start"
    with psycopg.connect(hosts.url) as connection:
        left = connection.execute(
            "SELECT job.status, job.scheduled_at, job.attempts, run.*"
            " FROM procrastinate.procrastinate_jobs AS job"
            " LEFT JOIN run ON run.id = job.args->>'run'"
            # a slot may have come with the pause: it waits
            " WHERE run.outcome IS DISTINCT FROM 'queued'"
        )
        assert left.fetchall() == []


def test_a_host_that_stands_still_is_taken_over_and_writes_nothing_afterwards(
    hosts: Hosts,
) -> None:
    """As one that is cut off from the database: its process is there, and says nothing."""
    _, *workers = hosts.start("serve", "worker", "worker")
    run = victim(hosts, workers)
    hosts.kill(run["pid"], signal.SIGSTOP)
    stopped_at = time.time()
    wait_for(
        lambda: bool(hosts.runs(f"id = '{run['id']}' AND attempt = 2 AND outcome <> 'queued'")),
        hosts.logs,
    )
    assert time.time() - stopped_at < TAKEN_OVER
    wait_for(lambda: bool(hosts.runs(f"id = '{run['id']}' AND outcome = 'succeeded'")), hosts.logs)
    (before,) = hosts.runs(f"id = '{run['id']}'")
    assert before["pid"] != run["pid"]
    hosts.kill(run["pid"], signal.SIGCONT)
    wait_for(lambda: "run.taken_over" in hosts.logs(), hosts.logs)
    assert hosts.runs(f"id = '{run['id']}'") == [before]
    assert hosts.records()[run["id"]] == {f"{run['id']} {number}": 1 for number in range(BATCHES)}


def test_a_worker_that_is_stopped_in_order_hands_its_runs_on(hosts: Hosts) -> None:
    _, *workers = hosts.start("serve", "worker", "worker")
    run = victim(hosts, workers)
    hosts.kill(run["pid"], signal.SIGTERM)
    assert hosts.processes.pop(run["pid"]).wait(timeout=PATIENCE) == 0
    wait_for(lambda: bool(hosts.runs(f"id = '{run['id']}' AND outcome = 'succeeded'")), hosts.logs)
    (after,) = hosts.runs(f"id = '{run['id']}'")
    assert (after["attempt"], after["pid"] != run["pid"]) == (1, True)
    assert hosts.records()[run["id"]] == {f"{run['id']} {number}": 1 for number in range(BATCHES)}


def test_a_worker_of_a_sqlite_vault_says_what_to_do(tmp_path: Path) -> None:
    with real_time_workbench(tmp_path, Settings()) as bench:
        done = subprocess.run(
            [sys.executable, "-m", "connector", "--config", str(bench.config), "worker"],
            env=os.environ,
            capture_output=True,
            text=True,
            timeout=PATIENCE,
            check=False,
        )
    assert done.returncode == 2
    assert "vault.url: is a SQLite file" in done.stderr
    assert "connector serve" in done.stderr
