"""Jobs of a test: their modules, their runs, and where their records went."""

import dataclasses
import os
import select
import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

from connector.account_name import parse_glob
from connector.credential import CredentialSource
from connector.jobs.places import Limits
from connector.jobs.queue import RunQueue
from connector.jobs.run import JobRunner
from connector.runtime import Runtime, RuntimeCredentials
from connector.settings import DestinationSettings, JobSettings
from connector.store.runs import Ending, Run
from tests.unit.user_code import write_module
from tests.unit.workbench import ACCOUNT, Workbench


class Jobs:
    """What runs jobs for the account of a test."""

    def __init__(self, bench: Workbench, runtime: Runtime) -> None:
        self.bench = bench
        self.runtime = runtime
        self._runners: list[JobRunner] = []
        self.runner = self.make_runner(RuntimeCredentials(runtime))

    def make_runner(self, credentials: CredentialSource, **changes: Any) -> JobRunner:
        """Make a runner whose tokens come from somewhere."""
        values: dict[str, Any] = {
            "accounts": self.runtime.accounts,
            "runs": self.runtime.runs,
            "credentials": credentials,
            "folder": self.bench.folder,
            "hidden_variables": frozenset(),
            "owner": self.runtime.owner,
            "now": self.bench.clock.now,
        }
        runner = JobRunner(**values | changes)
        self._runners.append(runner)
        return runner

    def close(self) -> None:
        """Close what it has made."""
        for runner in self._runners:
            runner.close()

    def make_queue(self, *jobs: JobSettings, runner: JobRunner | None = None) -> RunQueue:
        """Make a queue that takes runs of some jobs, or of those of the configuration."""
        by_name = {job.name: job for job in jobs} or self.runtime.settings.jobs
        return RunQueue(
            runner or self.runner,
            by_name,
            Limits.of(self.runtime.settings),
            now=self.bench.clock.now,
        )

    def write(self, code: str, module: str = "pulls") -> None:
        """Write a module of the user's."""
        write_module(self.bench.folder / f"{module}.py", code)

    def job(self, **changes: Any) -> JobSettings:
        """Give a job that runs ``pulls:pull`` for every account of acme."""
        destination = DestinationSettings(
            url=f"sqlite:///{self.bench.folder}/ads.db", table="t", key=("id",)
        )
        job = JobSettings(
            name="pull",
            accounts=parse_glob("acme/*"),
            provider=None,
            schedule=None,
            run="pulls:pull",
            destination=destination,
            deadline=60,
            jitter=0,
            options={},
        )
        return dataclasses.replace(job, **changes)

    async def run(self, code: str | None = None, *, since: object = None, **changes: Any) -> Ending:
        """Run a job to its end."""
        if code is not None:
            self.write(code)
        ending = await self.runner.run(self.job(**changes), ACCOUNT, due_at=None, since=since)
        assert ending is not None
        return ending

    async def last(self) -> Run:
        """Give the last run as the history has it."""
        (run,) = await self.runtime.runs.history("pull", limit=1)
        return run

    def rows(self, columns: str = "*") -> list[tuple[Any, ...]]:
        """Read the records."""
        with closing(sqlite3.connect(self.bench.folder / "ads.db")) as connection:
            query = f"SELECT {columns} FROM t ORDER BY id"  # noqa: S608 - columns of a test
            return connection.execute(query).fetchall()

    def cursor(self) -> object:
        """Read the cursor's text; None where none was committed."""
        with closing(sqlite3.connect(self.bench.folder / "ads.db")) as connection:
            row = connection.execute("SELECT cursor FROM _connector_cursor").fetchone()
        return None if row in {None, ("null",)} else row[0]


def is_running(pid: int) -> bool:
    """Tell whether a process runs; one that waits to be reaped does not."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_text()
    except OSError:
        return False
    return stat.rpartition(")")[2].split()[0] not in {"Z", "X"}


def wait_for_end(pid: int, timeout: float = 20.0) -> None:
    """Wait until a process that is no child of ours has ended."""
    try:
        descriptor = os.pidfd_open(pid)
    except ProcessLookupError:
        return
    try:
        ended, _, _ = select.select([descriptor], [], [], timeout)
    finally:
        os.close(descriptor)
    assert ended, f"process {pid} goes on"
