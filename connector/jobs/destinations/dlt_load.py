"""Records into whatever dlt loads into: BigQuery, Snowflake, a bucket and more.

Pages are spooled (see `spooled`) and loaded in pieces, each with the state of its last page (see
`dlt_pipeline`). A package is noted before any of it is loaded; after a crash it is loaded to its
end: with a key nothing is there twice, without one the file that was under way may be. Who opens a
stream asks the destination what was loaded last: where another host has gone on, the spool's pages
were pulled again there, and are dropped.
"""

import contextlib
import json
import sqlite3
import tempfile
import time
import uuid
from collections.abc import Iterator, Sequence
from dataclasses import replace
from importlib.util import find_spec
from pathlib import Path
from typing import Final
from urllib.parse import parse_qsl

from connector.jobs.destinations.column_types import Unfit, fitted, type_of
from connector.jobs.destinations.declared import DeclaredColumns, misfit
from connector.jobs.destinations.destination import DestinationFailed, Record
from connector.jobs.destinations.dlt_ledger import TABLES, Ledger, Marks
from connector.jobs.destinations.dlt_pipeline import Left, Place, StreamPipeline, pipeline_name
from connector.jobs.destinations.dlt_schema import hints_of, kinds_of
from connector.jobs.destinations.failing import failing
from connector.jobs.destinations.records import UnusableRecord
from connector.jobs.destinations.spooled import SPOOL, VERSION, SpooledDestination, SpooledPage
from connector.jobs.destinations.target import Target

#: Databases in a file, which one process opens at a time.
_ONE_AT_A_TIME: Final = frozenset({"duckdb", "sqlalchemy"})
#: An error of dlt's may hold pages of configuration.
_LONGEST: Final = 600


