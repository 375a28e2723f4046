"""One connection to Postgres that listens, of its own: not from the pool, in no transaction.

It reads its socket as the event loop finds it readable, so that it costs nothing while nothing is
said, and a connection that was cut is noticed at once. Postgres sends what was notified before it
answers a query: a round trip proves that all which was committed before it has been heard.
"""

import asyncio
import secrets
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Final

import psycopg
from sqlalchemy import text

from connector.store.database import Database

#: The channel of the trigger (migration 0005).
CHANNEL: Final = "connector_account"
#: How long an answer may take, in seconds: half of the time for which memory may be stale.
ANSWER_LIMIT: Final = 1.0

_UNHEARD: Final = "it does not pass notifications on, as a pooler of transactions does not"
#: However a server or a role is set up, a connection that only listens is not idle for too long.
_STAY: Final = (
    "SELECT set_config(name, '0', false) FROM pg_settings WHERE name = 'idle_session_timeout'"
)


class Listener:
    """A connection that listens; make one with `listening`.

    Args:
        connection: set up; nobody else uses it from now on.
        heard: is called with channel and payload of each notification.

    Attributes:
        ended: is set when the connection has ended.
    """

    def __init__(
        self,
        connection: "psycopg.AsyncConnection[tuple[object, ...]]",
        heard: Callable[[str, str], None],
    ) -> None:
        self.ended = asyncio.Event()
        self._wire = connection.pgconn
        self._heard = heard
        self._turn = asyncio.Lock()
        self._answered = asyncio.Event()
        self._loop = asyncio.get_running_loop()
        self._socket = self._wire.socket
        self._loop.add_reader(self._socket, self._read)

    async def check(self) -> bool:
        """Make a round trip; False where the connection has ended.

        Raises:
            TimeoutError: there is no answer in time; the connection is given up.
        """
        async with self._turn:
            try:
                async with asyncio.timeout(ANSWER_LIMIT):
                    if self._is_asking():  # for somebody who gave up; it may be older than a commit
                        await self._answered.wait()
                    self._ask()
                    await self._answered.wait()
            except TimeoutError:
                self.end()
                raise TimeoutError(f"no answer within {ANSWER_LIMIT:g} s") from None
        return not self.ended.is_set()

    def end(self) -> None:
        """Read no more."""
        if not self.ended.is_set():
            self._loop.remove_reader(self._socket)
            self.ended.set()
        self._answered.set()

    def _is_asking(self) -> bool:
        return self._wire.transaction_status == psycopg.pq.TransactionStatus.ACTIVE

    def _ask(self) -> None:
        if self.ended.is_set():
            return
        self._answered.clear()
        try:
            self._wire.send_query(b"SELECT 1")
        except psycopg.Error:
            self.end()

    def _read(self) -> None:
        """Take what has come: notifications, an answer, or the end."""
        try:
            self._wire.consume_input()
            while self._is_asking() and not self._wire.is_busy():
                self._wire.get_result()
            # after the answer: what came before its end was not looked at until it was taken
            while (notification := self._wire.notifies()) is not None:
                self._heard(notification.relname.decode(), notification.extra.decode())
        except psycopg.Error:
            self.end()
            return
        if not self._is_asking():
            self._answered.set()


@asynccontextmanager
async def listening(
    database: Database, heard: Callable[[str | None], None]
) -> AsyncIterator[Listener]:
    """Listen within a ``with`` block, on a connection that is known to hear.

    Args:
        database: which one.
        heard: is called with the name of each account that has changed.

    Raises:
        psycopg.Error: the connection cannot be had.
        TemporarilyUnavailable: nothing can be sent to it.
        TimeoutError: it does not hear what is sent.
    """
    trial = f"connector_trial_{secrets.token_hex(8)}"
    is_heard = asyncio.Event()

    def hear(channel: str, payload: str) -> None:
        if channel == trial:
            is_heard.set()
        else:
            heard(payload)

    parameters = database.driver_parameters()
    connection = await psycopg.AsyncConnection.connect(**parameters, autocommit=True)
    try:
        await connection.execute(_STAY)
        await connection.execute(f"LISTEN {trial}")
        await connection.execute(f"LISTEN {CHANNEL}")
        listener = Listener(connection, hear)
        try:
            await _try(database, trial, is_heard)
            yield listener
        finally:
            listener.end()
    finally:
        await connection.close()


async def _try(database: Database, trial: str, is_heard: asyncio.Event) -> None:
    """Send a notification from another connection, as another process would.

    A pooler takes LISTEN without a word, and gives the connection that listens to somebody else.
    """
    async with database.write() as connection:
        await connection.execute(text("SELECT pg_notify(:trial, '')"), {"trial": trial})
    try:
        async with asyncio.timeout(ANSWER_LIMIT):
            await is_heard.wait()
    except TimeoutError:
        raise TimeoutError(_UNHEARD) from None
