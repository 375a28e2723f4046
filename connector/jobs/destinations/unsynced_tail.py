"""Lines at the end of a file that may not have reached the disk yet, and what to go back to.

To wait for the disk with each page costs more than the page. So a file is synced once a second, and
when a run ends. What was appended since is in the operating system's memory: a process that is
killed loses none of it, a power cut may, and may all the same leave the state that says that it is
there. So the state before it is kept beside, and a checksum of it: after another boot of the
machine what does not fit is cut off, and the states go back to where the file was synced.

Where the system does not tell its boots apart, each commit is synced.
"""

import sqlite3
import time
import zlib
from typing import Final

from connector.boot import boot_id
from connector.jobs.destinations.appending import CommittedFile
from connector.jobs.destinations.stream import Stream

#: A power cut takes back so much at the most (seconds, bytes).
INTERVAL: Final = 1.0
LONGEST: Final = 16 * 2**20

_ONE: Final = "one INTEGER PRIMARY KEY CHECK (one = 1)"
_OF_STREAM: Final = "PRIMARY KEY (job, account_id)"
TABLES: Final = (
    f"unsynced ({_ONE}, start INTEGER, checksum INTEGER, since REAL, boot TEXT)",
    f"state_before (job TEXT, account_id TEXT, cursor TEXT, checkpoint TEXT, {_OF_STREAM})",
)


class UnsyncedTail:
    """The tail of one file; all is done in transactions of the caller's.

    Args:
        database: with the file's committed length, and the states in the table ``cursor``.
        file: the file.
        stream: whose lines are appended.
    """

    def __init__(
        self,
        database: sqlite3.Connection,
        file: CommittedFile,
        stream: Stream,
    ) -> None:
        self._database = database
        self._file = file
        self._stream = stream
        self._boot = boot_id()
        self._is_lazy = self._boot is not None

    def recover(self) -> None:
        """Cut off what a power cut has taken a part of; the states go back with it.

        Raises:
            OSError: the file cannot be read.
        """
        row = self._database.execute(
            "SELECT length, start, checksum, boot FROM committed, unsynced"
        ).fetchone()
        if row is None:
            return
        length, start, checksum, boot = row
        if boot != self._boot and self._file.checksum(start, length) != checksum:
            self.go_back()

    def keep_state(self) -> None:
        """Keep the stream's state, which is about to move with what is appended."""
        if not self._is_lazy:
            return
        self._database.execute(
            "INSERT OR IGNORE INTO state_before SELECT job, account_id, cursor, checkpoint"
            " FROM cursor WHERE job = ? AND account_id = ?",
            (self._stream.name, self._stream.account_id),
        )

    def append(self, data: bytes) -> None:
        """Append whole lines to what is committed; see `keep_state`.

        Raises:
            OSError: they cannot be written.
            NotSynced: those before them may be lost as well, see `go_back`.
        """
        committed, start, checksum, since = self._database.execute(
            "SELECT length, start, checksum, since FROM committed LEFT JOIN unsynced"
        ).fetchone()
        now = time.time()
        is_synced = start is None
        if is_synced:
            start, checksum, since = committed, 0, now
        length = committed + len(data)
        is_young = 0 <= now - since < INTERVAL and length - start < LONGEST
        is_lazy = is_young and self._is_lazy
        self._file.append(committed, data, is_synced=not is_lazy)
        if is_lazy:
            self._database.execute(
                "INSERT OR REPLACE INTO unsynced VALUES (1, ?, ?, ?, ?)",
                (start, zlib.crc32(data, checksum), since, self._boot),
            )
        elif not is_synced:
            self._forget()
        self._database.execute("UPDATE committed SET length = ?", (length,))

    def sync(self) -> None:
        """Have what was appended reach the disk.

        Raises:
            NotSynced: it does not; see `go_back`.
            OSError: it is not there any more.
        """
        if self._is_there():
            self._file.sync()
            self._forget()

    def go_back(self) -> None:
        """Go back to where the file was synced: what is beyond is cut off by the next commit.

        A disk that has failed to take what was appended may have lost any of it. Records with a key
        that stood there are forgotten, so that they are appended when they come again.
        """
        if not self._is_there():
            return
        self._database.execute("DELETE FROM content WHERE start >= (SELECT start FROM unsynced)")
        self._database.execute("UPDATE committed SET length = (SELECT start FROM unsynced)")
        self._database.execute(
            "UPDATE cursor SET cursor = before.cursor, checkpoint = before.checkpoint"
            " FROM state_before AS before"
            " WHERE cursor.job = before.job AND cursor.account_id = before.account_id"
        )
        self._forget()

    def _is_there(self) -> bool:
        return self._database.execute("SELECT 1 FROM unsynced").fetchone() is not None

    def _forget(self) -> None:
        self._database.execute("DELETE FROM unsynced")
        self._database.execute("DELETE FROM state_before")
