"""Rows of runs that are open: found with how long their owner was silent, and begun.

Also what an account's runs become when it is given another name, or is forgotten.
"""

from collections.abc import Sequence
from typing import Any, Final, cast

from sqlalchemy import (
    ColumnElement,
    Row,
    Update,
    and_,
    case,
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
_OPEN: Final = ("queued", "running")
#: Why a run ended whose account was.
FORGOTTEN: Final = "the account was forgotten"
#: And one that an account left behind which was renamed.
LEFT_BEHIND: Final = "the account was given the name of one whose run goes on"


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
    """Make the statement that moves the runs of an account which is given another name.

    One whose place is taken by a run of whoever had that name before stays where it is.
    """
    there = aliased(RunRow)
    its = (col(there.job) == col(RunRow.job), col(there.account) == new)
    # each by an index: with an *or* every row is compared with every one that is there
    has_slot = exists().where(*its, col(there.due_at) == col(RunRow.due_at))
    is_open = exists().where(
        *its, col(there.lane) == col(RunRow.lane), col(there.outcome).in_(_OPEN)
    )
    is_taken = or_(has_slot, and_(col(RunRow.outcome).in_(_OPEN), is_open))
    return update(RunRow).where(col(RunRow.account) == old, ~is_taken).values(account=new)


def parting_from_runs(account: str, why: str, *, now: float) -> tuple[Update, Update]:
    """Make the statements for the open runs of an account that is not there any more.

    Those that wait are over: since they were queued they have done nothing, and that is their end;
    one that waits for a moment to come ends now.
    Those that go on end when they ask for a token; where their owner is gone before, they do not
    wait for another one (`LostRuns.settle`, `QueuedRuns.release`): they would be those of another
    account that is given the name.

    Args:
        account: its name.
        why: in a few words.
        now: seconds since the epoch.
    """
    at = col(RunRow.queued_at)
    ended = {"outcome": "interrupted", "error": why, "finished_at": case((at > now, now), else_=at)}
    its = col(RunRow.account) == account
    return (
        update(RunRow).where(IS_QUEUED, its).values(ended),
        update(RunRow).where(IS_RUNNING, its).values(queued_at=None),
    )


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
