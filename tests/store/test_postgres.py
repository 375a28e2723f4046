"""Postgres as it is used here: durable, in nobody's way, and away for a while without harm."""

import asyncio
import os
import socket
from collections.abc import AsyncIterator, Iterator

import psycopg
import pytest
from sqlalchemy import text
from sqlalchemy.engine import URL, make_url

from connector.errors import TemporarilyUnavailable, VaultSealed
from connector.store.database import Database
from connector.store.due import DueStore, Used
from connector.store.schema import current_revision, migrate
from connector.testing import (
    SOME_TIME,
    FixedClock,
    MemorySeal,
    Stores,
    connected,
    open_stores,
    some_tokens,
)
from tests.postgres import OwnServer, PostgresServer, connect, own_server

from .conftest import OpenDatabase
from .relay import relay
from .scenarios import KEY


@pytest.fixture
def kind() -> str:
    return "postgres"


@pytest.fixture(scope="module")
def mortal_server() -> Iterator[OwnServer]:
    """A server of our own, which may be killed."""
    with own_server() as server:
        yield server


@pytest.fixture
async def away(mortal_server: OwnServer, clock: FixedClock) -> AsyncIterator[Stores]:
    """The stores of a database on a server that will go away."""
    with mortal_server.database() as url:
        database = Database(url, now=clock)
        try:
            yield await open_stores(database, MemorySeal(KEY))
        finally:
            await database.aclose()


@pytest.mark.parametrize(
    ("setting", "value"),
    [
        ("statement_timeout", "15s"),
        ("lock_timeout", "10s"),
        ("idle_in_transaction_session_timeout", "30s"),
        ("synchronous_commit", "on"),
    ],
)
async def test_every_connection_is_set_up(database: Database, setting: str, value: str) -> None:
    async with database.read() as connection:
        assert (await connection.execute(text(f"SHOW {setting}"))).scalar_one() == value


async def test_a_server_that_does_not_sync_is_overruled(
    database: Database, open_database: OpenDatabase, url: URL
) -> None:
    """CHECKLIST 136: a commit that a crash could take back is no commit."""
    with connect(url) as operator:
        operator.execute(f'ALTER DATABASE "{url.database}" SET synchronous_commit = off')
    async with open_database().read() as connection:
        assert (await connection.execute(text("SHOW synchronous_commit"))).scalar_one() == "on"
    assert not database.is_sqlite


async def test_the_operators_own_options_are_kept(url: URL, clock: FixedClock) -> None:
    for options in ("-c search_path=pg_temp", ("-c search_path=pg_temp", "-c work_mem=8MB")):
        database = Database(url.update_query_dict({"options": options}), now=clock)
        try:
            async with database.read() as connection:
                path = await connection.execute(text("SHOW search_path"))
                assert path.scalar_one() == "pg_temp"
                timeout = await connection.execute(text("SHOW statement_timeout"))
                assert timeout.scalar_one() == "15s"
        finally:
            await database.aclose()


@pytest.mark.parametrize(
    ("query", "expected"),
    [({}, (10, 5, 3, 25_000)), ({"keepalives_idle": "60", "tcp_user_timeout": "0"}, (60, 5, 3, 0))],
)
async def test_a_host_that_is_gone_is_given_up(
    url: URL, clock: FixedClock, query: dict[str, str], expected: tuple[int, ...]
) -> None:
    """What the kernel was told; a connection that is waited for could hang for hours else."""
    async with relay(url) as network:
        database = Database(network.url.update_query_dict(query), now=clock)
        try:
            async with database.read() as connection:
                raw = (await connection.get_raw_connection()).driver_connection
                assert isinstance(raw, psycopg.AsyncConnection)
                with socket.socket(fileno=os.dup(raw.pgconn.socket)) as wire:
                    assert wire.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE) == 1
                    options = (
                        wire.getsockopt(socket.IPPROTO_TCP, option)
                        for option in (
                            socket.TCP_KEEPIDLE,
                            socket.TCP_KEEPINTVL,
                            socket.TCP_KEEPCNT,
                            socket.TCP_USER_TIMEOUT,
                        )
                    )
                    assert tuple(options) == expected
        finally:
            await database.aclose()


