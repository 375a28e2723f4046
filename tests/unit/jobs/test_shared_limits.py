"""Rate limits between processes: what is told, how seldom, and what is learned, and when."""

import asyncio
from collections.abc import Collection
from pathlib import Path
from typing import Any

import pytest

from connector.errors import TemporarilyUnavailable
from connector.jobs import shared_limits
from connector.jobs.order import Order
from connector.jobs.shared_limits import SharedLimits
from connector.runtime import Runtime
from connector.settings import DestinationSettings
from connector.store.rate_limits import LimitName, RateLimits, SharedLimit
from connector.testing import SOME_TIME

ACCOUNT = LimitName(provider="acme", scope="account", name="1")
#: What goes by between a note and a look on a busy machine (seconds).
SOON = 20.0


def an_order(provider: str = "acme", request: dict[str, str] | None = None) -> Order:
    return Order(
        run="",
        folder=Path(),
        job="pull",
        account="acme/ads",
        account_id="1",
        run_id="1",
        destination=DestinationSettings(url="sqlite:///ads.db", table="t", key=("id",)),
        since=None,
        options={},
        deadline=60,
        provider=provider,
        request={"url": "items"} if request is None else request,
    )


class Counted:
    """A store whose calls are counted, and which may be away or hang."""

    def __init__(self, store: RateLimits) -> None:
        self._store = store
        self.told: list[SharedLimit] = []
        self.looks: list[tuple[str, ...]] = []
        self.error: Exception | None = None
        self.hangs = False

    async def near(self, providers: Collection[str], *, now: float) -> list[SharedLimit]:
        self.looks.append(tuple(providers))
        await self._fail()
        return await self._store.near(providers, now=now)

    async def tell(self, near: SharedLimit, *, now: float) -> None:
        await self._fail()
        await self._store.tell(near, now=now)
        self.told.append(near)

    async def tidy(self, *, now: float) -> None:
        await self._fail()
        await self._store.tidy(now=now)

    async def _fail(self) -> None:
        if self.hangs:
            await asyncio.Event().wait()
        if self.error is not None:
            raise self.error


class Clock:
    def __init__(self) -> None:
        self.time = 1000.0

    def __call__(self) -> float:
        return self.time


class Process:
    """One process that shares limits over a store."""

    def __init__(self, store: RateLimits) -> None:
        self.store = Counted(store)
        self.clock = Clock()
        store_: Any = self.store
        self.shared = SharedLimits(store_, now=lambda: SOME_TIME, monotonic=self.clock)
        self.ledger = self.shared.ledger

    def note(self, used: float = 100, wait: float = 0, name: LimitName = ACCOUNT) -> None:
        self.ledger.note(name, used=used, wait=wait, slow_from=75)

    async def told(self) -> list[SharedLimit]:
        """Give what was told, once all of it is."""
        async with self.shared.of_run(an_order()):
            pass
        return self.store.told

    def wait(self, name: LimitName = ACCOUNT) -> float:
        return self.ledger.wait([name], has_turn=True)


@pytest.fixture
def one(runtime: Runtime) -> Process:
    return Process(runtime.runs.limits)


@pytest.fixture
def other(runtime: Runtime) -> Process:
    return Process(runtime.runs.limits)


async def test_a_run_that_begins_knows_what_another_process_was_refused_for(
    one: Process, other: Process
) -> None:
    async with one.shared.of_run(an_order()):
        one.note(wait=600)
    async with other.shared.of_run(an_order()):
        assert 600 - SOON < other.wait() <= 600
        assert other.wait(LimitName(provider="acme", scope="account", name="2")) == 0


async def test_what_is_told_is_written_before_the_run_is_over(one: Process) -> None:
    """The process may end with it."""
    async with one.shared.of_run(an_order()):
        one.note(wait=600)
        assert one.store.told == []
    assert [told.limit for told in one.store.told] == [ACCOUNT]


