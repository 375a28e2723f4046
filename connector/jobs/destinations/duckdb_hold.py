"""A DuckDB file that several processes write in turn: it lets in one at a time, and no reader.

To open one takes tens of milliseconds, and to commit a page a few: so who has it keeps it while
nobody else waits, and gives it away within a moment when somebody does, or when nothing was written
for a while. Two lock files say so: who holds ``FILE.lock`` has it, who waits shares
``FILE.waiting``. A process that dies gives up both (flock).
"""

import contextlib
import fcntl
import os
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import duckdb

from connector.jobs.destinations.destination import DestinationFailed
from connector.jobs.destinations.failing import check_place

#: Others may write a page each before it is our turn, and a reader finish his query (seconds).
PATIENCE: Final = 30.0
#: A reader, who cannot say that he waits, gets in when nothing was written so long (seconds).
IDLE: Final = 0.5
_PAUSE: Final = 0.01
_WATCH: Final = 0.03
#: One thread a run: runs are many. Nothing is fetched from elsewhere.
_CONFIG: Final[dict[str, str | bool | int | float | list[str]]] = {
    "threads": 1,
    "autoinstall_known_extensions": False,
    "TimeZone": "UTC",
}


class DuckdbHold:
    """A file that is open while it may be.

    Args:
        path: of the file.

    Attributes:
        turn: how often the file was opened; what was read of it holds until it is opened again,
            since nobody else writes meanwhile.

    Raises:
        OSError: its lock files cannot be made.
    """

    def __init__(self, path: Path) -> None:
        self.turn = 0
        self._path = path
        self._lock = _open_lock(Path(f"{path}.lock"))
        self._waiting = _open_lock(Path(f"{path}.waiting"))
        self._mutex = threading.Lock()
        self._connection: duckdb.DuckDBPyConnection | None = None
        self._opened: os.stat_result | None = None
        self._used = 0.0
        self._is_closed = threading.Event()

    @contextlib.contextmanager
    def transaction(self) -> Iterator[duckdb.DuckDBPyConnection]:
        """Have the file for one transaction.

        Raises:
            DestinationFailed: another program has it, or it cannot be opened.
            OSError, duckdb.Error: it cannot be used.
        """
        with self._mutex:
            connection = self._acquire()
            try:
                connection.execute("BEGIN")
                yield connection
                connection.execute("COMMIT")
            except BaseException:
                with contextlib.suppress(duckdb.Error):
                    connection.execute("ROLLBACK")
                self._release()  # a file that failed is opened anew
                raise
            self._used = time.monotonic()
            if self._is_wanted():
                self._release()

    def close(self) -> None:
        """Give the file away for good."""
        self._is_closed.set()
        with self._mutex:
            self._release()
            for descriptor in (self._lock, self._waiting):
                if descriptor >= 0:
                    os.close(descriptor)
            self._lock = self._waiting = -1

    def _acquire(self) -> duckdb.DuckDBPyConnection:
        if self._connection is not None:
            self._check_place()
            return self._connection
        give_up_at = time.monotonic() + PATIENCE
        fcntl.flock(self._waiting, fcntl.LOCK_SH)
        try:
            while not _try_lock(self._lock):
                if time.monotonic() >= give_up_at:
                    raise DestinationFailed(
                        f"{self._path}: another run has written to it for {PATIENCE:.0f} seconds"
                    )
                time.sleep(_PAUSE)
        finally:
            fcntl.flock(self._waiting, fcntl.LOCK_UN)
        try:
            self._check_place()  # DuckDB would make another file
            self._connection = self._connect(give_up_at)
            self.turn += 1
            self._opened = self._path.stat()
        except BaseException:
            self._release()
            raise
        threading.Thread(target=self._watch, args=(self._connection,), daemon=True).start()
        return self._connection

    def _check_place(self) -> None:
        """Check that the file that was opened first stands there still.

        Raises:
            OSError: it does not.
        """
        if self._opened is not None:
            check_place(self._path, self._opened)

    def _connect(self, give_up_at: float) -> duckdb.DuckDBPyConnection:
        while True:
            try:
                return duckdb.connect(str(self._path), config=_CONFIG)
            except duckdb.Error as error:
                text = " ".join(str(error).split())
                if not is_held(text):
                    raise DestinationFailed(told(self._path, text)) from error
                if time.monotonic() >= give_up_at:
                    raise DestinationFailed(
                        f"{self._path}: another program has it open"
                        f"{holder(text)}, and DuckDB lets nobody write meanwhile: close it there"
                        " (connection.close(), or end the notebook); the next run goes on from here"
                    ) from error
            time.sleep(_PAUSE)

    def _watch(self, connection: duckdb.DuckDBPyConnection) -> None:
        """Give the file away where somebody waits for it, or nothing is written."""
        while not self._is_closed.wait(_WATCH):
            with self._mutex:
                if self._connection is not connection:
                    return
                if self._is_wanted() or time.monotonic() - self._used > IDLE:
                    self._release()
                    return

    def _is_wanted(self) -> bool:
        if not _try_lock(self._waiting):
            return True
        fcntl.flock(self._waiting, fcntl.LOCK_UN)
        return False

    def _release(self) -> None:
        if self._connection is not None:
            connection, self._connection = self._connection, None
            with contextlib.suppress(duckdb.Error):
                connection.close()
        if self._lock >= 0:
            fcntl.flock(self._lock, fcntl.LOCK_UN)


def _open_lock(path: Path) -> int:
    return os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)


def _try_lock(descriptor: int) -> bool:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def is_held(text: str) -> bool:
    """Tell whether DuckDB says that another process has a file."""
    return "Could not set lock" in text


def holder(text: str) -> str:
    """Say which process that is, where DuckDB does."""
    _, _, rest = text.partition("(PID ")
    number = rest.partition(")")[0]
    return f" (process {number})" if number.isdigit() else ""


def told(path: Path, text: str) -> str:
    """Say what keeps a file from being opened, and what to do."""
    if "version number" in text or "newer" in text:
        remedy = "it was written by a newer DuckDB: pip install --upgrade duckdb"
        return f"{path}: {remedy} ({text})"
    if "not a valid DuckDB" in text or "Corrupt database" in text:
        return f"{path}: {text}: move it away, or name another file"
    if "Could not read enough bytes" in text:
        return f"{text}: it is damaged: move it away, or take a backup"
    return text if str(path) in text else f"{path}: {text}"
