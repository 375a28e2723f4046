"""Listening to Postgres: through cuts, silence, poolers and odd settings, without a word missed."""

import asyncio
import logging
from collections.abc import AsyncIterator
from time import monotonic

import pytest
from sqlalchemy.engine import URL

from connector.errors import TemporarilyUnavailable
from connector.store.changes import ChangeWatch
from connector.store.database import Database
from connector.store.listener import ANSWER_LIMIT
from connector.testing import FixedClock, MemorySeal, Stores, connected, open_stores
from connector.token_source.memory import STALENESS_BOUND
from tests.postgres import connect

from .relay import Relay, relay
from .scenarios import KEY


@pytest.fixture
def kind() -> str:
    return "postgres"


@pytest.fixture
async def watch(stores: Stores) -> AsyncIterator[ChangeWatch]:
    one = ChangeWatch(stores.database)
    yield one
    await one.aclose()


@pytest.fixture
async def between(url: URL) -> AsyncIterator[Relay]:
    async with relay(url) as made:
        yield made


@pytest.fixture
async def remote(between: Relay, clock: FixedClock) -> AsyncIterator[ChangeWatch]:
    """A watch whose way to the database can be disturbed."""
    database = Database(between.url, now=clock, busy_timeout=2)
    one = ChangeWatch(database)
    yield one
    await one.aclose()
    await database.aclose()


def _cut(url: URL) -> None:
    """End all connections to a database, as its operator may."""
    with connect(url) as operator:
        operator.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
            " WHERE datname = current_database() AND pid <> pg_backend_pid()"
        )


async def _quiet(watch: ChangeWatch) -> None:
    """Ask until the watch hears: nothing has changed then."""
    async with asyncio.timeout(20):
        while await watch.has_changed():
            pass


class TestCut:
    async def test_what_happened_meanwhile_is_not_missed(
        self, watch: ChangeWatch, stores: Stores, url: URL
    ) -> None:
        account = await connected(stores, "acme/one")
        await _quiet(watch)
        _cut(url)
        with connect(url) as operator:
            operator.execute("UPDATE account SET generation = 99")
        assert await watch.has_changed()
        await _quiet(watch)
        await stores.accounts.forget(account)
        assert await watch.has_changed(), "it listens again"
        assert not await watch.has_changed()

    async def test_again_and_again(self, watch: ChangeWatch, url: URL) -> None:
        for _ in range(4):
            await watch.has_changed()
            _cut(url)
            assert await watch.has_changed()
        await _quiet(watch)

    async def test_who_waits_is_woken_to_look(self, watch: ChangeWatch, url: URL) -> None:
        await _quiet(watch)
        waiting = asyncio.create_task(watch.wait(60, account="acme/one"))
        await asyncio.sleep(0)
        _cut(url)
        async with asyncio.timeout(10):
            await waiting


class TestConnection:
    async def test_is_not_taken_from_the_pool_and_in_no_transaction(
        self, watch: ChangeWatch, stores: Stores, url: URL
    ) -> None:
        await watch.has_changed()
        await watch.has_changed()
        status = stores.database.engine.pool.status()
        assert status.endswith("Current Checked out connections: 0"), status
        with connect(url) as operator:
            states = operator.execute(
                "SELECT state, count(*) FROM pg_stat_activity"
                " WHERE datname = current_database() AND pid <> pg_backend_pid() GROUP BY state"
            ).fetchall()
        assert states == [("idle", 2)], "one that listens, one in the pool"

    async def test_is_not_ended_for_being_idle(self, watch: ChangeWatch, url: URL) -> None:
        for setting in ("idle_session_timeout", "idle_in_transaction_session_timeout"):
            with connect(url) as operator:
                operator.execute(f'ALTER DATABASE "{url.database}" SET {setting} = 50')
        await _quiet(watch)
        began = monotonic()
        await watch.wait(0.3)
        assert monotonic() - began >= 0.3, "it was cut"
        assert not await watch.has_changed()

    async def test_goes_where_the_urls_options_say(self, url: URL, clock: FixedClock) -> None:
        with connect(url) as operator:
            operator.execute("CREATE SCHEMA apart")
        own = {"options": "-c search_path=apart", "application_name": "mine"}
        database = Database(url.update_query_dict(own), now=clock)
        watch = ChangeWatch(database)
        try:
            stores = await open_stores(database, MemorySeal(KEY))
            await _quiet(watch)
            await connected(stores, "acme/one")
            assert await watch.has_changed()
            with connect(url) as operator:
                (count,) = operator.execute(
                    "SELECT count(*) FROM pg_stat_activity WHERE application_name = 'mine'"
                    " AND datname = current_database()"
                ).fetchone() or (None,)
            assert count == 3, "what reads, what writes, and what listens"
        finally:
            await watch.aclose()
            await database.aclose()


class TestDisturbed:
    async def test_silence_is_noticed_in_time(self, between: Relay, remote: ChangeWatch) -> None:
        await _quiet(remote)
        between.is_silent = True
        began = monotonic()
        with pytest.raises(TemporarilyUnavailable, match="no answer within 1 s"):
            await remote.has_changed()
        assert monotonic() - began >= ANSWER_LIMIT
        between.is_silent = False
        await _until_heard(remote)

    def test_it_fits_within_the_bound(self) -> None:
        assert ANSWER_LIMIT < STALENESS_BOUND

    async def test_a_database_that_is_away_is_told(
        self, between: Relay, remote: ChangeWatch
    ) -> None:
        await _quiet(remote)
        await between.stop()
        for _ in range(2):
            with pytest.raises(TemporarilyUnavailable, match="refused"):
                await remote.has_changed()

    async def test_behind_a_pooler_the_answer_is_perhaps(
        self,
        between: Relay,
        remote: ChangeWatch,
        stores: Stores,
        caplog: pytest.LogCaptureFixture,
    ) -> None:
        """PgBouncer takes LISTEN in a pool of transactions, and passes no notification on."""
        between.is_deaf = True
        with caplog.at_level(logging.INFO):
            for _ in range(4):
                assert await remote.has_changed()
        assert [record.levelname for record in caplog.records] == ["WARNING"]
        assert "does not tell of changes" in caplog.text
        assert "pooler" in caplog.text
        began = monotonic()
        await remote.wait(60)
        assert monotonic() - began < 10, "who waits looks for itself"
        await connected(stores, "acme/one")
        assert await remote.has_changed()


async def _until_heard(watch: ChangeWatch) -> None:
    async with asyncio.timeout(30):
        while True:
            try:
                if not await watch.has_changed():
                    return
            except TemporarilyUnavailable:
                await asyncio.sleep(0.01)
