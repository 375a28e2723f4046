"""Tells whether anything in the database has changed since it was last asked.

SQLite counts commits of other connections (``PRAGMA data_version``): one connection is kept for
the question. On other databases the answer is always "perhaps".
"""

import contextlib

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from connector.errors import TemporarilyUnavailable
from connector.store.database import Database


class ChangeWatch:
    """Watches one database.

    Args:
        database: which one.
    """

    def __init__(self, database: Database) -> None:
        self._database = database
        self._connection: AsyncConnection | None = None
        self._version: int | None = None

    async def has_changed(self) -> bool:
        """Tell whether something may have changed since the last call; True at first.

        Raises:
            TemporarilyUnavailable: the database cannot be had.
        """
        if not self._database.is_sqlite:
            return True
        before, self._version = self._version, None
        try:
            with self._database.converted():
                self._version = await self._data_version()
        except BaseException:
            await self._drop()
            raise
        return self._version != before

    async def _data_version(self) -> int:
        if self._connection is None:
            self._connection = await self._database.engine.connect()
        result = await self._connection.execute(text("PRAGMA data_version"))
        version = int(result.scalar_one())
        await self._connection.rollback()
        return version

    async def _drop(self) -> None:
        """Let go of a connection that failed; the next call asks with another one."""
        connection, self._connection = self._connection, None
        if connection is not None:
            await connection.invalidate()
            await connection.close()

    async def aclose(self) -> None:
        """Give the connection back."""
        connection, self._connection = self._connection, None
        if connection is not None:
            with contextlib.suppress(TemporarilyUnavailable), self._database.converted():
                await connection.close()
