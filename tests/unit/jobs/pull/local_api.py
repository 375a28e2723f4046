"""An API on loopback that gives pages of records, and the credentials of its one account."""

import json
from collections.abc import Callable
from urllib.parse import urlsplit

from connector.credential import Credential
from connector.oauth.token import AccessToken
from connector.providers.provider import Api
from tests.unit.raw_server import Exchange, RawServer, Received

Answer = tuple[int, object, dict[str, str]]


class LocalApi:
    """Answers ``/items?after=N&limit=M`` with records of consecutive numbers.

    Args:
        pages: how many there are.
        size: records of each.
    """

    def __init__(self, pages: int, size: int = 3) -> None:
        self.server = RawServer()
        self.pages = pages
        self.size = size
        self.tokens = {"one"}
        self.instead: Callable[[Received], Answer | None] = lambda _request: None
        self.server.will(self._answer)

    @property
    def asked(self) -> list[str]:
        """Which pages were asked for."""
        return [dict(one.query).get("after", "0") for one in self.server.received]

    async def _answer(self, exchange: Exchange) -> None:
        request = self.server.received[-1]
        status, body, headers = self.instead(request) or self._page(request)
        content = body if isinstance(body, bytes) else json.dumps(body).encode()
        lines = {"Content-Type": "application/json", "Content-Length": str(len(content)), **headers}
        head = "".join(f"{name}: {value}\r\n" for name, value in lines.items())
        await exchange.write(f"HTTP/1.1 {status} Whatever\r\n{head}\r\n".encode() + content)

    def _page(self, request: Received) -> Answer:
        token = (request.header("Authorization") or "").removeprefix("Bearer ")
        if token not in self.tokens:
            return 401, {"error": {"message": "the token is dead"}}, {}
        if urlsplit(request.target).path != "/v1/items":
            return 404, {"error": "there is no such thing"}, {}
        page = int(dict(request.query).get("after", "0"))
        data = [{"id": page * self.size + i, "page": page} for i in range(self.size)]
        following = page + 1 if page + 1 < self.pages else None
        return 200, {"data": data, "next": following}, {}


class LocalCredentials:
    """Gives tokens for the local API, the next one where one is rejected.

    Args:
        api: which one.
    """

    def __init__(self, api: LocalApi) -> None:
        self._api = api
        self.values = ["one", "two", "three"]
        self.asked = 0
        self.params: dict[str, str] = {}

    def credential_now(self, account: str, rejected: AccessToken | None) -> Credential:
        raise NotImplementedError

    async def credential(self, account: str, rejected: AccessToken | None) -> Credential:
        assert account == "acme/ads"
        self.asked += 1
        if rejected is not None and rejected.value == self.values[0]:
            del self.values[0]
        value = self.values[0]
        return Credential(
            token=AccessToken(value=value),
            api=Api(base_url=f"{self._api.server.origin}/v1/"),
            headers={"Authorization": f"Bearer {value}"},
            params=dict(self.params),
        )
