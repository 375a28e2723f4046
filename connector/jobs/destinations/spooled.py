"""Pages that are committed in a spool, and passed on in larger pieces to where readers find them.

For places that cannot take a page at a time: a folder of files, a warehouse. The spool is a SQLite
database (``_connector.state``) that has the states too, so a commit is one transaction of it. Pages
are passed on when they are many, when they are old, and at the end of a run, by whoever does so
first: those of a run that was killed as well. One process does so at a time (flock).
"""

import contextlib
import fcntl
import json
import os
import re
import sqlite3
import time
from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final, cast

import orjson

from connector.jobs.destinations.appending import CommittedFile
from connector.jobs.destinations.column_types import ColumnType
from connector.jobs.destinations.destination import Committed, DestinationFailed, Record
from connector.jobs.destinations.failing import check_place, failing
from connector.jobs.destinations.json_lines import TABLES, JsonLinesDestination
from connector.jobs.destinations.rejecting import Rejected, reject
from connector.jobs.destinations.stream import State
from connector.jobs.destinations.target import Target

#: What is passed on at once: some fifty thousand records, which take 100 MB of memory meanwhile.
PIECE: Final = 16 * 2**20
#: Readers see nothing of a run for so long at the most, while it commits (seconds).
OLDEST: Final = 300.0
#: Another process passes on a piece of its own meanwhile; a warehouse may take minutes (seconds).
PATIENCE: Final = 600.0
_PAUSE: Final = 0.02
#: Column of each row: the later of two that have one key holds.
VERSION: Final = "_connector_version"
#: What JSON has no type for, and a value's text is read as again.
_HINTS: Final = (("timestamptz", "datetime"), ("date", "date"), ("numeric", "Decimal"))
_LONG: Final = re.compile(rb"\d{19}")
_JSON: Final = frozenset({type(None), bool, int, float, str, list, dict})
#: Its tables.
SPOOL: Final = (
    *TABLES,
    "pages (seq INTEGER PRIMARY KEY AUTOINCREMENT, version INTEGER, lines BLOB)",
    "hints (name TEXT PRIMARY KEY, kind TEXT) WITHOUT ROWID",
    "pending (name TEXT PRIMARY KEY) WITHOUT ROWID",
    "columns (name TEXT PRIMARY KEY, own TEXT, kind TEXT, inexact INTEGER) WITHOUT ROWID",
    "latest (one INTEGER PRIMARY KEY CHECK (one = 1), version INTEGER)",
)


@dataclass(frozen=True, slots=True, kw_only=True)
class SpooledPage:
    """A page that was committed.

    Attributes:
        seq: its number; later ones are larger.
        version: of its first record; the others' follow, and no two pages have the same.
        lines: records as JSON, one a line.
    """

    seq: int
    version: int
    lines: bytes

    def records(self) -> list[dict[str, object]]:
        """Give the records."""
        lines = self.lines.splitlines() if b"\r" not in self.lines else self.lines.split(b"\n")
        if _LONG.search(self.lines) is None:
            with contextlib.suppress(ValueError):
                return [cast("dict[str, object]", orjson.loads(line)) for line in lines if line]
        return [json.loads(line) for line in lines if line]  # numbers of any size, half surrogates


