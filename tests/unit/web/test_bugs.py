"""What no route has foreseen: a plain 500, a line of the log found by it, a daemon that lives."""

import json
import logging
from collections.abc import AsyncIterator

import httpx2
import pytest
from starlette.applications import Starlette
from starlette.responses import StreamingResponse
from starlette.routing import Route

from connector.log import JsonFormatter
from connector.runtime import Runtime
from tests.unit.workbench import ACCOUNT

from .test_access import BASE, make

CANARY = "canary-of-a-local-variable"


@pytest.fixture
def failing(monkeypatch: pytest.MonkeyPatch) -> None:
    """Have the store's answer break a route."""

    async def fail(_self: object) -> None:
        secret = CANARY
        raise RuntimeError(f"of {len(secret)} characters")

    monkeypatch.setattr("connector.store.accounts.AccountStore.all", fail)


@pytest.mark.usefixtures("failing")
async def test_a_bug_is_answered_without_a_word_of_it_and_found_in_the_log(
    app: Starlette, runtime: Runtime, caplog: pytest.LogCaptureFixture
) -> None:
    transport = httpx2.ASGITransport(app=app, raise_app_exceptions=False)
    async with httpx2.AsyncClient(transport=transport, base_url=BASE) as tcp:
        key = {"Authorization": await make(runtime, "admin")}
        answer = await tcp.get("/v1/accounts", headers=key)
        assert answer.status_code == 500
        assert answer.headers["content-type"] == "application/problem+json"
        assert answer.headers["cache-control"] == "no-store"
        document = answer.json()
        assert document["type"].endswith("internal-error")
        assert set(document) == {"type", "title", "status", "detail", "reference"}
        for word in ("RuntimeError", "characters", "connector/", CANARY, ACCOUNT):
            assert word not in answer.text
        again = await tcp.get("/v1/accounts", headers=key)
        assert again.json()["reference"] != document["reference"]
        served = await tcp.get(f"/v1/accounts/{ACCOUNT}/token", headers=key)
        assert served.status_code == 200, "everything else is served on"
    lines = [json.loads(JsonFormatter().format(record)) for record in caplog.records]
    (line,) = [one for one in lines if one.get("reference") == document["reference"]]
    assert (line["level"], line["action"]) == ("error", "web.bug")
    assert "RuntimeError" in line["traceback"]
    assert CANARY not in json.dumps(lines)


async def test_an_answer_that_breaks_off_is_not_made_to_look_whole(
    app: Starlette, runtime: Runtime, caplog: pytest.LogCaptureFixture
) -> None:
    async def half() -> AsyncIterator[bytes]:
        yield b"half"
        raise RuntimeError("the other half")

    async def answer(_request: object) -> StreamingResponse:
        return StreamingResponse(half())

    app.router.routes.append(Route("/half", answer))
    transport = httpx2.ASGITransport(app=app)
    async with httpx2.AsyncClient(transport=transport, base_url=BASE) as tcp:
        key = {"Authorization": await make(runtime, "admin")}
        with pytest.raises(RuntimeError, match="the other half"):
            await tcp.get("/half", headers=key)
    errors = [one for one in caplog.records if one.levelno >= logging.ERROR]
    assert [getattr(one, "action", None) for one in errors] == ["web.bug"]


async def test_a_method_that_is_not_taken_is_answered_with_those_that_are(
    unix: httpx2.AsyncClient,
) -> None:
    for path in ("/healthz", "/v1/accounts", f"/v1/accounts/{ACCOUNT}/token"):
        answer = await unix.delete(path)
        assert answer.status_code == 405
        assert set(answer.headers["allow"].split(", ")) == {"GET", "HEAD"}
