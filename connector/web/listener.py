"""The loopback redirect URI of one consent on this machine (RFC 8252 §7.3, §8.3).

It listens from when the consent begins until its outcome has been shown, on loopback only. What
names another host is refused (DNS rebinding), and what is not the answer changes nothing.
"""

import asyncio
import socket
from collections.abc import Callable
from typing import Final
from urllib.parse import urlsplit

from starlette.applications import Starlette
from starlette.datastructures import Headers
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.types import ASGIApp, Receive, Scope, Send

from connector.consent import Consents
from connector.providers.provider import Provider
from connector.web.pages import page
from connector.web.redirection import Redirection, Work
from connector.web.server import Server

#: More hits than any browser makes by accident; then the listener answers nothing but 429.
MOST_HITS: Final = 10_000
#: After the answer, the browser is given this long to fetch the page that shows the outcome.
SHOWING_TIME: Final = 3.0


class RedirectListener:
    """Listens for the answer to one consent.

    Args:
        sockets: bound to the redirect URI's port.
        redirect_uri: with that port.
        consents: completes the consent.
        provider: gives a provider by its name.
        on_answer: told the consent's identifier and its completion when an answer has come.
    """

    def __init__(
        self,
        sockets: list[socket.socket],
        redirect_uri: str,
        consents: Consents,
        provider: Callable[[str], Provider],
        on_answer: Callable[[str, Work], None],
    ) -> None:
        self._shown = asyncio.Event()
        self.redirection = Redirection(
            consents, provider, on_answer=on_answer, on_shown=lambda _id: self._shown.set()
        )
        app = Starlette(
            routes=self.redirection.routes([redirect_uri]),
            middleware=[Middleware(HostCheck, host=urlsplit(redirect_uri).netloc)],
            exception_handlers={404: _stray, 405: _stray},
        )
        self._server = Server(app, sockets)

    async def start(self) -> None:
        """Begin to listen."""
        await self._server.start()

    async def wait_until_shown(self) -> None:
        """Wait until the browser has been shown the outcome, or does not come for it."""
        try:
            async with asyncio.timeout(SHOWING_TIME):
                await self._shown.wait()
        except TimeoutError:
            return

    async def aclose(self) -> None:
        """Stop listening."""
        await self._server.aclose()


class HostCheck:
    """Answers 400 to a Host that is not ours, and 429 after far too many hits.

    Args:
        app: the application.
        host: what the ``Host`` header must say.
    """

    def __init__(self, app: ASGIApp, host: str) -> None:
        self._app = app
        self._host = host
        self._hits = 0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass on, or refuse."""
        if scope["type"] != "http":
            return
        self._hits += 1
        refusal: Response | None = None
        if Headers(scope=scope).get("host") != self._host:
            refusal = PlainTextResponse("This is not the host that is listened on.\n", 400)
        elif self._hits > MOST_HITS:
            refusal = PlainTextResponse("Too many requests.\n", 429)
        await (refusal or self._app)(scope, receive, send)


async def _stray(_request: Request, _error: Exception) -> Response:
    return page(
        "not_connected.html",
        {
            "heading": "Nothing to do here",
            "message": "This address belongs to no consent that is under way.",
            "command": None,
        },
        status=404,
    )
