"""Which of the runs that wait is next; on SQLite, where one daemon takes, the rows tell."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from sqlalchemy import case, or_, select, tuple_
from sqlalchemy.ext.asyncio import AsyncConnection
from sqlmodel import col

from connector.store.database import Database
from connector.store.history_tables import JobRow, RunRow
from connector.store.tables import AccountRow

#: A job and a provider, for which there is a bound on runs at once.
Place = tuple[str, str]


@dataclass(frozen=True, slots=True, kw_only=True)
class Openings:
    """Which runs there is a place for.

    Attributes:
        places: that are left; the provider ``""`` stands for one that is not known here.
        providers: that are known here.
        full: accounts that have none left.
    """

    places: tuple[Place, ...] = ()
    providers: frozenset[str] = frozenset()
    full: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True, kw_only=True)
class Waiting:
    """A run that waits.

    Attributes:
        run: its id.
        place: that it needs; None: that of its row.
        at: not before this (seconds since the epoch); None: from now on.
        is_urgent: somebody waits for it.
    """

    run: str
    place: Place | None
    at: float | None = None
    is_urgent: bool = False


class Line(Protocol):
    """Keeps the order of runs that wait; every method works in the caller's transaction."""

    async def prepare(self, connection: AsyncConnection) -> None:
        """Make what it needs in the database, where it is not there.

        Raises:
            ConfigurationError: the database does not let us.
        """

    async def put(self, connection: AsyncConnection, waiting: Sequence[Waiting]) -> None:
        """Put runs at its end; their rows are queued in the same transaction."""

    async def next(
        self, connection: AsyncConnection, openings: Openings, *, now: float
    ) -> str | None:
        """Take out the first run that there is a place for; give its id.

        Args:
            connection: in a transaction.
            openings: which places there are; a run of an account that has none left may be given
                all the same, and so may one of a schedule that is paused.
            now: seconds since the epoch.
        """

    async def put_back(self, connection: AsyncConnection, run: str, *, at: float) -> None:
        """Put a run back that `next` has just given, not to be given before a moment."""

    async def repair(self, connection: AsyncConnection) -> None:
        """See to it that every row that is queued is in line."""


class TableLine:
    """The rows themselves, in the order in which they were queued."""

    async def prepare(self, connection: AsyncConnection) -> None:
        """Do nothing: the schema has it all."""

    async def put(self, connection: AsyncConnection, waiting: Sequence[Waiting]) -> None:
        """Do nothing: the rows are queued."""

    async def next(
        self, connection: AsyncConnection, openings: Openings, *, now: float
    ) -> str | None:
        """Give the first one; who asked goes before a schedule.

        An account that is not there any more has no provider.
        """
        paused = select(col(JobRow.name)).where(col(JobRow.paused_at).is_not(None))
        known = col(AccountRow.provider).in_(openings.providers)
        provider = case((known, col(AccountRow.provider)), else_="")
        statement = (
            select(col(RunRow.id))
            .outerjoin(AccountRow, col(AccountRow.name) == col(RunRow.account))
            .where(
                col(RunRow.outcome) == "queued",
                col(RunRow.queued_at) <= now,
                tuple_(col(RunRow.job), provider).in_(openings.places),
                col(RunRow.account).not_in(openings.full),
                or_(col(RunRow.due_at).is_(None), col(RunRow.job).not_in(paused)),
            )
            .order_by(col(RunRow.due_at).is_not(None), col(RunRow.queued_at), col(RunRow.account))
            .limit(1)
        )
        found: str | None = (await connection.execute(statement)).scalar_one_or_none()
        return found

    async def put_back(self, connection: AsyncConnection, run: str, *, at: float) -> None:
        """Do nothing: it was not taken out."""

    async def repair(self, connection: AsyncConnection) -> None:
        """Do nothing: they are."""


def line_of(database: Database) -> Line:
    """Give the line of a database."""
    if database.is_sqlite:
        return TableLine()
    from connector.store.procrastinate_line import ProcrastinateLine  # only where it is installed

    return ProcrastinateLine()
