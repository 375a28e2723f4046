"""Tells failures of a destination from those of a user's function, whatever library raises them."""

import contextlib
import errno
import os
import sqlite3
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from connector.jobs.destinations.destination import DestinationFailed

#: What a person does about a failure; nothing was written, and the next run begins there.
_REMEDIES: Final = {
    errno.ENOSPC: "make room on its disk",
    errno.EDQUOT: "make room, or raise its quota",
    errno.EFBIG: "raise the limit on the size of files (ulimit -f)",
    errno.EROFS: "its file system is mounted read-only",
    errno.EACCES: "let this user write there",
    errno.EPERM: "let this user write there",
    errno.ENOTDIR: "a part of its path is no folder",
    errno.EISDIR: "name a file: a folder stands there",
}
_SQLITE_REMEDIES: Final = {
    sqlite3.SQLITE_FULL: "make room on its disk",
    sqlite3.SQLITE_READONLY: "let this user write to the file and its folder",
    sqlite3.SQLITE_PERM: "let this user write to the file and its folder",
    sqlite3.SQLITE_CANTOPEN: "let this user write to its folder",
    sqlite3.SQLITE_BUSY: "end what keeps it locked: another program has a transaction open",
    sqlite3.SQLITE_IOERR: "look at its disk: it is full, limited (ulimit -f), or it fails",
    sqlite3.SQLITE_CORRUPT: "it is damaged: move it away, or take a backup",
    sqlite3.SQLITE_NOTADB: "move it away, or name another file",
}


@contextlib.contextmanager
def failing(kind: type[Exception], place: str = "") -> Iterator[None]:
    """Turn errors of a library, and the system's, into `DestinationFailed`.

    Args:
        kind: of the library's errors.
        place: what is written to, for messages.
    """
    try:
        yield
    except (OSError, kind) as error:
        text = " ".join(str(_reason(error)).split())
        text = text if not place or place in text else f"{place}: {text}"
        remedy = _remedy(error)
        raise DestinationFailed(f"{text}: {remedy}" if remedy else text) from error


def check_place(path: Path, opened: os.stat_result) -> None:
    """Check that a file that was opened still stands at its place: else nobody would find it.

    Raises:
        OSError: it was moved or removed.
    """
    try:
        present = path.stat()
    except OSError:
        present = None
    if present is None or (present.st_dev, present.st_ino) != (opened.st_dev, opened.st_ino):
        raise OSError(
            f"{path} was moved or removed while it was written to: "
            "put it back, or the next run begins anew with what stands there"
        )


def _reason(error: Exception) -> object:
    if isinstance(error, OSError) and error.strerror:
        return error.strerror if error.filename is None else f"{error.filename}: {error.strerror}"
    return error


def _remedy(error: Exception) -> str | None:
    if isinstance(error, OSError):
        return _REMEDIES.get(error.errno or 0)
    code = getattr(error, "sqlite_errorcode", None)
    if code is not None:
        return _SQLITE_REMEDIES.get(code & 0xFF)
    # DuckDB tells what the system said at the end of its own text
    text = str(error).strip()
    return next((_REMEDIES[one] for one in _REMEDIES if text.endswith(os.strerror(one))), None)
