"""Runs of jobs, and what an operator said of a job.

A slot (job, account, due time) is claimed by inserting its row: a UNIQUE constraint lets one of
any number of daemons do it (CHECKLIST 169), and another one lets one run of a job for an account be
open, queued or running, at a time. Each write of a run's owner names owner and attempt, so that one
whose run was taken over writes nothing.
"""

import json
import secrets
from collections.abc import Collection, Mapping
from dataclasses import replace
from typing import Literal

from sqlalchemy import func, insert, select, update
from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncConnection
from sqlmodel import col

from connector.store.database import Database
from connector.store.history_tables import JobRow, RunRow
from connector.store.open_runs import IS_OPEN, begun, open_runs
from connector.store.queued_runs import QueuedRuns, Wish
from connector.store.rate_limits import RateLimits
from connector.store.run_logs import RunLogs
from connector.store.run_rows import (
    GRACE,
    Ending,
    Outcome,
    Run,
    figures_of,
    heartbeat_clock,
    is_own,
    read_run,
    this_host,
    values_of,
)
from connector.store.slot_marks import SlotMarks

__all__ = ["GRACE", "Ending", "Outcome", "Run", "RunStore", "read_run"]

#: What came of a job that follows another one: it is paused, or another run of it goes on.
Followed = Literal["queued", "paused", "left_out"]


