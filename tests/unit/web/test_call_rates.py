"""Who calls too often over TCP is told so, and nobody else is (CHECKLIST 152)."""

import asyncio
from collections.abc import AsyncIterator
from types import SimpleNamespace

import httpx2
import pytest

from connector.account_name import parse_glob
from connector.api_key import new_key
from connector.client import problem_error
from connector.errors import TemporarilyUnavailable
from connector.runtime import Runtime
from connector.web import app as application
from connector.web.known_keys import KnownKeys
from connector.web.openapi import openapi
from connector.web.rate import CallRates
from connector.web.run_starter import RunStarter
from connector.web.server import TrustedPeer
from tests.unit.audited import audited
from tests.unit.workbench import ACCOUNT

BASE = "http://127.0.0.1:8470"
TOKEN = f"/v1/accounts/{ACCOUNT}/token"
#: Calls at once of a key that may call ten times a second.
BURST = 20


class Callers:
    """An application whose keys may call ten times a second, and those who call it."""

    def __init__(
        self, runtime: Runtime, starter: RunStarter, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(application, "CallRates", lambda *_: CallRates(10, 3))
        monkeypatch.setattr("connector.web.rate.STRANGER_RATE", 10.0)
        self.moment = 1000.0
        clock = SimpleNamespace(monotonic=lambda: self.moment)  # not the event loop's as well
        monkeypatch.setattr("connector.web.access.time", clock)
        self.runtime = runtime
        self.keys = KnownKeys(runtime.api_keys, now=runtime.now)
        self.app = application.make_app(runtime, starter, self.keys)

    def from_address(self, address: str = "127.0.0.1") -> httpx2.AsyncClient:
        transport = httpx2.ASGITransport(app=self.app, client=(address, 1))
        return httpx2.AsyncClient(transport=transport, base_url=BASE)

    async def key(self, name: str) -> dict[str, str]:
        made = new_key()
        await self.runtime.api_keys.add(
            made,
            name=name,
            accounts=(parse_glob("**"),),
            scopes=frozenset({"admin"}),
            now=self.runtime.now(),
        )
        return {"Authorization": f"Bearer {made.text}"}


@pytest.fixture
async def callers(
    runtime: Runtime, starter: RunStarter, monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[Callers]:
    made = Callers(runtime, starter, monkeypatch)
    yield made
    await made.keys.aclose()


async def statuses(
    client: httpx2.AsyncClient, headers: dict[str, str], times: int, path: str = TOKEN
) -> list[int]:
    return [(await client.get(path, headers=headers)).status_code for _ in range(times)]


async def test_a_key_that_calls_too_often(callers: Callers) -> None:
    one, two = await callers.key("one"), await callers.key("two")
    async with callers.from_address() as client:
        assert await statuses(client, one, BURST) == [200] * BURST
        answer = await client.get(TOKEN, headers=one)
        assert (answer.status_code, answer.headers["retry-after"]) == (429, "1")
        assert answer.headers["content-type"] == "application/problem+json"
        assert answer.json()["type"].endswith(":too-many-requests")
        assert isinstance(problem_error(answer.json()), TemporarilyUnavailable)
        assert await statuses(client, two, BURST) == [200] * BURST
        callers.moment += 1.0
        assert (await client.get(TOKEN, headers=one)).status_code == 200
    await callers.runtime.trail.collect()
    (row,) = await audited(callers.runtime, "access.refused")
    assert (row.actor, row.outcome, row.times) == ("key:one", "too_many_requests", 1)


async def test_calls_that_are_under_way_are_counted_until_they_end(
    callers: Callers, monkeypatch: pytest.MonkeyPatch
) -> None:
    one, two = await callers.key("one"), await callers.key("two")
    held = asyncio.Event()
    begun = asyncio.Semaphore(0)
    original = callers.runtime.accounts.all

    async def hold() -> object:
        begun.release()
        await held.wait()
        return await original()

    monkeypatch.setattr(callers.runtime.accounts, "all", hold)
    async with callers.from_address() as client, asyncio.TaskGroup() as group:
        waiting = [group.create_task(statuses(client, one, 1, "/v1/accounts")) for _ in range(3)]
        for _ in waiting:
            await begun.acquire()
        assert await statuses(client, one, 1) == [429]
        assert await statuses(client, two, 1) == [200]
        held.set()
        assert [await task for task in waiting] == [[200]] * 3
        assert await statuses(client, one, 1) == [200]


async def test_wrong_keys_are_told_to_wait_and_good_ones_are_not(
    callers: Callers, monkeypatch: pytest.MonkeyPatch
) -> None:
    good = await callers.key("good")
    asked = 0
    original = callers.runtime.api_keys.all

    async def count() -> object:
        nonlocal asked
        asked += 1
        return await original()

    monkeypatch.setattr(callers.runtime.api_keys, "all", count)
    async with callers.from_address() as client:
        assert await statuses(client, good, 1) == [200]
        wrong = {"Authorization": good["Authorization"][:-2] + "xx"}
        assert await statuses(client, wrong, BURST + 5) == [401] * BURST + [429] * 5
        before = asked
        unknown = {"Authorization": f"Bearer {new_key().text}"}
        assert await statuses(client, unknown, 5) == [429] * 5
        assert await statuses(client, {}, 5) == [429] * 5
        assert asked <= before + 1  # the store is not asked for what strangers try out
        assert await statuses(client, good, 5) == [200] * 5
    async with callers.from_address("127.0.0.2") as client:
        assert await statuses(client, wrong, 1) == [401]


async def test_a_new_key_works_though_strangers_try_keys_out(
    callers: Callers, monkeypatch: pytest.MonkeyPatch
) -> None:
    good = await callers.key("good")
    async with callers.from_address() as client:
        assert await statuses(client, good, 1) == [200]
        wrong = {"Authorization": f"Bearer {new_key().text}"}
        monkeypatch.setattr("connector.web.known_keys.GAP", 0.0)
        assert (await statuses(client, wrong, BURST + 1))[-1] == 429
        new = await callers.key("new")
        monkeypatch.setattr("connector.web.known_keys.FRESH", 0.0)
        async with asyncio.timeout(10):
            while await statuses(client, new, 1) != [200]:  # noqa: ASYNC110 - no event tells
                await asyncio.sleep(0.01)  # it is looked for behind the answers


async def test_the_unix_socket_is_not_limited(callers: Callers) -> None:
    transport = httpx2.ASGITransport(app=TrustedPeer(callers.app))
    async with httpx2.AsyncClient(transport=transport, base_url=BASE) as client:
        assert await statuses(client, {}, 5 * BURST) == [200] * 5 * BURST


def test_each_route_that_needs_a_key_says_so() -> None:
    operations = {
        f"{method} {path}": operation
        for path, item in openapi()["paths"].items()  # type: ignore[attr-defined]
        for method, operation in item.items()
        if method != "parameters"
    }
    keyed = {name for name, one in operations.items() if "401" in one["responses"]}
    assert len(keyed) > 8
    assert {name for name, one in operations.items() if "429" in one["responses"]} == keyed
