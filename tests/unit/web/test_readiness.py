"""What is not ready is named, and many askers ask the store once."""

import asyncio
import json

import pytest
from starlette.requests import Request

from connector.errors import TemporarilyUnavailable
from connector.web import readiness
from connector.web.readiness import Readiness

REQUEST = Request({"type": "http", "method": "GET", "headers": [], "path": "/readyz"})


class Store:
    """Counts how often it is asked."""

    def __init__(self) -> None:
        self.count = 0
        self.is_away = False
        self.answers = asyncio.Event()
        self.answers.set()

    async def check(self) -> None:
        self.count += 1
        await self.answers.wait()
        if self.is_away:
            raise TemporarilyUnavailable("away")


async def test_everything_that_is_missing_is_named() -> None:
    store = Store()
    store.is_away = True
    ready = Readiness(store.check)
    ready.watch("refresher", lambda: False)
    ready.watch("timer", lambda: True)
    ready.is_stopping = True
    answer = await ready.answer(REQUEST)
    assert answer.status_code == 503
    assert json.loads(bytes(answer.body))["not_ready"] == ["stopping", "store", "refresher"]
    assert answer.headers["retry-after"] == "2"


async def test_many_ask_and_the_store_is_asked_once() -> None:
    store = Store()
    ready = Readiness(store.check)
    answers = await asyncio.gather(*(ready.answer(REQUEST) for _ in range(100)))
    assert {answer.status_code for answer in answers} == {200}
    assert store.count == 1


async def test_a_store_that_hangs_holds_up_nobody(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(readiness, "PATIENCE", 0.05)
    monkeypatch.setattr(readiness, "FRESH", 0.0)
    store = Store()
    store.answers.clear()
    ready = Readiness(store.check)
    async with asyncio.timeout(5):
        for _ in range(3):
            assert await ready.missing() == ["store"]
    assert store.count == 1, "nobody asks a second time what hangs"
    store.answers.set()
    assert ready._asking is not None
    await ready._asking
    assert await ready.missing() == []
    assert store.count == 2
