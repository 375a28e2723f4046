"""Rate limits that processes share: durations, on one clock for all, until they are over."""

from dataclasses import replace

import pytest
from sqlalchemy import func, insert, select, text

from connector.store.database import Database
from connector.store.history_tables import RateLimitRow
from connector.store.rate_limits import FORGOTTEN_AFTER, LimitName, RateLimits, SharedLimit
from connector.testing import SOME_TIME, Stores

APP = LimitName(provider="acme", scope="app")
HALT = SharedLimit(limit=APP, spread=0.0, wait=600.0, age=0.0)
SPREAD = SharedLimit(
    limit=LimitName(provider="acme", scope="part", name="act_1"), spread=4.0, wait=0.0, age=0.0
)
#: What a statement takes on a busy machine (seconds).
SOON = 30.0


@pytest.fixture
def limits(stores: Stores) -> RateLimits:
    return RateLimits(stores.database)


async def near(limits: RateLimits, *providers: str) -> dict[LimitName, SharedLimit]:
    found = await limits.near(providers or ("acme",), now=SOME_TIME)
    return {one.limit: one for one in found}


async def pass_time(database: Database, seconds: float) -> None:
    """Make all that was told so much older."""
    moments = ("told_at", "halted_until", "expires_at")
    changes = ", ".join(f"{name} = {name} - :seconds" for name in moments)
    async with database.write() as connection:
        statement = text(f"UPDATE rate_limit SET {changes}")  # noqa: S608 - names of ours
        await connection.execute(statement, {"seconds": seconds})


async def count(database: Database) -> int:
    async with database.read() as connection:
        found = await connection.execute(select(func.count()).select_from(RateLimitRow))
        return found.scalar_one()


async def test_what_one_has_met_another_one_learns(limits: RateLimits) -> None:
    for told in (HALT, SPREAD):
        await limits.tell(told, now=SOME_TIME)
    found = await near(limits)
    assert found.keys() == {APP, SPREAD.limit}
    assert HALT.wait - SOON < found[APP].wait <= HALT.wait
    assert found[APP].age < SOON
    assert (found[SPREAD.limit].spread, found[SPREAD.limit].wait) == (4.0, 0.0)


async def test_only_limits_of_the_provider(limits: RateLimits) -> None:
    other = replace(HALT, limit=replace(APP, provider="other"))
    for told in (HALT, other):
        await limits.tell(told, now=SOME_TIME)
    assert (await near(limits)).keys() == {APP}
    assert (await near(limits, "acme", "other")).keys() == {APP, other.limit}
    assert await limits.near((), now=SOME_TIME) == []


async def test_what_is_left_of_a_halt_shrinks_and_ends(limits: RateLimits, stores: Stores) -> None:
    await limits.tell(HALT, now=SOME_TIME)
    await pass_time(stores.database, 400)
    (found,) = (await near(limits)).values()
    assert 200 - SOON < found.wait <= 200
    assert 400 <= found.age < 400 + SOON
    await pass_time(stores.database, 201)
    assert await near(limits) == {}


async def test_how_near_one_is_is_forgotten(limits: RateLimits, stores: Stores) -> None:
    await limits.tell(SPREAD, now=SOME_TIME)
    await pass_time(stores.database, FORGOTTEN_AFTER + 1)
    assert await near(limits) == {}


async def test_what_was_met_a_while_before_it_was_told_is_so_old(limits: RateLimits) -> None:
    await limits.tell(replace(SPREAD, age=FORGOTTEN_AFTER + 1), now=SOME_TIME)
    assert await near(limits) == {}
    await limits.tell(replace(SPREAD, age=20.0), now=SOME_TIME)
    (found,) = (await near(limits)).values()
    assert 20 <= found.age < 20 + SOON


async def test_a_halt_that_lasts_longer_stays(limits: RateLimits) -> None:
    for wait in (600.0, 10.0):
        await limits.tell(replace(HALT, wait=wait), now=SOME_TIME)
    (found,) = (await near(limits)).values()
    assert found.wait > 600 - SOON
    await limits.tell(replace(HALT, wait=3600.0), now=SOME_TIME)
    (found,) = (await near(limits)).values()
    assert found.wait > 3600 - SOON


async def test_hosts_whose_clocks_differ_wait_for_the_same_moment(
    limits: RateLimits, stores: Stores
) -> None:
    """On Postgres its own clock holds. SQLite's processes share one, which may be set."""
    ahead, behind = SOME_TIME + 5400, SOME_TIME - 5400
    await limits.tell(HALT, now=ahead)
    found = await limits.near(["acme"], now=behind)
    if stores.database.is_sqlite:
        assert found == [], "a halt that seems to begin in an hour would last for hours"
        await limits.tell(HALT, now=behind)
        found = await limits.near(["acme"], now=behind)
    assert [HALT.wait - SOON < one.wait <= HALT.wait for one in found] == [True]


async def test_what_is_over_is_removed(limits: RateLimits, stores: Stores) -> None:
    await limits.tell(HALT, now=SOME_TIME)
    await pass_time(stores.database, HALT.wait + 1)
    await limits.tell(SPREAD, now=SOME_TIME)
    await limits.tidy(now=SOME_TIME)
    assert await count(stores.database) == 1
    assert (await near(limits)).keys() == {SPREAD.limit}


async def test_what_a_clock_that_was_wrong_has_left_is_removed(
    limits: RateLimits, stores: Stores
) -> None:
    await limits.tell(HALT, now=SOME_TIME)
    await pass_time(stores.database, -86_400)
    assert await near(limits) == {}
    await limits.tidy(now=SOME_TIME)
    assert await count(stores.database) == 0


async def test_any_name_of_a_part_can_be_told(limits: RateLimits) -> None:
    for name in ("\0", "\ud800", "ä", "x" * 200):
        await limits.tell(replace(SPREAD, limit=replace(SPREAD.limit, name=name)), now=SOME_TIME)
    assert {limit.name for limit in await near(limits)} >= {"ä", "x" * 200}


async def test_not_thousands_are_read_at_once(limits: RateLimits, stores: Stores) -> None:
    row = {"provider": "acme", "scope": "part", "spread": 1.0, "halted_until": 0.0}
    async with stores.database.write() as connection:
        clock = limits._clock(SOME_TIME)
        row |= {"told_at": clock, "expires_at": clock + 50}
        for number in range(1100):
            statement = insert(RateLimitRow).values(row | {"name": str(number)})
            await connection.execute(statement)
    await limits.tell(HALT, now=SOME_TIME)
    found = await near(limits)
    assert len(found) == 1000
    assert APP in found, "those that hold for longest come first"
