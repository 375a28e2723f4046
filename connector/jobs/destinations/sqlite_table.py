"""A table of a SQLite database that gains a column for each new field."""

import sqlite3
from collections.abc import Iterable, Sequence
from typing import Any, Final

from connector.jobs.destinations.column_types import ColumnType
from connector.jobs.destinations.records import ACCOUNT_FIELD

#: Declared columns have an affinity, so that sums and comparisons are of numbers.
AFFINITIES: Final[dict[ColumnType, str]] = {
    "bool": "INTEGER",
    "bigint": "INTEGER",
    "double": "REAL",
    "numeric": "NUMERIC",
    "date": "TEXT",
    "timestamptz": "TEXT",
    "jsonb": "TEXT",
    "text": "TEXT",
}


class SqliteTable:
    """The table that takes the records.

    Args:
        connection: its transactions are the caller's.
        name: of the table.
        key: the columns of the key, the account first; empty: every row is new.
        types: field → declared type.
    """

    def __init__(
        self,
        connection: sqlite3.Connection,
        name: str,
        key: tuple[str, ...],
        types: dict[str, ColumnType],
    ) -> None:
        self._connection = connection
        self._name = name
        self._key = key
        self._types = {folded(field): kind for field, kind in types.items()}
        self._columns: dict[str, str] = {}
        self._primary: set[str] = set()
        self._version: int | None = None
        self._statements: dict[tuple[str, ...], str] = {}

    def ensure(self, fields: Sequence[str]) -> list[str]:
        """Make the table, or the columns that it lacks; give those that are new.

        Returns:
            "" where the table was made, and else the columns that were.

        Raises:
            sqlite3.Error: they cannot be made, or the table has another key.
        """
        self.read()  # another process may have made the table, or changed it
        if not self._columns:
            self._create(fields)
            return [""]
        added = []
        for field in fields:
            if folded(field) not in self._columns:
                definition = f"{quoted(field)} {self._affinity(field)}".rstrip()
                self._connection.execute(
                    f"ALTER TABLE {quoted(self._name)} ADD COLUMN {definition}"
                )
                self._columns[folded(field)] = field
                added.append(field)
        if added:
            self._statements.clear()
            self._version = None
        return added

    def insert(self, names: tuple[str, ...], rows: Iterable[Sequence[Any]]) -> None:
        """Write rows in their order: of those with one key the last one holds.

        Args:
            names: of the columns, the account's among them.
            rows: their values, as SQLite takes them.
        """
        statement = self._statements.get(names)
        if statement is None:
            statement = self._statements[names] = self._statement(names)
        self._connection.executemany(statement, rows)

    def forget(self) -> None:
        """Read the table anew next time: what was done to it was rolled back."""
        self._version = None
        self._statements.clear()

    def read(self) -> None:
        """Read what the table looks like, where any table of the database has changed.

        Raises:
            sqlite3.IntegrityError: it is there, and cannot take the records: it has another key, or
                lacks a column; the message ends with what to do.
            sqlite3.Error: it cannot be read.
        """
        (version,) = self._connection.execute("PRAGMA schema_version").fetchone()
        if version == self._version:
            return
        self._statements.clear()
        rows = self._connection.execute(f"PRAGMA table_info({quoted(self._name)})").fetchall()
        self._columns = {folded(row[1]): row[1] for row in rows}
        self._primary = {folded(row[1]) for row in rows if row[5]}
        if rows and self._key and {folded(name) for name in self._key} not in self._unique():
            raise sqlite3.IntegrityError(
                f"table {self._name} was made with another key than {', '.join(self._key)}: "
                "move it away, or give the job its old key again"
            )
        if rows and ACCOUNT_FIELD not in self._columns:
            raise sqlite3.IntegrityError(
                f"table {self._name} has no column {ACCOUNT_FIELD}: add it, or name another table"
            )
        self._version = version if rows else None

    def _unique(self) -> list[set[str]]:
        """Give the sets of columns that are unique together: the primary key, and indexes."""
        found = [self._primary]
        indexes = self._connection.execute(f"PRAGMA index_list({quoted(self._name)})")
        for _, index, is_unique, _, is_partial in indexes.fetchall():
            if is_unique and not is_partial:
                rows = self._connection.execute(f"PRAGMA index_info({quoted(index)})")
                found.append({folded(str(row[2])) for row in rows})
        return found

    def _affinity(self, field: str) -> str:
        kind = self._types.get(folded(field))
        return "" if kind is None else AFFINITIES[kind]

    def _create(self, fields: Sequence[str]) -> None:
        self._columns = {folded(field): field for field in reversed(fields)}
        columns = [
            f"{quoted(field)} {self._affinity(field)}".rstrip()
            for field in reversed(self._columns.values())
        ]
        if self._key:
            columns.append(f"PRIMARY KEY ({', '.join(map(quoted, self._key))})")
        self._connection.execute(f"CREATE TABLE {quoted(self._name)} ({', '.join(columns)})")
        self._primary = {folded(name) for name in self._key}

    def _statement(self, names: tuple[str, ...]) -> str:
        """Give an INSERT that replaces a record of the same key, where anything differs.

        What the record does not name becomes what a new row would have there: APIs leave out what
        is empty, and JSON Lines replace whole records too.
        """
        columns = ", ".join(map(quoted, names))
        places = ", ".join("?" * len(names))
        insert = f"INSERT INTO {quoted(self._name)} ({columns}) VALUES ({places})"  # noqa: S608 - quoted
        if not self._key:
            return insert
        conflict = ", ".join(map(quoted, self._key))
        kept = (self._primary - {folded(name) for name in names}) | {
            folded(name) for name in self._key
        }
        others = [quoted(name) for plain, name in self._columns.items() if plain not in kept]
        if not others:
            return f"{insert} ON CONFLICT ({conflict}) DO NOTHING"
        changes = ", ".join(f"{name} = excluded.{name}" for name in others)
        table = quoted(self._name)
        differs = " OR ".join(f"{table}.{name} IS NOT excluded.{name}" for name in others)
        return f"{insert} ON CONFLICT ({conflict}) DO UPDATE SET {changes} WHERE {differs}"


def quoted(name: str) -> str:
    """Quote an identifier (SQL: double quotes, doubled inside)."""
    return '"' + name.replace('"', '""') + '"'


def folded(name: str) -> str:
    """Give what databases compare of a column's name: A to Z without case, other letters as is."""
    if name.isascii():
        return name.lower()
    return "".join(letter.lower() if letter.isascii() else letter for letter in name)
