"""Runs of jobs, and what an operator said of a job.

A slot (job, account, due time) is claimed by inserting its row: a UNIQUE constraint lets one of
any number of daemons do it (CHECKLIST 169), and another one lets one run of a job for an account be
under way at a time. A run whose owner is gone, or whose deadline has long passed, is marked as
interrupted: of an owner on another host, or in another PID namespace, nothing else can be known.
"""

import json
import secrets
from collections.abc import Collection
from dataclasses import dataclass
from typing import Any, Final, Literal

from sqlalchemy import Row, delete, func, insert, select, update
from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncConnection
from sqlmodel import col

from connector.store.database import Database
from connector.store.history_tables import JobRow, RunRow
from connector.store.owner import is_gone

#: At its deadline a run is killed by its own process, within seconds: what stands as running this
#: long after has no such process any more. Longer than the clocks of two hosts differ (seconds).
GRACE: Final = 300.0
#: A run of unknown deadline is over after this (seconds).
_UNKNOWN_DEADLINE: Final = 86_400.0

Outcome = Literal["running", "succeeded", "failed", "consent_required", "interrupted"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Run:
    """One execution of a job for one account.

    Attributes:
        id: of the row.
        job: its name.
        account: the account's name.
        due_at: the slot; None where a person asked for it.
        started_at, finished_at: seconds since the epoch.
        deadline_at: when it is killed; None where its program told none.
        outcome: how it ended; ``running`` while it has not.
        error: why it failed, in a few words.
        records: written.
        batches: committed.
        tokens: access tokens that it was given.
        cursor: where it got to, as JSON.
        owner: who runs it.
    """

    id: str
    job: str
    account: str
    due_at: float | None
    started_at: float
    deadline_at: float | None
    finished_at: float | None
    outcome: Outcome
    error: str | None
    records: int
    batches: int
    tokens: int
    cursor: str | None
    owner: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Ending:
    """How a run ended."""

    outcome: Outcome
    records: int = 0
    batches: int = 0
    tokens: int = 0
    error: str | None = None
    cursor: object = None


class RunStore:
    """Reads and writes runs.

    Args:
        database: where they are.
    """

    def __init__(self, database: Database) -> None:
        self._database = database

    async def claim(
        self,
        job: str,
        account: str,
        due_at: float | None,
        *,
        owner: str,
        now: float,
        deadline: float | None = None,
    ) -> Run | None:
        """Begin a run; None where its slot is taken or another run of it is under way.

        Args:
            job: its name.
            account: the account's name.
            due_at: the slot; None where a person asks.
            owner: who runs it.
            now: seconds since the epoch.
            deadline: seconds after which its process kills it; None where it is not known.

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
        )
        row = {name: getattr(run, name) for name in Run.__slots__}
        try:
            async with self._database.write() as connection:
                if await self._is_running(connection, job, account, now):
                    return None
                await connection.execute(insert(RunRow).values(row))
        except IntegrityError:  # another daemon has this slot, or began another one just now
            return None
        return run

    async def finish(self, run: Run, ending: Ending, *, now: float) -> None:
        """Write how a run ended."""
        values = {
            "finished_at": now,
            "outcome": ending.outcome,
            "error": ending.error,
            "records": ending.records,
            "batches": ending.batches,
            "tokens": ending.tokens,
            "cursor": None if ending.cursor is None else json.dumps(ending.cursor),
        }
        async with self._database.write() as connection:
            await connection.execute(update(RunRow).where(col(RunRow.id) == run.id).values(values))

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

    async def resume(self, job: str) -> None:
        """Let a paused job run again."""
        async with self._database.write() as connection:
            await connection.execute(delete(JobRow).where(col(JobRow.name) == job))

    async def _is_running(
        self, connection: AsyncConnection, job: str, account: str, now: float
    ) -> bool:
        """Tell whether a run is under way; mark those that cannot be."""
        running = await connection.execute(
            select(RunRow).where(
                col(RunRow.job) == job,
                col(RunRow.account) == account,
                col(RunRow.outcome) == "running",
            )
        )
        is_running = False
        for run in map(read_run, running.all()):
            error = self._interruption(run, now)
            if error is None:
                is_running = True
                continue
            await connection.execute(
                update(RunRow)
                .where(col(RunRow.id) == run.id)
                .values(outcome="interrupted", finished_at=now, error=error)
            )
        return is_running

    def _interruption(self, run: Run, now: float) -> str | None:
        """Say why a run that stands as running is not; None: it may well be."""
        if is_gone(run.owner, is_local=self._database.is_sqlite):
            return "its process is gone"
        deadline_at = run.deadline_at
        if deadline_at is None:
            deadline_at = run.started_at + _UNKNOWN_DEADLINE
        return (
            "its deadline passed, and nothing was heard of it"
            if now > deadline_at + GRACE
            else None
        )


def read_run(row: Row[Any]) -> Run:
    """Give the run that a row holds."""
    return Run(**{name: getattr(row, name) for name in Run.__slots__})
