"""The change watch: what another process commits is seen, and a failure is not the end of it."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from time import monotonic

import pytest
from sqlalchemy import event, text
from sqlalchemy.exc import OperationalError

from connector.account import Account, Trouble
from connector.errors import TemporarilyUnavailable
from connector.store.changes import ChangeWatch
from connector.testing import SOME_TIME, Stores, connected, some_attempt, some_tokens

from .conftest import OpenDatabase
from .worker import Worker

TROUBLE = Trouble(message="HTTP 503", since=SOME_TIME, failures=1, retry_at=SOME_TIME + 60)


@pytest.fixture
async def watch(stores: Stores) -> AsyncIterator[ChangeWatch]:
    one = ChangeWatch(stores.database)
    yield one
    await one.aclose()
    await one.aclose()


async def _leased(stores: Stores) -> Account:
    leased = await stores.grants.take_lease(
        await connected(stores, "acme/one"), "owner", some_attempt()
    )
    assert leased is not None
    return leased


async def _passed(waiting: Awaitable[None]) -> float:
    """Give how long something waited, in seconds."""
    began = monotonic()
    await waiting
    return monotonic() - began


class TestHasChanged:
    async def test_at_first_everything_may_have_changed(self, watch: ChangeWatch) -> None:
        assert await watch.has_changed()

    async def test_without_a_commit_nothing_has_changed(
        self, watch: ChangeWatch, stores: Stores
    ) -> None:
        await watch.has_changed()
        await stores.accounts.all()
        for _ in range(3):
            assert not await watch.has_changed()

    async def test_a_commit_of_another_process_is_seen(
        self, watch: ChangeWatch, worker: Worker, address: str
    ) -> None:
        await watch.has_changed()
        worker.order("begin_account", url=address, name="acme/one")
        worker.wait_until_ready()
        await watch.has_changed()
        worker.go()
        worker.result()
        assert await watch.has_changed()
        assert not await watch.has_changed()

    async def test_a_commit_of_this_process_is_seen_at_once(
        self, watch: ChangeWatch, stores: Stores
    ) -> None:
        account = await connected(stores, "acme/one")
        await watch.has_changed()
        for number in range(20):
            renewed = await stores.grants.renew(account, some_tokens(f"{number}"))
            assert renewed is not None
            account = renewed
            assert await watch.has_changed()
            assert not await watch.has_changed()

    @pytest.mark.parametrize(
        "write",
        [
            lambda stores, account: stores.grants.renew(account, some_tokens("2")),
            lambda stores, account: stores.grants.settle(account, TROUBLE, unanswered=None),
            lambda stores, account: stores.grants.settle(account, None, unanswered=None),
            lambda stores, account: stores.grants.require_consent(account, "ended", now=1.0),
            lambda stores, account: stores.revocations.destroy(
                account, "revoked", now=1.0, is_owed=False
            ),
            lambda stores, account: stores.accounts.rename(account, "acme/two"),
            lambda stores, account: stores.accounts.forget(account),
            lambda stores, _account: connected(stores, "acme/two"),
        ],
        ids=["renew", "trouble", "settle", "end", "revoke", "rename", "forget", "connect"],
    )
    async def test_what_others_act_on_is_told(
        self,
        watch: ChangeWatch,
        stores: Stores,
        write: Callable[[Stores, Account], Awaitable[object]],
    ) -> None:
        leased = await _leased(stores)
        await watch.has_changed()
        await write(stores, leased)
        assert await watch.has_changed()
        assert not await watch.has_changed()

    async def test_which_accounts_have_changed_is_told_once(
        self, watch: ChangeWatch, stores: Stores
    ) -> None:
        one, two, three = [await connected(stores, f"acme/{name}") for name in "abc"]
        await watch.has_changed()
        assert watch.take_accounts() is None, "what was before it was asked is not known"
        await stores.grants.renew(one, some_tokens("2"))
        await stores.accounts.rename(two, "acme/renamed")
        await stores.accounts.forget(three)
        await watch.has_changed()
        assert watch.take_accounts() == {"acme/a", "acme/b", "acme/renamed", "acme/c"}
        await watch.has_changed()
        assert watch.take_accounts() == set()

    @pytest.mark.parametrize("kind", ["sqlite"], indirect=True)
    async def test_what_no_token_depends_on_changes_no_account(
        self, watch: ChangeWatch, stores: Stores
    ) -> None:
        account = await connected(stores, "acme/one")
        await watch.has_changed()
        watch.take_accounts()
        await stores.grants.take_lease(account, "owner", some_attempt())
        assert await watch.has_changed(), "who waits may wait for just this"
        assert watch.take_accounts() == set()

    @pytest.mark.parametrize("kind", ["sqlite"], indirect=True)
    async def test_more_changes_than_are_kept_may_be_of_any_account(
        self, watch: ChangeWatch, stores: Stores
    ) -> None:
        account = await connected(stores, "acme/one")
        await watch.has_changed()
        watch.take_accounts()
        async with stores.database.write() as connection:
            await connection.execute(
                text("INSERT INTO account_change (number, account) VALUES (20000, 'acme/other')")
            )
        await stores.grants.renew(account, some_tokens("2"))
        await watch.has_changed()
        assert watch.take_accounts() is None
        async with stores.database.read() as connection:
            kept = await connection.execute(text("SELECT number FROM account_change"))
            assert [number for (number,) in kept] == [20000, 20001], "the old ones are gone"
        await stores.grants.renew(await stores.accounts.require("acme/one"), some_tokens("3"))
        await watch.has_changed()
        assert watch.take_accounts() == {"acme/one"}

    @pytest.mark.parametrize("kind", ["postgres"], indirect=True)
    async def test_what_nobody_acts_on_is_not_told(
        self, watch: ChangeWatch, stores: Stores, worker: Worker, address: str
    ) -> None:
        """SQLite counts all commits; it is one host's, and has few."""
        account = await connected(stores, "acme/one")
        await watch.has_changed()
        worker.order("hold_lease", url=address, name="acme/one")
        worker.wait_until_ready()
        worker.go()
        worker.result()
        assert (await stores.accounts.require("acme/one")).lease != account.lease
        await stores.runs.pause("job", now=1.0)
        assert not await watch.has_changed()

    async def test_what_was_rolled_back_is_not_told(
        self, watch: ChangeWatch, stores: Stores
    ) -> None:
        await connected(stores, "acme/one")
        await watch.has_changed()

        async def fail() -> None:
            async with stores.database.write() as connection:
                await connection.execute(text("UPDATE account SET generation = 99"))
                raise ZeroDivisionError

        with pytest.raises(ZeroDivisionError):
            await fail()
        assert not await watch.has_changed()


