"""The keys that the daemon knows: taken up, dropped, and gone on with while the store is away."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager

import pytest

from connector.account_name import parse_glob
from connector.api_key import ApiKey, new_key
from connector.errors import TemporarilyUnavailable
from connector.runtime import Runtime
from connector.store.api_keys import ApiKeyStore
from connector.web.known_keys import FRESH, NOTING, STALE, KnownKeys


class Clock:
    """Seconds that never go back."""

    def __init__(self) -> None:
        self.seconds = 1000.0

    def __call__(self) -> float:
        return self.seconds


@contextmanager
def store_away() -> Iterator[list[int]]:
    """Let the keys not be read; tells of each try."""
    tries: list[int] = []

    async def fail(_self: ApiKeyStore) -> list[ApiKey]:
        tries.append(1)
        raise TemporarilyUnavailable("the database is away")

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(ApiKeyStore, "all", fail)
        yield tries


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
async def known(runtime: Runtime, clock: Clock) -> AsyncIterator[KnownKeys]:
    made = KnownKeys(runtime.api_keys, now=runtime.now, clock=clock)
    yield made
    await made.aclose()


async def make(runtime: Runtime, name: str = "ci", expires_at: float | None = None) -> str:
    made = new_key()
    await runtime.api_keys.add(
        made,
        name=name,
        accounts=(parse_glob("**"),),
        scopes=frozenset({"token:read"}),
        now=runtime.now(),
        expires_at=expires_at,
    )
    return made.text


async def test_a_key_that_was_just_made_works_at_once(
    runtime: Runtime, known: KnownKeys, clock: Clock
) -> None:
    first = await make(runtime)
    found = await known.find(first)
    assert found is not None
    assert found.name == "ci"
    second = await make(runtime, "second")
    clock.seconds += 0.3
    found = await known.find(second)
    assert found is not None
    assert found.name == "second"


async def test_a_revoked_key_is_dropped_within_the_bound(
    runtime: Runtime, known: KnownKeys, clock: Clock
) -> None:
    key = await make(runtime)
    assert await known.find(key)
    await runtime.api_keys.revoke("ci", now=runtime.now())
    clock.seconds += STALE + 0.1
    assert await known.find(key) is None


async def test_a_call_in_between_has_it_compared_in_the_background(
    runtime: Runtime, known: KnownKeys, clock: Clock
) -> None:
    key = await make(runtime)
    await known.find(key)
    await runtime.api_keys.revoke("ci", now=runtime.now())
    clock.seconds += FRESH + 0.1
    assert await known.find(key), "nobody waits"
    assert known._asking is not None
    await known._asking
    assert await known.find(key) is None


async def test_an_expired_key_is_none(runtime: Runtime, known: KnownKeys) -> None:
    assert await known.find(await make(runtime, expires_at=runtime.now())) is None


async def test_what_is_no_key_asks_nobody(known: KnownKeys) -> None:
    with store_away() as tries:
        assert await known.find("") is None
        assert await known.find("ck_short_secret") is None
    assert tries == []


async def test_whoever_tries_identifiers_out_does_not_flood_the_store(
    runtime: Runtime, known: KnownKeys
) -> None:
    await known.find(await make(runtime))
    before = asyncio.get_running_loop().time()
    for _ in range(3):
        assert await known.find(new_key().text) is None
    assert asyncio.get_running_loop().time() - before >= 0.2


async def test_the_secret_counts(runtime: Runtime, known: KnownKeys) -> None:
    key = await make(runtime)
    other = await make(runtime, "other")
    assert await known.find(key[:17] + other[17:]) is None


async def test_while_the_store_is_away_keys_go_on(
    runtime: Runtime, known: KnownKeys, clock: Clock
) -> None:
    key = await make(runtime)
    await known.find(key)
    clock.seconds += 60
    with store_away() as tries:
        assert await known.find(key)
    assert tries, "it was tried"


async def test_keys_that_could_never_be_read_are_no_refusal(
    runtime: Runtime, known: KnownKeys
) -> None:
    key = await make(runtime)
    with store_away(), pytest.raises(TemporarilyUnavailable):
        await known.find(key)
    assert await known.find(key)


async def test_use_is_written_once_a_minute_and_at_the_end(
    runtime: Runtime, known: KnownKeys, clock: Clock
) -> None:
    key = await make(runtime)

    async def last_used() -> float | None:
        (found,) = await runtime.api_keys.all()
        return found.last_used_at

    for _ in range(3):
        await known.find(key)
    assert await last_used() is None, "a call writes nothing"
    clock.seconds += NOTING + STALE + 1
    await known.find(key)
    assert await last_used() == runtime.now()
    await known.aclose()
    assert await last_used() == runtime.now()
