"""The token route from memory: the same answers, to the same callers, and nothing decided there."""

from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager

import httpx2
import pytest
from starlette.applications import Starlette

from connector.runtime import Runtime
from connector.token_source import TokenSource
from tests.unit.audited import audited
from tests.unit.workbench import ACCOUNT

from .test_access import BASE, make

PATH = f"/v1/accounts/{ACCOUNT}/token"


@pytest.fixture
async def tcp(app: Starlette) -> AsyncIterator[httpx2.AsyncClient]:
    transport = httpx2.ASGITransport(app=app)
    async with httpx2.AsyncClient(transport=transport, base_url=BASE) as client:
        yield client


@pytest.fixture
async def warm(runtime: Runtime) -> None:
    """Have memory know the token, in agreement with the store."""
    await runtime.tokens.get(ACCOUNT)
    await runtime.tokens.check_store()
    assert runtime.tokens.memory.fresh(ACCOUNT) is not None


@contextmanager
def only_from_memory() -> Iterator[None]:
    """Have every other way to a token fail."""

    async def fail(*_arguments: object, **_more: object) -> None:
        raise AssertionError("memory had it")

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(TokenSource, "get", fail)
        yield


@pytest.mark.usefixtures("warm")
async def test_the_answer_is_the_same_to_the_letter(
    unix: httpx2.AsyncClient, tcp: httpx2.AsyncClient, runtime: Runtime
) -> None:
    key = {"Authorization": await make(runtime, "token:read")}
    for client in (unix, tcp):
        slow = await client.get(f"{PATH}?", headers=key, params={"strict": "no"})
        with only_from_memory():
            fast = await client.get(PATH, headers=key)
        assert (fast.status_code, fast.headers.raw) == (200, slow.headers.raw)
        left = [answer.json().pop("expires_in") for answer in (slow, fast)]
        assert 0 <= left[0] - left[1] <= 1
        assert fast.text == slow.text.replace(f'"expires_in":{left[0]}', f'"expires_in":{left[1]}')


@pytest.mark.usefixtures("warm")
@pytest.mark.parametrize(
    ("scope", "accounts", "status"),
    [("jobs:run", "**", 403), ("consent:create", ACCOUNT, 403), ("admin", "beta/**", 404)],
)
async def test_who_may_not_have_it_does_not_get_it_from_memory_either(
    tcp: httpx2.AsyncClient, runtime: Runtime, scope: str, accounts: str, status: int
) -> None:
    key = {"Authorization": await make(runtime, scope, accounts=accounts)}
    answer = await tcp.get(PATH, headers=key)
    assert answer.status_code == status
    assert "access_token" not in answer.text
    assert (await tcp.get(PATH)).status_code == 401
    await runtime.trail.collect()
    assert await audited(runtime, "token.released") == []


@pytest.mark.usefixtures("warm")
async def test_what_asks_for_more_is_left_to_the_route(unix: httpx2.AsyncClient) -> None:
    shown = await unix.get(PATH, headers={"Accept": "text/plain"})
    assert shown.headers["connector-scheme"] == "Bearer"
    other = await unix.get(PATH, headers={"Connector-Config": "/another.toml"})
    assert other.status_code == 421
    assert (await unix.get(PATH, params={"min_ttl": "-1"})).status_code == 400
    assert (await unix.head(PATH)).content == b""
    assert (await unix.post(PATH)).status_code == 405
    for path in (f"/v1/accounts//{ACCOUNT}/token", "/v1/accounts/token", "/v1/accounts//token"):
        assert (await unix.get(path)).status_code == 404


@pytest.mark.usefixtures("warm")
async def test_what_is_given_from_memory_is_told_in_the_audit_trail(
    tcp: httpx2.AsyncClient, runtime: Runtime
) -> None:
    key = {"Authorization": await make(runtime, "token:read")}
    with only_from_memory():
        for _ in range(3):
            assert (await tcp.get(PATH, headers=key)).status_code == 200
    await runtime.trail.collect()
    (row,) = await audited(runtime, "token.released")
    assert (row.actor, row.account, row.times) == ("key:ci", ACCOUNT, 3)


@pytest.mark.usefixtures("warm")
async def test_what_was_revoked_is_not_given_from_memory(
    unix: httpx2.AsyncClient, tcp: httpx2.AsyncClient, runtime: Runtime
) -> None:
    key = {"Authorization": await make(runtime, "admin")}
    assert (await tcp.get(PATH, headers=key)).status_code == 200
    revoked = await unix.post(f"/v1/accounts/{ACCOUNT}/revoke")
    assert revoked.status_code in {200, 202}
    answer = await tcp.get(PATH, headers=key)
    assert (answer.status_code, answer.json()["type"][-16:]) == (409, "consent-required")
