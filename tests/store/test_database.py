"""What both databases promise: writes that do not get lost, and nothing left open or locked."""

import asyncio
from contextlib import AsyncExitStack

import pytest
from sqlalchemy import insert, text
from sqlalchemy.exc import IntegrityError
from sqlalchemy.pool import AsyncAdaptedQueuePool

from connector.errors import TemporarilyUnavailable
from connector.store import postgres_engine, sqlite_engine
from connector.store.database import BUSY_TIMEOUT, Database
from connector.store.grant_statements import LEASE_DURATION
from connector.store.history_tables import JobRow
from connector.store.tables import MetadataRow
from connector.testing import SOME_TIME, FixedClock, Stores, connected

from .conftest import OpenDatabase
from .worker import Crew

CANARY = "canary-parameter-4711"


def _in_use(database: Database) -> int:
    pool = database.engine.pool
    assert isinstance(pool, AsyncAdaptedQueuePool)
    return pool.checkedout()


async def _open_transactions(database: Database) -> int:
    """Ask Postgres how many other connections to this database have a transaction open."""
    query = (
        "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database()"
        " AND pid <> pg_backend_pid() AND xact_start IS NOT NULL"
    )
    async with database.read() as connection:
        return int((await connection.execute(text(query))).scalar_one())


async def test_increments_of_many_processes_all_count(
    database: Database, workers: Crew, address: str
) -> None:
    """SQLite: 133; each reads and then writes, which only BEGIN IMMEDIATE makes safe."""
    row = MetadataRow(provider="acme", issuer="", document="", pinned_at=0.0)
    async with database.write() as connection:
        await connection.execute(insert(MetadataRow).values(row.model_dump()))
    times = workers.run("count_up", [{"url": address, "times": 150}] * 6)
    async with database.read() as connection:
        query = "SELECT pinned_at FROM authorization_server_metadata"
        assert (await connection.execute(text(query))).scalar_one() == sum(times) == 900


async def test_increments_of_many_tasks_all_count(stores: Stores) -> None:
    async def count_up() -> None:
        account = await stores.accounts.require("acme/one")
        while True:
            async with stores.database.write() as connection:
                lock = "" if stores.database.is_sqlite else " FOR UPDATE"
                query = f"SELECT failures FROM account WHERE id = :id{lock}"  # noqa: S608
                parameters = {"id": account.id}
                failures = (await connection.execute(text(query), parameters)).scalar_one()
                await connection.execute(
                    text("UPDATE account SET failures = :next WHERE id = :id"),
                    {**parameters, "next": failures + 1},
                )
            return

    await connected(stores, "acme/one")
    await asyncio.gather(*(count_up() for _ in range(30)))
    async with stores.database.read() as connection:
        query = text("SELECT failures FROM account")
        assert (await connection.execute(query)).scalar_one() == 30


async def test_no_transaction_and_no_connection_is_kept(
    stores: Stores, open_database: OpenDatabase
) -> None:
    """CHECKLIST 134: whatever is sent next, nothing is open here."""
    account = await connected(stores, "acme/one")
    await stores.accounts.require("acme/one")
    await stores.runs.history(None, limit=1)
    await stores.revocations.destroy(account, "x", now=SOME_TIME, is_owed=True)
    assert _in_use(stores.database) == 0
    if stores.database.is_sqlite:
        other = open_database()
        async with other.engine.connect() as connection:
            await connection.execution_options(connector_begin="BEGIN EXCLUSIVE")
            await connection.execute(text("DELETE FROM job"))
    else:
        assert await _open_transactions(open_database()) == 0


async def test_a_write_that_fails_writes_nothing_and_leaves_nothing_open(
    database: Database, open_database: OpenDatabase
) -> None:
    async def write(*names: str) -> None:
        async with database.write() as connection:
            for name in names:
                await connection.execute(insert(JobRow).values(name=name))
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        await write("a")
    with pytest.raises(IntegrityError):
        await write("b", "b")
    other = open_database()
    async with other.write() as connection:
        assert (await connection.execute(text("SELECT count(*) FROM job"))).scalar_one() == 0
    assert _in_use(database) == 0


async def test_a_read_that_fails_leaves_nothing_open(database: Database) -> None:
    async def read() -> None:
        async with database.read() as connection:
            await connection.execute(text("SELECT count(*) FROM job"))
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        await read()
    assert _in_use(database) == 0
    async with database.write() as connection:
        await connection.execute(text("DELETE FROM job"))


async def test_a_row_is_written_whether_it_was_there_or_not(database: Database) -> None:
    for paused_at in (1.0, 2.0):
        row: dict[str, object] = {"name": "job", "paused_at": paused_at}
        async with database.write() as connection:
            await connection.execute(database.upsert(JobRow, row, "name"))
    async with database.read() as connection:
        rows = (await connection.execute(text("SELECT name, paused_at FROM job"))).all()
    assert [tuple(row) for row in rows] == [("job", 2.0)]


async def test_who_waits_too_long_for_another_writer_is_told_and_has_written_nothing(
    database: Database, clock: FixedClock
) -> None:
    impatient = Database(database.url, now=clock, busy_timeout=0.05)
    try:
        async with database.write() as connection:
            await connection.execute(insert(JobRow).values(name="first"))
            with pytest.raises(TemporarilyUnavailable) as caught:
                await _insert_at_once(impatient)
        async with database.read() as connection:
            names = (await connection.execute(text("SELECT name FROM job"))).scalars().all()
        assert names == ["first"]
        _assert_tells_no_secret(caught.value, database)
        async with impatient.write() as connection:
            await connection.execute(insert(JobRow).values(name=CANARY))
    finally:
        await impatient.aclose()


async def _insert_at_once(database: Database) -> None:
    async with database.write() as connection:
        if not database.is_sqlite:
            await connection.execute(text("SET LOCAL lock_timeout = '50ms'"))
            await connection.execute(text("LOCK TABLE job IN ACCESS EXCLUSIVE MODE"))
        await connection.execute(insert(JobRow).values(name=CANARY))


def _assert_tells_no_secret(error: BaseException, database: Database) -> None:
    """A message of the database says what is wrong, and holds no statement and no value."""
    shown = f"{error} {error!r} {error.__cause__!r} {error.__context__!r}"
    message = str(error)
    assert database.description in message
    for word in ("INSERT", "SELECT", "job", CANARY, "[SQL", "parameters", "Background on this"):
        assert word not in message, word
    assert CANARY not in shown
    assert error.__suppress_context__


async def test_a_pool_that_is_empty_is_told(database: Database, clock: FixedClock) -> None:
    """The tasks that have the connections are waited for as long as another writer is."""
    crowded = Database(database.url, now=clock, busy_timeout=0.05)
    try:
        async with AsyncExitStack() as held:
            limit = postgres_engine.POOL_SIZE
            if database.is_sqlite:
                limit = sqlite_engine.POOL_SIZE + sqlite_engine.POOL_OVERFLOW
            for _ in range(limit):
                await held.enter_async_context(crowded.read())
            with pytest.raises(TemporarilyUnavailable, match="QueuePool limit"):
                await held.enter_async_context(crowded.read())
    finally:
        await crowded.aclose()


def test_a_lease_outlives_the_request_and_the_wait_for_the_database() -> None:
    from connector.oauth.wire import DEADLINE

    assert DEADLINE + BUSY_TIMEOUT < LEASE_DURATION
