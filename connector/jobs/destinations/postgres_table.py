"""A table of a Postgres database: its columns, what is made and widened, and how rows get in.

Rows travel as one JSON array that the server takes apart (``json_to_recordset``): one statement and
one answer for a page, with the last of each key. Measured with pages of 100 records, COPY into a
temporary table and an INSERT from there took twice as long.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Final, cast

import psycopg

from connector.jobs.destinations.column_types import ColumnType
from connector.jobs.destinations.postgres_link import Connection
from connector.jobs.destinations.records import ACCOUNT_FIELD
from connector.jobs.destinations.sqlite_table import folded, quoted

_TYPES: Final[Mapping[str, ColumnType]] = {
    "boolean": "bool",
    "bigint": "bigint",
    "double precision": "double",
    "numeric": "numeric",
    "date": "date",
    "timestamp with time zone": "timestamptz",
    "jsonb": "jsonb",
    "text": "text",
}
SQL_TYPES: Final[Mapping[ColumnType, str]] = {kind: name for name, kind in _TYPES.items()}
_COLUMNS: Final = """
SELECT attname, format_type(atttypid, atttypmod), attgenerated <> ''
FROM pg_attribute WHERE attrelid = to_regclass(%s) AND attnum > 0 AND NOT attisdropped
ORDER BY attnum
"""
_UNIQUE: Final = """
SELECT i.indisprimary, array_agg(a.attname::text)
FROM pg_index i JOIN pg_attribute a ON a.attrelid = i.indrelid AND a.attnum = ANY (i.indkey)
WHERE i.indrelid = to_regclass(%s) AND i.indisunique AND i.indimmediate
    AND i.indpred IS NULL AND i.indexprs IS NULL
