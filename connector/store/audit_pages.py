"""The audit trail as people look at it: a page at a time, chosen, and whether what is shown fits.

A page reads as many rows as it gives, by an index; where a moment begins is found by halving the
trail, whose numbers have no gap. Each row that is given is compared with the one before it, under
the vault's key; the whole trail is verified by ``connector audit --verify`` alone.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

from sqlalchemy import Connection, Row, Select, func, select

from connector.store.audit_chain import BEGINNING, COLUMNS, DoesNotFit, Head, check_row
from connector.store.database import Database
from connector.store.tables import AUDIT, AUDIT_ANCHOR
from connector.vault.vault import Vault

#: Rows stand in the order in which they were written, which is that of their times but for entries
#: that could not be written for a while, and clocks that differ (seconds).
_LATEST: Final = 86_400.0


@dataclass(frozen=True, slots=True, kw_only=True)
class AuditChoice:
    """Which rows are wanted.

    Attributes:
        account: the account's name at that time; empty: any.
        event: one of `audit_entry.EVENTS`; empty: any.
        since, until: seconds since the epoch; None: no bound.
    """

    account: str = ""
    event: str = ""
    since: float | None = None
    until: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class AuditPage:
    """Some of the rows that were chosen, the newest first.

    Attributes:
        rows: themselves.
        altered: the numbers of those that do not fit the row before them.
        older, newer: the numbers by which those before and after them are asked for; None: none.
    """

    rows: list[Row[Any]]
    altered: frozenset[int]
    older: int | None
    newer: int | None


class AuditPages:
    """Reads pages of the trail.

    Args:
        database: where it is.
        vault: has the key of the chain.
    """

    def __init__(self, database: Database, vault: Vault) -> None:
        self._database = database
        self._vault = vault

    async def page(
        self,
        choice: AuditChoice,
        *,
        limit: int,
        before: int | None = None,
        after: int | None = None,
    ) -> AuditPage:
        """Give a page.

        Args:
            choice: which rows.
            limit: how many at most.
            before: rows of smaller numbers.
            after: rows of larger numbers.

        Raises:
            TemporarilyUnavailable: the database cannot be had.
        """
        bounds = await self._database.look_up(lambda connection: _bounds(connection, choice))
        query = find_rows(choice, first=bounds[0], last=bounds[1])
        async with self._database.read() as connection:
            return await connection.run_sync(self._page, query, limit, before, after)

    def _page(
        self,
        connection: Connection,
        query: Select[Any],
        limit: int,
        before: int | None,
        after: int | None,
    ) -> AuditPage:
        is_going_back = after is not None and before is None
        number = AUDIT.c.number
        if is_going_back:
            query = query.where(number > after).order_by(number)
        else:
            query = query.order_by(number.desc())
            query = query if before is None else query.where(number < before)
        found = list(connection.execute(query.limit(limit + 1)).all())
        has_more, rows = len(found) > limit, found[:limit]
        if is_going_back:
            rows.reverse()
        if not rows:
            return AuditPage(rows=[], altered=frozenset(), older=None, newer=None)
        is_first = before is None and not is_going_back
        return AuditPage(
            rows=rows,
            altered=self._altered(connection, rows),
            older=rows[-1].number if has_more or is_going_back else None,
            newer=None if is_first or (is_going_back and not has_more) else rows[0].number,
        )

    def _altered(self, connection: Connection, rows: Sequence[Row[Any]]) -> frozenset[int]:
        """Give the numbers of rows that do not come after the row before them."""
        # SQLite takes anything in the place of a number
        wanted = [row.number - 1 for row in rows if isinstance(row.number, int)]
        chains = {0: BEGINNING.chain}
        for table in (AUDIT_ANCHOR, AUDIT):
            query = select(table.c.number, table.c.chain).where(table.c.number.in_(wanted))
            chains |= {one.number: bytes(one.chain) for one in connection.execute(query)}
        altered = set()
        for row in rows:
            values = [getattr(row, name) for name in (*COLUMNS, "chain")]
            try:
                head = Head(number=row.number - 1, chain=chains[row.number - 1])
                check_row(self._vault, head, values)
            except (DoesNotFit, KeyError, TypeError):
                altered.add(row.number)
        return frozenset(altered)


def find_rows(choice: AuditChoice, *, first: int | None, last: int | None) -> Select[Any]:
    """Make the query for rows, without their order.

    Args:
        choice: which ones.
        first: the least number; None: no bound.
        last: the largest number; None: no bound.
    """
    query = select(AUDIT)
    if choice.account:
        query = query.where(AUDIT.c.account == choice.account)
    if choice.event:
        query = query.where(AUDIT.c.event == choice.event)
    if choice.since is not None:
        query = query.where(AUDIT.c.at >= choice.since)
    if choice.until is not None:
        query = query.where(AUDIT.c.at <= choice.until)
    if first is not None:
        query = query.where(AUDIT.c.number >= first)
    if last is not None:
        query = query.where(AUDIT.c.number <= last)
    return query


def _bounds(connection: Connection, choice: AuditChoice) -> tuple[int | None, int | None]:
    """Give the numbers between which rows of the chosen time are, with a margin."""
    first = last = None
    if choice.since is not None:
        first = _number_at(connection, choice.since - _LATEST)
    if choice.until is not None:
        last = _number_at(connection, choice.until + _LATEST)
    return first, last


def _number_at(connection: Connection, moment: float) -> int:
    """Find the first number whose row is later than a moment, by halving."""
    ends = select(func.min(AUDIT.c.number), func.max(AUDIT.c.number))
    low, high = connection.execute(ends).one()
    if low is None:
        return 0
    high += 1
    while low < high:
        middle = (low + high) // 2
        query = select(AUDIT.c.at).where(AUDIT.c.number >= middle).order_by(AUDIT.c.number).limit(1)
        at = connection.execute(query).scalar()
        if isinstance(at, float) and at <= moment:
            low = middle + 1
        else:
            high = middle
    return int(low)
