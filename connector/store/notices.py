"""Records of notices, and how far each channel has got with them.

Any number of daemons write what they plan: a new record of a cause that has one already is dropped,
and so is a change of a record that somebody has changed since it was read. Who claims a delivery
sends it; the claim of a sender that dies runs out, and the next one sends the same again.
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import fields
from itertools import islice
from typing import Any, Final

from sqlalchemy import (
    Row,
    Select,
    and_,
    bindparam,
    delete,
    exists,
    or_,
    select,
    update,
)
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.ext.asyncio import AsyncConnection

from connector.notice import CLAIM_TIME, LONGEST_DELAY, Cause, Delivery, Notice
from connector.store.database import Database
from connector.store.notice_facts import gently
from connector.store.notice_tables import DELIVERY, NOTICE

#: Records of what is over are kept for so long (seconds).
KEPT: Final = 90 * 86_400.0
#: So many records are written in one transaction.
_LARGEST_GROUP: Final = 200
#: So many accounts of a sum are named with it.
MOST_MEMBERS: Final = 10

_CAUSE: Final = tuple(field.name for field in fields(Cause))
_OWN: Final = tuple(field.name for field in fields(Notice) if field.name != "cause")


class NoticeStore:
    """Keeps notices.

    Args:
        database: where they are.
    """

    def __init__(self, database: Database) -> None:
        self._database = database

    async def unresolved(self) -> list[Notice]:
        """Give the records whose cause has not gone for good, parts of sums included.

        Raises:
            TemporarilyUnavailable: the database cannot be had (so for every method here).
        """
        async with self._database.read() as connection:
            query = select(NOTICE).where(NOTICE.c.resolved_at.is_(None))
            return [_read(row) async for row in gently(connection, query)]

    async def open(self) -> list[Notice]:
        """Give what people have to know now, the latest first; no parts of sums."""
        query = select(NOTICE).where(NOTICE.c.resolved_at.is_(None), NOTICE.c.part_of.is_(None))
        async with self._database.read() as connection:
            rows = await connection.execute(query.order_by(NOTICE.c.first_seen.desc()))
            return [_read(row) for row in rows]

    async def all(self, *, limit: int) -> list[Notice]:
        """Give what people have or had to know, the latest first; no parts of sums.

        Args:
            limit: how many at most.
        """
        query = select(NOTICE).where(NOTICE.c.part_of.is_(None))
        async with self._database.read() as connection:
            latest = query.order_by(NOTICE.c.first_seen.desc(), NOTICE.c.id).limit(limit)
            return [_read(row) for row in await connection.execute(latest)]

    async def accounts(self, notice: Notice) -> tuple[str, ...]:
        """Give the names of some accounts that a notice sums up."""
        if notice.count is None:
            return ()
        async with self._database.read() as connection:
            return await _members(connection, notice)

    async def save(self, made: Iterable[Notice], changed: Iterable[Notice]) -> None:
        """Write what was planned, as far as nobody else has; what is cut off is planned again.

        Args:
            made: new records; a sum stands before its parts.
            changed: records with the versions that were read.
        """
        dialect = sqlite if self._database.is_sqlite else postgresql
        adding = dialect.insert(NOTICE).on_conflict_do_nothing()
        for some in _groups(changed):
            async with self._database.write() as connection:
                await connection.execute(_CHANGE, [_change(notice) for notice in some])
        made, lost = list(made), set[str]()
        for notice in (one for one in made if one.count is not None):
            async with self._database.write() as connection:
                added = await connection.execute(adding.returning(NOTICE.c.id), _columns(notice))
                is_lost = added.first() is None
            if is_lost:  # another daemon has made this sum: its parts too
                lost.add(notice.id)
        rows = (one for one in made if one.count is None and one.part_of not in lost)
        for some in _groups(rows):
            async with self._database.write() as connection:
                await connection.execute(adding, [_columns(notice) for notice in some])

    async def claim(self, channel: str, *, owner: str, now: float) -> Delivery | None:
        """Take what a channel is to tell now; None: there is nothing.

        Args:
            channel: its name.
            owner: who sends.
            now: seconds since the epoch.
        """
        async with self._database.read() as connection:  # a look costs no write lock
            if (await connection.execute(_waiting(channel, now))).first() is None:
                return None
        dialect = sqlite if self._database.is_sqlite else postgresql
        async with self._database.write() as connection:
            found = (await connection.execute(_waiting(channel, now))).first()
            if found is None:
                return None
            row = dict(_NEW_DELIVERY) | {"notice_id": found.id, "channel": channel}
            await connection.execute(dialect.insert(DELIVERY).values(row).on_conflict_do_nothing())
            taken = await connection.execute(
                update(DELIVERY)
                .where(
                    DELIVERY.c.notice_id == found.id,
                    DELIVERY.c.channel == channel,
                    DELIVERY.c.told < found.number,
                    DELIVERY.c.retry_at <= now,
                    DELIVERY.c.claimed_until <= now,
                )
                .values(claimed_by=owner, claimed_until=now + CLAIM_TIME)
                .returning(DELIVERY.c.attempts)
            )
            attempts = taken.scalar()
            if attempts is None:  # another daemon was quicker
                return None
            notice = _read(found)
            return Delivery(
                notice=notice,
                accounts=await _members(connection, notice) if notice.count is not None else (),
                channel=channel,
                attempts=attempts,
                owner=owner,
            )

    async def delivered(self, delivery: Delivery) -> None:
        """Note that a channel has told what it had claimed."""
        await self._settle(delivery, {"told": delivery.notice.number, "attempts": 0})

    async def failed(self, delivery: Delivery, *, retry_at: float) -> None:
        """Note that a channel could not tell it.

        Args:
            delivery: what it had claimed.
            retry_at: when it is tried again.
        """
        await self._settle(delivery, {"attempts": delivery.attempts + 1, "retry_at": retry_at})

    async def next_retry(self, channel: str) -> float | None:
        """Give when a channel has something to try again; None: it has not."""
        waiting = _untold(channel).with_only_columns(DELIVERY.c.retry_at, DELIVERY.c.claimed_until)
        async with self._database.read() as connection:
            rows = (await connection.execute(waiting)).all()
        return min(
            (max(row.retry_at or 0.0, row.claimed_until or 0.0) for row in rows), default=None
        )

    async def close(self, *, now: float) -> None:
        """Close what all who were told of it know to be over; remove what is old."""
        is_untold = exists().where(
            DELIVERY.c.notice_id == NOTICE.c.id,
            DELIVERY.c.told < NOTICE.c.number,
        )
        over = and_(
            NOTICE.c.resolved_at.is_not(None),
            NOTICE.c.closed_at.is_(None),
            or_(~is_untold, NOTICE.c.resolved_at <= now - LONGEST_DELAY),
        )
        old = and_(NOTICE.c.closed_at.is_not(None), NOTICE.c.closed_at <= now - KEPT)
        async with self._database.read() as connection:
            if (
                await connection.execute(select(NOTICE.c.id).where(or_(over, old)))
            ).first() is None:
                return
        async with self._database.write() as connection:
            await connection.execute(update(NOTICE).where(over).values(closed_at=now))
            await connection.execute(delete(NOTICE).where(old))

    async def _settle(self, delivery: Delivery, values: Mapping[str, object]) -> None:
        async with self._database.write() as connection:
            await connection.execute(
                update(DELIVERY)
                .where(
                    DELIVERY.c.notice_id == delivery.notice.id,
                    DELIVERY.c.channel == delivery.channel,
                    DELIVERY.c.claimed_by == delivery.owner,
                )
                .values(claimed_by=None, claimed_until=0.0, **values)
            )


_CHANGE: Final = (
    update(NOTICE)
    .where(NOTICE.c.id == bindparam("of_id"), NOTICE.c.version == bindparam("of_version"))
    .values({name: bindparam(name) for name in (*_CAUSE, *_OWN) if name != "id"})
)


def _change(notice: Notice) -> dict[str, object]:
    """Give the parameters of `_CHANGE`."""
    columns = _columns(notice) | {"version": notice.version + 1}
    del columns["id"]
    return columns | {"of_id": notice.id, "of_version": notice.version}


def _groups(notices: Iterable[Notice]) -> Iterator[list[Notice]]:
    """Give some records at a time: while they are written others wait for the database."""
    rest = iter(notices)
    while some := list(islice(rest, _LARGEST_GROUP)):
        yield some


_NEW_DELIVERY: Final = {"told": 0, "attempts": 0, "retry_at": 0.0, "claimed_until": 0.0}


def _untold(channel: str) -> Select[Any]:
    """Make the query for what a channel has not told; the end of what it never tried is nothing.

    What was tried may have been told, though nobody came to write that down.
    """
    of_channel = and_(DELIVERY.c.notice_id == NOTICE.c.id, DELIVERY.c.channel == channel)
    is_new = and_(DELIVERY.c.told.is_(None), NOTICE.c.number > 0)
    return (
        select(NOTICE)
        .outerjoin(DELIVERY, of_channel)
        .where(
            NOTICE.c.closed_at.is_(None),
            NOTICE.c.part_of.is_(None),
            or_(is_new, DELIVERY.c.told < NOTICE.c.number),
            or_(NOTICE.c.resolved_at.is_(None), DELIVERY.c.told.is_not(None)),
        )
    )


def _waiting(channel: str, now: float) -> Select[Any]:
    """Make the query for what a channel is to tell now, the oldest first."""
    is_free = and_(DELIVERY.c.retry_at <= now, DELIVERY.c.claimed_until <= now)
    return (
        _untold(channel)
        .where(or_(DELIVERY.c.told.is_(None), is_free))
        .order_by(NOTICE.c.told_at, NOTICE.c.id)
        .limit(1)
    )


async def _members(connection: AsyncConnection, notice: Notice) -> tuple[str, ...]:
    query = (
        select(NOTICE.c.account)
        .where(NOTICE.c.part_of == notice.id, NOTICE.c.resolved_at.is_(None))
        .order_by(NOTICE.c.account)
        .limit(MOST_MEMBERS)
    )
    return tuple(name for name in (await connection.execute(query)).scalars() if name)


def _columns(notice: Notice) -> dict[str, object]:
    own = {name: getattr(notice, name) for name in _OWN}
    return own | {name: getattr(notice.cause, name) for name in _CAUSE}


def _read(row: Row[Any]) -> Notice:
    cause = Cause(**{name: getattr(row, name) for name in _CAUSE})
    return Notice(cause=cause, **{name: getattr(row, name) for name in _OWN})
