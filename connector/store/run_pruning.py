"""Removes runs that are too old, with what they said; never a last one that somebody may ask for.

Of each job and account the last run stays, and the last that succeeded. Runs are looked at in the
order in which they began, some at a time, so that writers wait only where there is something to
remove.
"""

from typing import Any, Final

from sqlalchemy import ColumnElement, and_, delete, exists, or_, select, tuple_
from sqlalchemy.orm import aliased
from sqlmodel import col

from connector.store.database import Database
from connector.store.history_tables import RunRow

#: Runs that are looked at together.
_AT_ONCE: Final = 500
#: Runs that are removed in one transaction: each may have said a thousand lines, and no writer
#: should wait longer than for some tens of milliseconds.
_REMOVED_AT_ONCE: Final = 20
_OPEN: Final = ("queued", "running")


class RunPruning:
    """Removes runs.

    Args:
        database: where they are.
    """

    def __init__(self, database: Database) -> None:
        self._database = database

    async def prune(self, keep: float, *, now: float) -> int:
        """Remove the runs that ended too long ago.

        Args:
            keep: seconds; 0: for ever.
            now: seconds since the epoch.

        Returns:
            How many were removed.

        Raises:
            TemporarilyUnavailable: the database cannot be had.
        """
        if not keep:
            return 0
        count, last = 0, (float("-inf"), "")
        run: Any = aliased(RunRow)
        place = tuple_(run.started_at, run.id)
        while True:
            statement = (
                select(run.id, run.started_at, _is_over(run, now - keep).label("is_over"))
                .where(place > last, run.started_at < now - keep)
                .order_by(run.started_at, run.id)
                .limit(_AT_ONCE)
            )
            async with self._database.read() as connection:
                found = (await connection.execute(statement)).all()
            if not found:
                return count
            last = (found[-1].started_at, found[-1].id)
            over = [row.id for row in found if row.is_over]
            for start in range(0, len(over), _REMOVED_AT_ONCE):
                count += await self._remove(over[start : start + _REMOVED_AT_ONCE])

    async def _remove(self, runs: list[str]) -> int:
        # what they said goes with them: its rows refer to theirs
        statement = delete(RunRow).where(col(RunRow.id).in_(runs))
        async with self._database.write() as connection:
            return (await connection.execute(statement)).rowcount


def _is_over(run: Any, before: float) -> ColumnElement[bool]:
    """Say of a run that it ended before a moment, and that a later one stands for it."""
    later: Any = aliased(RunRow)
    is_later = and_(
        later.job == run.job,
        later.account == run.account,
        tuple_(later.started_at, later.id) > tuple_(run.started_at, run.id),
    )
    return and_(
        run.outcome.not_in(_OPEN),
        run.finished_at < before,
        exists().where(is_later),
        or_(
            run.outcome != "succeeded",
            exists().where(is_later, later.outcome == "succeeded"),
        ),
    )
