"""A person's browser at the dashboard, without a browser."""

import re
from html import unescape

import httpx2

from connector.runtime import Runtime
from connector.store.dashboard_codes import DashboardCodes

#: The user of this host who makes the codes.
USER = "1000"
COOKIE = "connector_session_8470"
ADDRESS = "http://127.0.0.1:8470"


class Visitor:
    """A browser that keeps cookies and sends what Chromium sends.

    Args:
        client: of the application.
        runtime: of the daemon, for the codes that ``connector dashboard`` would make.
    """

    def __init__(self, client: httpx2.AsyncClient, runtime: Runtime) -> None:
        self.client = client
        self.runtime = runtime

    async def code(self) -> str:
        """Make a code."""
        codes = DashboardCodes(self.runtime.database)
        return (await codes.make(USER, now=self.runtime.now())).reveal()

    async def sign_in(self, to: str = "") -> httpx2.Response:
        """Sign in with a new code."""
        answer = await self.client.post("/login", data={"code": await self.code(), "to": to})
        assert answer.status_code == 303, answer.text
        return answer

    @property
    def cookie(self) -> str | None:
        """The session's id."""
        return self.client.cookies.get(COOKIE)

    async def get(self, path: str, **headers: str) -> httpx2.Response:
        """Open a page."""
        return await self.client.get(path, headers=headers)

    async def token(self) -> str:
        """Give the CSRF token that this session's pages hold."""
        found = re.search(r'name="csrf_token" value="(\w+)"', (await self.get("/connect")).text)
        assert found is not None
        return found[1]

    async def send(self, path: str, **fields: str | list[str]) -> httpx2.Response:
        """Send a form of one of the pages."""
        data = {"csrf_token": await self.token(), **fields}
        return await self.client.post(
            path, data=data, headers={"Origin": ADDRESS, "Sec-Fetch-Site": "same-origin"}
        )

    async def told(self, answer: httpx2.Response) -> str:
        """Follow the redirect of a form; give what the next page tells."""
        assert answer.status_code == 303, answer.text
        page = await self.get(answer.headers["location"])
        found = re.search(r'id="told">.*?<span>(.*?)</span>', page.text, re.DOTALL)
        assert found is not None, page.text
        return unescape(found[1])
