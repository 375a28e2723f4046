"""Engines for SQLite, and how each of their connections is set up."""

import contextlib
import sqlite3
from typing import Any, Final
from urllib.parse import quote

from sqlalchemy import Connection, Engine, create_engine, event
from sqlalchemy.engine import URL
from sqlalchemy.engine.interfaces import DBAPIConnection
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine
from sqlalchemy.pool import ConnectionPoolEntry, QueuePool
from sqlalchemy.util.concurrency import in_greenlet

from connector.errors import VaultSealed
from connector.store.column_types import readable
from connector.store.sqlite_file import APPLICATION_ID

POOL_SIZE: Final = 10
POOL_OVERFLOW: Final = 5

#: Execution option: the statement with which a transaction of SQLite begins; "": none begins.
BEGIN: Final = "connector_begin"

_PRAGMAS: Final = (
    "PRAGMA journal_mode = WAL",
    "PRAGMA synchronous = FULL",
    "PRAGMA fullfsync = ON",  # macOS: fsync alone does not reach the platter
    "PRAGMA foreign_keys = ON",
    "PRAGMA secure_delete = ON",  # a replaced ciphertext is overwritten, not only forgotten
    "PRAGMA trusted_schema = OFF",
)


class _Connection(sqlite3.Connection):
    """A connection that no row's text can make fail; see `column_types`."""

    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self.text_factory = readable


def _sqlite_url(url: URL, driver: str) -> URL:
    """A file that has gone is not made anew behind our back, empty and open to others."""
    return URL.create(
        f"sqlite+{driver}",
        database=f"file:{quote(url.database or '')}",
        query={"mode": "rw", "uri": "true"},
    )


def _parameters(busy_timeout: float) -> dict[str, Any]:
    return {"isolation_level": None, "timeout": busy_timeout, "factory": _Connection}


def thread_engine(url: URL, busy_timeout: float, begin_statement: str) -> Engine:
    """Make an engine with one connection, for one thread.

    Args:
        url: ``sqlite:///PATH``.
        busy_timeout: how long to wait for another writer, in seconds.
        begin_statement: with which each of its transactions begins.
    """
    engine = create_engine(
        _sqlite_url(url, "pysqlite"),
        hide_parameters=True,
        pool_size=1,
        max_overflow=0,
        poolclass=QueuePool,
        connect_args=_parameters(busy_timeout),
    )
    _configure_connections(engine)

    @event.listens_for(engine, "begin")
    def begin(connection: Connection) -> None:
        connection.exec_driver_sql(begin_statement)

    return engine


def _configure_connections(engine: Engine) -> None:
    @event.listens_for(engine, "connect")
    def configure(connection: DBAPIConnection, _entry: ConnectionPoolEntry) -> None:
        try:
            _configure(connection)
        except BaseException:
            connection.close()
            raise


def sqlite_engine(url: URL, busy_timeout: float) -> AsyncEngine:
    """Make the engine of the asynchronous face.

    Args:
        url: ``sqlite:///PATH``.
        busy_timeout: how long to wait for another writer, in seconds.
    """
    engine = create_async_engine(
        _sqlite_url(url, "aiosqlite"),
        hide_parameters=True,
        # connections beyond these are closed after each use, and each is a thread to be ended
        pool_size=POOL_SIZE,
        max_overflow=POOL_OVERFLOW,
        pool_timeout=busy_timeout,
        connect_args=_parameters(busy_timeout),
    )
    _configure_connections(engine.sync_engine)

    @event.listens_for(engine.sync_engine, "begin")
    def begin(connection: Connection) -> None:
        """The driver begins nothing by itself (isolation_level None), so DDL is covered as well."""
        statement = connection.get_execution_options().get(BEGIN, "BEGIN")
        if statement:
            connection.exec_driver_sql(statement)

    @event.listens_for(engine.sync_engine, "invalidate")
    def give_up(connection: DBAPIConnection, *_details: object) -> None:
        """End the transaction of a cancelled task.

        To close alone leaves its lock where a statement is under way, until nobody remembers that
        statement any more (sqlite3_close_v2).
        """
        if in_greenlet():
            with contextlib.suppress(sqlite3.Error):
                connection.rollback()

    return engine


def _configure(connection: DBAPIConnection) -> None:
    """Set up a connection to SQLite; a file that is not ours is left as it is.

    Raises:
        VaultSealed: it is not ours, or cannot be written durably.
    """
    if _ask(connection, "PRAGMA application_id") != APPLICATION_ID:
        if _ask(connection, "PRAGMA page_count") != 0:
            raise VaultSealed(
                "vault.url names a database of another program", "Set vault.url to another path."
            )
        _ask(connection, f"PRAGMA application_id = {APPLICATION_ID}")
    for pragma in _PRAGMAS:
        _ask(connection, pragma)
    if _ask(connection, "PRAGMA synchronous") != 2 or _ask(connection, "PRAGMA journal_mode") != (
        "wal"
    ):
        raise VaultSealed(
            "SQLite does not take WAL mode with synchronous=FULL here",
            "Put the vault on a local file system.",
        )


def _ask(connection: DBAPIConnection, pragma: str) -> object:
    cursor = connection.cursor()
    try:
        cursor.execute(pragma)
        row = cursor.fetchone()
    finally:
        cursor.close()
    return None if row is None else row[0]
