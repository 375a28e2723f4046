"""Records into a table of a SQLite database.

The table is made from the first records and gains a column for each new field; values keep the type
that they came with, nested ones are JSON, and only what is declared is checked. A record replaces
the one of the same key whole. State, rejected records and what was changed of the table stand in
tables beside, written in the same transaction. A power cut may take the commits of the last second
back, whole, and they are pulled again (`wal.PacedCommits`).
"""

import sqlite3
from collections.abc import Sequence
from itertools import groupby
from operator import itemgetter
from pathlib import Path
from typing import Final

from connector.jobs.destinations import schema_changes
from connector.jobs.destinations.declared import DeclaredColumns, misfit
from connector.jobs.destinations.destination import Committed, Record
from connector.jobs.destinations.failing import check_place, failing
from connector.jobs.destinations.records import (
    ACCOUNT_FIELD,
    Stored,
    UnusableRecord,
    storable_text,
    stored_value,
)
from connector.jobs.destinations.rejecting import (
    COLUMNS,
    SUFFIX,
    Rejected,
    check_allowed,
    reject,
    rejected_rows,
)
from connector.jobs.destinations.schema_changes import SchemaChange
from connector.jobs.destinations.shapes import Shape, Shapes
from connector.jobs.destinations.sqlite_table import AFFINITIES, SqliteTable, folded, quoted
from connector.jobs.destinations.state_table import StateTable
from connector.jobs.destinations.stream import State
from connector.jobs.destinations.target import Target
from connector.jobs.destinations.wal import PacedCommits, open_wal

_STATE_TABLE: Final = "_connector_cursor"
#: What SQLite takes as it is; of whole numbers and texts most.
_PLAIN: Final = frozenset({type(None), bool, int, float, str, bytes})

_Rows = list[tuple[Shape, Sequence[object]]]


