"""One database, SQLite or Postgres, behind a small interface: read, write, the time of leases.

SQLite runs in WAL mode with synchronous=FULL (a commit survives a power cut; CHECKLIST 132), takes
the write lock when a write begins (no upgrade that could fail half-way; 133), and is created 0600
before it has content (137). A failure of the database becomes one of our errors here (see
`failures`). No transaction is ever open during a network call: `read` and `write` are left before
anything is sent.
"""

from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, Final, TypeVar

from sqlalchemy import (
    ColumnElement,
    Connection,
    Double,
    Engine,
    Executable,
    bindparam,
    cast,
    extract,
    func,
)
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.engine import URL
from sqlalchemy.ext.asyncio import AsyncConnection
from sqlmodel import SQLModel

from connector.errors import TemporarilyUnavailable, VaultSealed
from connector.store.database_thread import DatabaseThread
from connector.store.failures import Converted
from connector.store.postgres_engine import (
    postgres_engine,
    postgres_parameters,
    postgres_thread_engine,
)
from connector.store.sqlite_engine import BEGIN, sqlite_engine, thread_engine
from connector.store.sqlite_file import APPLICATION_ID, check_file, prepare_file
from connector.worker_thread import WorkerThread

T = TypeVar("T")

__all__ = ["APPLICATION_ID", "BUSY_TIMEOUT", "Database", "check_file", "prepare_file"]

#: How long a writer waits for another one, in seconds; longer is an error to be told.
BUSY_TIMEOUT: Final = 10.0

_LEASE_NOW: Final = "lease_now"


