"""How fast values are sealed anew under a new data key, beside a bare loop that does no more.

The bare loop reads a table of two values in batches of as many rows, decrypts, encrypts and updates
them by primary key, a durable transaction for each batch, over the driver alone. What is beyond it
is ours: the place that each value is bound to, the comparison with what was read, wide rows with
triggers, and the pause that leaves the database to others after each batch.
"""

import asyncio
import os
import sqlite3
import tempfile
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Final

import psycopg
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from sqlalchemy import insert
from sqlalchemy.engine import URL

from connector.account import Account
from connector.store.database import Database, prepare_file
from connector.store.grants import Consent
from connector.store.sealed_values import BATCH, SealedValues
from connector.store.tables import ACCOUNT
from connector.store.vault_keys import make_data_key
from connector.testing import SOME_TIME, FixedClock, MemorySeal, Stores, open_stores, some_tokens
from tests.benchmarks.table import print_table
from tests.postgres import PostgresServer, running_server

ACCOUNTS: Final = 10_000
ROUNDS: Final = 3
#: Bytes; Google's and Facebook's tokens have 100 to 250.
TOKEN_BYTES: Final = 200
_DURABLE: Final = ("PRAGMA journal_mode = WAL", "PRAGMA synchronous = FULL")

#: A row's identifier and its two values.
Row = tuple[str, bytes, bytes]


#: Two new values and the identifier.
New = tuple[bytes, bytes, str]


class _Sqlite:
    """A table of values on SQLite, over the driver alone."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection

    def fill(self, rows: list[Row]) -> None:
        self._connection.execute("CREATE TABLE t (id TEXT PRIMARY KEY, a BLOB, b BLOB)")
        self._connection.execute("BEGIN")
        self._connection.executemany("INSERT INTO t VALUES (?, ?, ?)", rows)
        self._connection.execute("COMMIT")

    def read(self, after: str) -> list[Row]:
        query = "SELECT id, a, b FROM t WHERE id > ? ORDER BY id LIMIT ?"
        return self._connection.execute(query, (after, BATCH)).fetchall()

    def write(self, rows: list[New]) -> None:
        self._connection.execute("BEGIN IMMEDIATE")
        self._connection.executemany("UPDATE t SET a = ?, b = ? WHERE id = ?", rows)
        self._connection.execute("COMMIT")


class _Postgres:
    """A table of values on Postgres, over the driver alone."""

    def __init__(self, connection: psycopg.Connection) -> None:
        self._connection = connection
        connection.execute("SET synchronous_commit = on")

    def fill(self, rows: list[Row]) -> None:
        self._connection.execute("CREATE TABLE t (id text PRIMARY KEY, a bytea, b bytea)")
        with self._connection.transaction(), self._connection.cursor() as cursor:
            cursor.executemany("INSERT INTO t VALUES (%s, %s, %s)", rows)

    def read(self, after: str) -> list[Row]:
        query = "SELECT id, a, b FROM t WHERE id > %s ORDER BY id LIMIT %s"
        return list(self._connection.execute(query, (after, BATCH)).fetchall())

    def write(self, rows: list[New]) -> None:
        with self._connection.transaction(), self._connection.cursor() as cursor:
            cursor.executemany("UPDATE t SET a = %s, b = %s WHERE id = %s", rows)


def main() -> None:
    """Measure in turns, so that a noisy machine is noisy for all alike."""
    rates: dict[str, list[float]] = {}
    with running_server() as server:
        for _ in range(ROUNDS):
            for name, rate in (*_on_sqlite(), *_on_postgres(server)):
                rates.setdefault(name, []).append(rate)
    for kind in ("SQLite", "Postgres"):
        rows = [(name, values) for name, values in rates.items() if kind in name]
        print_table(f"{2 * ACCOUNTS} values sealed anew on {kind}, values per second", "1/s", rows)


def _on_sqlite() -> Iterator[tuple[str, float]]:
    with tempfile.TemporaryDirectory() as folder:
        bare = Path(folder) / "bare.db"
        with closing(sqlite3.connect(bare, isolation_level=None)) as connection:
            for pragma in _DURABLE:
                connection.execute(pragma)
            yield "bare loop on SQLite", _bare(_Sqlite(connection))
        path = Path(folder) / "vault.db"
        prepare_file(path)
        yield (
            "vault rotate on SQLite",
            asyncio.run(_reseal(URL.create("sqlite", database=str(path)))),
        )


def _on_postgres(server: PostgresServer) -> Iterator[tuple[str, float]]:
    with server.database() as url:
        address = url.set(drivername="postgresql").render_as_string(hide_password=False)
        with psycopg.connect(address, autocommit=True) as connection:
            yield "bare loop on Postgres", _bare(_Postgres(connection))
        yield "vault rotate on Postgres", asyncio.run(_reseal(url))


async def _reseal(url: URL) -> float:
    """Make accounts, and seal their values anew; give values per second."""
    database = Database(url, now=FixedClock())
    try:
        stores = await open_stores(database, MemorySeal("00" * 32))
        await _fill(stores)
        await make_data_key(database, stores.vault, now=SOME_TIME)
        began = time.perf_counter()
        resealed = await SealedValues(database, stores.vault).reseal()
        took = time.perf_counter() - began
        assert resealed == 2 * ACCOUNTS
        return resealed / took
    finally:
        await database.aclose()


async def _fill(stores: Stores) -> None:
    pending = [
        {
            "id": os.urandom(16).hex(),
            "name": f"acme/{number}",
            "provider": "acme",
            "state": "pending",
            "state_since": SOME_TIME,
            "generation": 0,
            "created_at": SOME_TIME,
        }
        for number in range(ACCOUNTS)
    ]
    async with stores.database.write() as connection:
        await connection.execute(insert(ACCOUNT), pending)
    consent = Consent(provider="acme", fingerprint="registration", subject="17")
    tokens = some_tokens(os.urandom(TOKEN_BYTES // 2).hex())

    async def activate(account: Account) -> None:
        assert await stores.grants.activate(account, tokens, consent) is not None

    await asyncio.gather(*map(activate, await stores.accounts.all()))


def _bare(rows: "_Sqlite | _Postgres") -> float:
    """Seal as many values anew with nothing around them; give values per second."""
    old, new = AESGCM(os.urandom(32)), AESGCM(os.urandom(32))
    aad = os.urandom(100)
    text = os.urandom(TOKEN_BYTES // 2).hex().encode()

    def sealed(key: AESGCM, value: bytes) -> bytes:
        nonce = os.urandom(12)
        return nonce + key.encrypt(nonce, value, aad)

    def anew(value: bytes) -> bytes:
        return sealed(new, old.decrypt(value[:12], value[12:], aad))

    rows.fill(
        [(os.urandom(16).hex(), sealed(old, text), sealed(old, text)) for _ in range(ACCOUNTS)]
    )
    began = time.perf_counter()
    count, last = 0, ""
    while batch := rows.read(last):
        rows.write([(anew(a), anew(b), key) for key, a, b in batch])
        count, last = count + 2 * len(batch), batch[-1][0]
    took = time.perf_counter() - began
    assert count == 2 * ACCOUNTS
    return count / took