class SqliteDestination:
    """See `destination.Destination`.

    Args:
        path: of the database file.
        target: what for.

    Raises:
        DestinationFailed, Overtaken: see `destination.open_destination`.
    """

    def __init__(self, path: str, target: Target) -> None:
        self._path = Path(path)
        self._name = target.table
        self._stream = target.stream
        self._declared = DeclaredColumns(target.columns)
        self._shapes = Shapes(storable_text, folded)
        self._pages = 0
        self.rejected_to = f"{target.table}{SUFFIX}"
        with failing(sqlite3.Error, path):
            self._path.parent.mkdir(parents=True, exist_ok=True)
            self._connection = open_wal(path)
            try:
                self._opened = self._path.stat()
                self._state = StateTable(
                    self._connection, _STATE_TABLE, target.stream, records=target.table
                )
                self._connection.execute("BEGIN IMMEDIATE")
                self._state.begin()
                self._connection.execute("COMMIT")
            except BaseException:
                self._connection.close()
                raise
        self._commits = PacedCommits(self._connection)
        merge_key = (ACCOUNT_FIELD, *target.key) if target.key else ()
        self._table = SqliteTable(self._connection, target.table, merge_key, self._declared.types)

    def state(self) -> State:
        """Give the state that was committed last."""
        with failing(sqlite3.Error, str(self._path)):
            return self._state.read()

    def commit(
        self,
        records: Sequence[Record],
        state: State | None = None,
        *,
        rejected: Sequence[Rejected] = (),
        allowed: int | None = None,
    ) -> Committed:
        """Write records and state in one transaction; see `destination.Destination.commit`."""
        self._pages += bool(records)
        try:
            return self._commit(records, state, rejected, allowed, is_careful=False)
        except (UnicodeEncodeError, OverflowError):  # of a text or a number that SQLite refuses
            return self._commit(records, state, rejected, allowed, is_careful=True)

    def close(self) -> None:
        """Have what was committed reach the disk, and close the database; see `Destination`."""
        is_owed, self._commits.is_owed = self._commits.is_owed, False
        try:
            if is_owed:
                with failing(sqlite3.Error, str(self._path)):
                    self._commits.begin(is_durable=True)
                    self._state.touch()
                    self._commits.commit()
        finally:
            self._connection.close()

    def _commit(
        self,
        records: Sequence[Record],
        state: State | None,
        rejected: Sequence[Rejected],
        allowed: int | None,
        *,
        is_careful: bool,
    ) -> Committed:
        rows, refused = self._rows(records, is_careful=is_careful)
        aside = [*rejected, *refused]
        too_many = check_allowed(aside, allowed)
        changes: list[SchemaChange] = []
        changed = 0
        with failing(sqlite3.Error, str(self._path)):
            check_place(self._path, self._opened)
            self._commits.begin()
            try:
                self._state.write(None if too_many else state)
                if rows and not too_many:
                    changes = self._ensure(rows)
                    before = self._connection.total_changes
                    self._write(rows)
                    changed = self._connection.total_changes - before
                if aside:
                    self._set_aside(aside)
                self._commits.commit()
            except BaseException:
                if self._connection.in_transaction:
                    self._connection.execute("ROLLBACK")
                self._table.forget()
                raise
        if too_many:
            raise too_many
        return Committed(
            written=len(rows),
            changed=changed,
            rejected=len(aside),
            reason=aside[0].reason if aside else None,
            schema=tuple(change.sentence() for change in changes),
        )

    def _rows(self, records: Sequence[Record], *, is_careful: bool) -> tuple[_Rows, list[Rejected]]:
        """Give records as rows, and those that cannot be."""
        account = storable_text(self._stream.account)
        rows: _Rows = []
        refused: list[Rejected] = []
        plain = frozenset[type]() if is_careful else _PLAIN
        for record in records:
            try:
                shape = self._shapes.of(record)
                values = list((self._declared.fit(record) if self._declared else record).values())
                if not plain.issuperset(map(type, values)):
                    values = [
                        value if type(value) in plain else self._stored(shape.fields[index], value)
                        for index, value in enumerate(values)
                    ]
            except UnusableRecord as error:
                refused.append(reject(record, str(error)))
            else:
                rows.append((shape, (account, *shape.take(values))))
        return rows, refused

    def _stored(self, name: str, value: object) -> Stored:
        try:
            return stored_value(value)
        except UnusableRecord as error:
            raise UnusableRecord(misfit(name, UnusableRecord(f"has no form: {error}"))) from None

    def _write(self, rows: _Rows) -> None:
        for columns, alike in groupby(rows, key=lambda row: row[0].columns):
            self._table.insert(columns, map(itemgetter(1), alike))

    def _ensure(self, rows: _Rows) -> list[SchemaChange]:
        """Make what the table lacks, and note it."""
        shapes = {id(shape): shape for shape, _ in rows}.values()
        fields = dict.fromkeys(
            name for shape in shapes for name in (ACCOUNT_FIELD, *map(storable_text, shape.fields))
        )
        added = self._table.ensure(list(fields))
        changes = [self._change(name, rows, len(fields)) for name in added]
        if changes:
            columns = ", ".join((*schema_changes.COLUMNS, "job", "run_id"))
            self._connection.execute(
                f"CREATE TABLE IF NOT EXISTS {schema_changes.TABLE} (changed_at TEXT NOT NULL"
                f" DEFAULT CURRENT_TIMESTAMP, {columns})"
            )
            self._connection.executemany(
                f"INSERT INTO {schema_changes.TABLE} ({columns})"  # noqa: S608 - ours
                " VALUES (?, ?, ?, ?, ?, ?, ?)",
                [(*change.values(), self._stream.job, self._stream.run_id) for change in changes],
            )
        return changes

    def _change(self, column: str, rows: _Rows, count: int) -> SchemaChange:
        because = f"page {self._pages}"
        after = f"{count} columns"
        if column:
            kind = self._declared.types.get(column)
            after = "" if kind is None else AFFINITIES[kind]
            number, value = next(
                (number, row[shape.columns.index(column)])
                for number, (shape, row) in enumerate(rows, 1)
                if column in shape.columns
            )
            because = schema_changes.because_of(value, number, self._pages)
        return SchemaChange(
            table=self._name, column=column, before="", after=after, because=because
        )

    def _set_aside(self, rejected: Sequence[Rejected]) -> None:
        table = quoted(self.rejected_to)
        columns = ", ".join(f"{name} TEXT NOT NULL" for name in COLUMNS[1:])
        self._connection.execute(
            f"CREATE TABLE IF NOT EXISTS {table} ({COLUMNS[0]} TEXT PRIMARY KEY, {columns})"
        )
        places = ", ".join("?" * len(COLUMNS))
        self._connection.executemany(
            f"INSERT INTO {table} ({', '.join(COLUMNS)}) VALUES ({places})"  # noqa: S608 - quoted
            f" ON CONFLICT ({COLUMNS[0]}) DO NOTHING",
            [row.values() for row in rejected_rows(rejected, self._stream)],
        )