async def test_a_run_that_is_under_way_is_told(
    one: Process, other: Process, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(shared_limits, "LOOK_INTERVAL", 0.01)
    learned = asyncio.Event()
    other.ledger.observe(lambda _name: learned.set())
    async with asyncio.timeout(SOON), other.shared.of_run(an_order()):
        assert other.wait() == 0
        async with one.shared.of_run(an_order()):
            one.note(wait=600)
        await learned.wait()
        assert 600 - SOON < other.wait() <= 600


async def test_nobody_looks_where_no_run_goes_on(
    one: Process, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(shared_limits, "LOOK_INTERVAL", 0.0)
    async with one.shared.of_run(an_order()):
        pass
    looks = len(one.store.looks)
    for _ in range(20):
        await asyncio.sleep(0)
    assert len(one.store.looks) == looks == 1


async def test_calls_are_spread_out_by_the_others_too(one: Process, other: Process) -> None:
    async with one.shared.of_run(an_order()):
        one.note(used=95)
    async with other.shared.of_run(an_order()):
        assert other.ledger.is_near([ACCOUNT])
        waits = [other.ledger.wait([ACCOUNT], has_turn=False) for _ in range(2)]
        assert waits[0] == 0
        assert waits[1] > 1


async def test_what_is_known_here_and_newer_stays(one: Process, other: Process) -> None:
    async with one.shared.of_run(an_order()):
        one.note(used=95)
    other.clock.time += 3600
    other.note(used=20)
    other.clock.time += 0.5
    async with other.shared.of_run(an_order()):
        assert not other.ledger.is_near([ACCOUNT])


class TestHowSeldom:
    async def test_a_limit_that_is_not_near_is_never_told(self, one: Process) -> None:
        for used in (10, 60, 76):
            one.note(used=used)
        one.note(wait=0.5)
        assert await one.told() == []

    async def test_one_that_stays_near_is_not_told_for_each_page(self, one: Process) -> None:
        for _ in range(20):
            one.note(used=95)
            one.clock.time += 0.5
            await one.told()
        assert len(one.store.told) == 1
        one.clock.time += shared_limits.TOLD_AGAIN
        one.note(used=95)
        assert len(await one.told()) == 2

    async def test_a_halt_is_told_once_and_again_where_it_lasts_longer(self, one: Process) -> None:
        for wait in (60, 59, 30):
            one.note(wait=wait)
        assert [round(told.wait) for told in await one.told()] == [60]
        one.note(wait=90)
        assert [round(told.wait) for told in await one.told()] == [60, 90]

    async def test_runs_that_begin_together_share_one_look(self, one: Process) -> None:
        async def run() -> None:
            async with one.shared.of_run(an_order()):
                await asyncio.sleep(0)

        await asyncio.gather(*(run() for _ in range(50)))
        assert one.store.looks == [("acme",)]
        async with one.shared.of_run(an_order(provider="other")):
            pass
        assert one.store.looks == [("acme",), ("other",)]

    async def test_a_function_is_no_reason_to_look(self, one: Process) -> None:
        order = an_order()
        object.__setattr__(order, "request", None)
        async with one.shared.of_run(order):
            pass
        assert one.store.looks == []

    async def test_a_name_that_is_too_long_for_an_index_is_kept_here(self, one: Process) -> None:
        one.note(wait=60, name=LimitName(provider="acme", scope="part", name="x" * 5000))
        assert await one.told() == []


class TestStoreAway:
    async def test_a_run_goes_on_without(
        self, one: Process, caplog: pytest.LogCaptureFixture
    ) -> None:
        one.store.error = TemporarilyUnavailable("the database is away")
        for _ in range(3):
            async with one.shared.of_run(an_order()):
                one.note(wait=60)
                assert one.wait() == 60
            one.clock.time += 100
        assert [record.message for record in caplog.records] == [
            "rate limits are not shared: the database is away. Try again later."
        ]
        one.store.error = None
        async with one.shared.of_run(an_order()):
            one.note(wait=60)
        assert len(one.store.told) == 1

    async def test_one_that_hangs_holds_nobody_up(
        self, one: Process, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(shared_limits, "PATIENCE", 0.02)
        one.store.hangs = True
        async with asyncio.timeout(SOON):
            async with one.shared.of_run(an_order()):
                one.note(wait=60)
                assert one.wait() == 60

    async def test_a_bug_fails_no_run(self, one: Process, caplog: pytest.LogCaptureFixture) -> None:
        one.store.error = KeyError("x")
        async with one.shared.of_run(an_order()):
            pass
        assert "failed by a bug" in caplog.text
