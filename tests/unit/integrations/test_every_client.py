"""What leaves, whatever the client: to the byte, at a server that answers what it is told to."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from typing import Any

import pytest

from connector.credential import Credential
from connector.errors import OriginRefused
from connector.oauth.token import AccessToken
from connector.providers.provider import Api, Rejection
from connector.resource import make_auth
from tests.unit.http_clients import EVERY_CLIENT, Ask
from tests.unit.raw_server import RawServer, answer

EXPIRED = Rejection(status=400, when={"error.code": (190,)})


@dataclass
class Tokens:
    """A source whose tokens are numbered; each rejection of the present one brings the next."""

    api: Api
    number: int = 1
    rejected: list[str] = field(default_factory=list)

    def credential_now(self, _account: str, rejected: AccessToken | None) -> Credential:
        if rejected is not None:
            self.rejected.append(rejected.value)
            self.number += rejected.value == f"token-{self.number}"
        value = f"token-{self.number}"
        return Credential(
            token=AccessToken(value=value, token_type="Bearer", expires_at=None, scope=None),
            api=self.api,
            headers={"Authorization": f"Bearer {value}", "Accept": "application/x"},
            params={"proof": f"proof of {value}"},
        )

    async def credential(self, account: str, rejected: AccessToken | None) -> Credential:
        return self.credential_now(account, rejected)


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
def tokens(api: RawServer) -> Tokens:
    return Tokens(Api(origins=(api.origin,), rejections=(Rejection(status=401), EXPIRED)))


def to(location: str, status: int = 302) -> Any:
    return answer(status, headers={"Location": location})


def attached(server: RawServer) -> list[str | None]:
    return [request.header("Authorization") for request in server.received]


@pytest.mark.parametrize("ask", EVERY_CLIENT)
class TestEveryClient:
    async def ask(self, ask: Ask, tokens: Tokens, *request: str, **options: Any) -> Any:
        return await asyncio.to_thread(ask, make_auth("acme/ads", tokens), *request, **options)

    async def test_a_proof_goes_with_the_token_that_it_is_for(
        self, api: RawServer, tokens: Tokens, ask: Ask
    ) -> None:
        api.will(answer(401), answer(200))
        url = f"{api.origin}/me?fields=a%2Cb&proof=old&empty="
        assert (await self.ask(ask, tokens, "GET", url)).status_code == 200
        assert [sorted(request.query) for request in api.received] == [
            [("empty", ""), ("fields", "a,b"), ("proof", "proof of token-1")],
            [("empty", ""), ("fields", "a,b"), ("proof", "proof of token-2")],
        ]
        assert attached(api) == ["Bearer token-1", "Bearer token-2"]
        assert tokens.rejected == ["token-1"]

    async def test_an_answer_rejects_by_its_body(
        self, api: RawServer, tokens: Tokens, ask: Ask
    ) -> None:
        api.will(answer(400, {"error": {"code": 190}}), answer(200))
        assert (await self.ask(ask, tokens, "GET", f"{api.origin}/me")).status_code == 200
        assert attached(api) == ["Bearer token-1", "Bearer token-2"]

    @pytest.mark.parametrize("body", [{"error": {"code": 100}}, b"no JSON"])
    async def test_any_other_400_reaches_the_caller_whole(
        self, api: RawServer, tokens: Tokens, ask: Ask, body: object
    ) -> None:
        api.will(answer(400, body))
        given = await self.ask(ask, tokens, "GET", f"{api.origin}/me")
        assert given.status_code == 400
        if isinstance(body, bytes):
            assert given.content == body
        else:
            assert given.json() == body
        assert tokens.rejected == []

    async def test_content_at_hand_is_sent_again(
        self, api: RawServer, tokens: Tokens, ask: Ask
    ) -> None:
        api.will(answer(401), answer(200))
        given = await self.ask(ask, tokens, "POST", f"{api.origin}/me", content=b"a=1")
        assert given.status_code == 200
        assert [request.body for request in api.received] == [b"a=1", b"a=1"]

    async def test_the_callers_own_header_stays(
        self, api: RawServer, tokens: Tokens, ask: Ask
    ) -> None:
        url, headers = f"{api.origin}/me", {"Accept": "text/csv", "authorization": "Basic mine"}
        await self.ask(ask, tokens, "GET", url)
        await self.ask(ask, tokens, "GET", url, headers=headers)
        assert [request.header("Accept") for request in api.received] == [
            "application/x",
            "text/csv",
        ]
        assert attached(api) == ["Bearer token-1"] * 2

    async def test_a_redirect_within_the_origin_keeps_the_token(
        self, api: RawServer, tokens: Tokens, ask: Ask
    ) -> None:
        api.will(to("/there"), answer(200))
        url = f"{api.origin}/me"
        assert (await self.ask(ask, tokens, "GET", url, follow_redirects=True)).status_code == 200
        assert attached(api) == ["Bearer token-1"] * 2

    async def test_no_token_goes_along_to_another_origin_or_comes_back_from_there(
        self, api: RawServer, elsewhere: RawServer, tokens: Tokens, ask: Ask
    ) -> None:
        api.will(to(f"{elsewhere.origin}/a?b=c#d", 307), answer(401))
        elsewhere.will(to("/further"), to(f"{api.origin}/delete"))
        given = await self.ask(ask, tokens, "GET", f"{api.origin}/me", follow_redirects=True)
        assert given.status_code == 401
        assert [request.target for request in elsewhere.received] == ["/a?b=c", "/further"]
        assert attached(elsewhere) == [None, None]
        assert attached(api) == ["Bearer token-1", None]
        assert tokens.rejected == [], "what had no token of ours says nothing of it"

    async def test_a_second_rejection_is_given_back(
        self, api: RawServer, tokens: Tokens, ask: Ask
    ) -> None:
        api.will(answer(401))
        assert (await self.ask(ask, tokens, "GET", f"{api.origin}/me")).status_code == 401
        assert attached(api) == ["Bearer token-1", "Bearer token-2"]

    async def test_nothing_is_sent_to_an_origin_that_is_not_the_providers(
        self, elsewhere: RawServer, tokens: Tokens, ask: Ask
    ) -> None:
        with pytest.raises(OriginRefused):
            await self.ask(ask, tokens, "GET", f"{elsewhere.origin}/me")
        assert elsewhere.connections == 0
