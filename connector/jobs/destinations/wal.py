"""Opens a SQLite database whose commits are durable and whose readers wait for nobody."""

import sqlite3
import time
from typing import Final

#: Several runs write into one file: wait this long for another's transaction (seconds).
BUSY_TIMEOUT: Final = 30.0
#: Pages of the log that are written back at once where the last commits may be lost (32 MiB): those
#: of a random key are other ones in each commit, and each time the disk is waited for.
_WRITTEN_BACK: Final = 8192
#: SQLite does not wait where a new database is switched to WAL by several at once: we do.
_PAUSE: Final = 0.01


def open_wal(path: str, *, is_beside: bool = False) -> sqlite3.Connection:
    """Open a database in WAL mode; transactions are begun by hand.

    Args:
        path: of its file.
        is_beside: it tells of a file that is synced before each commit and cut to what is told
            here: a power cut may then take the last commits back, whole and in order (SQLite,
            ``synchronous=NORMAL``), and the file with them. Else each commit is durable.

    Raises:
        sqlite3.Error: it cannot be opened.
    """
    connection = sqlite3.connect(path, timeout=BUSY_TIMEOUT, isolation_level=None)
    try:
        _switch(connection)
        connection.execute(f"PRAGMA synchronous = {'NORMAL' if is_beside else 'FULL'}")
        if is_beside:
            connection.execute(f"PRAGMA wal_autocheckpoint = {_WRITTEN_BACK}")
    except BaseException:
        connection.close()
        raise
    return connection


class PacedCommits:
    """Transactions of which the disk is waited for once a second, and not by each.

    Those between are in the operating system's memory: a process that is killed loses none of them.
    A power cut may take them back, whole and in order, which suits who keeps records and state in
    one transaction. Each sync is one of all commits before it, also of other processes.

    Args:
        connection: as `open_wal` gives it: each of its commits is durable.
    """

    #: A power cut takes so much back at the most (seconds).
    interval: float = 1.0

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection
        self._is_durable = True
        self._synced_at = time.monotonic()
        #: Something may not be on the disk: a durable transaction that writes has to follow.
        self.is_owed = False

    def begin(self, *, is_durable: bool = False) -> None:
        """Begin a transaction.

        Args:
            is_durable: its commit waits for the disk.

        Raises:
            sqlite3.Error: it cannot be begun.
        """
        now = time.monotonic()
        is_durable = is_durable or now - self._synced_at >= self.interval
        if is_durable != self._is_durable:
            kind = "FULL" if is_durable else "NORMAL"
            self._connection.execute(f"PRAGMA synchronous = {kind}")
            self._is_durable = is_durable
        self._connection.execute("BEGIN IMMEDIATE")

    def commit(self) -> None:
        """Commit the transaction.

        Raises:
            sqlite3.Error: it cannot be committed.
        """
        self._connection.execute("COMMIT")
        self.is_owed = not self._is_durable
        if self._is_durable:
            self._synced_at = time.monotonic()


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
