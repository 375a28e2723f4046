"""Records into a JSON Lines file, exactly once though files have no transactions.

Beside the file stands a small database (``FILE.state``): how many bytes are committed, the cursors,
and for keyed records which content each key has. A commit appends, syncs the file, then commits the
state; on opening, bytes beyond the committed length are what a crash left, and are cut off. A keyed
record that comes again unchanged is not written again; a changed one is appended, and the later
line is the one that holds.
"""

import hashlib
import json
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import BinaryIO, Final

from connector.jobs.cursor import UNMOVED, CursorTable
from connector.jobs.records import ACCOUNT_FIELD, json_text
from connector.jobs.wal import open_wal

_TABLES: Final = (
    "committed (one INTEGER PRIMARY KEY CHECK (one = 1), length INTEGER)",
    "content (key BLOB PRIMARY KEY, digest BLOB) WITHOUT ROWID",
)


class JsonLinesDestination:
    """See `destination.Destination`.

    Args:
        path: of the file.
        key: the fields that identify a record, besides the account.
        job: the job's name.
        account: the account's name.
        account_id: the account's identifier.
    """

    def __init__(
        self, path: str, *, key: tuple[str, ...], job: str, account: str, account_id: str
    ) -> None:
        self._path = Path(path)
        self._path.parent.mkdir(parents=True, exist_ok=True)
        self._key = key
        self._account = account
        self._state = open_wal(f"{path}.state")
        self._cursor = CursorTable(
            self._state, "cursor", job=job, account=account, account_id=account_id
        )
        try:
            self._prepare()
        except BaseException:
            self._state.close()
            raise

    def cursor(self) -> object:
        """Give the cursor that was committed last; None where there was none."""
        return self._cursor.read()

    def commit(self, records: Sequence[Mapping[str, object]], cursor: object = UNMOVED) -> None:
        """Write records and cursor; see `destination.Destination.commit`."""
        lines = [self._line(record) for record in records]
        self._state.execute("BEGIN IMMEDIATE")  # also keeps other writers from the file
        try:
            fresh = [
                line
                for record, line in zip(records, lines, strict=True)
                if self._is_new(record, line)
            ]
            length = self._append(b"".join(fresh))
            self._state.execute("UPDATE committed SET length = ?", (length,))
            self._cursor.write(cursor)
        except BaseException:
            self._state.execute("ROLLBACK")
            raise
        self._state.execute("COMMIT")

    def close(self) -> None:
        """Close the state."""
        self._state.close()

    def _prepare(self) -> None:
        self._state.execute("BEGIN IMMEDIATE")
        for table in _TABLES:
            self._state.execute(f"CREATE TABLE IF NOT EXISTS {table}")
        self._cursor.prepare()
        if self._state.execute("SELECT 1 FROM committed").fetchone() is None:
            self._state.execute("INSERT INTO committed VALUES (1, ?)", (self._found(),))
        self._append(b"")
        self._state.execute("COMMIT")

    def _found(self) -> int:
        """Give the length of a file that was there before its state: its lines are kept.

        Raises:
            OSError: its last line is no whole line.
        """
        if not self._path.exists():
            return 0
        with self._path.open("rb") as file:
            length = file.seek(0, os.SEEK_END)
            self._check_end(file, length)
        return length

    def _check_end(self, file: BinaryIO, length: int) -> None:
        """Check that a line ends where something was committed last.

        Raises:
            OSError: none does.
        """
        if length == 0:
            return
        file.seek(length - 1)
        if file.read(1) != b"\n":
            raise OSError(self._changed("has no line that ends where the last commit did"))

    def _changed(self, how: str) -> str:
        return (
            f"{self._path} {how}: it was changed by hand; "
            f"move it away together with {self._path}.state"
        )

    def _line(self, record: Mapping[str, object]) -> bytes:
        text = json_text({ACCOUNT_FIELD: self._account, **record}) + "\n"
        return text.encode("utf-8", "backslashreplace")  # half a surrogate pair becomes its escape

    def _is_new(self, record: Mapping[str, object], line: bytes) -> bool:
        """Tell whether a keyed record differs from the one of the same key; note it if so."""
        if not self._key:
            return True
        values = [self._account, *(json_text(record[name]) for name in self._key)]
        key = hashlib.sha256(json.dumps(values).encode()).digest()
        digest = hashlib.sha256(line).digest()
        row = self._state.execute("SELECT digest FROM content WHERE key = ?", (key,)).fetchone()
        if row == (digest,):
            return False
        self._state.execute("INSERT OR REPLACE INTO content VALUES (?, ?)", (key, digest))
        return True

    def _append(self, data: bytes) -> int:
        """Cut off what was not committed, append, sync; give the new length."""
        (committed,) = self._state.execute("SELECT length FROM committed").fetchone()
        descriptor = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
        with os.fdopen(descriptor, "r+b") as file:
            length = file.seek(0, os.SEEK_END)
            if length < committed:
                raise OSError(self._changed("is shorter than what was committed"))
            self._check_end(file, committed)
            if length > committed:
                file.truncate(committed)
            file.seek(committed)
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        return int(committed) + len(data)