class DltDestination(SpooledDestination):
    """See `destination.Destination`.

    Args:
        url: ``dlt:NAME?folder=…&dataset=…``, with ``&credentials=…`` where they are given.
        target: what for.

    Raises:
        DestinationFailed, Overtaken: see `destination.open_destination`.
    """

    _tables = (*SPOOL, *TABLES)

    def __init__(self, url: str, target: Target) -> None:
        if find_spec("dlt") is None:
            remedy = "pip install 'connector[dlt]'"
            raise DestinationFailed(f"dlt needs what is not installed: {remedy}")
        name, _, query = url.removeprefix("dlt:").partition("?")
        given = dict(parse_qsl(query))
        project, dataset = Path(given["folder"]), given["dataset"]
        folder = project / ".connector-dlt" / f"{name}-{dataset}-{target.table}"
        with failing(OSError, str(folder)):
            folder.parent.mkdir(exist_ok=True, mode=0o700)  # of what is pulled, and dlt's own notes
            folder.mkdir(exist_ok=True)
        self._at = Place(
            name=name,
            dataset=dataset,
            table=target.table,
            credentials=given.get("credentials"),
            file_format=given.get("file_format"),
            project=project,
            folder=folder,
        )
        self._pipeline = pipeline_name(target.table, target.stream)
        self._kinds = dict(DeclaredColumns(target.columns).types)
        self._is_lost = False
        super().__init__(folder, target)
        try:
            self._ledger = Ledger(self._database)
            with failing(sqlite3.Error, str(folder)):
                self._begin()
                self._noted = self._state.read()
        except BaseException:
            self._database.close()
            raise

    def pass_on(self) -> None:
        """Pass on all pages; see `SpooledDestination.pass_on`."""
        super().pass_on()
        if self._is_lost:
            self._is_lost = False
            raise DestinationFailed(
                f"another run has loaded into {self._at.name} for this account meanwhile, or what"
                " was loaded is gone: the next run begins where the destination stands"
            )

    def _begin(self) -> None:
        """Begin where the destination stands, if that is not where the spool does.

        Raises:
            DestinationFailed: it cannot be asked.
            Overtaken: a later attempt of this run has loaded.
        """
        while True:
            known = self._ledger.marks(self._pipeline)
            left = self._ask()
            self._read_kinds(left)
            with self._transaction():
                if self._ledger.marks(self._pipeline) != known:
                    continue  # another process has loaded a package meanwhile
                if left.is_kept and not known.has(left.package):
                    stream = (self._stream.name, self._stream.account_id)
                    self._follow(self._pipeline, left, stream)
                    self._state.begin()
            return

    def _ask(self) -> Left:
        """Ask the destination what is there; in a folder of its own, for others may be loading."""
        at = self._at
        turn = self._alone() if at.name in _ONE_AT_A_TIME else contextlib.nullcontext()
        aside = tempfile.TemporaryDirectory(dir=at.folder, prefix="asking-")
        with turn, self._telling(is_asking=True), aside as folder:
            return StreamPipeline(at, self._pipeline, Path(folder)).left()

    def _read_kinds(self, left: Left) -> None:
        """Learn the types of the key: those of the table, or of records that are spooled."""
        if left.schema is not None:
            found = kinds_of(left.schema, self._at.table, self._key)
            self._kinds = found | self._kinds
        for name, kind in self._database.execute("SELECT name, kind FROM columns").fetchall():
            self._kinds.setdefault(name, kind)

    def _follow(self, pipeline: str, left: Left, stream: tuple[str, str]) -> None:
        """Put a stream where the destination stands, without its pages; within a transaction.

        Who writes it here finds itself overtaken.
        """
        self._ledger.take_out(pipeline)
        self._ledger.mark(pipeline, Marks(loaded=left.package))
        state = {"cursor": "null", "checkpoint": "null", "writer": "elsewhere:0", **left.state}
        values = (state["cursor"], state["checkpoint"], state["writer"], *stream)
        self._database.execute(
            "UPDATE cursor SET cursor = ?, checkpoint = ?, writer = ?"
            " WHERE job = ? AND account_id = ?",
            values,
        )
        self._database.execute(
            "INSERT INTO latest VALUES (1, ?) ON CONFLICT DO UPDATE"
            " SET version = max(version, excluded.version)",
            (state.get("version", 0),),
        )

    def _fault_of(self, record: Record) -> str | None:
        """Refuse a key of another type: dlt would put it into a column of its own, and then fail.

        The type is the declared one, or that of the first record.
        """
        fault = super()._fault_of(record)
        for name in self._key if fault is None else ():
            try:
                kind = self._kinds.setdefault(name, type_of(record[name]) or "text")
                fitted(record[name], kind)
            except (Unfit, UnusableRecord) as error:
                return misfit(name, error)
        return fault

    def _write(self, lines: Sequence[bytes], records: Sequence[Record]) -> None:
        super()._write(lines, records)
        rows = [(name, name, self._kinds[name], 0) for name in self._key if name in self._kinds]
        self._database.executemany("INSERT OR IGNORE INTO columns VALUES (?, ?, ?, ?)", rows)
        state, stream = self._state.read(), self._stream
        if not lines and state == self._noted:
            return
        text = json.dumps(
            {
                "job": stream.name,
                "account": stream.account,
                "account_id": stream.account_id,
                "writer": stream.writer,
                "cursor": json.dumps(state.cursor),
                "checkpoint": json.dumps(state.checkpoint),
            }
        )
        self._ledger.add(self._pipeline, text, is_new=not lines)
        self._noted = state

    def _fresh(self, _records: Sequence[Record], lines: Sequence[bytes]) -> list[bytes]:
        """Load what has not changed too: whether it is still there nobody knows here."""
        return list(lines)

    def _piece(self) -> list[SpooledPage]:
        return self._ledger.piece()

    def _recover(self) -> None:
        """Load to its end what was under way when a process died."""
        for name in self._ledger.pending():
            pipeline = StreamPipeline(self._at, name)
            with self._telling():
                left = pipeline.left()
            if not self._is_moved(pipeline, left):
                is_there = left.package == self._ledger.marks(name).pending
                self._finish(pipeline, is_there=is_there)

    def _deliver(self, pages: Sequence[SpooledPage]) -> None:
        last = pages[-1]
        name, text = self._ledger.step(last.seq)
        pipeline = StreamPipeline(self._at, name)
        pipeline.clear()  # of what a death has left of a package that nothing is noted of
        with self._telling():
            left = pipeline.left()
            if self._is_moved(pipeline, left):
                return
            (version,) = self._database.execute("SELECT max(version) FROM latest").fetchone()
            package = uuid.uuid4().hex
            state = json.loads(text) | {
                "package": package,
                "version": version or 0,
                "made_at": time.time(),
            }
            if left.state.get("made_at", 0) >= state["made_at"]:
                # dlt takes the state whose package was made last
                raise DestinationFailed(
                    f"the clock of this host is behind that of who loaded into {self._at.name} last"
                )
            hints = hints_of(self._key, self._read_hints() | self._kinds)
            load_id = pipeline.prepare(_rows(pages), state, hints, left.schema)
        known = self._ledger.marks(name)
        with self._transaction():
            pending = replace(known, pending=package, load_id=load_id, seq=last.seq)
            self._ledger.mark(name, pending)
        self._finish(pipeline)

    def _is_moved(self, pipeline: StreamPipeline, left: Left) -> bool:
        """Tell whether another host has gone on with a stream; then drop what is here of it."""
        name = pipeline.name
        if not left.is_kept or self._ledger.marks(name).has(left.package):
            return False
        with self._transaction():
            self._follow(name, left, self._ledger.stream(name))
        pipeline.clear()
        self._is_lost = self._is_lost or name == self._pipeline
        return True

    def _finish(self, pipeline: StreamPipeline, *, is_there: bool = False) -> None:
        """Load a package, if it is not; take its pages out of the spool where it is loaded."""
        name = pipeline.name
        known = self._ledger.marks(name)
        load_id = str(known.load_id)
        with self._telling():
            if not is_there and pipeline.has_prepared(load_id):
                try:
                    pipeline.load()
                except BaseException:
                    if not pipeline.has_prepared(load_id):
                        self._forget(name)  # it was given up: its pages are loaded anew
                    raise
            is_loaded = is_there or pipeline.is_loaded(load_id)
        with self._transaction():
            if is_loaded:
                self._ledger.take_out(name, known.seq)
            loaded = known.pending if is_loaded else known.loaded
            self._ledger.mark(name, Marks(loaded=loaded or ""))
        pipeline.clear()

    def _forget(self, name: str) -> None:
        with self._transaction():
            self._ledger.mark(name, Marks(loaded=self._ledger.marks(name).loaded))

    @property
    def _lock(self) -> Path:
        if self._at.name in _ONE_AT_A_TIME:
            return self._folder.parent / f"{self._at.name}.lock"
        return super()._lock

    @contextlib.contextmanager
    def _telling(self, *, is_asking: bool = False) -> Iterator[None]:
        """Turn errors of dlt, and of what it loads into, into `DestinationFailed`."""
        try:
            yield
        except (DestinationFailed, OSError):
            raise
        except Exception as error:
            cause: BaseException = error
            while cause.__cause__ is not None:
                cause = cause.__cause__
            text = " ".join(str(cause).split())[:_LONGEST]
            name, folder = self._at.name, self._folder
            raise DestinationFailed(
                f"dlt could not ask {name} how far this job has come: {text}"
                if is_asking
                else f"dlt could not load into {name}: {text}: what was pulled is kept in {folder},"
                " and the next run loads it"
            ) from error


def _rows(pages: Sequence[SpooledPage]) -> Iterator[list[dict[str, object]]]:
    for page in pages:
        yield [
            record | {VERSION: page.version + index} for index, record in enumerate(page.records())
        ]
