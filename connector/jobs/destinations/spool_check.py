"""Checks files of lines whose committed length a database knows; nothing is written."""

import contextlib
import sqlite3
from pathlib import Path
from urllib.parse import quote

from connector.jobs.destinations.appending import CommittedFile
from connector.jobs.destinations.destination import DestinationFailed

#: What a power cut may take back is not looked at: the next run finds out.
_LENGTHS = (
    (
        "",
        "SELECT coalesce((SELECT start FROM unsynced), length) FROM committed",
    ),
    (".rejected.jsonl", "SELECT length FROM rejected_length"),
)


def check_files(path: Path) -> None:
    """Check that a file, and that of what was set aside, are as they were left.

    Args:
        path: of the file; its state is at ``FILE.state``.

    Raises:
        DestinationFailed: one was changed by hand; the message ends with what to do.
        OSError, sqlite3.Error: they cannot be read.
    """
    state = Path(f"{path}.state")
    for suffix, query in _LENGTHS:
        file = CommittedFile(Path(f"{path}{suffix}"), str(state))
        length = _committed(state, query)
        try:
            if length is None:
                file.found()
            else:
                file.check(length)
        except PermissionError:
            raise
        except OSError as error:
            raise DestinationFailed(str(error)) from error


def _committed(state: Path, query: str) -> int | None:
    """Give the length of a file; None: none is known."""
    if not state.exists():
        return None
    url = f"file:{quote(str(state))}?mode=rw"
    with contextlib.closing(sqlite3.connect(url, uri=True, timeout=1.0)) as database:
        try:
            row = database.execute(query).fetchone()
        except sqlite3.OperationalError:  # it is made by the first run, or kept from readers now
            return 0
    return None if row is None else int(row[0])