class RunStore:
    """Reads and writes runs.

    Args:
        database: where they are.
        heartbeat: seconds between two words of a run's owner that it is there.

    Attributes:
        queue: those that wait to be begun, and those that were lost.
        logs: what they have said.
        marks: the last slot of each job.
        limits: the rate limits of APIs that are near.
    """

    def __init__(self, database: Database, *, heartbeat: float = 5.0) -> None:
        self._database = database
        self.queue = QueuedRuns(database, heartbeat=heartbeat)
        self.logs = RunLogs(database)
        self.marks = SlotMarks(database)
        self.limits = RateLimits(database)

    async def claim(
        self,
        job: str,
        account: str,
        due_at: float | None,
        *,
        owner: str,
        now: float,
        deadline: float | None = None,
        lane: str = "",
    ) -> Run | None:
        """Begin a run at once; None where its slot is taken or another one goes on.

        Where a person asks, one that waits in the queue is begun, and one whose owner is gone is
        taken over.

        Args:
            job: its name.
            account: the account's name.
            due_at: the slot; None where a person asks.
            owner: who runs it.
            now: seconds since the epoch.
            deadline: seconds after which its process kills it; None where it is not known.
            lane: of a backfill, which goes on beside what is scheduled.

        Raises:
            TemporarilyUnavailable: the database cannot be had (so for every method here).
        """
        run = Run(
            id=secrets.token_hex(8),
            job=job,
            account=account,
            due_at=due_at,
            started_at=now,
            deadline_at=None if deadline is None else now + deadline,
            finished_at=None,
            outcome="running",
            error=None,
            records=0,
            batches=0,
            tokens=0,
            cursor=None,
            owner=owner,
            host=this_host(),
            lane=lane,
        )
        try:
            async with self._database.write() as connection:
                present = await self._settled(connection, run, now)
                if present is not None and (due_at is not None or present.outcome == "running"):
                    return None
                if present is not None:
                    return await begun(self._database, connection, present, run)
                row = insert(RunRow).values(
                    dict(values_of(run)) | {"heartbeat_at": heartbeat_clock(self._database)}
                )
                found = await connection.execute(row.returning(col(RunRow.heartbeat_at)))
                return replace(run, heartbeat_at=found.scalar_one())
        except IntegrityError:  # another daemon has this slot, or began another one just now
            return None

    async def finish(self, run: Run, ending: Ending, *, now: float) -> bool:
        """Write how a run ended; False, and nothing, where it was taken over meanwhile."""
        async with self._database.write() as connection:
            return await _ended(connection, run, ending, now)

    async def succeed(
        self, run: Run, ending: Ending, followers: Mapping[str, Wish], *, now: float
    ) -> dict[str, Followed] | None:
        """Write that a run succeeded, and queue what follows it, in one transaction.

        Args:
            run: of a slot.
            ending: how it ended.
            followers: what is queued for the same slot, by the names of the jobs.
            now: seconds since the epoch.

        Returns:
            What came of each follower; None, and nothing, where the run was taken over meanwhile.
        """
        told: dict[str, Followed] = {}
        names = col(JobRow.name)
        paused = select(names).where(names.in_(followers), col(JobRow.paused_at).is_not(None))
        async with self._database.write() as connection:
            if not await _ended(connection, run, ending, now):
                return None
            are_paused = set((await connection.execute(paused)).scalars())
            for job, wish in followers.items():
                if job in are_paused:
                    told[job] = "paused"
                    continue
                put = await self.queue.put_in(connection, job, [wish], due_at=run.due_at, now=now)
                told[job] = "queued" if put else "left_out"
        return told

    async def account_of(self, run: Run) -> str:
        """Give the account's name that a run has now: that of one which goes on may change."""
        statement = select(col(RunRow.account)).where(col(RunRow.id) == run.id)
        async with self._database.read() as connection:
            found = (await connection.execute(statement)).scalar_one_or_none()
        return found or run.account

    async def accounts(self) -> frozenset[str]:
        """Give the names of the accounts that have runs."""
        async with self._database.read() as connection:
            found = await connection.execute(select(col(RunRow.account)).distinct())
            return frozenset(found.scalars())

    async def history(
        self,
        job: str | None,
        *,
        account: str | None = None,
        accounts: Collection[str] | None = None,
        limit: int,
    ) -> list[Run]:
        """Give the last runs, the newest first.

        Args:
            job: only of this one.
            account: only of this one.
            accounts: only of these.
            limit: how many at most.
        """
        if "\0" in f"{job} {account}":  # no name of ours has it, and Postgres refuses it
            return []
        newest_first = (col(RunRow.started_at).desc(), col(RunRow.id))
        statement = select(RunRow).order_by(*newest_first).limit(limit)
        if job is not None:
            statement = statement.where(col(RunRow.job) == job)
        if account is not None:
            statement = statement.where(col(RunRow.account) == account)
        if accounts is not None:
            statement = statement.where(col(RunRow.account).in_(accounts))
        async with self._database.read() as connection:
            return [read_run(row) for row in await connection.execute(statement)]

    async def latest(self, accounts: Collection[str] | None = None) -> dict[str, Run]:
        """Give the last run of each job, however long ago it was.

        Args:
            accounts: only of these.
        """
        of_these = () if accounts is None else (col(RunRow.account).in_(accounts),)
        last = (
            select(col(RunRow.job).label("job"), func.max(col(RunRow.started_at)).label("at"))
            .where(*of_these)
            .group_by(col(RunRow.job))
            .subquery()
        )
        statement = (
            select(RunRow)
            .join(last, (col(RunRow.job) == last.c.job) & (col(RunRow.started_at) == last.c.at))
            .where(*of_these)
            .order_by(col(RunRow.id).desc())
        )
        async with self._database.read() as connection:
            return {row.job: read_run(row) for row in await connection.execute(statement)}

    async def busy(self, jobs: Collection[str]) -> frozenset[str]:
        """Give the accounts that have no place for another run of some jobs: one is open.

        Args:
            jobs: their names; backfills are beside them.
        """
        if not jobs:
            return frozenset()
        statement = select(col(RunRow.account)).where(
            IS_OPEN, col(RunRow.job).in_(jobs), col(RunRow.lane) == ""
        )
        async with self._database.read() as connection:
            return frozenset((await connection.execute(statement)).scalars())

    async def paused(self) -> frozenset[str]:
        """Give the names of the jobs that are paused."""
        statement = select(col(JobRow.name)).where(col(JobRow.paused_at).is_not(None))
        async with self._database.read() as connection:
            return frozenset(row[0] for row in await connection.execute(statement))

    async def pause(self, job: str, *, now: float) -> None:
        """Pause a job; it stays paused until it is resumed."""
        row = {"name": job, "paused_at": now}
        async with self._database.write() as connection:
            await connection.execute(self._database.upsert(JobRow, row, "name"))

    async def resume(self, job: str, *, now: float) -> None:
        """Let a paused job run again; the slots of the meantime were not missed."""
        is_paused = (col(JobRow.name) == job, col(JobRow.paused_at).is_not(None))
        statement = update(JobRow).where(*is_paused).values(paused_at=None, slot_at=now)
        async with self._database.write() as connection:
            await connection.execute(statement)

    async def _settled(self, connection: AsyncConnection, wish: Run, now: float) -> Run | None:
        """Give the run of a job and account that is open, once those that are lost are not."""
        of_these = (
            col(RunRow.job) == wish.job,
            col(RunRow.account) == wish.account,
            col(RunRow.lane) == wish.lane,
        )
        for run, silence in await open_runs(self._database, connection, *of_these):
            if run.outcome == "queued":
                return run
            settled = await self.queue.lost.settle(connection, run, silence, now=now)
            if settled is None or settled.outcome == "queued":
                return settled or run
        return None


async def _ended(connection: AsyncConnection, run: Run, ending: Ending, now: float) -> bool:
    """Write how a run ended; False, and nothing, where it was taken over meanwhile."""
    values = figures_of(ending) | {
        "finished_at": now,
        "outcome": ending.outcome,
        "error": ending.error,
        "cursor": None if ending.cursor is None else json.dumps(ending.cursor),
    }
    written = await connection.execute(update(RunRow).where(*is_own(run)).values(values))
    return written.rowcount == 1
