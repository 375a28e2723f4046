"""Connect links in the database: by the hash of their ticket, bound to a browser, used up once.

A link lives longer than a consent that is begun from it: a person may follow it tomorrow, and may
go back and begin again. It is bound to the first browser that goes on with it, and is used up with
the consent that succeeds.
"""

from dataclasses import dataclass
from typing import Any

from sqlalchemy import Row, delete, insert, or_, select, update
from sqlmodel import col

from connector.store.database import Database
from connector.store.tables import ConnectLinkRow


@dataclass(frozen=True, slots=True, kw_only=True)
class ConnectLink:
    """One link.

    Attributes:
        id: of the row.
        ticket_hash: what it is found by.
        account: the account's name.
        provider: the provider's name.
        created_at: seconds since the epoch.
        expires_at: as well; from then on it leads nowhere.
        code_hash: of the code that whoever follows it must enter, if one must be.
        tries: how often a code was entered.
        new_account: the identifier of the pending account that was made with it, if one was.
        browser_hash: of the cookie of the browser that went on with it.
    """

    id: str
    ticket_hash: str
    account: str
    provider: str
    created_at: float
    expires_at: float
    code_hash: str | None = None
    tries: int = 0
    new_account: str | None = None
    browser_hash: str | None = None


class ConnectLinkStore:
    """Keeps links.

    Every method raises `TemporarilyUnavailable` where the database cannot be had.

    Args:
        database: where they are.
    """

    def __init__(self, database: Database) -> None:
        self._database = database

    async def add(self, link: ConnectLink) -> None:
        """Write a new link."""
        values = {name: getattr(link, name) for name in ConnectLink.__slots__}
        async with self._database.write() as connection:
            await connection.execute(insert(ConnectLinkRow).values(values))

    async def find(self, ticket_hash: str, *, now: float) -> ConnectLink | None:
        """Give the link of a ticket, unless it has expired or is used up."""
        statement = select(ConnectLinkRow).where(
            col(ConnectLinkRow.ticket_hash) == ticket_hash,
            col(ConnectLinkRow.expires_at) > now,
            col(ConnectLinkRow.used_at).is_(None),
        )
        async with self._database.read() as connection:
            row = (await connection.execute(statement)).one_or_none()
        return None if row is None else _read(row)

    async def open(self, *, now: float) -> list[ConnectLink]:
        """Give the links that lead somewhere, the newest first."""
        statement = (
            select(ConnectLinkRow)
            .where(col(ConnectLinkRow.expires_at) > now, col(ConnectLinkRow.used_at).is_(None))
            .order_by(col(ConnectLinkRow.created_at).desc())
        )
        async with self._database.read() as connection:
            return [_read(row) for row in await connection.execute(statement)]

    async def count_try(self, link: ConnectLink, *, most: int) -> bool:
        """Count a code that is about to be compared; False where too many were entered before.

        Counting comes first, so that of many tries at once no more are compared than are allowed.
        """
        statement = (
            update(ConnectLinkRow)
            .where(col(ConnectLinkRow.id) == link.id, col(ConnectLinkRow.tries) < most)
            .values(tries=col(ConnectLinkRow.tries) + 1)
        )
        async with self._database.write() as connection:
            return (await connection.execute(statement)).rowcount == 1

    async def bind(self, link: ConnectLink, browser_hash: str, *, now: float) -> bool:
        """Bind a link to a browser; False where another one has it, or it leads nowhere any more.

        Args:
            link: to be bound.
            browser_hash: of the browser's cookie.
            now: seconds since the epoch.
        """
        bound = col(ConnectLinkRow.browser_hash)
        statement = (
            update(ConnectLinkRow)
            .where(
                col(ConnectLinkRow.id) == link.id,
                or_(bound.is_(None), bound == browser_hash),
                col(ConnectLinkRow.expires_at) > now,
                col(ConnectLinkRow.used_at).is_(None),
            )
            .values(browser_hash=browser_hash)
        )
        async with self._database.write() as connection:
            return (await connection.execute(statement)).rowcount == 1

    async def use_up(self, browser_hash: str, *, now: float) -> None:
        """Use up the link that a browser went on with."""
        statement = (
            update(ConnectLinkRow)
            .where(col(ConnectLinkRow.browser_hash) == browser_hash)
            .values(used_at=now)
        )
        async with self._database.write() as connection:
            await connection.execute(statement)

    async def take_expired(self, *, now: float) -> list[ConnectLink]:
        """Remove the links that have expired, and give those that came to nothing."""
        is_over = col(ConnectLinkRow.expires_at) <= now
        unused = select(ConnectLinkRow).where(is_over, col(ConnectLinkRow.used_at).is_(None))
        async with self._database.write() as connection:
            taken = [_read(row) for row in await connection.execute(unused)]
            await connection.execute(delete(ConnectLinkRow).where(is_over))
        return taken


def _read(row: Row[Any]) -> ConnectLink:
    return ConnectLink(**{name: getattr(row, name) for name in ConnectLink.__slots__})
