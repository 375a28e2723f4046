"""Notices the commits of others to a SQLite database by their number (``PRAGMA data_version``).

One connection is kept for the question, since the number means nothing on another one. Which
accounts have changed stands in ``account_change``, where triggers write it (migration 0006). While
somebody waits for a change one task asks for all of them.
"""

import asyncio
import contextlib
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

from sqlalchemy import bindparam, func, select, text
from sqlalchemy.ext.asyncio import AsyncConnection
from sqlmodel import col

from connector.errors import ConnectorError, TemporarilyUnavailable
from connector.store.database import Database
from connector.store.noticed import NoticedChanges
from connector.store.tables import AccountChangeRow

#: How often it is asked while somebody waits, in seconds: soon at first, since most waits are for a
#: refresh that takes some tenths of a second; then ten times a second, however many wait.
FIRST_POLL: Final = 0.02
LONGEST_POLL: Final = 0.1
_GROWTH: Final = 1.5

_NEWEST: Final = select(func.max(col(AccountChangeRow.number)))
_NEWER: Final = (
    select(col(AccountChangeRow.number), col(AccountChangeRow.account))
    .where(col(AccountChangeRow.number) > bindparam("seen"))
    .order_by(col(AccountChangeRow.number))
)


class DataVersion:
    """Notices changes of one SQLite database.

    Args:
        database: which one.
        changes: where changes are noted.
    """

    #: A look always tells.
    is_deaf: Final = False

    def __init__(self, database: Database, changes: NoticedChanges) -> None:
        self._database = database
        self._changes = changes
        self._connection: AsyncConnection | None = None
        self._version: int | None = None
        self._seen = 0
        self._turn = asyncio.Lock()
        self._waiting = 0
        self._poll: asyncio.Task[None] | None = None

    async def look(self) -> None:
        """Note whether anything has changed since the last look; at first it has.

        Raises:
            TemporarilyUnavailable: the database cannot be had.
        """
        async with self._turn:
            before, self._version = self._version, None
            try:
                with self._database.converted():
                    version = await self._ask()
                    if version != before:
                        await self._note(is_first=before is None)
                    self._version = version
            except BaseException:
                await self._drop()
                raise

    @contextmanager
    def attended(self) -> Iterator[None]:
        """Look often within a ``with`` block."""
        self._waiting += 1
        if self._poll is None or self._poll.done():
            self._poll = asyncio.create_task(self._look_often(), name="store change poll")
        try:
            yield
        finally:
            self._waiting -= 1

    async def aclose(self) -> None:
        """Give the connection back."""
        poll, self._poll = self._poll, None
        if poll is not None:
            poll.cancel()
            await asyncio.gather(poll, return_exceptions=True)
        connection, self._connection = self._connection, None
        if connection is not None:
            with contextlib.suppress(TemporarilyUnavailable), self._database.converted():
                await connection.close()

    async def _look_often(self) -> None:
        pause = FIRST_POLL
        while self._waiting:
            with contextlib.suppress(ConnectorError):  # who waits will hear of it when it reads
                await self.look()
            await asyncio.sleep(pause)
            pause = min(pause * _GROWTH, LONGEST_POLL)

    async def _note(self, *, is_first: bool) -> None:
        """Note which accounts have changed; whoever waits may wait for something else."""
        assert self._connection is not None  # noqa: S101 - it was asked just now
        if is_first:
            newest = await self._connection.execute(_NEWEST)
            self._seen = newest.scalar_one() or 0
            await self._connection.rollback()
            self._changes.note()
            return
        changes = (await self._connection.execute(_NEWER, {"seen": self._seen})).all()
        await self._connection.rollback()
        if changes and changes[0].number != self._seen + 1:  # some are not kept any more
            self._changes.note()
        for change in changes:
            self._seen = change.number
            self._changes.note(change.account)
        self._changes.stir()

    async def _ask(self) -> int:
        if self._connection is None:
            self._connection = await self._database.engine.connect()
        result = await self._connection.execute(text("PRAGMA data_version"))
        version = int(result.scalar_one())
        await self._connection.rollback()
        return version

    async def _drop(self) -> None:
        """Let go of a connection that failed; the next look asks with another one."""
        connection, self._connection = self._connection, None
        if connection is not None:
            await connection.invalidate()
            await connection.close()
