"""A table of a DuckDB file: its columns, what is made and widened, and how rows get in.

Rows travel as one JSON array that DuckDB takes apart: one statement for a page. Measured with pages
of 100 records, ``executemany`` took thirty times as long.
"""

from collections.abc import Iterable, Mapping, Sequence
from decimal import Decimal
from typing import Final

import duckdb
import orjson

from connector.jobs.destinations.column_types import ColumnType
from connector.jobs.destinations.records import ACCOUNT_FIELD
from connector.jobs.destinations.sqlite_table import folded, quoted
from connector.jobs.destinations.typed_rows import PRECISION, SCALE, number_text

SQL_TYPES: Final[Mapping[ColumnType, str]] = {
    "bool": "BOOLEAN",
    "bigint": "BIGINT",
    "double": "DOUBLE",
    "numeric": f"DECIMAL({PRECISION},{SCALE})",
    "date": "DATE",
    "timestamptz": "TIMESTAMP WITH TIME ZONE",
    "jsonb": "JSON",
    "text": "VARCHAR",
}
_KINDS: Final = {name: kind for kind, name in SQL_TYPES.items()}
_EXACT: Final = 2**53
#: What stands in the array as it is.
_PLAIN: Final = frozenset({type(None), bool, int, str})


class DuckdbTable:
    """The table that takes the records; transactions are the caller's.

    Args:
        name: of the table.
        key: the folded columns of the key, the account first; empty: every row is new.
    """

    def __init__(self, name: str, key: tuple[str, ...]) -> None:
        self.name = name
        self._key = key
        #: Folded name → own spelling, and SQL type.
        self.columns: dict[str, tuple[str, str]] = {}

    def read(self, connection: duckdb.DuckDBPyConnection) -> dict[str, ColumnType | None]:
        """Read what the table looks like; give the types of its columns, None of foreign ones.

        Raises:
            duckdb.Error: it is not one that records go into.
        """
        rows = connection.execute(
            "SELECT column_name, data_type FROM duckdb_columns()"
            " WHERE database_name = current_database() AND schema_name = 'main'"
            " AND lower(table_name) = lower(?) ORDER BY column_index",
            [self.name],
        ).fetchall()
        self.columns = {folded(name): (name, kind) for name, kind in rows}
        if not rows:
            return {}
        if ACCOUNT_FIELD not in self.columns:
            raise duckdb.ProgrammingError(
                f"table {self.name} has no column {ACCOUNT_FIELD}: it is none that records go into;"
                " name another one"
            )
        if self._key and set(self._key) not in self._unique(connection):
            raise duckdb.ProgrammingError(
                f"table {self.name} was made with another key than {', '.join(self._key)}: "
                "move it away, or give the job its old key again"
            )
        return {name: _KINDS.get(kind) for name, (_, kind) in self.columns.items()}

    def inexact(
        self, connection: duckdb.DuckDBPyConnection, names: Iterable[str]
    ) -> frozenset[str]:
        """Give those columns of whole numbers that hold one which no double holds."""
        found = set()
        for name in names:
            own = quoted(self.columns[name][0])
            query = f"SELECT 1 FROM {quoted(self.name)} WHERE {own} NOT BETWEEN ? AND ? LIMIT 1"  # noqa: S608 - quoted
            if connection.execute(query, [-_EXACT, _EXACT]).fetchone():
                found.add(name)
        return frozenset(found)

    def create(
        self,
        connection: duckdb.DuckDBPyConnection,
        names: Mapping[str, str],
        kinds: Mapping[str, ColumnType],
    ) -> None:
        """Make the table.

        Args:
            connection: in a transaction.
            names: folded → own spelling, besides the account's.
            kinds: folded name → type.
        """
        columns = [(ACCOUNT_FIELD, SQL_TYPES["text"])]
        columns += [(names[name], SQL_TYPES[kind]) for name, kind in kinds.items()]
        self._create(connection, columns)

    def add(self, connection: duckdb.DuckDBPyConnection, name: str, kind: ColumnType) -> None:
        """Add a column."""
        definition = f"{quoted(name)} {SQL_TYPES[kind]}"
        connection.execute(f"ALTER TABLE {quoted(self.name)} ADD COLUMN {definition}")

    def widen(self, connection: duckdb.DuckDBPyConnection, name: str, kind: ColumnType) -> None:
        """Give a column a wider type; what is in it is converted."""
        if name in self._key:
            self._widen_key(connection, name, kind)
            return
        own = quoted(self.columns[name][0])
        change = f"ALTER COLUMN {own} SET DATA TYPE {SQL_TYPES[kind]}"
        connection.execute(f"ALTER TABLE {quoted(self.name)} {change}")
        self.columns[name] = (self.columns[name][0], SQL_TYPES[kind])

    def write(
        self,
        connection: duckdb.DuckDBPyConnection,
        account: str,
        names: Sequence[str],
        rows: Sequence[Mapping[str, object]],
    ) -> int:
        """Write rows, of those with one key the last; give the number that were new or different.

        Args:
            connection: in a transaction.
            account: its name.
            names: folded, of the columns that a row may name.
            rows: folded name → value.
        """
        if self._key:
            key = [name for name in self._key if name != ACCOUNT_FIELD]
            rows = list({tuple(row[name] for name in key): row for row in rows}.values())
        letters = {name: f"c{index}" for index, name in enumerate(names)}
        types = {letters[name]: self.columns[name][1] for name in names} or {"c": "JSON"}
        jsons = {name for name in names if self.columns[name][1] == SQL_TYPES["jsonb"]}
        fields = [(letters[name], name, name in jsons) for name in names]
        data = orjson.dumps(
            [
                {
                    letter: value
                    if type(value := row.get(name)) in _PLAIN and not is_json
                    else _json(value, is_json)
                    for letter, name, is_json in fields
                }
                for row in rows
            ]
        )
        structure = orjson.dumps([types]).decode().replace("'", "''")
        targets = [quoted(self.columns[name][0]) for name in (ACCOUNT_FIELD, *names)]
        values = ", ".join(["?", *(f"r.{letters[name]}" for name in names)])
        statement = (
            f"INSERT INTO {quoted(self.name)} AS t ({', '.join(targets)}) SELECT {values}"  # noqa: S608 - quoted
            f" FROM (SELECT unnest(from_json_strict(CAST(? AS JSON), '{structure}')) AS r)"
        )
        done = connection.execute(statement + self._on_conflict(), [account, data.decode()])
        (count,) = done.fetchone() or (0,)
        return int(count)

    def _on_conflict(self) -> str:
        if not self._key:
            return ""
        conflict = ", ".join(quoted(self.columns[name][0]) for name in self._key)
        others = [quoted(own) for name, (own, _) in self.columns.items() if name not in self._key]
        if not others:
            return f" ON CONFLICT ({conflict}) DO NOTHING"
        changes = ", ".join(f"{name} = excluded.{name}" for name in others)
        differs = " OR ".join(f"t.{name} IS DISTINCT FROM excluded.{name}" for name in others)
        return f" ON CONFLICT ({conflict}) DO UPDATE SET {changes} WHERE {differs}"

    def _unique(self, connection: duckdb.DuckDBPyConnection) -> list[set[str]]:
        rows = connection.execute(
            "SELECT constraint_column_names FROM duckdb_constraints()"
            " WHERE database_name = current_database() AND schema_name = 'main'"
            " AND lower(table_name) = lower(?) AND constraint_type IN ('PRIMARY KEY', 'UNIQUE')",
            [self.name],
        ).fetchall()
        return [set(map(folded, names)) for (names,) in rows]

    def _create(
        self, connection: duckdb.DuckDBPyConnection, columns: Sequence[tuple[str, str]]
    ) -> None:
        definitions = [f"{quoted(name)} {kind}" for name, kind in columns]
        if self._key:
            own = {folded(name): name for name, _ in columns}
            definitions.append(f"PRIMARY KEY ({', '.join(quoted(own[n]) for n in self._key)})")
        connection.execute(f"CREATE TABLE {quoted(self.name)} ({', '.join(definitions)})")

    def _widen_key(
        self, connection: duckdb.DuckDBPyConnection, name: str, kind: ColumnType
    ) -> None:
        """Make the table anew: DuckDB alters no column of a key."""
        old = quoted(f"_connector_old_{self.name}")
        connection.execute(f"CREATE TEMP TABLE {old} AS SELECT * FROM {quoted(self.name)}")  # noqa: S608 - quoted
        connection.execute(f"DROP TABLE {quoted(self.name)}")
        self.columns[name] = (self.columns[name][0], SQL_TYPES[kind])
        self._create(connection, list(self.columns.values()))
        connection.execute(f"INSERT INTO {quoted(self.name)} SELECT * FROM temp.{old}")  # noqa: S608 - quoted
        connection.execute(f"DROP TABLE temp.{old}")


def _json(value: object, is_json: bool) -> object:  # noqa: FBT001 - of one caller
    """Give a value as it stands in the array."""
    if is_json and isinstance(value, str):
        return orjson.Fragment(value)
    if isinstance(value, float):
        return number_text(value)
    return str(value) if isinstance(value, Decimal) else value
