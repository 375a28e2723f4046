"""What runs have said, line by line: the first lines and the newest ones of each.

Lines are numbered in the order in which they came, over all attempts of a run; a gap in the numbers
says how many are not kept.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from sqlalchemy import delete, func, select
from sqlalchemy.dialects import postgresql, sqlite
from sqlmodel import col

from connector.store.database import Database
from connector.store.history_tables import RunLogRow, RunRow
from connector.store.run_rows import Run, is_own

#: Of a run that says much, its beginning and its end tell what it did (lines).
FIRST_LINES: Final = 500
NEWEST_LINES: Final = 500
#: So many there may be of a run.
MOST_LINES: Final = FIRST_LINES + NEWEST_LINES


@dataclass(frozen=True, slots=True, kw_only=True)
class LogLine:
    """What a run has said.

    Attributes:
        number: among its lines, from 1 on.
        at: seconds since the epoch.
        kind: the level of a logger, in small letters, or ``stdout`` or ``stderr``.
        text: in one line, without secrets.
    """

    number: int
    at: float
    kind: str
    text: str


class RunLogs:
    """Reads and writes lines.

    Args:
        database: where they are.
    """

    def __init__(self, database: Database) -> None:
        self._database = database

    async def add(self, run: Run, lines: Sequence[LogLine], *, base: int | None) -> int | None:
        """Write lines of a run, and remove those that are too many; once written is enough.

        Args:
            run: whose; nothing is written where it was taken over.
            lines: numbered from 1 on in this attempt, in order.
            base: how many lines there were before this attempt; None: look.

        Returns:
            How many there were before; None: the run was taken over, or removed.

        Raises:
            TemporarilyUnavailable: the database cannot be had (so for every method here).
        """
        number = col(RunLogRow.number)
        of_run = col(RunLogRow.run_id) == run.id
        insert = sqlite.insert if self._database.is_sqlite else postgresql.insert
        async with self._database.write() as connection:
            # no other owner begins while this one writes
            ours = select(col(RunRow.id)).where(*is_own(run)).with_for_update()
            if (await connection.execute(ours)).first() is None:
                return None
            if base is None:
                found = await connection.execute(select(func.max(number)).where(of_run))
                base = found.scalar() or 0
            rows = [
                {
                    "run_id": run.id,
                    "number": base + line.number,
                    "at": line.at,
                    "kind": line.kind,
                    "text": line.text,
                }
                for line in lines
            ]
            await connection.execute(insert(RunLogRow).values(rows).on_conflict_do_nothing())
            newest = base + lines[-1].number - NEWEST_LINES
            if newest > FIRST_LINES:
                surplus = (of_run, number > FIRST_LINES, number <= newest)
                await connection.execute(delete(RunLogRow).where(*surplus))
        return base

    async def of_run(
        self, run_id: str, *, after: int = 0, limit: int = MOST_LINES
    ) -> list[LogLine]:
        """Give the lines of a run that are kept, in their order.

        Args:
            run_id: of the run.
            after: only those with a higher number.
            limit: how many at most.
        """
        columns = (RunLogRow.number, RunLogRow.at, RunLogRow.kind, RunLogRow.text)
        statement = (
            select(*(col(one) for one in columns))
            .where(col(RunLogRow.run_id) == run_id, col(RunLogRow.number) > after)
            .order_by(col(RunLogRow.number))
            .limit(limit)
        )
        async with self._database.read() as connection:
            return [LogLine(**row) for row in (await connection.execute(statement)).mappings()]
