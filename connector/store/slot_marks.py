"""Which slot of each job was the last that was put into the queue, and which jobs are paused.

A mark says that every account has had its chance: it is written when the runs of a slot are queued,
so that a crash in the midst of them leaves the slot to be put once more.
"""

from collections.abc import Mapping
from dataclasses import dataclass

from sqlalchemy import or_, select
from sqlalchemy.dialects import postgresql, sqlite
from sqlmodel import col

from connector.store.database import Database
from connector.store.history_tables import JobRow


@dataclass(frozen=True, slots=True, kw_only=True)
class JobMark:
    """What is known of a job.

    Attributes:
        slot_at: its last slot, or when it was resumed (seconds since the epoch); None: it never
            had one.
        is_paused: an operator said so.
    """

    slot_at: float | None = None
    is_paused: bool = False


class SlotMarks:
    """Reads and writes marks.

    Args:
        database: where they are.
    """

    def __init__(self, database: Database) -> None:
        self._database = database

    async def all(self) -> Mapping[str, JobMark]:
        """Give what is known of each job.

        Raises:
            TemporarilyUnavailable: the database cannot be had (so for every method here).
        """
        statement = select(col(JobRow.name), col(JobRow.slot_at), col(JobRow.paused_at))
        async with self._database.read() as connection:
            return {
                row.name: JobMark(slot_at=row.slot_at, is_paused=row.paused_at is not None)
                for row in await connection.execute(statement)
            }

    async def set(self, job: str, slot: float, *, now: float) -> None:
        """Write that a slot was put; an older one than the last changes nothing.

        Args:
            job: its name.
            slot: when it was due.
            now: seconds since the epoch; a mark that is later is of a clock that was wrong.
        """
        insert = sqlite.insert if self._database.is_sqlite else postgresql.insert
        mark = col(JobRow.slot_at)
        statement = (
            insert(JobRow)
            .values(name=job, slot_at=slot)
            .on_conflict_do_update(
                index_elements=["name"],
                set_={"slot_at": slot},
                where=or_(mark.is_(None), mark < slot, mark > now),
            )
        )
        async with self._database.write() as connection:
            await connection.execute(statement)
