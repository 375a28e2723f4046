"""Places that dlt loads into in tests, without a network, and what a user finds there."""

import csv
import json
import os
import signal
import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import duckdb
import psycopg
import pyarrow.parquet as pq
import pytest
from psycopg.rows import dict_row

from .places import Place, Rows


def dlt_place(
    host: Path, name: str, credentials: str | None, read: Callable[[str], Rows], **given: str
) -> Place:
    """Give a place of dlt's.

    Args:
        host: the folder of the configuration; another one stands for another machine.
        name: of dlt's destination.
        credentials: of it.
        read: gives the rows of a table.
        given: more of the URL.
    """
    query = {"folder": str(host), "dataset": "ads"} | given
    if credentials is not None:
        query["credentials"] = credentials
    return Place(f"dlt:{name}?{urlencode(query)}", read)


def dlt_duckdb(host: Path, file: Path | None = None) -> Place:
    """Give a DuckDB file, beside the configuration where none is named."""
    path = file or host / "w.duckdb"

    def read(table: str) -> Rows:
        with duckdb.connect(str(path)) as connection:
            found = connection.execute(f"FROM ads.{table} ORDER BY _connector_version")
            names = [column[0] for column in found.description]
            return [dict(zip(names, row, strict=True)) for row in found.fetchall()]

    return dlt_place(host, "duckdb", str(path), read)


def dlt_sqlite(host: Path, file: Path | None = None) -> Place:
    """Give a SQLite file."""
    path = file or host / "w.db"

    def read(table: str) -> Rows:
        with closing(sqlite3.connect(path.with_name(f"{path.stem}__ads.db"))) as connection:
            connection.row_factory = sqlite3.Row
            query = f"SELECT * FROM {table} ORDER BY _connector_version"  # noqa: S608 - of a test
            return [dict(row) for row in connection.execute(query)]

    return dlt_place(host, "sqlalchemy", f"sqlite:///{path}", read)


def dlt_postgres(host: Path, url: str) -> Place:
    """Give a Postgres database; dlt needs psycopg2 there, which we do not."""

    def read(table: str) -> Rows:
        with psycopg.connect(url, row_factory=dict_row) as connection:
            query = f"SELECT * FROM ads.{table} ORDER BY _connector_version"  # noqa: S608 - of a test
            return connection.execute(query.encode()).fetchall()

    # dlt wants a host; that of the query, a folder with a socket, is the one that counts
    return dlt_place(host, "postgres", url.replace("@/", "@localhost/"), read)


def dlt_files(
    host: Path, folder: Path, kind: str, monkeypatch: pytest.MonkeyPatch | None = None
) -> Place:
    """Give a folder of files.

    Args:
        host: the folder of the configuration.
        folder: that is loaded into.
        kind: ``jsonl``, ``parquet`` or ``csv``.
        monkeypatch: what sets dlt's own variables; None: they are set for good.
    """
    variables = {
        "DESTINATION__FILESYSTEM__BUCKET_URL": folder.as_uri(),
        "NORMALIZE__DATA_WRITER__DISABLE_COMPRESSION": "true",
    }
    for name, value in variables.items():
        if monkeypatch is None:
            os.environ[name] = value
        else:
            monkeypatch.setenv(name, value)

    def read(table: str) -> Rows:
        rows: Rows = []
        for path in sorted((folder / "ads" / table).glob(f"*.{kind}")):
            rows += _read_file(path, kind)
        return sorted(rows, key=lambda row: int(row["_connector_version"]))

    return dlt_place(host, "filesystem", None, read, file_format=kind)


def _read_file(path: Path, kind: str) -> list[dict[str, Any]]:
    if kind == "jsonl":
        return [json.loads(line) for line in path.read_bytes().splitlines()]
    if kind == "csv":
        with path.open(newline="") as file:
            return list(csv.DictReader(file))
    rows: list[dict[str, Any]] = pq.read_table(path).to_pylist()
    return rows


def seen(place: Place, *names: str, table: str = "t") -> list[tuple[Any, ...]]:
    """Give some columns of what is there."""
    return sorted(tuple(row.get(name) for name in names) for row in place._read(table))


def die_in(owner: type, step: str, *, is_after: bool) -> Callable[..., Any]:
    """Make a step of dlt's in which the process dies.

    Args:
        owner: of the method.
        step: its name; where it is one of a loader's for files, those of table ``t`` count.
        is_after: it is done before.
    """
    real: Callable[..., Any] = getattr(owner, step)
    files: dict[str, Callable[..., Any]] = {
        "_release": lambda job, *_: [job],
        "complete_jobs": lambda _load, _package, jobs, *_: jobs,
    }

    def dying(*given: Any, **named: Any) -> Any:
        jobs = files[step](*given) if step in files else None
        if jobs is not None and "t" not in [one.job_file_info().table_name for one in jobs]:
            return real(*given, **named)
        if is_after:
            real(*given, **named)
        return os.kill(os.getpid(), signal.SIGKILL)

    return dying
