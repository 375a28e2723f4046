"""Every kind of destination, held to what all of them do."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from .conformance import DestinationConformance
from .places import (
    Place,
    duckdb_place,
    json_lines_place,
    opened,
    parquet_place,
    postgres_place,
    sqlite_place,
)


class TestSqlite(DestinationConformance):
    @pytest.fixture
    def place(self, tmp_path: Path) -> Iterator[Place]:
        with opened(sqlite_place(tmp_path)) as place:
            yield place


class TestJsonLines(DestinationConformance):
    replaces = False

    @pytest.fixture
    def place(self, tmp_path: Path) -> Iterator[Place]:
        with opened(json_lines_place(tmp_path)) as place:
            yield place


class TestPostgres(DestinationConformance):
    @pytest.fixture
    def place(self, postgres_url: str) -> Iterator[Place]:
        with opened(postgres_place(postgres_url)) as place:
            yield place


class TestDuckdb(DestinationConformance):
    @pytest.fixture
    def place(self, tmp_path: Path) -> Iterator[Place]:
        with opened(duckdb_place(tmp_path)) as place:
            yield place


class TestParquet(DestinationConformance):
    replaces = False

    @pytest.fixture
    def place(self, tmp_path: Path) -> Iterator[Place]:
        with opened(parquet_place(tmp_path)) as place:
            yield place
