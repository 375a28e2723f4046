"""Rows of runs that are open: found with how long their owner was silent, and begun."""

from collections.abc import Sequence
from typing import Any, Final, cast

from sqlalchemy import (
    ColumnElement,
    Row,
    Update,
    and_,
    exists,
    or_,
    select,
    text,
    update,
)
from sqlalchemy.ext.asyncio import AsyncConnection
from sqlalchemy.orm import aliased
from sqlmodel import col

from connector.store.database import Database
from connector.store.history_tables import RunRow
from connector.store.run_rows import Run, heartbeat_clock, read_run

#: Word for word as a partial index has it, and which of its rows.
IS_QUEUED: Final = text("outcome IN ('queued', 'running') AND outcome = 'queued'")
IS_RUNNING: Final = text("outcome IN ('queued', 'running') AND outcome = 'running'")
IS_OPEN: Final = text("outcome IN ('queued', 'running')")


async def open_runs(
    database: Database, connection: AsyncConnection, *which: ColumnElement[bool]
) -> list[tuple[Run, float | None]]:
    """Give runs that are open, each with the seconds since its owner said that it is there.

    Args:
        database: which one.
        connection: to it, in a transaction.
        which: of them.
    """
    silence = (heartbeat_clock(database) - col(RunRow.heartbeat_at)).label("silence")
    rows = await connection.execute(select(RunRow, silence).where(IS_OPEN, *which))
    found = cast("Sequence[Row[Any]]", rows.all())
    return [(read_run(row), row.silence) for row in found]


def renaming_of_runs(old: str, new: str) -> Update:
    """Make the statement that moves the open runs of an account which is given another name.

    One whose place is taken by a run of whoever had that name before stays where it is.
    """
    there = aliased(RunRow)
    is_taken = exists().where(
        col(there.job) == col(RunRow.job),
        col(there.account) == new,
        or_(
            col(there.due_at) == col(RunRow.due_at),
            and_(
                col(there.lane) == col(RunRow.lane), col(there.outcome).in_(("queued", "running"))
            ),
        ),
    )
    return update(RunRow).where(IS_OPEN, col(RunRow.account) == old, ~is_taken).values(account=new)


def ending_of_waiting(account: str) -> Update:
    """Make the statement that ends the runs which wait for an account that is forgotten.

    Since they were queued they have done nothing: that is their end.
    """
    ended = {"outcome": "interrupted", "error": "the account was forgotten"}
    values = ended | {"finished_at": col(RunRow.queued_at)}
    return update(RunRow).where(IS_QUEUED, col(RunRow.account) == account).values(values)


async def begun(
    database: Database, connection: AsyncConnection, present: Run, wish: Run
) -> Run | None:
    """Make a run that is queued one that goes on; None: somebody else did.

    Args:
        database: which one.
        connection: to it, in a transaction.
        present: as it stands.
        wish: has owner, host, beginning and deadline; one that was begun before keeps its
            beginning.
    """
    is_first = present.heartbeat_at is None
    statement = (
        update(RunRow)
        .where(col(RunRow.id) == present.id, col(RunRow.outcome) == "queued")
        .values(
            outcome="running",
            owner=wish.owner,
            host=wish.host,
            started_at=wish.started_at if is_first else present.started_at,
            deadline_at=wish.deadline_at,
            heartbeat_at=heartbeat_clock(database),
        )
        .returning(RunRow)
    )
    row = (await connection.execute(statement)).one_or_none()
    return None if row is None else read_run(row)
