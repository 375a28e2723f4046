"""Records into a table of a DuckDB file.

State, rejected records and what was changed of the table stand in tables beside, written in the
same transaction. The file is held by one writer at a time, see `duckdb_hold`; that is why nothing
that was read from it is trusted longer than it is held.
"""

import json
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Final

import duckdb

from connector.jobs.destinations import schema_changes
from connector.jobs.destinations.column_types import ColumnType
from connector.jobs.destinations.declared import DeclaredColumns
from connector.jobs.destinations.destination import Committed, Record
from connector.jobs.destinations.duckdb_hold import DuckdbHold
from connector.jobs.destinations.duckdb_table import DuckdbTable
from connector.jobs.destinations.failing import failing
from connector.jobs.destinations.records import ACCOUNT_FIELD, storable_text
from connector.jobs.destinations.rejecting import (
    COLUMNS,
    SUFFIX,
    Rejected,
    check_allowed,
    rejected_rows,
)
from connector.jobs.destinations.schema_changes import SchemaChange
from connector.jobs.destinations.sqlite_table import folded, quoted
from connector.jobs.destinations.stream import Overtaken, State
from connector.jobs.destinations.target import Target
from connector.jobs.destinations.typed_rows import Page, TypedRows

_STATE: Final = "_connector_cursor"


