"""Opens a SQLite database whose commits are durable and whose readers wait for nobody."""

import sqlite3
import time
from typing import Final

#: Several runs write into one file: wait this long for another's transaction (seconds).
BUSY_TIMEOUT: Final = 30.0
#: SQLite does not wait where a new database is switched to WAL by several at once: we do.
_PAUSE: Final = 0.01


def open_wal(path: str) -> sqlite3.Connection:
    """Open a database in WAL mode with synchronous=FULL; transactions are begun by hand.

    Raises:
        sqlite3.Error: it cannot be opened.
    """
    connection = sqlite3.connect(path, timeout=BUSY_TIMEOUT, isolation_level=None)
    try:
        _switch(connection)
        connection.execute("PRAGMA synchronous = FULL")
    except BaseException:
        connection.close()
        raise
    return connection


def _switch(connection: sqlite3.Connection) -> None:
    give_up_at = time.monotonic() + BUSY_TIMEOUT
    while True:
        try:
            connection.execute("PRAGMA journal_mode = WAL")
        except sqlite3.OperationalError as error:
            is_busy = error.sqlite_errorcode & 0xFF == sqlite3.SQLITE_BUSY
            if not is_busy or time.monotonic() >= give_up_at:
                raise
            time.sleep(_PAUSE)
        else:
            return
