"""SQLite for the hot path: a whole transaction in one hop to a thread, instead of one a statement.

Behind SQLAlchemy's asynchronous face every call of the driver is a hop to its thread and back (to
make a cursor, execute, fetch, close it), each of which wakes the event loop: nine for a statement.
Here a function gets a synchronous connection, in a thread that is kept for it. Readers have another
thread than writers, who may have to wait for the lock of another process.
"""

from collections.abc import Callable
from typing import TypeVar

from sqlalchemy import Connection, Engine

from connector.worker_thread import WorkerThread

T = TypeVar("T")


class SqliteThread:
    """Runs functions with a connection, one after the other, in a thread.

    Args:
        engine: gives the connection.
        name: of the thread.
    """

    def __init__(self, engine: Engine, name: str) -> None:
        self._engine = engine
        self._thread = WorkerThread(name)

    async def run(self, work: Callable[[Connection], T]) -> T:
        """Run a function in a transaction, which is committed unless it raises.

        A caller that gives up does not stop it.

        Raises:
            DBAPIError: (SQLAlchemy's) as the driver fails; nothing was written.
        """
        return await self._thread.run(lambda: self._transaction(work))

    async def aclose(self) -> None:
        """Let what runs end, and close the connection."""
        if self._thread.is_running:  # else nothing is open, and none can begin at the very end
            await self._thread.run(self._engine.dispose)
            self._thread.close()

    def _transaction(self, work: Callable[[Connection], T]) -> T:
        with self._engine.begin() as connection:
            return work(connection)