class TestWait:
    async def test_a_commit_of_another_process_ends_it(
        self, watch: ChangeWatch, stores: Stores, worker: Worker, address: str
    ) -> None:
        await connected(stores, "acme/one")
        await watch.has_changed()
        worker.order("renew", url=address, name="acme/one", tokens="2")
        worker.wait_until_ready()
        await watch.has_changed()
        count = watch.count
        waiting = asyncio.create_task(watch.wait(60, account="acme/one", since=count))
        await asyncio.sleep(0)
        worker.go()
        assert await asyncio.to_thread(worker.result) is True
        assert await _passed(waiting) < 10
        assert (await stores.accounts.require("acme/one")).generation == 2

    async def test_without_a_change_it_ends_when_the_time_is_over(self, watch: ChangeWatch) -> None:
        await watch.has_changed()
        assert 0.05 <= await _passed(watch.wait(0.05)) < 10

    async def test_what_changed_since_the_count_ends_it_at_once(
        self, watch: ChangeWatch, stores: Stores
    ) -> None:
        await watch.has_changed()
        count = watch.count
        await connected(stores, "acme/one")
        await watch.has_changed()  # it is told of it before anybody waits
        assert await _passed(watch.wait(60, account="acme/one", since=count)) < 10

    async def test_what_was_never_asked_may_have_changed(self, watch: ChangeWatch) -> None:
        assert await _passed(watch.wait(60)) < 10

    @pytest.mark.parametrize("kind", ["postgres"], indirect=True)
    async def test_other_accounts_do_not_end_it(self, watch: ChangeWatch, stores: Stores) -> None:
        await connected(stores, "acme/one")
        await watch.has_changed()
        waiting = asyncio.create_task(watch.wait(60, account="acme/one"))
        await asyncio.sleep(0)
        two = await connected(stores, "acme/two")
        await watch.has_changed()
        assert not waiting.done()
        await stores.accounts.forget(await stores.accounts.require("acme/one"))
        await stores.accounts.rename(two, "acme/one")
        assert await _passed(waiting) < 10

    async def test_many_wait_and_one_gives_up(
        self, watch: ChangeWatch, stores: Stores, open_database: OpenDatabase
    ) -> None:
        """However many wait, the database is asked for all of them together."""
        await watch.has_changed()
        statements: list[object] = []
        event.listen(
            stores.database.engine.sync_engine,
            "before_cursor_execute",
            lambda *details: statements.append(details),
        )
        waiting = [asyncio.create_task(watch.wait(60)) for _ in range(100)]
        began = monotonic()
        await watch.wait(0.25)
        polls = (monotonic() - began) / 0.02 + 3
        assert len(statements) <= (polls if stores.database.is_sqlite else 0)
        waiting[0].cancel()
        await asyncio.gather(waiting[0], return_exceptions=True)
        assert not any(task.done() for task in waiting[1:])
        other = open_database()
        async with other.write() as connection:
            await connection.execute(
                text(
                    "INSERT INTO account (id, name, provider, state, state_since, generation,"
                    " created_at, lease_fence, attempt_count, failures)"
                    " VALUES ('1', 'acme/one', 'acme', 'pending', 1, 0, 1, 0, 0, 0)"
                )
            )
        await asyncio.gather(*waiting[1:])
        assert monotonic() - began < 20

    async def test_after_it_was_closed_nothing_is_left(
        self, watch: ChangeWatch, stores: Stores
    ) -> None:
        before = asyncio.all_tasks()
        await watch.has_changed()
        waiting = asyncio.create_task(watch.wait(0.05))
        await asyncio.sleep(0.01)
        await watch.aclose()
        await waiting
        assert asyncio.all_tasks() == before
        pool = stores.database.engine.pool
        assert pool.status().endswith("Current Checked out connections: 0"), pool.status()
        await stores.database.engine.dispose()
        if not stores.database.is_sqlite:
            await _until_alone(stores)


