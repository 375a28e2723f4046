"""The lease: who gets it, by whose clock, when it ends, and what goes with it."""

import asyncio
import os
from dataclasses import replace

from sqlalchemy import text
from sqlalchemy.pool import QueuePool

from connector.account import Account, Attempt, Trouble
from connector.store.database import Database
from connector.store.grant_statements import LEASE_DURATION
from connector.store.grants import GrantStore
from connector.store.owner import is_gone, new_owner
from connector.testing import SOME_TIME, FixedClock, Stores, connected, some_attempt

from .conftest import OpenDatabase
from .worker import Crew, Worker

TROUBLE = Trouble(message="503", since=SOME_TIME, failures=1, retry_at=SOME_TIME + 60)


async def _leased(stores: Stores, owner: str = "owner") -> Account:
    account = await connected(stores, "acme/one")
    leased = await stores.grants.take_lease(account, owner, some_attempt())
    assert leased is not None
    return leased


async def _database_time(database: Database) -> float:
    async with database.read() as connection:
        query = "SELECT extract(epoch FROM clock_timestamp())::float8"
        return float((await connection.execute(text(query))).scalar_one())


async def _end_lease(stores: Stores, clock: FixedClock) -> None:
    """Let the lease come to its end by the clock that counts."""
    if stores.database.is_sqlite:
        clock.now += LEASE_DURATION
        return
    async with stores.database.write() as connection:
        await connection.execute(
            text("UPDATE account SET lease_until = extract(epoch FROM clock_timestamp())")
        )


async def _wait_until_in_use(database: Database) -> None:
    pools = [engine.pool for engine in database.engines]
    async with asyncio.timeout(10):
        while not any(isinstance(pool, QueuePool) and pool.checkedout() for pool in pools):  # noqa: ASYNC110 - nobody tells
            await asyncio.sleep(0)


async def test_of_processes_that_take_it_at_once_one_gets_it(
    stores: Stores, workers: Crew, address: str
) -> None:
    await connected(stores, "acme/one")
    fences = workers.run("take_lease", [{"url": address, "name": "acme/one"}] * 6)
    assert sorted(fence for fence in fences if fence is not None) == [1]


async def test_of_tasks_that_take_it_at_once_one_gets_it(stores: Stores) -> None:
    account = await connected(stores, "acme/one")
    owners = [f"owner {number}" for number in range(30)]
    taken = await asyncio.gather(
        *(stores.grants.take_lease(account, owner, some_attempt()) for owner in owners)
    )
    (winner,) = [one for one in taken if one is not None]
    assert winner == await stores.accounts.require("acme/one")


async def test_the_attempt_is_recorded_with_it(stores: Stores) -> None:
    account = await connected(stores, "acme/one")
    attempt = Attempt(
        sent_at=SOME_TIME + 2,
        first_sent_at=SOME_TIME + 1,
        count=3,
        token_fingerprint="0123456789abcdef",
        fence=0,
    )
    leased = await stores.grants.take_lease(account, "me", attempt)
    assert leased is not None
    assert leased.attempt == replace(attempt, fence=1)
    assert (await stores.accounts.require("acme/one")).attempt == leased.attempt


async def test_it_lasts_by_the_clock_of_the_database(stores: Stores, clock: FixedClock) -> None:
    clock.now = 1000.0  # what Postgres does not care about
    is_sqlite = stores.database.is_sqlite
    before = clock.now if is_sqlite else await _database_time(stores.database)
    leased = await _leased(stores)
    after = clock.now if is_sqlite else await _database_time(stores.database)
    assert leased.lease is not None
    assert before + LEASE_DURATION <= leased.lease.until <= after + LEASE_DURATION
    assert LEASE_DURATION <= 45, "DESIGN.md, section 5"


async def test_nobody_else_gets_it_before_its_end(stores: Stores, clock: FixedClock) -> None:
    leased = await _leased(stores)
    clock.now += LEASE_DURATION - 0.001
    assert await stores.grants.take_lease(leased, "other", some_attempt()) is None
    assert await stores.accounts.require("acme/one") == leased, "attempt and owner stay"


async def test_at_its_end_another_owner_gets_it_under_the_next_fence(
    stores: Stores, clock: FixedClock
) -> None:
    first = await _leased(stores, "first")
    await _end_lease(stores, clock)
    for fence in (2, 3):
        taken = await stores.grants.take_lease(first, f"owner {fence}", some_attempt())
        assert taken is not None
        assert taken.lease is not None
        assert taken.attempt is not None
        assert (taken.lease.owner, taken.lease.fence) == (f"owner {fence}", fence)
        assert taken.attempt.fence == fence
        await _end_lease(stores, clock)


async def test_one_that_ends_later_than_any_can_is_of_another_clock(stores: Stores) -> None:
    """The time since boot begins anew: what was written before would hold for days."""
    leased = await _leased(stores, "another boot")
    async with stores.database.write() as connection:
        await connection.execute(text("UPDATE account SET lease_until = lease_until + 10000"))
    taken = await stores.grants.take_lease(leased, "me", some_attempt())
    assert taken is not None
    assert taken.lease is not None
    assert taken.lease.owner == "me"


