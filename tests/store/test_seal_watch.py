"""A seal that has to answer again: silent for a while it does no harm, for too long it ends all.

CHECKLIST 130, V18.
"""

from collections.abc import Callable
from dataclasses import dataclass, field

import pytest
from sqlalchemy import text

from connector.errors import TemporarilyUnavailable, VaultSealed
from connector.store import seal_watch
from connector.store.seal_watch import CHECKS, LONGEST_PAUSE, SealWatch
from connector.store.vault_seals import change_seal
from connector.testing import MemorySeal, Stores, open_stores

from .conftest import OpenDatabase
from .scenarios import KEY

HOUR = 3600.0


class Remote(MemorySeal):
    """A seal that another program keeps, which may be away."""

    is_away = False

    def unwrap(self, wrapped: bytes, store_id: str) -> bytes:
        if self.is_away:
            raise VaultSealed("nobody answers")
        return super().unwrap(wrapped, store_id)


@dataclass
class Time:
    """A clock, and what happens at which time."""

    now: float = 0.0
    events: list[tuple[float, Callable[[], object]]] = field(default_factory=list)
    pauses: list[float] = field(default_factory=list)

    async def sleep(self, seconds: float) -> None:
        self.now += seconds
        self.pauses.append(seconds)
        assert len(self.pauses) < 1000, "it goes on for ever"
        while self.events and self.events[0][0] <= self.now:
            self.events.pop(0)[1]()


@pytest.fixture
async def stores(open_database: OpenDatabase) -> Stores:
    return await open_stores(open_database(), MemorySeal(KEY))


@pytest.fixture
def time() -> Time:
    return Time()


def watch(stores: Stores, seal: Remote, time: Time, *, max_age: float = HOUR) -> SealWatch:
    return SealWatch(stores.database, seal, max_age=max_age, now=lambda: time.now, sleep=time.sleep)


def away(seal: Remote, *, is_away: bool) -> Callable[[], None]:
    def change() -> None:
        seal.is_away = is_away

    return change


async def test_silent_for_too_long_it_counts_as_sealed(stores: Stores, time: Time) -> None:
    seal = Remote(KEY)
    time.events = [(10_000, away(seal, is_away=True))]
    failure = await watch(stores, seal, time).run()
    assert failure.reason == "nobody answers"
    last_answer = 9_900  # checks are every five minutes
    assert last_answer + HOUR <= time.now <= last_answer + HOUR + LONGEST_PAUSE
    assert set(time.pauses) == {LONGEST_PAUSE}


async def test_an_outage_that_is_shorter_does_no_harm(
    stores: Stores, time: Time, caplog: pytest.LogCaptureFixture
) -> None:
    seal = Remote(KEY)
    time.events = [
        (1_000, away(seal, is_away=True)),
        (4_000, away(seal, is_away=False)),
        (50_000, away(seal, is_away=True)),
    ]
    caplog.set_level("INFO", logger="connector")
    await watch(stores, seal, time).run()
    assert time.now >= 50_000 + HOUR - LONGEST_PAUSE
    silent, back, again = [record.getMessage() for record in caplog.records]
    assert silent.startswith("the seal does not open the vault any more; it is served for ")
    assert back == "the seal answers again"
    assert again.startswith("the seal does not open")


async def test_within_a_short_age_it_is_asked_several_times(stores: Stores, time: Time) -> None:
    seal = Remote(KEY)
    seal.is_away = True
    await watch(stores, seal, time, max_age=8.0).run()
    assert time.pauses == [2.0] * CHECKS


async def test_a_seal_whose_key_was_taken_away_is_as_silent(stores: Stores, time: Time) -> None:
    failure = await watch(stores, Remote("ff" * 32), time).run()
    assert "is not the one that this vault was sealed with" in failure.reason


async def test_where_the_vault_has_moved_to_another_seal_the_old_one_is_asked_as_before(
    stores: Stores, time: Time
) -> None:
    """Programs that have the vault open go on (`connector vault rotate --seal`)."""
    seal = Remote(KEY)

    class Another(MemorySeal):
        @property
        def description(self) -> str:
            return "another seal"

    watching = watch(stores, seal, time)
    moved: list[bool] = []

    async def sleep(seconds: float) -> None:
        await time.sleep(seconds)
        if not moved:
            await change_seal(stores.database, seal, Another(), keep=False, now=0.0)
            moved.append(True)

    watching._sleep = sleep
    time.events.append((10 * HOUR, lambda: setattr(seal, "is_away", True)))
    failure = await watching.run()
    assert "nobody answers" in failure.reason
    assert time.now >= 10 * HOUR


async def test_a_root_key_that_opens_nothing_is_no_answer(stores: Stores, time: Time) -> None:
    async with stores.database.write() as connection:
        await connection.execute(text("UPDATE vault_key SET wrapped = :junk"), {"junk": b"\1" * 65})
    failure = await watch(stores, Remote(KEY), time).run()
    assert "data key 1 does not open" in failure.reason


async def test_a_seal_that_hangs_is_as_silent(
    stores: Stores, time: Time, monkeypatch: pytest.MonkeyPatch
) -> None:
    import threading

    let_go = threading.Event()

    class Hanging(Remote):
        def unwrap(self, wrapped: bytes, store_id: str) -> bytes:
            let_go.wait(30)
            return super().unwrap(wrapped, store_id)

    monkeypatch.setattr(seal_watch, "TIME_LIMIT", 0.05)
    try:
        failure = await watch(stores, Hanging(KEY), time).run()
    finally:
        let_go.set()
    assert "did not answer within 0.05 s" in failure.reason


async def test_a_seal_that_fails_as_it_should_not_is_as_silent(stores: Stores, time: Time) -> None:
    class Broken(Remote):
        def unwrap(self, wrapped: bytes, store_id: str) -> bytes:
            raise LookupError(wrapped, store_id)

    failure = await watch(stores, Broken(KEY), time).run()
    assert failure.reason == "the memory of a test failed (LookupError)"


async def test_a_database_that_is_away_says_nothing_of_the_seal(
    stores: Stores, time: Time, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its last state is what the seal is asked about; without one there is nothing to ask."""
    require, seal = seal_watch.require_keys, Remote(KEY)  # type: ignore[attr-defined]

    async def be_away(_database: object) -> object:
        raise TemporarilyUnavailable("the database is away")

    monkeypatch.setattr(seal_watch, "require_keys", be_away)
    time.events = [
        (5 * HOUR, lambda: monkeypatch.setattr(seal_watch, "require_keys", require)),
        (6 * HOUR, lambda: monkeypatch.setattr(seal_watch, "require_keys", be_away)),
        (20 * HOUR, away(seal, is_away=True)),
    ]
    failure = await watch(stores, seal, time).run()
    assert failure.reason == "nobody answers"
    assert time.now >= 21 * HOUR - LONGEST_PAUSE