async def _until_alone(stores: Stores) -> None:
    query = text(
        "SELECT count(*) FROM pg_stat_activity"
        " WHERE datname = current_database() AND pid <> pg_backend_pid()"
    )
    async with asyncio.timeout(10):
        while True:  # a backend ends a moment after its client
            async with stores.database.read() as connection:
                if (await connection.execute(query)).scalar_one() == 0:
                    return


class TestSqlite:
    @pytest.fixture
    def kind(self) -> str:
        return "sqlite"

    async def test_after_a_failure_everything_may_have_changed(
        self, watch: ChangeWatch, stores: Stores
    ) -> None:
        await watch.has_changed()
        assert not await watch.has_changed()
        engine = stores.database.engine

        def fail(*_details: object) -> None:
            raise OperationalError("PRAGMA data_version", {}, Exception("disk I/O error"))

        event.listen(engine.sync_engine, "before_cursor_execute", fail)
        for _ in range(3):
            with pytest.raises(TemporarilyUnavailable, match="disk I/O error"):
                await watch.has_changed()
        assert await _passed(watch.wait(0.05)) >= 0.05, "nobody can tell, and nobody is hurried"
        event.remove(engine.sync_engine, "before_cursor_execute", fail)
        assert await watch.has_changed(), "what happened meanwhile is not known"
        assert not await watch.has_changed()

    async def test_it_keeps_no_snapshot_that_would_hold_up_the_log(
        self, watch: ChangeWatch, stores: Stores, open_database: OpenDatabase
    ) -> None:
        await watch.has_changed()
        await stores.runs.pause("job", now=1.0)
        async with open_database().engine.connect() as connection:
            await connection.execution_options(connector_begin="")
            answer = await connection.execute(text("PRAGMA wal_checkpoint(TRUNCATE)"))
            assert answer.one()[0] == 0, "a reader is in the way"


async def test_a_watcher_that_is_stopped_half_way_can_be_asked_again(
    watch: ChangeWatch, stores: Stores
) -> None:
    for ticks in range(8):
        asking = asyncio.create_task(watch.has_changed())
        for _ in range(ticks):
            await asyncio.sleep(0)
        asking.cancel()
        await asyncio.gather(asking, return_exceptions=True)
        assert await watch.has_changed() in {True, False}
    await connected(stores, "acme/one")
    assert await watch.has_changed()
    assert not await watch.has_changed()
