"""The whole simulator as one ASGI application.

It answers only to loopback names (DNS rebinding would otherwise let a web page in), and shows on
its front page where everything is.
"""

from collections.abc import Callable, Mapping

from starlette.datastructures import Headers
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route, Router
from starlette.types import ASGIApp, Receive, Scope, Send

from connector.simulator.call import plain_response
from connector.simulator.pages import Pages

LOOPBACK_NAMES = frozenset({"127.0.0.1", "localhost", "[::1]"})


class LoopbackOnly:
    """Refuses every request whose Host is not a loopback name (RFC 9110 §7.2, §15.5.20)."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request on, or answer 421."""
        if is_loopback(Headers(scope=scope).get("host", "")):
            await self._app(scope, receive, send)
            return
        response = plain_response("this server answers to loopback names only", status=421)
        await response(scope, receive, send)


def is_loopback(host: str) -> bool:
    """Whether a Host header names loopback, with or without a port."""
    name, separator, port = host.rpartition(":")
    if not separator or port.endswith("]"):
        name, port = host, "0"
    return name.lower() in LOOPBACK_NAMES and port.isascii() and port.isdigit()


def build_app(
    routes: list[BaseRoute], pages: Pages, places: Callable[[], Mapping[str, str]]
) -> ASGIApp:
    """The application over all routes, with `places` on its front page."""

    async def front_page(_request: Request) -> Response:
        return pages.render("index.html", {"places": list(places().items())})

    router = Router([Route("/", front_page), *routes], redirect_slashes=False)
    return LoopbackOnly(router)
