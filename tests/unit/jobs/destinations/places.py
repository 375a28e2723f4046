"""Places that records go to in tests, and what a user finds there, whatever their kind."""

import json
import sqlite3
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing, contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import duckdb
import psycopg
from psycopg.rows import dict_row

from connector.jobs.destinations.destination import Destination, open_destination
from connector.jobs.destinations.duckdb_hold import DuckdbHold
from connector.jobs.destinations.stream import Stream

Rows = list[dict[str, Any]]


class Place:
    """One place; each kind reads it in its own way.

    Args:
        url: of the destination.
        read: gives the rows of a table, or [] where there is none.
    """

    def __init__(self, url: str, read: Callable[[str], Rows]) -> None:
        self.url = url
        self._read = read
        self._open: list[Destination] = []

    def open(
        self,
        key: tuple[str, ...] = ("id",),
        *,
        table: str = "t",
        columns: Mapping[str, str] | None = None,
        **who: Any,
    ) -> Destination:
        """Open it."""
        stream = Stream(**{"job": "pull", "account": "acme/ads", "account_id": "1"} | who)
        opened = open_destination(self.url, table=table, key=key, stream=stream, columns=columns)
        self._open.append(opened)
        return opened

    def rows(self, table: str = "t") -> Rows:
        """Give what a user finds: of each key the record that holds, without what is empty."""
        rows = [
            {name: value for name, value in row.items() if value is not None}
            for row in self._read(table)
        ]
        return sorted(rows, key=lambda row: json.dumps(row, default=str, sort_keys=True))

    def ids(self) -> list[object]:
        """Give the identifiers of all records."""
        return sorted((row["id"] for row in self.rows()), key=str)

    def aside(self) -> list[tuple[str, Any]]:
        """Give what was set aside: reasons and records."""
        rows = self._read("t_rejected")
        return sorted(
            (
                (row["reason"], json.loads(row["record"]) if self.is_sql else row["record"])
                for row in rows
            ),
            key=str,
        )

    @property
    def is_sql(self) -> bool:
        """Tell whether it has tables."""
        return not self.url.startswith(("jsonl:", "parquet:"))

    def forget_tables(self) -> None:
        """Have the states that stand there be those of jobs alone, as they were once."""
        self.close()
        statement = "UPDATE _connector_cursor SET job = replace(job, '@t', '')"
        if self.url.startswith("sqlite:"):
            with closing(sqlite3.connect(self.url.removeprefix("sqlite:///"))) as connection:
                connection.execute(statement)
                connection.commit()
        elif self.url.startswith("duckdb:"):
            with closing(duckdb.connect(self.url.removeprefix("duckdb:"))) as connection:
                connection.execute(statement)
        else:
            with psycopg.connect(self.url) as connection:
                connection.execute(statement)

    def close(self) -> None:
        """Close what was opened."""
        for one in self._open:
            one.close()
        self._open.clear()


@contextmanager
def opened(place: Place) -> Iterator[Place]:
    """Close a place in the end."""
    try:
        yield place
    finally:
        place.close()


def sqlite_place(folder: Path) -> Place:
    """Give a SQLite file in a folder."""
    path = folder / "ads.db"

    def read(table: str) -> Rows:
        with closing(sqlite3.connect(path)) as connection:
            connection.row_factory = sqlite3.Row
            try:
                query = f'SELECT * FROM "{table}"'  # noqa: S608 - a table of a test
                return [dict(row) for row in connection.execute(query)]
            except sqlite3.OperationalError:
                return []

    return Place(f"sqlite:///{path}", read)


def json_lines_place(folder: Path) -> Place:
    """Give a JSON Lines file in a folder."""
    files = {"t": folder / "ads.jsonl", "t_rejected": folder / "ads.jsonl.rejected.jsonl"}

    def read(table: str) -> Rows:
        path = files[table]
        lines = path.read_bytes().splitlines() if path.exists() else []
        return [json.loads(line) for line in lines]

    return Place(f"jsonl:{files['t']}", read)


def duckdb_place(folder: Path) -> Place:
    """Give a DuckDB file in a folder."""
    path = folder / "ads.duckdb"
    return Place(f"duckdb:{path}", partial(read_duckdb, path))


def read_duckdb(path: Path, table: str) -> Rows:
    """Give the rows of a table of a DuckDB file, as a user of the file finds them."""
    if not path.exists():
        return []
    hold = DuckdbHold(path)  # waits for its turn
    try:
        with hold.transaction() as connection:
            found = connection.execute(f'SELECT * FROM "{table}"')  # noqa: S608 - of a test
            names = [column[0] for column in found.description]
            return [dict(zip(names, row, strict=True)) for row in found.fetchall()]
    except duckdb.CatalogException:
        return []
    finally:
        hold.close()


def parquet_place(folder: Path) -> Place:
    """Give a folder of Parquet files."""
    return Place(f"parquet:{folder / 'ads'}", partial(read_parquet, folder / "ads"))


def read_parquet(folder: Path, table: str) -> Rows:
    """Pass on what was committed, as any run does at its end; then read as a user does."""
    stream = Stream(job="reader", account="reader", account_id="reader")
    open_destination(f"parquet:{folder}", table="t", key=(), stream=stream).close()
    if table == "t_rejected":
        path = folder / "_connector.rejected.jsonl"
        return list(map(json.loads, path.read_bytes().splitlines())) if path.exists() else []
    if not list(folder.glob("*.parquet")):
        return []
    with duckdb.connect(config={"threads": 1}) as connection:
        query = "FROM read_parquet(?, union_by_name = true) ORDER BY _connector_version"
        found = connection.execute(query, [f"{folder}/*.parquet"])
        names = [column[0] for column in found.description]
        return [
            dict(zip(names, row, strict=True)) | {"_connector_version": None}
            for row in found.fetchall()
        ]


def postgres_place(url: str) -> Place:
    """Give a Postgres database."""

    def read(table: str) -> Rows:
        with psycopg.connect(url, row_factory=dict_row) as connection:
            try:
                query = f'SELECT * FROM "{table}"'  # noqa: S608 - a table of a test
                return connection.execute(query.encode()).fetchall()
            except psycopg.errors.UndefinedTable:
                return []

    return Place(url, read)
