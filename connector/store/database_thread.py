"""The hot path's way to a database: a whole transaction in one hop to a thread.

Behind SQLAlchemy's asynchronous face every call of a driver is a wait of the event loop: nine for a
statement on SQLite (to make a cursor, execute, fetch, close it, in the driver's thread), two on
Postgres. Here a function gets a synchronous connection, in a thread that is kept for it.
"""

import asyncio
import contextlib
from collections.abc import Callable
from typing import Final, TypeVar

from sqlalchemy import Connection, Engine

from connector.worker_thread import WorkerThread

T = TypeVar("T")

#: A database that hangs holds up nobody's end for longer, in seconds.
CLOSING_TIME: Final = 2.0


class DatabaseThread:
    """Runs functions with a connection, one after the other, in a thread.

    Args:
        engine: gives the connection.
        name: of the thread.
    """

    def __init__(self, engine: Engine, name: str) -> None:
        self._engine = engine
        self.thread = WorkerThread(name)

    async def run(self, work: Callable[[Connection], T]) -> T:
        """Run a function in a transaction, which is committed unless it raises.

        A caller that gives up does not stop it.

        Raises:
            DBAPIError: (SQLAlchemy's) as the driver fails; nothing was written.
        """
        return await self.thread.run(lambda: self._transaction(work))

    async def aclose(self) -> None:
        """Let what runs end, unless the database hangs, and close the connection."""
        if not self.thread.is_running:  # nothing is open, and no thread can begin at the very end
            return
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(CLOSING_TIME):
                await self.thread.run(self._engine.dispose)
        self.thread.close()

    def _transaction(self, work: Callable[[Connection], T]) -> T:
        with self._engine.begin() as connection:
            return work(connection)
