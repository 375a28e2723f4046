"""Runs whose owner is gone: found by its process or its silence, and put back into the queue."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Final

from sqlalchemy import select, update
from sqlalchemy.ext.asyncio import AsyncConnection
from sqlmodel import col

from connector.store.database import Database
from connector.store.history_tables import RunRow
from connector.store.open_runs import IS_QUEUED, open_runs
from connector.store.run_lines import Line, Waiting
from connector.store.run_rows import Run, is_own, why_lost
from connector.store.tables import AccountRow

#: A run that was lost so often is not begun again: what it does ends its owners.
MOST_ATTEMPTS: Final = 5
#: What nobody has begun for so long is of no host's configuration (seconds).
LONGEST_WAIT: Final = 86_400.0
_UNWANTED: Final = "no host has begun it for a day"
#: Tells whether this process would begin a run, given a job, and the name and the provider of the
#: account.
Wanted = Callable[[str, str, str], bool]


@dataclass(frozen=True, slots=True, kw_only=True)
class Lost:
    """A run whose owner is gone.

    Attributes:
        run: as it stands now: queued once more, or interrupted for good.
        error: what is known of its end.
    """

    run: Run
    error: str


class LostRuns:
    """Finds runs whose owner is gone; `QueuedRuns` has one.

    Args:
        database: where they are.
        line: where they wait.
        lost_after: seconds of silence after which an owner counts as gone.
    """

    def __init__(self, database: Database, line: Line, *, lost_after: float) -> None:
        self._database = database
        self._line = line
        self._lost_after = lost_after

    async def sweep(
        self,
        *,
        owner: str,
        now: float,
        is_wanted: Wanted = lambda _job, _account, _provider: False,
        longest_delay: float = 0.0,
    ) -> list[Lost]:
        """Put back what was lost, and end what nobody wants; gives what was lost.

        Args:
            owner: who looks, whose own runs are not lost.
            now: seconds since the epoch.
            is_wanted: of what has waited for long, what only waits for a place: or the wall clock
                was set on.
            longest_delay: for which a run that is queued may have to wait (seconds); one that has
                to for longer is of a wall clock that was set back, and waits no more.
        """
        lost: list[Lost] = []
        async with self._database.write() as connection:
            await self._end_unwanted(connection, is_wanted, now=now)
            is_ahead = (IS_QUEUED, col(RunRow.queued_at) > now + longest_delay)
            await connection.execute(update(RunRow).where(*is_ahead).values(queued_at=now))
            await self._line.repair(connection)
            running = (col(RunRow.outcome) == "running", col(RunRow.owner) != owner)
            for run, silence in await open_runs(self._database, connection, *running):
                settled = await self.settle(connection, run, silence, now=now)
                if settled is not None:
                    lost.append(Lost(run=settled, error=settled.error or ""))
        return lost

    async def _end_unwanted(
        self, connection: AsyncConnection, is_wanted: Wanted, *, now: float
    ) -> None:
        """End what has waited for too long for who would begin it."""
        statement = (
            select(col(RunRow.id), col(RunRow.job), col(RunRow.account), col(AccountRow.provider))
            .outerjoin(AccountRow, col(AccountRow.name) == col(RunRow.account))
            .where(IS_QUEUED, col(RunRow.queued_at) < now - LONGEST_WAIT)
        )
        ended = {"outcome": "interrupted", "finished_at": now, "error": _UNWANTED}
        for row in (await connection.execute(statement)).all():
            if not is_wanted(row.job, row.account, row.provider or ""):
                which = (IS_QUEUED, col(RunRow.id) == row.id)
                await connection.execute(update(RunRow).where(*which).values(ended))

    async def settle(
        self, connection: AsyncConnection, run: Run, silence: float | None, *, now: float
    ) -> Run | None:
        """Put a run back that is lost, or end it; None: it is not lost.

        Args:
            connection: in a transaction.
            run: one that stands as running.
            silence: seconds since its owner said that it is there.
            now: seconds since the epoch.
        """
        error = why_lost(
            run,
            silence,
            now=now,
            lost_after=self._lost_after,
            is_local=self._database.is_sqlite,
        )
        if error is None:
            return None
        if run.queued_at is None or run.attempt >= MOST_ATTEMPTS:
            settled = replace(run, outcome="interrupted", finished_at=now, error=error)
        else:
            error = f"attempt {run.attempt} was interrupted: {error}"
            settled = replace(
                run, outcome="queued", queued_at=now, attempt=run.attempt + 1, error=error
            )
        names = ("outcome", "finished_at", "queued_at", "attempt", "error")
        values = {name: getattr(settled, name) for name in names}
        # its account may be forgotten at this moment
        is_as_read = col(RunRow.queued_at).is_not_distinct_from(run.queued_at)
        statement = update(RunRow).where(*is_own(run), is_as_read).values(values)
        if (await connection.execute(statement)).rowcount != 1:
            return None
        if settled.outcome == "queued":
            await self._line.put(connection, [Waiting(run=run.id, place=None)])
        return settled