class DuckdbDestination:
    """See `destination.Destination`.

    Args:
        path: of the file.
        target: what for.

    Raises:
        DestinationFailed, Overtaken: see `destination.open_destination`.
    """

    def __init__(self, path: str, target: Target) -> None:
        self._path = path
        self._stream = target.stream
        self._job = target.stream.name_in(target.table)
        self._account = storable_text(target.stream.account)
        self._rows = TypedRows(DeclaredColumns(target.columns))
        merge_key = (
            (ACCOUNT_FIELD, *(folded(storable_text(name)) for name in target.key))
            if target.key
            else ()
        )
        self._table = DuckdbTable(target.table, merge_key)
        self.rejected_to = f"{target.table}{SUFFIX}"
        #: In which turn it was seen that we write, and what the table looks like.
        self._is_ours_in = 0
        self._read_in = 0
        self._columns: dict[str, ColumnType | None] = {}
        with failing(duckdb.Error, path):
            Path(path).parent.mkdir(parents=True, exist_ok=True)
            self._hold = DuckdbHold(Path(path))
        try:
            with self._transaction() as connection:
                self._begin(connection)
        except BaseException:
            self._hold.close()
            raise

    def state(self) -> State:
        """Give the state that was committed last."""
        with self._transaction() as connection:
            row = self._read(connection)
        return State(cursor=json.loads(row[0]), checkpoint=json.loads(row[1]))

    def commit(
        self,
        records: Sequence[Record],
        state: State | None = None,
        *,
        rejected: Sequence[Rejected] = (),
        allowed: int | None = None,
    ) -> Committed:
        """Write records and state in one transaction; see `destination.Destination.commit`."""
        with self._transaction() as connection:
            self._check_writer(connection)
            page = self._page(connection, records)
            aside = [*rejected, *page.refused]
            too_many = check_allowed(aside, allowed)
            self._set_aside(connection, aside)
            changes: list[SchemaChange] = []
            changed = 0
            if not too_many:
                changes = self._alter(connection, page)
                if page.rows:
                    names = [name for name in page.names if name in self._table.columns]
                    changed = self._table.write(connection, self._account, names, page.rows)
                if state is not None:
                    self._write(connection, state)
        if too_many:
            raise too_many
        return Committed(
            written=len(page.rows),
            changed=changed,
            rejected=len(aside),
            reason=aside[0].reason if aside else None,
            schema=tuple(change.sentence() for change in changes),
        )

    def close(self) -> None:
        """Close the file."""
        self._hold.close()

    @contextmanager
    def _transaction(self) -> Iterator[duckdb.DuckDBPyConnection]:
        with failing(duckdb.Error, self._path), self._hold.transaction() as connection:
            yield connection

    def _page(self, connection: duckdb.DuckDBPyConnection, records: Sequence[Record]) -> Page:
        if not records:
            return Page()
        if self._read_in != self._hold.turn:
            self._read_table(connection)
        columns = self._columns
        page = self._rows.read(records, columns)
        doubles = [n for n, kind in page.kinds.items() if kind == "double" and n in columns]
        inexact = self._table.inexact(connection, doubles)
        return self._rows.read(records, columns, inexact) if inexact else page

    def _alter(self, connection: duckdb.DuckDBPyConnection, page: Page) -> list[SchemaChange]:
        """Make and widen what a page needs, and note it."""
        name = self._table.name
        if not self._table.columns and page.rows:
            self._table.create(connection, page.names, page.kinds)
            after = f"{len(page.kinds) + 1} columns"
            changes = [SchemaChange(table=name, column="", before="", after=after, because="")]
        else:
            changes = [self._change(connection, page, column) for column in page.kinds]
        if changes:
            self._keep(connection, changes)
            self._read_table(connection)
        return changes

    def _read_table(self, connection: duckdb.DuckDBPyConnection) -> None:
        """Read what the table looks like; a transaction that fails ends the turn."""
        self._columns = self._table.read(connection)
        self._read_in = self._hold.turn

    def _change(
        self, connection: duckdb.DuckDBPyConnection, page: Page, column: str
    ) -> SchemaChange:
        kind = page.kinds[column]
        before = self._table.columns.get(column)
        if before is None:
            self._table.add(connection, page.names[column], kind)
        else:
            self._table.widen(connection, column, kind)
        return SchemaChange(
            table=self._table.name,
            column=page.names[column],
            before="" if before is None else before[1],
            after=kind,
            because=page.because[column],
        )

    def _keep(self, connection: duckdb.DuckDBPyConnection, changes: Sequence[SchemaChange]) -> None:
        names = (*schema_changes.COLUMNS, "job", "run_id")
        columns = ", ".join(f"{name} VARCHAR NOT NULL" for name in names)
        table = schema_changes.TABLE
        connection.execute(
            f"CREATE TABLE IF NOT EXISTS {table} (changed_at TIMESTAMPTZ NOT NULL DEFAULT now(),"
            f" {columns})"
        )
        connection.executemany(
            f"INSERT INTO {table} ({', '.join(names)}) VALUES (?, ?, ?, ?, ?, ?, ?)",  # noqa: S608 - ours
            [[*change.values(), self._stream.job, self._stream.run_id] for change in changes],
        )

    def _set_aside(
        self, connection: duckdb.DuckDBPyConnection, rejected: Sequence[Rejected]
    ) -> None:
        if not rejected:
            return
        table = quoted(self.rejected_to)
        columns = ", ".join(f"{name} VARCHAR NOT NULL" for name in COLUMNS[1:])
        connection.execute(
            f"CREATE TABLE IF NOT EXISTS {table} ({COLUMNS[0]} VARCHAR PRIMARY KEY, {columns})"
        )
        places = ", ".join("?" * len(COLUMNS))
        connection.executemany(
            f"INSERT INTO {table} ({', '.join(COLUMNS)}) VALUES ({places}) ON CONFLICT DO NOTHING",  # noqa: S608 - quoted
            [list(row.values()) for row in rejected_rows(rejected, self._stream)],
        )

    def _begin(self, connection: duckdb.DuckDBPyConnection) -> None:
        """Become the one who writes.

        Raises:
            Overtaken: a later attempt of this run has begun.
        """
        connection.execute(
            f"CREATE TABLE IF NOT EXISTS {_STATE} (job VARCHAR, account_id VARCHAR,"
            " account VARCHAR, cursor VARCHAR, checkpoint VARCHAR, writer VARCHAR,"
            " committed_at TIMESTAMPTZ)"
        )
        present = self._find(connection)
        if present is None:  # there may be one of when a job had one state, whatever its table
            connection.execute(
                f"UPDATE {_STATE} SET job = ? WHERE job = ? AND account_id = ?",  # noqa: S608 - ours
                [self._job, self._stream.name, self._stream.account_id],
            )
            present = self._find(connection)
        if present is None:
            connection.execute(
                f"INSERT INTO {_STATE} VALUES (?, ?, ?, 'null', 'null', ?, now())",  # noqa: S608 - ours
                [*self._key(), self._stream.account, self._stream.writer],
            )
            return
        self._stream.check_writer(present[2])
        if present[2] != self._stream.writer:
            self._update(connection, "writer = ?", self._stream.writer)

    def _write(self, connection: duckdb.DuckDBPyConnection, state: State) -> None:
        change = "cursor = ?, checkpoint = ?, account = ?, committed_at = now()"
        values = (json.dumps(state.cursor), json.dumps(state.checkpoint), self._stream.account)
        self._update(connection, change, *values)

    def _check_writer(self, connection: duckdb.DuckDBPyConnection) -> None:
        if self._is_ours_in == self._hold.turn:
            return
        if self._read(connection)[2] != self._stream.writer:
            raise Overtaken("another run of this job writes for this account now")
        self._is_ours_in = self._hold.turn

    def _read(self, connection: duckdb.DuckDBPyConnection) -> tuple[str, str, str]:
        found = self._find(connection)
        if found is None:
            raise OSError(
                f"{self._path} was moved or removed while it was written to: put it back,"
                " or the next run begins anew with what stands there"
            )
        return found

    def _find(self, connection: duckdb.DuckDBPyConnection) -> tuple[str, str, str] | None:
        query = f"SELECT cursor, checkpoint, writer FROM {_STATE} WHERE job = ? AND account_id = ?"  # noqa: S608 - ours
        row = connection.execute(query, list(self._key())).fetchone()
        return None if row is None else (row[0], row[1], row[2])

    def _update(self, connection: duckdb.DuckDBPyConnection, change: str, *values: object) -> None:
        statement = f"UPDATE {_STATE} SET {change} WHERE job = ? AND account_id = ?"  # noqa: S608 - ours
        connection.execute(statement, [*values, *self._key()])

    def _key(self) -> tuple[str, str]:
        return self._job, self._stream.account_id