class Database:
    """An open database.

    Args:
        url: ``sqlite:///PATH`` (absolute; the file exists, see `prepare_file`) or
            ``postgresql://…``.
        now: gives seconds since the epoch.
        lease_clock: SQLite's clock of leases, one for all processes of this host; by default
            ``now``.
        busy_timeout: how long to wait for another writer, in seconds.

    Attributes:
        url, now: as given.
        is_sqlite: else it is Postgres.
        answered_at: when it last did as it was asked.
        lease_time: the time of leases, as this process sees it.
        engine: of the asynchronous face.
        engines: every engine that connects to it, for who listens to what they do.
    """

    def __init__(
        self,
        url: URL,
        *,
        now: Callable[[], float],
        lease_clock: Callable[[], float] | None = None,
        busy_timeout: float = BUSY_TIMEOUT,
    ) -> None:
        self.url = url
        self._busy_seconds = busy_timeout
        self._busy_timeout = f"PRAGMA busy_timeout = {int(busy_timeout * 1000)}"
        self.is_sqlite = url.get_backend_name() == "sqlite"
        self.answered_at, self.now = 0.0, now
        self.lease_time = now if lease_clock is None or not self.is_sqlite else lease_clock
        self._reader: DatabaseThread | None = None
        if self.is_sqlite:
            self.engine = sqlite_engine(url, busy_timeout)
            reading = thread_engine(url, busy_timeout, "BEGIN")
            writing = thread_engine(url, busy_timeout, "BEGIN IMMEDIATE")
            self.engines: tuple[Engine, ...] = (self.engine.sync_engine, reading, writing)
            self._reader = DatabaseThread(reading, "vault reader")
        else:
            self.engine = postgres_engine(url, busy_timeout)
            writing = postgres_thread_engine(url, busy_timeout)
            self.engines = (self.engine.sync_engine, writing)
        self._writer = DatabaseThread(writing, "vault writer")

    @property
    def path(self) -> Path | None:
        """The file of a SQLite database."""
        return Path(self.url.database) if self.is_sqlite and self.url.database else None

    @property
    def description(self) -> str:
        """Name the database for people, without its password, wherever in the URL that stands."""
        if self.is_sqlite:
            return str(self.path)
        return self.url.set(query={}).render_as_string(hide_password=True)

    @property
    def lease_clock(self) -> ColumnElement[float]:
        """The clock that all owners of leases share: the database's own.

        SQLite serves one host: there it is a parameter, see `clock_parameters`.
        """
        if self.is_sqlite:
            return bindparam(_LEASE_NOW, type_=Double)
        return cast(extract("epoch", func.clock_timestamp()), Double)

    def clock_parameters(self) -> dict[str, float]:
        """Give the parameters of `lease_clock`: ask in the transaction, once its lock is had."""
        return {_LEASE_NOW: self.lease_time()} if self.is_sqlite else {}

    def upsert(self, table: type[SQLModel], values: Mapping[str, object], key: str) -> Executable:
        """Give the statement that writes a row, whether there is one of that key or not."""
        insert = sqlite.insert if self.is_sqlite else postgresql.insert
        statement = insert(table).values(values)
        return statement.on_conflict_do_update(index_elements=[key], set_=dict(values))

    @asynccontextmanager
    async def read(self) -> AsyncIterator[AsyncConnection]:
        """Open a connection for reading.

        Raises:
            TemporarilyUnavailable: the database cannot be had or failed.
            VaultSealed: it is damaged, or closed to us.
        """
        with self.converted():
            async with self.engine.connect() as connection:
                yield connection
        self.answered_at = self.now()

    @asynccontextmanager
    async def snapshot(self) -> AsyncIterator[AsyncConnection]:
        """Open a transaction that sees what was committed when it first reads, however long it is.

        Others go on writing meanwhile.

        Raises:
            As `read`.
        """
        with self.converted():
            async with self.engine.connect() as connection:
                if not self.is_sqlite:  # there a transaction that reads is a snapshot
                    await connection.execution_options(
                        isolation_level="REPEATABLE READ", postgresql_readonly=True
                    )
                    # whoever takes in what is read may be slow
                    statement = "SET LOCAL idle_in_transaction_session_timeout = 0"
                    await connection.exec_driver_sql(statement)
                yield connection

    @asynccontextmanager
    async def write(self) -> AsyncIterator[AsyncConnection]:
        """Open a transaction for writing; it is committed at the end, or rolled back on an error.

        Raises:
            TemporarilyUnavailable: the database cannot be had or failed; nothing was written.
            VaultSealed: it is damaged, or closed to us.
            IntegrityError: (SQLAlchemy's) a key is taken; nothing was written.
        """
        with self.converted():
            async with self.engine.connect() as connection:
                await connection.execution_options(**{BEGIN: "BEGIN IMMEDIATE"})
                async with connection.begin():
                    yield connection

    async def look_up(self, query: Callable[[Connection], T]) -> T:
        """Run a short function with a connection for reading: what the hot path asks.

        Args:
            query: runs in another thread on SQLite, in a greenlet on Postgres; nothing else may
                be waited for in it.

        Raises:
            As `read`.
        """
        if self._reader is not None:
            with self.converted():
                found = await self._reader.run(query)
                self.answered_at = self.now()
                return found
        async with self.read() as connection:
            return await connection.run_sync(query)

    async def transact(self, work: Callable[[Connection], T]) -> T:
        """Run a short function in a transaction for writing: what the hot path writes.

        Args:
            work: runs in another thread, one after the other; nothing else may be waited for in
                it. What it gives is given once it is committed.

        Raises:
            As `write`.
        """
        with self.converted():
            written = await self._writer.run(work)
        self.answered_at = self.now()
        return written

    def threads(self) -> dict[str, WorkerThread]:
        """Give its threads, by name."""
        reader = {} if self._reader is None else {"reader": self._reader.thread}
        return reader | {"writer": self._writer.thread}

    async def scrub(self) -> None:
        """Let go of what was deleted: empty SQLite's write-ahead log (CHECKLIST 120, 139).

        Only a wish: it does not wait, and where a reader stands in the way SQLite does it later.
        """
        if not self.is_sqlite:
            return
        try:
            with self.converted():
                async with self.engine.connect() as connection:
                    await connection.execution_options(**{BEGIN: ""})
                    await connection.exec_driver_sql("PRAGMA busy_timeout = 0")
                    try:
                        await connection.exec_driver_sql("PRAGMA wal_checkpoint(TRUNCATE)")
                    finally:
                        await connection.exec_driver_sql(self._busy_timeout)
        except (TemporarilyUnavailable, VaultSealed):
            return

    def driver_parameters(self) -> dict[str, Any]:
        """Give what Postgres's driver connects with, for a connection outside the pool."""
        _, parameters = self.engine.dialect.create_connect_args(self.engine.url)
        return {**parameters, **postgres_parameters(self.url, self._busy_seconds)}

    def converted(self) -> Converted:
        """Turn the driver's errors into ours within a ``with`` block."""
        return Converted(self.description)

    async def aclose(self) -> None:
        """Close all connections."""
        for thread in (self._reader, self._writer):
            if thread is not None:
                await thread.aclose()
        await self.engine.dispose()
