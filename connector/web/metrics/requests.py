"""HTTP requests, counted by route: its template, never the path that was asked for."""

import time
from typing import Final

from prometheus_client.core import Metric
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from connector.web.metrics.family import Durations, counter, histogram

#: In the scope of a request: a list that holds the template of its route once that is known.
TEMPLATE: Final = "connector.template"
#: Of what no route has answered: refused before, or there is none.
NO_ROUTE: Final = "none"
#: Any other that a caller makes up is told as one.
METHODS: Final = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})
#: From an answer out of memory to a token endpoint that takes its time (seconds).
_BOUNDS: Final = (0.001, 0.005, 0.025, 0.1, 0.5, 2.5, 10.0, 30.0)


class RequestCounts:
    """How many requests there were, by method, route and kind of answer."""

    def __init__(self) -> None:
        self._counts: dict[tuple[str, str, int], int] = {}
        self._durations: dict[str, Durations] = {}

    def note(self, method: str, template: str, status: int, seconds: float) -> None:
        """Count one."""
        key = (method, template, status)
        self._counts[key] = self._counts.get(key, 0) + 1
        durations = self._durations.get(template)
        if durations is None:
            durations = self._durations[template] = Durations(_BOUNDS)
        durations.note(seconds)

    def families(self) -> list[Metric]:
        """Give the metrics."""
        kinds: dict[tuple[str, str, str], int] = {}
        for (method, template, status), count in self._counts.items():
            key = (method, template, f"{status // 100}xx")
            kinds[key] = kinds.get(key, 0) + count
        return [
            counter(
                "http_requests",
                "Requests that were answered",
                kinds,
                "method",
                "route",
                "status",
            ),
            histogram(
                "http_request_seconds",
                "From a request's head to the end of its answer",
                {(template,): one for template, one in self._durations.items()},
                "route",
            ),
        ]


class Counting:
    """Counts requests; stands before everything else.

    Args:
        app: the application.
        counts: where they are counted.
    """

    def __init__(self, app: ASGIApp, counts: RequestCounts) -> None:
        self._app = app
        self._counts = counts

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass on, and count what became of it."""
        if scope["type"] != "http":
            return
        status = 0
        template = scope[TEMPLATE] = [NO_ROUTE]

        async def noting_send(message: Message) -> None:
            nonlocal status
            if not status and message["type"] == "http.response.start":
                status = message["status"]
            await send(message)

        began = time.perf_counter()
        try:
            await self._app(scope, receive, noting_send)
        finally:
            if status:  # else its caller has hung up
                method = scope["method"]
                self._counts.note(
                    method if method in METHODS else "other",
                    template[0],
                    status,
                    time.perf_counter() - began,
                )


class Naming:
    """Tells `Counting` which route has answered; stands behind everything else.

    Args:
        app: the router.
    """

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass on."""
        try:
            await self._app(scope, receive, send)
        finally:
            route = scope.get("route")  # by Starlette's router, in this very mapping
            if route is not None and TEMPLATE in scope:
                scope[TEMPLATE][0] = route.path
