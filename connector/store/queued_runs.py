"""Runs that wait to be begun: put into the queue, taken, kept by heartbeat, put back in order.

The row is the truth. What decides who is next is a *line*: on SQLite the rows themselves, on
Postgres procrastinate's tables, which are written in the same transaction as the row.
"""

import json
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final, cast

from sqlalchemy import Row, func, select, update
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.ext.asyncio import AsyncConnection
from sqlmodel import col

from connector.store.database import Database
from connector.store.history_tables import JobRow, RunRow
from connector.store.lost_runs import LostRuns
from connector.store.open_runs import FORGOTTEN, IS_OPEN, IS_QUEUED, begun
from connector.store.run_lines import Openings, Waiting, line_of
from connector.store.run_rows import (
    Ending,
    Figures,
    Run,
    figures_of,
    heartbeat_clock,
    is_own,
    queued_run,
    read_run,
    this_host,
    values_of,
)
from connector.store.tables import AccountRow

#: An owner that was silent for so many heartbeats is gone.
SILENT_HEARTBEATS: Final = 4
#: Rows of one statement.
_AT_ONCE: Final = 500
#: Jobs of the line that are looked at in one transaction.
_LOOKS: Final = 100
#: A run whose account has no place is looked at again after this (seconds).
_AGAIN: Final = 1.0
#: And one whose job is paused after this: somebody has to resume it (seconds).
_PAUSED_AGAIN: Final = 5.0
#: Runs that are queued and running, by job.
OpenCounts = dict[str, dict[str, int]]
NONE_OPEN: Final[Mapping[str, int]] = {"queued": 0, "running": 0}


@dataclass(frozen=True, slots=True, kw_only=True)
class Wish:
    """A run that is to be queued.

    Attributes:
        account: the account's name.
        provider: of that account; None: look.
        delay: seconds for which it is not begun.
    """

    account: str
    provider: str | None = None
    delay: float = 0.0


