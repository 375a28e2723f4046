"""Rate limits of APIs that are near: what one process has met, and every other one should know.

Durations go in and come out. In between stand moments of one clock for all: Postgres's own, or
SQLite's host's time of day, so that hosts whose clocks differ wait for the same moment. A row that
was written in the future is of a clock that was wrong, and is not believed.
"""

from collections.abc import Collection
from dataclasses import dataclass
from typing import Final

from sqlalchemy import ColumnElement, Double, and_, case, cast, delete, literal, or_, select
from sqlalchemy.dialects import postgresql, sqlite
from sqlmodel import col

from connector.store.database import Database
from connector.store.history_tables import RateLimitRow

#: How near a limit is says nothing any more after so long (seconds).
FORGOTTEN_AFTER: Final = 60.0
#: A clock is not set back by more than this without being noticed (seconds).
_AHEAD: Final = 60.0
#: No more are read at once: parts have limits of their own, and there may be thousands of them.
_MOST: Final = 1000


@dataclass(frozen=True, slots=True, kw_only=True)
class LimitName:
    """Which limit it is.

    Attributes:
        provider: the name of the account's provider: a registration of its own.
        scope: what shares it: ``app``, ``account`` or ``part``.
        name: the account's identifier, or the part's; of an app, empty.
    """

    provider: str
    scope: str
    name: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class SharedLimit:
    """How near a limit is.

    Attributes:
        limit: which one.
        spread: seconds between calls; 0: they need not be spread out.
        wait: seconds until anything may be sent again; 0: it may.
        age: seconds since that was told.
    """

    limit: LimitName
    spread: float
    wait: float
    age: float


class RateLimits:
    """Keeps limits that are near.

    Args:
        database: where they are.
    """

    def __init__(self, database: Database) -> None:
        self._database = database

    async def near(self, providers: Collection[str], *, now: float) -> list[SharedLimit]:
        """Give the limits that are near; those that are longest in force come first.

        Args:
            providers: whose.
            now: seconds since the epoch.

        Raises:
            TemporarilyUnavailable: the database cannot be had (so for every method here).
        """
        clock = self._clock(now)
        row = RateLimitRow
        statement = (
            select(
                col(row.provider),
                col(row.scope),
                col(row.name),
                col(row.spread),
                (col(row.halted_until) - col(row.told_at)).label("halt"),
                (clock - col(row.told_at)).label("age"),
            )
            .where(
                col(row.provider).in_(providers),
                col(row.expires_at) > clock,
                col(row.told_at) <= clock + _AHEAD,
            )
            .order_by(col(row.expires_at).desc())
            .limit(_MOST)
        )
        async with self._database.read() as connection:
            rows = (await connection.execute(statement)).all()
        return [
            SharedLimit(
                limit=LimitName(provider=row.provider, scope=row.scope, name=row.name),
                spread=row.spread,
                wait=max(0.0, row.halt - max(0.0, row.age)),
                age=max(0.0, row.age),
            )
            for row in rows
        ]

    async def tell(self, near: SharedLimit, *, now: float) -> None:
        """Write how near a limit is; a halt that lasts longer stays.

        Args:
            near: as it is known here.
            now: seconds since the epoch.
        """
        row = RateLimitRow
        clock = self._clock(now)
        told_at = clock - near.age
        values = {
            "provider": near.limit.provider,
            "scope": near.limit.scope,
            "name": near.limit.name,
            "spread": near.spread,
            "told_at": told_at,
            "halted_until": clock + near.wait,
            "expires_at": clock + max(near.wait, FORGOTTEN_AFTER - near.age),
        }
        insert = (sqlite.insert if self._database.is_sqlite else postgresql.insert)(row)
        is_sane = col(row.told_at) <= clock + _AHEAD

        def later(name: str) -> ColumnElement[float]:
            there, told = getattr(row, name), insert.excluded[name]
            return case((and_(is_sane, there > told), there), else_=told)

        statement = insert.values(values).on_conflict_do_update(
            index_elements=["provider", "scope", "name"],
            set_={
                "spread": insert.excluded.spread,
                "told_at": insert.excluded.told_at,
                "halted_until": later("halted_until"),
                "expires_at": later("expires_at"),
            },
        )
        async with self._database.write() as connection:
            await connection.execute(statement)

    async def tidy(self, *, now: float) -> None:
        """Remove what is over, and what is of a clock that was wrong."""
        clock = self._clock(now)
        row = RateLimitRow
        is_over = or_(col(row.expires_at) <= clock, col(row.told_at) > clock + _AHEAD)
        async with self._database.write() as connection:
            await connection.execute(delete(row).where(is_over))

    def _clock(self, now: float) -> ColumnElement[float]:
        """Give the clock that all share; unlike that of leases it goes on through a restart."""
        database = self._database
        return cast(literal(now), Double) if database.is_sqlite else database.lease_clock
