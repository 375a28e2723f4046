"""Finding due accounts among a million: what the refresher does twice a second, and its claims.

The rows are copies of one account, inserted by the database itself. Half of the tokens were used
and are due within the next hour; of the rest nobody is due. Each answer is checked, and the plan of
the database for the index.
"""

import asyncio
import tempfile
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Final

from sqlalchemy import text
from sqlalchemy.engine import URL

from connector.refresher import BATCH
from connector.store.database import Database, prepare_file
from connector.store.due import DueStore, find_due
from connector.store.tables import ACCOUNT
from connector.testing import SOME_TIME, MemorySeal, connected, open_stores
from tests.benchmarks.table import print_table
from tests.postgres import running_server

ACCOUNTS: Final = 1_000_000
ROUNDS: Final = 50
#: Milliseconds.
TARGET: Final = 5.0
NOBODY: Final = SOME_TIME - 1.0

_SERIES: Final = {
    True: "WITH RECURSIVE series(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM series WHERE n < :n)",
    False: "WITH series(n) AS (SELECT * FROM generate_series(1, :n))",
}
#: A name and what is measured; it gives how many accounts were found.
Measured = tuple[str, Callable[[], Awaitable[int]], int]


def main() -> None:
    """Measure on both databases; takes about a minute and two gigabytes."""
    rows: list[tuple[str, list[float]]] = []
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "vault.db"
        prepare_file(path)
        rows += asyncio.run(_measure("SQLite", URL.create("sqlite", database=str(path))))
    with running_server() as server, server.database() as url:
        rows += asyncio.run(_measure("Postgres", url))
    print_table(f"Due accounts among {ACCOUNTS:,}", "ms", rows)
    worst = max(sorted(values)[len(values) // 2] for name, values in rows if "claim" not in name)
    print(f"\nTarget for finding them: {TARGET} ms; the slowest median is {worst:.2f} ms")
    assert worst < TARGET


async def _measure(kind: str, url: URL) -> list[tuple[str, list[float]]]:
    database = Database(url, now=lambda: SOME_TIME)
    try:
        stores = await open_stores(database, MemorySeal())
        await connected(stores, "acme/one")
        await _fill(database)
        await _check_plan(database)
        due = DueStore(database, stores.vault)

        async def find(now: float) -> int:
            async with database.read() as connection:
                return len((await connection.execute(find_due(now, BATCH))).all())

        async def claim(now: float) -> int:
            return len(await due.claim(now=now, limit=BATCH))

        hour = SOME_TIME + 3600
        contenders: list[Measured] = [
            (f"{kind}: find, nobody due", lambda: find(NOBODY), 0),
            (f"{kind}: find {BATCH} of half a million", lambda: find(hour), BATCH),
            (f"{kind}: claim, nobody due", lambda: claim(NOBODY), 0),
            (f"{kind}: claim {BATCH}, committed", lambda: claim(hour), BATCH),
        ]
        return [(name, await _times(run, count)) for name, run, count in contenders]
    finally:
        await database.aclose()


async def _times(run: Callable[[], Awaitable[int]], count: int) -> list[float]:
    times = []
    for turn in range(ROUNDS + 1):
        began = time.perf_counter()
        found = await run()
        took = time.perf_counter() - began
        assert found == count
        if turn:  # the first warms up
            times.append(took * 1000)
    return times


async def _fill(database: Database) -> None:
    """Copy the one account; every second one is due some time within the hour."""
    changed = {
        "id": "'copy ' || n",
        "name": "'acme/' || n",
        # spread, so that neighbours in time are no neighbours on the disk
        "due_at": f"CASE WHEN n % 2 = 0 THEN {SOME_TIME} + (n % 3600) * 7919 % 3600 END",
    }
    columns = ", ".join(column.name for column in ACCOUNT.columns)
    values = ", ".join(changed.get(column.name, column.name) for column in ACCOUNT.columns)
    series = _SERIES[database.is_sqlite]
    async with database.write() as connection:
        if not database.is_sqlite:
            # nobody listens, and a notice each is not what is measured
            await connection.execute(text("ALTER TABLE account DISABLE TRIGGER USER"))
            await connection.execute(text("SET LOCAL statement_timeout = 0"))
        await connection.execute(
            text(
                f"INSERT INTO account ({columns}) {series} SELECT {values} FROM series, account"  # noqa: S608 - our own columns
            ),
            {"n": ACCOUNTS},
        )
    async with database.write() as connection:
        if not database.is_sqlite:
            await connection.execute(text("ALTER TABLE account ENABLE TRIGGER USER"))
        await connection.execute(text("ANALYZE account"))


async def _check_plan(database: Database) -> None:
    explain = "EXPLAIN QUERY PLAN" if database.is_sqlite else "EXPLAIN"
    query = find_due(SOME_TIME + 3600, BATCH).compile(
        dialect=database.engine.dialect, compile_kwargs={"literal_binds": True}
    )
    async with database.read() as connection:
        plan = str((await connection.execute(text(f"{explain} {query}"))).all())
    assert "ix_account_due" in plan, plan


if __name__ == "__main__":
    main()