GROUP BY i.indexrelid, i.indisprimary
"""
#: Of a row in its array; no column is named in capitals, see `postgres_names`.
_NUMBER: Final = '"N"'
#: Statements that are remembered; records whose names are data would fill the memory.
_MOST: Final = 200


@dataclass(frozen=True, slots=True, kw_only=True)
class Column:
    """A column as it is in the database.

    Attributes:
        name: its own spelling.
        sql_type: as Postgres writes it.
        kind: where it is one of ours; None: it is never altered, and takes what it can read.
        is_generated: nothing is written into it.
    """

    name: str
    sql_type: str
    kind: ColumnType | None
    is_generated: bool = False


class PostgresTable:
    """The table that takes the records.

    Args:
        name: of the table.
        key: the columns of the key, the account first; empty: every row is new.
    """

    def __init__(self, name: str, key: tuple[str, ...]) -> None:
        self.name = name
        self._key = key
        self.columns: dict[str, Column] = {}
        self._primary: set[str] = set()
        self._statements: dict[tuple[str, ...], str] = {}

    def read(self, connection: Connection) -> None:
        """Read what the table looks like; none is there: no columns.

        Raises:
            psycopg.Error: it cannot be read, or is not one that records go into.
        """
        self._statements.clear()
        rows = connection.execute(_COLUMNS, (quoted(self.name),)).fetchall()
        self.columns, self._primary = {}, set()
        for name, sql_type, is_generated in cast("list[tuple[str, str, bool]]", rows):
            column = Column(
                name=name, sql_type=sql_type, kind=_TYPES.get(sql_type), is_generated=is_generated
            )
            if folded(name) not in self.columns or name == folded(name):
                self.columns[folded(name)] = column
        if not rows:
            return
        if ACCOUNT_FIELD not in self.columns:
            raise psycopg.ProgrammingError(
                f"table {self.name} has no column {ACCOUNT_FIELD}: it is none that records go into;"
                " name another one"
            )
        unique = connection.execute(_UNIQUE, (quoted(self.name),)).fetchall()
        found = []
        for is_primary, names in cast("list[tuple[bool, list[str]]]", unique):
            found.append({folded(name) for name in names})
            if is_primary:
                self._primary = found[-1]
        if self._key and set(self._key) not in found:
            raise psycopg.ProgrammingError(
                f"table {self.name} was made with another key than {', '.join(self._key)}: "
                "move it away, or give the job its old key again"
            )

    def create(self, connection: Connection, kinds: Mapping[str, ColumnType]) -> None:
        """Make the table.

        Args:
            connection: in a transaction.
            kinds: column → type, besides the account's.
        """
        columns = [f"{quoted(ACCOUNT_FIELD)} text NOT NULL"]
        columns += [f"{quoted(name)} {SQL_TYPES[kind]}" for name, kind in kinds.items()]
        if self._key:
            columns.append(f"PRIMARY KEY ({', '.join(map(quoted, self._key))})")
        _execute(connection, f"CREATE TABLE {quoted(self.name)} ({', '.join(columns)})")

    def add(self, connection: Connection, name: str, kind: ColumnType) -> None:
        """Add a column."""
        definition = f"{quoted(name)} {SQL_TYPES[kind]}"
        _execute(connection, f"ALTER TABLE {quoted(self.name)} ADD COLUMN {definition}")

    def widen(self, connection: Connection, name: str, kind: ColumnType) -> None:
        """Give a column a wider type; what is in it is converted."""
        own, sql_type = quoted(self.columns[name].name), SQL_TYPES[kind]
        change = f"ALTER COLUMN {own} TYPE {sql_type} USING {own}::{sql_type}"
        _execute(connection, f"ALTER TABLE {quoted(self.name)} {change}")

    def insert(self, names: Iterable[str], source: str = "") -> str:
        """Give the statement that writes a JSON array; its parameters are the account and the text.

        What no record of the page names becomes what a new row would have there.

        Args:
            names: the columns that occur in the array.
            source: a further item of FROM, which has one row, or none and nothing is written.
        """
        columns = tuple(sorted(name for name in names if not self.columns[name].is_generated))
        cached = (source, *columns)
        statement = self._statements.get(cached)
        if statement is None:
            if len(self._statements) >= _MOST:
                self._statements.clear()
            statement = self._statements[cached] = self._insert(columns, source)
        return statement

    def _insert(self, names: tuple[str, ...], source: str) -> str:
        own = [self.columns[name] for name in (ACCOUNT_FIELD, *names)]
        targets = ", ".join(_escaped(column.name) for column in own)
        target = f"INSERT INTO {_escaped(self.name)} AS t ({targets})"
        parsed = [f"{_escaped(name)} {self.columns[name].sql_type}" for name in names]
        definitions = ", ".join(parsed) or '"E" text'
        function = f"json_to_recordset(%s::json) AS ({definitions})"
        aliases = ", ".join([*map(_escaped, names), *([] if names else ['"E"']), _NUMBER])
        rows = f"{source}ROWS FROM ({function}) WITH ORDINALITY AS r({aliases})"
        fields = ", ".join(["%s", *(f"r.{_escaped(name)}" for name in names)])
        if not self._key:
            return f"{target} SELECT {fields} FROM {rows} ORDER BY r.{_NUMBER} RETURNING 1"  # noqa: S608
        key = ", ".join(f"r.{_escaped(name)}" for name in self._key if name != ACCOUNT_FIELD)
        last = f"SELECT DISTINCT ON ({key}) {fields} FROM {rows} ORDER BY {key}, r.{_NUMBER} DESC"  # noqa: S608
        return f"{target} {last} {self._on_conflict(names)} RETURNING 1"

    def _on_conflict(self, names: tuple[str, ...]) -> str:
        conflict = ", ".join(_escaped(self.columns[name].name) for name in self._key)
        kept = {*self._key, *(self._primary - {*names})}
        others = [
            column
            for name, column in self.columns.items()
            if name not in kept and not column.is_generated
        ]
        if not others:
            return f"ON CONFLICT ({conflict}) DO NOTHING"
        spelled = [_escaped(column.name) for column in others]
        changes = ", ".join(f"{name} = excluded.{name}" for name in spelled)
        old = ", ".join(_comparable("t", one) for one in others)
        new = ", ".join(_comparable("excluded", one) for one in others)
        differs = f"ROW({old}) IS DISTINCT FROM ROW({new})"
        return f"ON CONFLICT ({conflict}) DO UPDATE SET {changes} WHERE {differs}"


def _comparable(row: str, column: Column) -> str:
    """Give a column as it can be compared: json has no equality."""
    name = f"{row}.{_escaped(column.name)}"
    return f"{name}::text" if column.sql_type in {"json", "xml", "point"} else name


def _escaped(name: str) -> str:
    """Quote an identifier in a statement that has parameters."""
    return quoted(name).replace("%", "%%")


def _execute(connection: Connection, statement: str) -> None:
    connection.execute(statement.encode())
