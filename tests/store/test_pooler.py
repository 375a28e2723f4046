"""A vault on Postgres through a real PgBouncer in transaction mode."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack

import pytest
from sqlalchemy import text
from sqlalchemy.engine import URL

from connector.store.database import Database
from connector.store.procrastinate_line import ProcrastinateLine
from connector.testing import FixedClock, MemorySeal, Stores, connected, open_stores
from tests.pgbouncer import pooled
from tests.postgres import PostgresServer, connect

from .scenarios import KEY

pytestmark = pytest.mark.timeout(90)

#: As PgBouncer comes, and as it is set where other programs ask for options too.
MODES = {"refuses options": "", "forgets options": "ignore_startup_parameters = options"}


@pytest.fixture(params=list(MODES.values()), ids=list(MODES))
def behind(request: pytest.FixtureRequest, postgres_server: PostgresServer) -> Iterator[URL]:
    """Give an empty database through a pooler, whose role says what we must not rely on."""
    with postgres_server.database() as url:
        with connect(url) as connection:
            name = url.database or ""
            connection.execute(f"ALTER DATABASE {name} SET synchronous_commit = off".encode())
        with pooled(url, more=request.param) as between:
            yield between


@pytest.fixture
async def opened(behind: URL) -> AsyncIterator[list[Database]]:
    """Give two processes' worth of databases, on two connections of the server."""
    async with AsyncExitStack() as stack:
        made = [Database(behind, now=FixedClock(), busy_timeout=10) for _ in range(2)]
        for one in made:
            stack.push_async_callback(one.aclose)
        yield made


async def test_each_transaction_has_the_settings(opened: list[Database]) -> None:
    """A commit that does not wait for the disk could lose a token that cannot be had twice."""
    for database in opened:
        for _ in range(3):
            async with database.write() as connection:
                for name, wanted in (("synchronous_commit", "on"), ("statement_timeout", "15s")):
                    found = await connection.execute(text(f"SHOW {name}"))
                    assert found.scalar_one() == wanted
            async with database.read() as connection:
                assert (await connection.execute(text("SHOW lock_timeout"))).scalar_one() == "10s"


async def test_statements_that_come_again_are_not_prepared(opened: list[Database]) -> None:
    """They would be on a connection of the server's that somebody else has by then."""

    async def ask(database: Database, number: int) -> int:
        async with database.read() as connection:
            found = await connection.execute(text("SELECT CAST(:n AS integer)"), {"n": number})
            return int(found.scalar_one())

    for _ in range(10):
        answers = await asyncio.gather(*(ask(opened[n % 2], n) for n in range(8)))
        assert answers == list(range(8))
    async with opened[0].read() as connection:
        query = "SELECT count(*) FROM pg_prepared_statements"
        assert (await connection.execute(text(query))).scalar_one() == 0


async def test_the_vault_is_made_and_used(opened: list[Database]) -> None:
    """Migrations, their lock, the queue's schema, and accounts that two processes write."""
    stores: list[Stores] = [await open_stores(one, MemorySeal(KEY)) for one in opened]
    async with opened[0].write() as connection:
        await ProcrastinateLine().prepare(connection)
    for number in range(12):
        await connected(stores[number % 2], f"acme/{number}")
    for store in stores:
        names = {account.name for account in await store.accounts.all()}
        assert names == {f"acme/{number}" for number in range(12)}
