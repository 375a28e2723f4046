"""Where pulls write to: emptied before each round, and read after it.

A round whose records are not all there, once each, is no measurement.
"""

import shutil
import sqlite3
from collections.abc import Iterable
from contextlib import closing
from pathlib import Path
from typing import Protocol

import orjson
from sqlalchemy.engine import URL

from tests.postgres import connect


class Output(Protocol):
    """Takes records."""

    def clear(self) -> None:
        """Make it as if nothing had been written."""
        ...

    def count(self) -> tuple[int, int]:
        """Give how many records are there, and how many different ones."""
        ...


class Folder:
    """A folder of a round's own.

    Args:
        path: of it.
    """

    def __init__(self, path: Path) -> None:
        self.path = path

    def clear(self) -> None:
        shutil.rmtree(self.path, ignore_errors=True)
        self.path.mkdir(parents=True)


class Files(Folder):
    """Files of one kind in a folder.

    Args:
        path: of the folder.
        pattern: of the files' names.
    """

    def __init__(self, path: Path, pattern: str) -> None:
        super().__init__(path)
        self._pattern = pattern


class JsonLines(Files):
    """Files of JSON Lines in a folder."""

    def count(self) -> tuple[int, int]:
        return _counted(self._ids())

    def _ids(self) -> Iterable[object]:
        for path in self.path.glob(self._pattern):
            with path.open("rb") as file:
                for line in file:
                    record = orjson.loads(line)
                    yield record.get("_account"), record["id"]


class Messages(Folder):
    """Messages that a tap or a source printed.

    Args:
        path: of the folder, where nothing else is.
        printed: what it printed.
        field: under which a record's message has its fields, within ``record``.
    """

    def __init__(self, path: Path, printed: Path, field: str | None = None) -> None:
        super().__init__(path)
        self._printed = printed
        self._field = field

    def count(self) -> tuple[int, int]:
        return _counted(self._ids())

    def _ids(self) -> Iterable[object]:
        with self._printed.open("rb") as file:
            for line in file:
                message = orjson.loads(line)
                if message["type"] == "RECORD":
                    record = message["record"]
                    yield (record[self._field] if self._field else record)["id"]


class Sqlite(Folder):
    """A SQLite database in a folder.

    Args:
        path: of the folder.
        name: of the file.
        columns: that identify a record.
    """

    def __init__(self, path: Path, name: str, columns: str = "id") -> None:
        super().__init__(path)
        self._name = name
        self._columns = columns

    def count(self) -> tuple[int, int]:
        with closing(sqlite3.connect(self.path / self._name)) as database:
            return _numbers(database.execute(_query("records", self._columns)).fetchone())


class DuckDb(Folder):
    """A DuckDB database in a folder.

    Args:
        path: of the folder.
        name: of the file.
        table: that takes the records.
        columns: that identify a record.
    """

    def __init__(self, path: Path, name: str, table: str, columns: str = "id") -> None:
        super().__init__(path)
        self._name = name
        self._table = table
        self._columns = columns

    def count(self) -> tuple[int, int]:
        import duckdb

        with duckdb.connect(str(self.path / self._name), read_only=True) as database:
            return _numbers(database.execute(_query(self._table, self._columns)).fetchone())


class Parquet(Files):
    """Parquet files in a folder; without a key, each record is there once."""

    def count(self) -> tuple[int, int]:
        import duckdb

        with duckdb.connect() as database:
            found = f"read_parquet('{self.path / self._pattern}', union_by_name = true)"
            return _numbers(database.execute(_query(found, "id")).fetchone())


class Postgres(Folder):
    """A database of Postgres.

    Args:
        path: of a folder, for whoever needs one as well.
        url: of the database.
        schema: that has the table.
        columns: that identify a record.
    """

    def __init__(self, path: Path, url: URL, schema: str, columns: str = "id") -> None:
        super().__init__(path)
        self._url = url
        self._schema = schema
        self._columns = columns

    def clear(self) -> None:
        super().clear()
        with connect(self._url) as database:
            found = database.execute(
                "SELECT nspname FROM pg_namespace WHERE nspname !~ '^(pg_|information_schema)'"
            )
            for (name,) in found.fetchall():
                database.execute(f'DROP SCHEMA "{name}" CASCADE'.encode())
            database.execute("CREATE SCHEMA public")

    def count(self) -> tuple[int, int]:
        with connect(self._url) as database:
            query = _query(f"{self._schema}.records", self._columns)
            return _numbers(database.execute(query.encode()).fetchone())


def _query(table: str, columns: str) -> str:
    return f"SELECT count(*), count(DISTINCT ({columns})) FROM {table}"  # noqa: S608 - ours


def _numbers(row: object) -> tuple[int, int]:
    assert isinstance(row, tuple)
    return int(row[0]), int(row[1])


def _counted(ids: Iterable[object]) -> tuple[int, int]:
    count, different = 0, set()
    for one in ids:
        count += 1
        different.add(one)
    return count, len(different)