async def test_a_standby_is_not_asked(
    stores: Stores, open_database: OpenDatabase, url: URL
) -> None:
    """CHECKLIST 136: it may be behind, and an old refresh token from it must not be believed."""
    account = await connected(stores, "acme/one")
    with connect(url) as operator:
        operator.execute(f'ALTER DATABASE "{url.database}" SET default_transaction_read_only = on')
    with pytest.raises(TemporarilyUnavailable, match="session is read-only"):
        await current_revision(open_database())
    with connect(url.set(database="postgres")) as operator:
        operator.execute(f'ALTER DATABASE "{url.database}" RESET default_transaction_read_only')
    assert await stores.accounts.require("acme/one") == account


async def test_a_server_that_becomes_a_standby_is_told(stores: Stores, url: URL) -> None:
    """Failover under a connection that is open already."""
    account = await connected(stores, "acme/one")
    standby = text("SET SESSION CHARACTERISTICS AS TRANSACTION READ ONLY")
    await stores.database.transact(lambda connection: connection.execute(standby))
    with pytest.raises(TemporarilyUnavailable, match="read-only transaction"):
        await stores.grants.renew(account, some_tokens("2"))
    with connect(url) as operator:
        operator.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
            " WHERE datname = current_database() AND pid <> pg_backend_pid()"
        )
    assert await stores.grants.renew(account, some_tokens("2")) is not None


async def test_connections_that_were_cut_between_calls_are_not_noticed(
    stores: Stores, url: URL
) -> None:
    account = await connected(stores, "acme/one")
    for number in range(3):
        with connect(url) as operator:
            operator.execute(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
                " WHERE datname = current_database() AND pid <> pg_backend_pid()"
            )
        renewed = await stores.grants.renew(account, some_tokens(f"{number}"))
        assert renewed is not None
        account = renewed


async def test_a_connection_cut_in_a_transaction_is_told_and_nothing_was_written(
    stores: Stores, url: URL
) -> None:
    account = await connected(stores, "acme/one")

    async def write() -> None:
        async with stores.database.write() as connection:
            await connection.execute(text("UPDATE account SET generation = 99"))
            with connect(url) as operator:
                operator.execute(
                    "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
                    " WHERE datname = current_database() AND pid <> pg_backend_pid()"
                )
            await connection.execute(text("UPDATE account SET generation = 100"))

    with pytest.raises(TemporarilyUnavailable, match="terminating connection"):
        await write()
    assert await stores.accounts.require("acme/one") == account


async def test_a_killed_server_is_told_and_missed_no_longer_than_it_is_away(
    away: Stores, mortal_server: OwnServer
) -> None:
    account = await connected(away, "acme/one")
    mortal_server.kill()
    for _ in range(2):
        with pytest.raises(TemporarilyUnavailable) as caught:
            await away.grants.renew(account, some_tokens("2"))
        assert "failed: " in str(caught.value)
        assert "UPDATE" not in str(caught.value)
    mortal_server.start()
    assert await away.accounts.require("acme/one") == account, "what was committed is there"
    assert await away.grants.renew(account, some_tokens("2")) is not None


async def test_a_restart_between_calls_is_not_noticed(
    away: Stores, mortal_server: OwnServer
) -> None:
    account = await connected(away, "acme/one")
    mortal_server.kill()
    mortal_server.start()
    assert await away.accounts.require("acme/one") == account


async def test_a_statement_that_takes_too_long_is_ended(database: Database) -> None:
    with pytest.raises(TemporarilyUnavailable, match="statement timeout"):
        await _sleep(database)


async def _sleep(database: Database) -> None:
    async with database.write() as connection:
        await connection.execute(text("SET LOCAL statement_timeout = '20ms'"))
        await connection.execute(text("SELECT pg_sleep(5)"))


async def test_the_clock_of_leases_goes_on_within_a_transaction(database: Database) -> None:
    """It is the clock's time, not that of the beginning of the transaction."""
    from sqlalchemy import select

    async with database.write() as connection:
        first = (await connection.execute(select(database.lease_clock))).scalar_one()
        await connection.execute(text("SELECT pg_sleep(0.01)"))
        second = (await connection.execute(select(database.lease_clock))).scalar_one()
    assert 0.01 <= second - first < 5
    assert isinstance(first, float)