async def test_its_time_begins_after_the_wait_for_the_database(
    stores: Stores, clock: FixedClock, open_database: OpenDatabase
) -> None:
    """SQLite: a writer that waits for another one must not get a lease that is half over."""
    account = await connected(stores, "acme/one")
    other = open_database()
    async with other.write() as connection:
        await connection.execute(text("UPDATE account SET last_error = last_error"))
        taking = asyncio.create_task(stores.grants.take_lease(account, "me", some_attempt()))
        await _wait_until_in_use(stores.database)
        clock.now += 8
    taken = await taking
    assert taken is not None
    assert taken.lease is not None
    if stores.database.is_sqlite:
        assert taken.lease.until == clock.now + LEASE_DURATION


async def test_an_owner_that_is_gone_is_replaced_at_once(
    stores: Stores, worker: Worker, address: str
) -> None:
    await connected(stores, "acme/one")
    worker.order("hold_lease", url=address, name="acme/one")
    worker.wait_until_ready()
    held = await stores.accounts.require("acme/one")
    assert held.lease is not None
    assert not is_gone(held.lease.owner)
    worker.kill()
    assert is_gone(held.lease.owner)
    taken = await stores.grants.take_lease(
        held, new_owner(), some_attempt(), gone_owner=held.lease.owner
    )
    assert taken is not None
    assert taken.lease is not None
    assert taken.lease.fence == 2
    assert not is_gone(taken.lease.owner)


async def test_only_the_owner_that_is_gone_is_replaced(stores: Stores) -> None:
    leased = await _leased(stores, "living")
    taken = await stores.grants.take_lease(leased, "me", some_attempt(), gone_owner="another")
    assert taken is None


async def test_given_back_with_a_known_outcome_the_attempt_is_settled(stores: Stores) -> None:
    settled = await stores.grants.settle(await _leased(stores), TROUBLE, unanswered=None)
    assert settled is not None
    assert (settled.lease, settled.attempt, settled.trouble) == (None, None, TROUBLE)
    assert settled.state_name == "active", "a failure takes nothing away"
    assert settled.grant is not None


async def test_given_back_with_an_unknown_outcome_the_attempt_stays(stores: Stores) -> None:
    leased = await _leased(stores)
    settled = await stores.grants.settle(leased, TROUBLE, unanswered=leased.attempt)
    assert settled is not None
    assert settled.lease is None
    assert settled.attempt == leased.attempt


async def test_given_back_without_trouble_the_old_trouble_goes(stores: Stores) -> None:
    first = await stores.grants.settle(await _leased(stores), TROUBLE, unanswered=None)
    assert first is not None
    again = await stores.grants.take_lease(first, "me", some_attempt())
    assert again is not None
    settled = await stores.grants.settle(again, None, unanswered=None)
    assert settled is not None
    assert settled.trouble is None


async def test_a_stale_owner_gives_nothing_back(stores: Stores, clock: FixedClock) -> None:
    stale = await _leased(stores, "stale")
    await _end_lease(stores, clock)
    holder = await stores.grants.take_lease(stale, "holder", some_attempt(SOME_TIME + 60))
    assert holder is not None
    assert await stores.grants.settle(stale, TROUBLE, unanswered=None) is None
    assert await stores.accounts.require("acme/one") == holder


async def test_who_has_not_heard_of_a_failure_takes_no_lease(stores: Stores) -> None:
    """Between its reading and its asking another owner was told to wait."""
    before = await connected(stores, "acme/one")
    leased = await stores.grants.take_lease(before, "first", some_attempt())
    assert leased is not None
    settled = await stores.grants.settle(leased, TROUBLE, unanswered=None)
    assert settled is not None
    assert await stores.grants.take_lease(before, "second", some_attempt()) is None
    assert await stores.grants.take_lease(settled, "second", some_attempt()) is not None


async def test_who_has_no_lease_gives_nothing_back(stores: Stores) -> None:
    account = await connected(stores, "acme/one")
    assert await stores.grants.settle(account, TROUBLE, unanswered=None) is None
    assert await stores.accounts.require("acme/one") == account


async def test_an_account_that_is_not_active_is_not_leased(stores: Stores) -> None:
    pending = await stores.accounts.begin("acme/one", "acme", now=SOME_TIME)
    assert await stores.grants.take_lease(pending, "me", some_attempt()) is None


async def test_no_intent_is_recorded_where_the_store_cannot_be_written(
    stores: Stores, open_database: OpenDatabase
) -> None:
    """CHECKLIST 60: what cannot be written down is not sent; see test_database for the errors."""
    account = await connected(stores, "acme/one")
    grants = GrantStore(open_database(), stores.vault)
    async with stores.database.write() as connection:
        await connection.execute(text("UPDATE account SET generation = 7"))
    assert await grants.take_lease(account, f"{os.getpid()}", some_attempt()) is None
    assert (await stores.accounts.require("acme/one")).attempt is None
