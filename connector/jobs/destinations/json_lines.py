"""Records into a JSON Lines file, exactly once though files have no transactions.

Beside the file stands a small database (``FILE.state``): how many bytes are committed, the states,
and for keyed records which content each key has. A commit appends, then commits the state. A power
cut may take the commits of the last second back, whole, and they are pulled again: see
`unsynced_tail`. On opening, bytes beyond the committed length are what a crash left, and are cut
off. A keyed record that comes again unchanged is not written again; a changed one is appended, and
the later line is the one that holds. Rejected records go the same way into
``FILE.rejected.jsonl``.
"""

import contextlib
import hashlib
import json
import sqlite3
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Final

from connector.jobs.destinations import unsynced_tail
from connector.jobs.destinations.appending import CommittedFile, NotSynced
from connector.jobs.destinations.declared import DeclaredColumns, misfit
from connector.jobs.destinations.destination import Committed, Record
from connector.jobs.destinations.encoding import all_json_bytes, json_bytes, key_text
from connector.jobs.destinations.failing import check_place, failing
from connector.jobs.destinations.records import ACCOUNT_FIELD, UnusableRecord
from connector.jobs.destinations.rejecting import (
    COLUMNS,
    Rejected,
    check_allowed,
    reject,
    rejected_rows,
)
from connector.jobs.destinations.state_table import StateTable
from connector.jobs.destinations.stream import State
from connector.jobs.destinations.target import Target
from connector.jobs.destinations.unsynced_tail import UnsyncedTail
from connector.jobs.destinations.wal import open_wal

TABLES: Final = (
    "committed (one INTEGER PRIMARY KEY CHECK (one = 1), length INTEGER)",
    "content (key BLOB PRIMARY KEY, digest BLOB, start INTEGER NOT NULL DEFAULT 0) WITHOUT ROWID",
    "rejected (digest TEXT PRIMARY KEY) WITHOUT ROWID",
    "rejected_length (one INTEGER PRIMARY KEY CHECK (one = 1), length INTEGER)",
)
#: A column that the first versions' tables lack: where the commit began that the digest is of.
_ADDED: Final = "ALTER TABLE content ADD COLUMN start INTEGER NOT NULL DEFAULT 0"
#: Keys that are asked for at once; SQLite takes 250,000, its older versions 999.
_ASKED: Final = 500


