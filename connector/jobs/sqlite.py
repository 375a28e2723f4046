"""Records into a table of a SQLite database.

The table is made from the first records and gains a column for each new field; values keep the type
that they came with, nested ones are JSON. A record replaces the one of the same key whole. The
cursor stands in a table beside, written in the same transaction.
"""

import sqlite3
from collections.abc import Mapping, Sequence
from itertools import groupby
from pathlib import Path
from typing import Final

from connector.jobs.cursor import UNMOVED, CursorTable
from connector.jobs.records import (
    ACCOUNT_FIELD,
    Stored,
    UnusableRecord,
    storable_text,
    stored_value,
)
from connector.jobs.wal import open_wal

#: Beside the records, in the same file.
_CURSOR_TABLE: Final = "_connector_cursor"


class SqliteDestination:
    """See `destination.Destination`.

    Args:
        path: of the database file.
        table: that takes the records.
        key: the fields that identify a record, besides the account.
        job: the job's name.
        account: the account's name.
        account_id: the account's identifier.
    """

    def __init__(
        self,
        path: str,
        *,
        table: str,
        key: tuple[str, ...],
        job: str,
        account: str,
        account_id: str,
    ) -> None:
        Path(path).parent.mkdir(parents=True, exist_ok=True)
        self._table = table
        self._key = (ACCOUNT_FIELD, *key) if key else ()
        self._account = account
        self._connection = open_wal(path)
        self._cursor = CursorTable(
            self._connection, _CURSOR_TABLE, job=job, account=account, account_id=account_id
        )
        try:
            self._connection.execute("BEGIN IMMEDIATE")
            self._cursor.prepare()
            self._connection.execute("COMMIT")
        except BaseException:
            self._connection.close()
            raise
        self._columns: dict[str, str] = {}
        self._primary: set[str] = set()

    def cursor(self) -> object:
        """Give the cursor that was committed last; None where there was none."""
        return self._cursor.read()

    def commit(self, records: Sequence[Mapping[str, object]], cursor: object = UNMOVED) -> None:
        """Write records and cursor in one transaction; see `destination.Destination.commit`."""
        rows = [self._row(record) for record in records]
        self._connection.execute("BEGIN IMMEDIATE")
        try:
            if rows:
                self._write(rows)
            self._cursor.write(cursor)
        except BaseException:
            self._connection.execute("ROLLBACK")
            raise
        self._connection.execute("COMMIT")

    def close(self) -> None:
        """Close the database."""
        self._connection.close()

    def _row(self, record: Mapping[str, object]) -> dict[str, Stored]:
        row: dict[str, Stored] = {ACCOUNT_FIELD: self._account}
        for name, value in record.items():
            try:
                row[storable_text(name)] = stored_value(value)
            except UnusableRecord as error:
                raise UnusableRecord(f"field {name}: {error}") from None
        return row

    def _write(self, rows: list[dict[str, Stored]]) -> None:
        """Write rows in their order: of those with one key the last one holds."""
        self._ensure_columns(list(dict.fromkeys(name for row in rows for name in row)))
        orders = {names: tuple(sorted(names)) for names in {tuple(row) for row in rows}}
        statements = {names: self._statement(names) for names in set(orders.values())}
        for names, alike in groupby(rows, lambda row: orders[tuple(row)]):
            values = [[row[name] for name in names] for row in alike]
            self._connection.executemany(statements[names], values)

    def _ensure_columns(self, fields: list[str]) -> None:
        self._read_columns()  # another process may have made the table, or added some
        if not self._columns:
            self._create(fields)
        for field in fields:
            if _folded(field) not in self._columns:
                self._connection.execute(
                    f"ALTER TABLE {_quoted(self._table)} ADD COLUMN {_quoted(field)}"
                )
                self._columns[_folded(field)] = field

    def _read_columns(self) -> None:
        rows = self._connection.execute(f"PRAGMA table_info({_quoted(self._table)})").fetchall()
        self._columns = {_folded(row[1]): row[1] for row in rows}
        self._primary = {_folded(row[1]) for row in rows if row[5]}
        if rows and self._key and {_folded(name) for name in self._key} not in self._unique():
            raise sqlite3.IntegrityError(
                f"table {self._table} was made with another key than {', '.join(self._key)}: "
                "move it away, or give the job its old key again"
            )

    def _unique(self) -> list[set[str]]:
        """Give the sets of columns that are unique together: the primary key, and indexes."""
        found = [self._primary]
        indexes = self._connection.execute(f"PRAGMA index_list({_quoted(self._table)})")
        for _, index, is_unique, _, is_partial in indexes.fetchall():
            if is_unique and not is_partial:
                rows = self._connection.execute(f"PRAGMA index_info({_quoted(index)})")
                found.append({_folded(str(row[2])) for row in rows})
        return found

    def _create(self, fields: list[str]) -> None:
        self._columns = {_folded(field): field for field in reversed(fields)}
        columns = [_quoted(field) for field in reversed(self._columns.values())]
        if self._key:
            columns.append(f"PRIMARY KEY ({', '.join(map(_quoted, self._key))})")
        self._connection.execute(f"CREATE TABLE {_quoted(self._table)} ({', '.join(columns)})")

    def _statement(self, names: tuple[str, ...]) -> str:
        """Give an INSERT that replaces a record of the same key, where anything differs.

        What the record does not name becomes what a new row would have there: APIs leave out what
        is empty, and JSON Lines replace whole records too.
        """
        columns = ", ".join(map(_quoted, names))
        places = ", ".join("?" * len(names))
        insert = f"INSERT INTO {_quoted(self._table)} ({columns}) VALUES ({places})"  # noqa: S608 - quoted
        if not self._key:
            return insert
        conflict = ", ".join(map(_quoted, self._key))
        kept = (self._primary - {_folded(name) for name in names}) | {
            _folded(name) for name in self._key
        }
        others = [_quoted(name) for folded, name in self._columns.items() if folded not in kept]
        if not others:
            return f"{insert} ON CONFLICT ({conflict}) DO NOTHING"
        changes = ", ".join(f"{name} = excluded.{name}" for name in others)
        table = _quoted(self._table)
        differs = " OR ".join(f"{table}.{name} IS NOT excluded.{name}" for name in others)
        return f"{insert} ON CONFLICT ({conflict}) DO UPDATE SET {changes} WHERE {differs}"


def _quoted(name: str) -> str:
    """Quote an identifier (SQLite: double quotes, doubled inside)."""
    return '"' + name.replace('"', '""') + '"'


def _folded(name: str) -> str:
    """Give what SQLite compares of a column's name: A to Z without case, other letters as is."""
    return "".join(letter.lower() if letter.isascii() else letter for letter in name)