class SpooledDestination(JsonLinesDestination, ABC):
    """See `destination.Destination`; a kind says how pages are passed on.

    Args:
        folder: of the spool.
        target: what for.

    Raises:
        DestinationFailed, Overtaken: see `destination.open_destination`.
    """

    _tables: tuple[str, ...] = SPOOL
    #: What is committed stands here alone, and what was passed on must not come back.
    _is_beside = False

    def __init__(self, folder: Path, target: Target) -> None:
        self._folder = folder
        self._spooled = 0
        self._is_closed = False
        self._since = time.monotonic()
        self._hints: dict[str, str] = {}
        super().__init__(str(folder / "_connector"), target)
        self._place = str(folder)

    def commit(
        self,
        records: Sequence[Record],
        state: State | None = None,
        *,
        rejected: Sequence[Rejected] = (),
        allowed: int | None = None,
    ) -> Committed:
        """Write records and state in one transaction; see `destination.Destination.commit`."""
        done = super().commit(records, state, rejected=rejected, allowed=allowed)
        if self._spooled >= PIECE or (self._spooled and time.monotonic() - self._since > OLDEST):
            # it is committed: what fails here is tried again, and told when the run ends
            with contextlib.suppress(DestinationFailed):
                self.pass_on()
        return done

    def close(self) -> None:
        """Pass on what was committed, and close the spool; see `destination.Destination.close`."""
        if self._is_closed:
            return
        self._is_closed = True
        try:
            self.pass_on()
        finally:
            super().close()

    def pass_on(self) -> None:
        """Pass on all pages that are in the spool.

        Raises:
            DestinationFailed: it failed; the pages stay.
        """
        with failing(sqlite3.Error, self._place):
            check_place(self._state_path, self._opened)  # another folder may stand in its place
            with self._alone():
                self._pass_on_all()
        self._spooled = 0
        self._since = time.monotonic()

    def _pass_on_all(self) -> None:
        self._recover()
        while pages := self._piece():
            self._deliver(pages)

    @abstractmethod
    def _recover(self) -> None:
        """Finish, or undo, what a process that died had begun to pass on."""

    @abstractmethod
    def _deliver(self, pages: Sequence[SpooledPage]) -> None:
        """Pass on pages, and take them out of the spool.

        Raises:
            DestinationFailed, OSError, sqlite3.Error: it failed; they stay.
        """

    def _lines(self, records: Sequence[Record]) -> tuple[list[Record], list[bytes], list[Rejected]]:
        """Refuse now what could not be passed on later."""
        faults = [self._fault_of(record) for record in records]
        if not any(faults):
            return super()._lines(records)
        pairs = list(zip(records, faults, strict=True))
        good, lines, refused = super()._lines([one for one, fault in pairs if fault is None])
        refused += [reject(one, fault) for one, fault in pairs if fault is not None]
        return good, lines, refused

    def _fault_of(self, record: Record) -> str | None:
        """Say what keeps a record from being passed on, besides what keeps it from being JSON."""
        return f"has the field {VERSION}, which is ours" if VERSION in record else None

    def _begin_tail(self) -> None:
        """Nothing is appended: pages stand in the spool."""

    def _files(self) -> tuple[tuple[str, CommittedFile], ...]:
        return (("rejected_length", self._rejected_file),)

    def _write(self, lines: Sequence[bytes], records: Sequence[Record]) -> None:
        if not lines:
            return
        self._note_hints(records)
        row = self._database.execute("SELECT version FROM latest").fetchone()
        version = max(time.time_ns() // 1000, row[0] + 1 if row else 0)
        statement = "INSERT OR REPLACE INTO latest VALUES (1, ?)"
        self._database.execute(statement, (version + len(lines) - 1,))
        data = b"".join(lines)
        statement = "INSERT INTO pages (version, lines) VALUES (?, ?)"
        self._database.execute(statement, (version, data))
        if not self._spooled:
            self._since = time.monotonic()
        self._spooled += len(data)

    def _note_hints(self, records: Sequence[Record]) -> None:
        """Note which fields hold what JSON has no type for."""
        for record in records:
            if _JSON.issuperset(map(type, record.values())):
                continue
            for name, value in record.items():
                kind = next((kind for kind, own in _HINTS if type(value).__name__ == own), None)
                if kind is not None and name not in self._hints:
                    self._hints[name] = kind
                    statement = "INSERT OR IGNORE INTO hints VALUES (?, ?)"
                    self._database.execute(statement, (json.dumps(name), kind))

    def _read_hints(self) -> dict[str, ColumnType]:
        rows = self._database.execute("SELECT name, kind FROM hints").fetchall()
        return {json.loads(name): cast("ColumnType", kind) for name, kind in rows}

    def _piece(self) -> list[SpooledPage]:
        """Give the oldest pages, as many as are passed on at once."""
        pages: list[SpooledPage] = []
        size = 0
        query = "SELECT seq, version, lines FROM pages ORDER BY seq"
        with contextlib.closing(self._database.execute(query)) as found:
            for seq, version, lines in found:
                pages.append(SpooledPage(seq=seq, version=version, lines=lines))
                size += len(lines)
                if size >= PIECE:
                    break
        return pages

    @contextlib.contextmanager
    def _transaction(self) -> Iterator[sqlite3.Connection]:
        self._database.execute("BEGIN IMMEDIATE")
        try:
            yield self._database
            self._database.execute("COMMIT")
        except BaseException:
            if self._database.in_transaction:
                self._database.execute("ROLLBACK")
            raise

    @property
    def _lock(self) -> Path:
        """Give the file whose lock says who passes on."""
        return self._folder / "_connector.lock"

    @contextlib.contextmanager
    def _alone(self) -> Iterator[None]:
        """Be the one process that passes on.

        Raises:
            OSError: another one has done so for too long.
        """
        descriptor = os.open(self._lock, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
        give_up_at = time.monotonic() + PATIENCE
        try:
            while True:
                try:
                    fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
                    break
                except BlockingIOError:
                    if time.monotonic() >= give_up_at:
                        raise OSError(
                            f"another run has written there for {PATIENCE:.0f} s"
                        ) from None
                time.sleep(_PAUSE)
            yield
        finally:
            os.close(descriptor)
