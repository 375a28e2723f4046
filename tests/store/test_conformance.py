"""The suite that is shipped to users holds for both of our own databases."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from connector.store.database import Database, prepare_file
from connector.testing import FixedClock, StoreConformance
from tests.postgres import PostgresServer

from .conftest import sqlite_url


class TestSqlite(StoreConformance):
    def open_database(self, place: Path) -> Database:
        prepare_file(place / "vault.db")
        return Database(sqlite_url(place / "vault.db"), now=FixedClock())


class TestPostgres(StoreConformance):
    @pytest.fixture(autouse=True)
    def _url(self, postgres_server: PostgresServer) -> Iterator[None]:
        with postgres_server.database() as self.url:
            yield

    def open_database(self, place: Path) -> Database:  # noqa: ARG002 - it is not in a folder
        return Database(self.url, now=FixedClock())