class QueuedRuns:
    """Reads and writes runs that are open; `RunStore` has one.

    Args:
        database: where they are.
        heartbeat: seconds between two words of a run's owner that it is there.

    Attributes:
        heartbeat: as given.
        is_shared: other processes, of other hosts, take from it too.
        lost: those whose owner is gone.
    """

    def __init__(self, database: Database, *, heartbeat: float) -> None:
        self._database = database
        self.heartbeat = heartbeat
        self.is_shared = not database.is_sqlite
        self._line = line_of(database)
        self.lost = LostRuns(database, self._line, lost_after=SILENT_HEARTBEATS * heartbeat)

    async def prepare(self) -> None:
        """Make what the queue needs besides the schema; twice is as good as once.

        Raises:
            ConfigurationError: the database does not let us, or an extra is missing.
            TemporarilyUnavailable: the database cannot be had (so for every method here).
        """
        async with self._database.write() as connection:
            await self._line.prepare(connection)

    async def put(
        self,
        job: str,
        wishes: Sequence[Wish],
        *,
        due_at: float | None,
        now: float,
        asked: Mapping[str, object] | None = None,
    ) -> dict[str, Run]:
        """Queue runs of a job; gives those that are new, by account.

        One whose slot is there already, or that has an open run, is left out.

        Args:
            job: its name.
            wishes: for which accounts.
            due_at: the slot; None where somebody asks.
            now: seconds since the epoch.
            asked: what somebody asked for.
        """
        put: dict[str, Run] = {}
        for start in range(0, len(wishes), _AT_ONCE):
            some = wishes[start : start + _AT_ONCE]
            async with self._database.write() as connection:
                put |= await self.put_in(connection, job, some, due_at=due_at, now=now, asked=asked)
        return put

    async def put_in(
        self,
        connection: AsyncConnection,
        job: str,
        wishes: Sequence[Wish],
        *,
        due_at: float | None,
        now: float,
        asked: Mapping[str, object] | None = None,
    ) -> dict[str, Run]:
        """Queue some runs as `put` does, in a transaction of the caller's."""
        runs = {
            one.account: queued_run(job, one.account, due_at, asked, now=now, delay=one.delay)
            for one in wishes
        }
        insert = sqlite.insert if self._database.is_sqlite else postgresql.insert
        statement = (
            insert(RunRow)
            .values([dict(values_of(run)) for run in runs.values()])
            .on_conflict_do_nothing()
            .returning(col(RunRow.account))
        )
        new = set((await connection.execute(statement)).scalars())
        waiting = [
            Waiting(
                run=runs[one.account].id,
                place=None if one.provider is None else (job, one.provider),
                at=now + one.delay if one.delay else None,
                is_urgent=due_at is None,
            )
            for one in wishes
            if one.account in new
        ]
        await self._line.put(connection, waiting)
        return {account: run for account, run in runs.items() if account in new}

    async def hurry(self, job: str, accounts: Sequence[str], *, now: float) -> dict[str, Run]:
        """Let runs of a job that wait for a later moment be begun from now on; give them.

        Args:
            job: its name.
            accounts: for which ones.
            now: seconds since the epoch.
        """
        found: dict[str, Run] = {}
        later = (IS_QUEUED, col(RunRow.job) == job, col(RunRow.queued_at) > now)
        hurrying = update(RunRow).where(*later).values(queued_at=now).returning(RunRow)
        for start in range(0, len(accounts), _AT_ONCE):
            its = col(RunRow.account).in_(accounts[start : start + _AT_ONCE])
            async with self._database.write() as connection:
                rows = (await connection.execute(hurrying.where(its))).all()
                waiting = [Waiting(run=row.id, place=None, is_urgent=True) for row in rows]
                await self._line.put(connection, waiting)
            found |= {row.account: read_run(row) for row in rows}
        return found

    async def have_slot(self, job: str, due_at: float, accounts: Collection[str]) -> frozenset[str]:
        """Give those of some accounts whose slot has a row."""
        statement = select(col(RunRow.account)).where(
            col(RunRow.job) == job, col(RunRow.due_at) == due_at, col(RunRow.account).in_(accounts)
        )
        async with self._database.read() as connection:
            return frozenset((await connection.execute(statement)).scalars())

    async def count(self) -> OpenCounts:
        """Give how many runs of each job wait, and how many are under way."""
        job, outcome = col(RunRow.job), col(RunRow.outcome)
        statement = select(job, outcome, func.count()).where(IS_OPEN).group_by(job, outcome)
        counts: OpenCounts = {}
        async with self._database.read() as connection:
            for name, state, number in await connection.execute(statement):
                counts.setdefault(name, dict(NONE_OPEN))[state] = number
        return counts

    async def has_waiting(self) -> bool:
        """Tell whether any run waits: what one looks at before one takes the right to write."""
        statement = select(col(RunRow.id)).where(IS_QUEUED).limit(1)
        async with self._database.read() as connection:
            return (await connection.execute(statement)).first() is not None

    async def take(
        self, openings: Openings, *, owner: str, now: float, deadlines: Mapping[str, float]
    ) -> tuple[Run, str] | None:
        """Begin the next run that there is a place for; None: there is none.

        Args:
            openings: which places there are.
            owner: who runs it.
            now: seconds since the epoch.
            deadlines: seconds, by job.

        Returns:
            The run, and the provider of its account (empty: there is no such account any more).
        """
        if not openings.places:
            return None
        async with self._database.write() as connection:
            for _ in range(_LOOKS):
                next_id = await self._line.next(connection, openings, now=now)
                if next_id is None:
                    return None
                row = await self._row(connection, next_id)
                if row is None or row.outcome != "queued":  # somebody began it by hand
                    continue
                present = read_run(row)
                if row.paused_at is not None and present.due_at is not None:
                    again = now + _PAUSED_AGAIN
                    await self._line.put_back(connection, present.id, at=again)
                    continue
                if present.account in openings.full:
                    await self._line.put_back(connection, present.id, at=now + _AGAIN)
                    continue
                wish = replace(
                    present,
                    owner=owner,
                    host=this_host(),
                    started_at=now,
                    deadline_at=now + deadlines[present.job],
                )
                run = await begun(self._database, connection, present, wish)
                return None if run is None else (run, row.provider or "")
        return None

    async def beat(self, run: Run, figures: Figures, place: str | None = None) -> bool:
        """Say that a run's owner is there; False: it is not its owner's.

        Args:
            run: which one.
            figures: how far it is.
            place: where, as its owner writes it for people.
        """
        async with self._database.write() as connection:
            values = figures_of(figures) | {"place": place}
            values["heartbeat_at"] = heartbeat_clock(self._database)
            written = await connection.execute(update(RunRow).where(*is_own(run)).values(values))
            return written.rowcount == 1

    async def release(
        self, run: Run, ending: Ending, *, now: float, again_at: float | None = None
    ) -> bool:
        """Put a run back that its owner cannot end; False, and nothing, where it was taken over.

        One whose account was forgotten is over.

        Args:
            run: whose child has ended.
            ending: how far it was, and why it stops.
            now: seconds since the epoch.
            again_at: it is begun from then on; None: from now on.
        """
        cursor = None if ending.cursor is None else json.dumps(ending.cursor)
        values = figures_of(ending) | {"cursor": cursor}
        at = now if again_at is None else again_at
        queued = {"outcome": "queued", "queued_at": at, "error": ending.error}
        over = {"outcome": "interrupted", "finished_at": now, "error": FORGOTTEN}
        is_known = col(RunRow.queued_at).is_not(None)
        own = update(RunRow).where(*is_own(run))
        async with self._database.write() as connection:
            written = await connection.execute(own.where(is_known).values(values | queued))
            if written.rowcount == 1:
                waiting = Waiting(run=run.id, place=None, at=at if at > now else None)
                await self._line.put(connection, [waiting])
                return True
            written = await connection.execute(own.where(~is_known).values(values | over))
            return written.rowcount == 1

    async def _row(self, connection: AsyncConnection, run_id: str) -> Row[Any] | None:
        """Give the row of a run, its account's provider, and since when its job is paused."""
        statement = (
            select(RunRow, col(AccountRow.provider), col(JobRow.paused_at))
            .outerjoin(AccountRow, col(AccountRow.name) == col(RunRow.account))
            .outerjoin(JobRow, col(JobRow.name) == col(RunRow.job))
            .where(col(RunRow.id) == run_id)
        )
        found = await connection.execute(statement)
        return cast("Row[Any] | None", found.one_or_none())
