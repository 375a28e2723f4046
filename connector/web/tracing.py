"""Requests, told to whoever traces; not there where nobody does."""

import time
from collections.abc import Callable
from typing import Final

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from connector.telemetry import Served
from connector.web.metrics.requests import METHODS, NO_ROUTE, TEMPLATE

#: Version 00 has 55 characters, a later one may have more (W3C Trace Context §3.2.4).
_LONGEST_PARENT: Final = 512


class Tracing:
    """Tells of requests; stands behind `Counting`, which names their routes.

    Args:
        app: the application.
        note: is told.
    """

    def __init__(self, app: ASGIApp, note: Callable[[Served], None]) -> None:
        self._app = app
        self._note = note

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass on, and tell what became of it."""
        status = 0

        async def noting_send(message: Message) -> None:
            nonlocal status
            if not status and message["type"] == "http.response.start":
                status = message["status"]
            await send(message)

        began_at, began = time.time(), time.perf_counter()
        try:
            await self._app(scope, receive, noting_send)
        finally:
            if status:  # else its caller has hung up
                method, (template,) = scope["method"], scope[TEMPLATE]
                told = Served(
                    method=method if method in METHODS else None,
                    route=None if template == NO_ROUTE else template,
                    status=status,
                    began_at=began_at,
                    seconds=time.perf_counter() - began,
                    traceparent=_parent(scope),
                )
                self._note(told)


def _parent(scope: Scope) -> str | None:
    """Give the ``traceparent`` of a request that has one; several are none (W3C §3.2)."""
    found = [value for name, value in scope["headers"] if name == b"traceparent"]
    if len(found) != 1 or len(found[0]) > _LONGEST_PARENT:
        return None
    return str(found[0], "latin-1")