class JsonLinesDestination:
    """See `destination.Destination`.

    Args:
        path: of the file.
        target: what for.

    Raises:
        DestinationFailed, Overtaken: see `destination.open_destination`.
    """

    _tables: tuple[str, ...] = (*TABLES, *unsynced_tail.TABLES)
    #: What is committed stands in the file; see `open_wal`.
    _is_beside = True

    def __init__(self, path: str, target: Target) -> None:
        self._path = path
        self._key = target.key
        self._stream = target.stream
        self._declared = DeclaredColumns(target.columns)
        self._head = json_bytes({ACCOUNT_FIELD: target.stream.account})[:-1]
        self._account = key_text_of(target.stream.account)
        self.rejected_to = f"{path}.rejected.jsonl"
        self._state_path = Path(f"{path}.state")
        self._file = CommittedFile(Path(path), str(self._state_path))
        self._tail: UnsyncedTail | None = None
        self._rejected_file = CommittedFile(Path(self.rejected_to), str(self._state_path))
        with failing(sqlite3.Error, path):
            Path(path).parent.mkdir(parents=True, exist_ok=True)
            self._database = open_wal(str(self._state_path), is_beside=self._is_beside)
            try:
                self._opened = self._state_path.stat()
                self._state = StateTable(self._database, "cursor", target.stream)
                self._prepare()
            except BaseException:
                self._database.close()
                raise

    def state(self) -> State:
        """Give the state that was committed last."""
        with failing(sqlite3.Error, self._path):
            return self._state.read()

    def commit(
        self,
        records: Sequence[Record],
        state: State | None = None,
        *,
        rejected: Sequence[Rejected] = (),
        allowed: int | None = None,
    ) -> Committed:
        """Write records and state; see `destination.Destination.commit`."""
        good, lines, refused = self._lines(records)
        aside = [*rejected, *refused]
        too_many = check_allowed(aside, allowed)
        changed = 0
        with failing(sqlite3.Error, self._path):
            check_place(self._state_path, self._opened)
            self._database.execute("BEGIN IMMEDIATE")  # also keeps other writers from the file
            try:
                if self._tail is not None and lines and not too_many:
                    self._tail.keep_state()
                self._state.write(None if too_many else state)
                if aside:
                    self._set_aside(aside)
                if not too_many:
                    fresh = self._fresh(good, lines) if self._key else lines
                    self._write(fresh, good)
                    changed = len(fresh)
                self._database.execute("COMMIT")
            except BaseException as error:
                if self._database.in_transaction:
                    self._database.execute("ROLLBACK")
                if isinstance(error, NotSynced) and self._tail is not None:
                    self._go_back(self._tail)
                raise
        if too_many:
            raise too_many
        reason = aside[0].reason if aside else None
        return Committed(written=len(lines), changed=changed, rejected=len(aside), reason=reason)

    def close(self) -> None:
        """Have what was committed reach the disk, and close the state; see `Destination.close`."""
        tail, self._tail = self._tail, None
        try:
            if tail is not None:
                with failing(sqlite3.Error, self._path):
                    self._sync(tail)
        finally:
            self._database.close()

    def _sync(self, tail: UnsyncedTail) -> None:
        self._database.execute("PRAGMA synchronous = FULL")
        self._database.execute("BEGIN IMMEDIATE")
        try:
            tail.sync()
            self._database.execute("COMMIT")
        except BaseException as error:
            if self._database.in_transaction:
                self._database.execute("ROLLBACK")
            if isinstance(error, NotSynced):
                self._go_back(tail)
            raise

    def _go_back(self, tail: UnsyncedTail) -> None:
        """Go back to where the file was synced: its disk has failed."""
        with contextlib.suppress(sqlite3.Error):  # the same disk: the cause is told
            self._database.execute("BEGIN IMMEDIATE")
            tail.go_back()
            self._database.execute("COMMIT")

    def _prepare(self) -> None:
        self._database.execute("BEGIN IMMEDIATE")
        for table in self._tables:
            self._database.execute(f"CREATE TABLE IF NOT EXISTS {table}")
        if len(self._database.execute("PRAGMA table_info(content)").fetchall()) == 2:
            self._database.execute(_ADDED)
        self._state.begin()
        self._begin_tail()
        for table, file in self._files():
            query = f"SELECT length FROM {table}"  # noqa: S608 - ours
            row = self._database.execute(query).fetchone()
            length = file.found() if row is None else row[0]
            if row is None:
                self._database.execute(f"INSERT INTO {table} VALUES (1, ?)", (length,))  # noqa: S608 - ours
            if length or file is self._file or file.path.exists():
                file.append(length, b"")
        self._database.execute("COMMIT")

    def _begin_tail(self) -> None:
        self._tail = UnsyncedTail(self._database, self._file, self._stream)
        self._tail.recover()

    def _files(self) -> tuple[tuple[str, CommittedFile], ...]:
        """Give the tables that know the lengths of files, and the files."""
        return ("committed", self._file), ("rejected_length", self._rejected_file)

    def _write(self, lines: Sequence[bytes], _records: Sequence[Record]) -> None:
        """Write lines, in the transaction of their commit."""
        if self._tail is not None and lines:
            self._tail.append(b"".join(lines))

    def _append(self, file: CommittedFile, table: str, data: bytes) -> None:
        """Append to one of the files, and note its length."""
        (committed,) = self._database.execute(f"SELECT length FROM {table}").fetchone()  # noqa: S608 - ours
        length = file.append(committed, data)
        if data:
            self._database.execute(f"UPDATE {table} SET length = ?", (length,))  # noqa: S608 - ours

    def _lines(self, records: Sequence[Record]) -> tuple[list[Record], list[bytes], list[Rejected]]:
        """Give the records that can be written, their lines, and those that cannot be."""
        if not self._declared and (written := all_json_bytes(records)) is not None:
            head = self._head + b","
            return list(records), [head + one[1:] + b"\n" for one in written], []
        good: list[Record] = []
        lines: list[bytes] = []
        refused: list[Rejected] = []
        for record in records:
            try:
                if self._declared:
                    self._declared.fit(record)
                line = self._line(record)
            except UnusableRecord as error:
                refused.append(reject(record, self._fault(record, error)))
            else:
                good.append(record)
                lines.append(line)
        return good, lines, refused

    def _line(self, record: Record) -> bytes:
        data = json_bytes(record)
        return b"%b,%b\n" % (self._head, data[1:]) if len(data) > 2 else self._head + b"}\n"

    def _fault(self, record: Record, error: UnusableRecord) -> str:
        """Say which field it is, where the error does not."""
        if str(error).startswith("has "):
            return str(error)
        for name, value in record.items():
            try:
                json_bytes(value)
            except UnusableRecord as fault:
                return misfit(name, UnusableRecord(f"has no form: {fault}"))
        return str(error)

    def _fresh(self, records: Sequence[Record], lines: Sequence[bytes]) -> list[bytes]:
        """Give the lines that differ from those of the same keys; note them."""
        keys = self._keys_of(records)
        known = dict(self._known(list(set(keys))))
        changed: dict[bytes, bytes] = {}
        fresh = []
        for key, line in zip(keys, lines, strict=True):
            digest = hashlib.sha256(line).digest()
            if known.get(key) != digest:
                known[key] = changed[key] = digest
                fresh.append(line)
        query = "SELECT coalesce(max(length), 0) FROM committed"
        (start,) = self._database.execute(query).fetchone()
        rows = sorted((key, digest, start) for key, digest in changed.items())
        self._database.executemany("INSERT OR REPLACE INTO content VALUES (?, ?, ?)", rows)
        return fresh

    def _keys_of(self, records: Sequence[Record]) -> list[bytes]:
        """Give digests of the accounts' keys."""
        if len(self._key) == 1:
            (name,) = self._key
            texts = [key_text(record[name]) for record in records]
        else:
            texts = [", ".join([key_text(one[name]) for name in self._key]) for one in records]
        head = f"[{self._account}, "
        return [hashlib.sha256(f"{head}{text}]".encode()).digest() for text in texts]

    def _known(self, keys: list[bytes]) -> Iterator[tuple[bytes, bytes]]:
        for start in range(0, len(keys), _ASKED):
            some = keys[start : start + _ASKED]
            places = ", ".join("?" * len(some))
            query = f"SELECT key, digest FROM content WHERE key IN ({places})"  # noqa: S608 - places
            yield from self._database.execute(query, some)

    def _set_aside(self, rejected: Sequence[Rejected]) -> None:
        """Append rejected records that are not there yet."""
        lines = []
        for row in rejected_rows(rejected, self._stream):
            statement = "INSERT OR IGNORE INTO rejected VALUES (?)"
            if self._database.execute(statement, (row.digest,)).rowcount:
                fields = dict(zip(COLUMNS, row.values(), strict=True))
                fields["record"] = json.loads(row.record)
                lines.append(json.dumps(fields) + "\n")
        self._append(self._rejected_file, "rejected_length", "".join(lines).encode())


def key_text_of(account: str) -> str:
    """Write the account's name as it stands in what digests of keys are made of."""
    return json.dumps(account)