@pytest.mark.parametrize(
    ("change", "error", "words"),
    [
        ({"database": "no_such_database"}, TemporarilyUnavailable, "does not exist"),
        ({"username": "nobody"}, TemporarilyUnavailable, 'role "nobody" does not exist'),
    ],
)
async def test_a_database_that_cannot_be_had_is_told_without_its_password(
    url: URL, clock: FixedClock, change: dict[str, str], error: type[Exception], words: str
) -> None:
    database = Database(url.set(password="canary-password", **change), now=clock)  # type: ignore[arg-type]
    try:
        with pytest.raises(error, match=words) as caught:
            await current_revision(database)
        assert "canary" not in f"{caught.value} {caught.value.__context__!r}"
    finally:
        await database.aclose()


async def test_a_server_that_is_not_there_is_told_without_its_password(clock: FixedClock) -> None:
    url = make_url("postgresql://user:canary-1@127.0.0.1:1/vault?sslpassword=canary-2")
    database = Database(url, now=clock)
    try:
        with pytest.raises(
            TemporarilyUnavailable, match=r"user:\*\*\*@127.0.0.1:1/vault"
        ) as caught:
            await current_revision(database)
        assert "canary" not in f"{caught.value} {caught.value.__context__!r}"
        assert "canary" not in database.description
    finally:
        await database.aclose()


async def test_an_option_that_is_none_is_a_mistake_in_the_url(url: URL, clock: FixedClock) -> None:
    database = Database(url.update_query_dict({"no_such_option": "canary"}), now=clock)
    try:
        with pytest.raises(VaultSealed, match="no_such_option") as caught:
            await current_revision(database)
        assert "canary" not in str(caught.value)
        assert "vault.url" in caught.value.remedy
    finally:
        await database.aclose()


async def test_a_database_that_we_may_not_use_is_told(
    stores: Stores, postgres_server: PostgresServer, url: URL, clock: FixedClock
) -> None:
    await connected(stores, "acme/one")
    role = f"role_of_{url.database}"
    with connect(url) as operator:
        operator.execute(f'CREATE ROLE "{role}" LOGIN')
    stranger = Database(url.set(username=role), now=clock)
    try:
        with pytest.raises(VaultSealed, match="permission denied for table alembic_version"):
            await migrate(stranger)
    finally:
        await stranger.aclose()
        with connect(url) as operator:
            operator.execute(f'DROP ROLE "{role}"')
    assert postgres_server.url.host == url.host


async def test_a_schema_that_was_dropped_under_us_is_told(stores: Stores, url: URL) -> None:
    with connect(url) as operator:
        operator.execute("DROP TABLE account CASCADE")
    with pytest.raises(VaultSealed, match='relation "account" does not exist'):
        await stores.accounts.all()


async def test_tasks_share_few_connections(stores: Stores, url: URL) -> None:
    await asyncio.gather(*(stores.accounts.all() for _ in range(60)))
    with connect(url) as operator:
        query = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database()"
        (count,) = operator.execute(query).fetchone() or (None,)
    assert isinstance(count, int)
    assert count - 1 <= 15


async def _due_at_once(stores: Stores, *numbers: int) -> None:
    """Connect accounts that are due, each so many seconds after the first."""
    for number in numbers:
        account = await connected(stores, f"acme/{number}")
        used = Used(
            account_id=account.id, generation=account.generation, renew_at=SOME_TIME + number
        )
        await DueStore(stores.database, stores.vault).note_used([used])


async def test_who_claims_due_accounts_does_not_wait_for_those_that_others_claim(
    stores: Stores, open_database: OpenDatabase
) -> None:
    await _due_at_once(stores, 1, 2, 3)
    async with open_database().write() as connection:
        await connection.execute(text("SELECT id FROM account WHERE name = 'acme/1' FOR UPDATE"))
        async with asyncio.timeout(5):
            claimed = await DueStore(stores.database, stores.vault).claim(
                now=SOME_TIME + 10, limit=10
            )
    assert sorted(one.name for one in claimed) == ["acme/2", "acme/3"]


async def test_the_longest_overdue_are_claimed_first_whatever_way_they_are_found(
    stores: Stores, open_database: OpenDatabase, url: URL
) -> None:
    """An index happens to give them in order; of few rows Postgres may read the table instead."""
    await _due_at_once(stores, 3, 1, 2)
    with connect(url) as operator:
        for way in ("indexscan", "indexonlyscan", "bitmapscan"):
            operator.execute(f'ALTER DATABASE "{url.database}" SET enable_{way} = off')
    claimed = await DueStore(open_database(), stores.vault).claim(now=SOME_TIME + 10, limit=2)
    assert sorted(one.name for one in claimed) == ["acme/1", "acme/2"]
