"""Notices changes of accounts as Postgres tells of them, on a connection that is kept for it.

While it is not there, because it was cut, cannot be had, or stands behind a pooler that passes no
notifications on, anything may have changed at any time: correct, at the cost of more reading.
"""

import asyncio
import contextlib
import logging
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

import psycopg
from sqlalchemy import text

from connector.errors import ConnectorError
from connector.store.database import Database
from connector.store.failures import reason
from connector.store.listener import ANSWER_LIMIT, Listener, listening
from connector.store.noticed import NoticedChanges

logger = logging.getLogger(__name__)

#: Pauses before another connection, in seconds: none after one that lasted, then growing; a pooler
#: or a limit of connections does not go away by asking.
FIRST_PAUSE: Final = 0.1
LONGEST_PAUSE: Final = 60.0
#: A connection that lived so long was no failure, in seconds.
_LASTED: Final = 10.0


class Notifications:
    """Notices changes of accounts in one Postgres database.

    Args:
        database: which one.
        changes: where changes are noted.
    """

    def __init__(self, database: Database, changes: NoticedChanges) -> None:
        self._database = database
        self._changes = changes
        self._listener: Listener | None = None
        self._failure: Exception | None = None
        self._is_told = False
        #: Set unless a connection is on its way that is worth waiting for.
        self._is_settled = asyncio.Event()
        self._task: asyncio.Task[None] | None = None

    @property
    def is_deaf(self) -> bool:
        """Whether changes are not heard, and will not be soon."""
        return self._is_settled.is_set() and self._listener is None

    async def look(self) -> None:
        """Note what has changed since the last look, or that anything may have.

        Raises:
            TemporarilyUnavailable: the database cannot be had.
        """
        self._start()
        with self._database.converted():
            for _ in range(2):  # one that was cut is replaced at once
                listener = await self._present()
                if listener is None:
                    break
                if await listener.check():
                    return
        async with self._database.read() as connection:
            await connection.execute(text("SELECT 1"))
        self._changes.note()
        self._tell()

    @contextmanager
    def attended(self) -> Iterator[None]:
        """Listen, within a ``with`` block and afterwards."""
        self._start()
        yield

    async def aclose(self) -> None:
        """Close the connection."""
        task, self._task = self._task, None
        if task is not None:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)

    def _start(self) -> None:
        if self._task is None or self._task.done():
            self._task = asyncio.create_task(self._keep_listening(), name="store change listener")

    async def _present(self) -> Listener | None:
        """Give the connection; one that is on its way is waited for a little."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(ANSWER_LIMIT):
                await self._is_settled.wait()
        return self._listener

    async def _keep_listening(self) -> None:
        pause = 0.0
        while True:
            began = asyncio.get_running_loop().time()
            try:
                await self._listen()
            except (psycopg.Error, ConnectorError, OSError) as error:
                self._failure = error
                self._is_settled.set()
            if asyncio.get_running_loop().time() - began > _LASTED:
                pause = 0.0
            await asyncio.sleep(pause)
            pause = min(max(pause * 2, FIRST_PAUSE), LONGEST_PAUSE)

    async def _listen(self) -> None:
        """Listen until the connection ends."""
        async with listening(self._database, self._changes.note) as listener:
            try:
                self._listener = listener
                self._failure, self._is_told = None, False
                self._changes.note()  # whatever was not heard before
                self._is_settled.set()
                await listener.ended.wait()
            finally:
                self._listener = None
                self._is_settled.clear()

    def _tell(self) -> None:
        """Say once why changes are not heard."""
        if self._failure is None or self._is_told:
            return
        self._is_told = True
        logger.warning(
            "the database %s does not tell of changes, and is asked instead: %s",
            self._database.description,
            reason(self._failure),
            extra={"action": "store.deaf"},
        )
