"""aiohttp sends each request of a redirect through the middleware, and does not say so."""

import io
from collections.abc import AsyncIterator

import aiohttp
import pytest

from connector.errors import OriginRefused
from connector.providers.provider import Api
from connector.resource import make_auth
from tests.unit.integrations.test_every_client import Tokens, attached, to
from tests.unit.raw_server import RawServer, answer


@pytest.fixture
async def api() -> AsyncIterator[RawServer]:
    server = RawServer()
    await server.start()
    yield server
    await server.stop()


@pytest.fixture
async def elsewhere() -> AsyncIterator[RawServer]:
    server = RawServer()
    await server.start()
    yield server
    await server.stop()


@pytest.fixture
async def session(api: RawServer) -> AsyncIterator[aiohttp.ClientSession]:
    auth = make_auth("acme/ads", Tokens(Api(origins=(api.origin,))))
    async with aiohttp.ClientSession(middlewares=(auth,)) as opened:
        yield opened


async def status(session: aiohttp.ClientSession, url: str, **options: bool) -> int:
    async with session.get(url, **options) as answered:  # type: ignore[arg-type]
        return answered.status


async def test_a_foreign_origin_is_refused_again_after_a_redirect_there(
    api: RawServer, elsewhere: RawServer, session: aiohttp.ClientSession
) -> None:
    api.will(to(f"{elsewhere.origin}/file"), answer(200))
    assert await status(session, f"{api.origin}/me") == 200
    with pytest.raises(OriginRefused):
        await session.get(f"{elsewhere.origin}/file")
    assert await status(session, f"{api.origin}/me") == 200
    assert attached(api) == ["Bearer token-1"] * 2
    assert attached(elsewhere) == [None]


async def test_a_redirect_that_is_not_followed_lets_nothing_else_through(
    api: RawServer, elsewhere: RawServer, session: aiohttp.ClientSession
) -> None:
    api.will(to(f"{elsewhere.origin}/file"))
    assert await status(session, f"{api.origin}/me", allow_redirects=False) == 302
    with pytest.raises(OriginRefused):
        await session.get(f"{elsewhere.origin}/other")
    with pytest.raises(OriginRefused):
        await session.get(f"{elsewhere.origin}/file")
    assert elsewhere.received == []


@pytest.mark.parametrize("location", ["http://[", "mailto:a@b"])
async def test_a_redirect_to_nowhere_is_aiohttps_to_judge(
    api: RawServer, session: aiohttp.ClientSession, location: str
) -> None:
    api.will(to(location), answer(200))
    with pytest.raises(aiohttp.ClientError):
        await status(session, f"{api.origin}/me")
    assert await status(session, f"{api.origin}/me") == 200


async def test_a_file_that_can_be_read_again_is_sent_again(
    api: RawServer, session: aiohttp.ClientSession
) -> None:
    api.will(answer(401), answer(200))
    async with session.post(f"{api.origin}/me", data=io.BytesIO(b"content")) as answered:
        assert answered.status == 200
    assert [request.body for request in api.received] == [b"content", b"content"]
