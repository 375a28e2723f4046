"""What of a request is told to whoever traces: its route, never what was asked for."""

import httpx2
import pytest
from starlette.applications import Starlette

from connector.jobs.run import RunEnding
from connector.runtime import Runtime
from connector.store.runs import Run
from connector.telemetry import Served
from connector.token_source.outcomes import RefreshOutcome
from connector.web.app import Lasting, make_app
from connector.web.known_keys import KnownKeys
from connector.web.run_starter import RunStarter
from connector.web.tokens import TOKEN_TEMPLATE
from tests.unit.workbench import ACCOUNT

TOKEN = f"/v1/accounts/{ACCOUNT}/token"
PARENT = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"


class Kept:
    """Takes what is told, and keeps the requests."""

    def __init__(self) -> None:
        self.requests: list[Served] = []

    def note_request(self, told: Served) -> None:
        self.requests.append(told)

    def note_refresh(self, told: RefreshOutcome) -> None: ...

    def note_run(self, run: Run, ending: RunEnding, seconds: float) -> None: ...

    async def aclose(self) -> None: ...


@pytest.fixture
def kept() -> Kept:
    return Kept()


@pytest.fixture
def app(runtime: Runtime, starter: RunStarter, kept: Kept) -> Starlette:
    keys = KnownKeys(runtime.api_keys, now=runtime.now)
    return make_app(runtime, starter, keys, Lasting(runtime, kept))


async def test_the_template_of_a_route_is_told(unix: httpx2.AsyncClient, kept: Kept) -> None:
    """By the router and by the answer out of memory alike."""
    for _ in range(2):
        await unix.get(TOKEN, headers={"traceparent": PARENT, "tracestate": "canary=1"})
    await unix.get(f"{TOKEN}?canary=1")
    assert [(one.method, one.route, one.status) for one in kept.requests] == [
        ("GET", TOKEN_TEMPLATE, 200)
    ] * 3
    assert [one.traceparent for one in kept.requests] == [PARENT, PARENT, None]
    assert all(0 < one.seconds < 60 for one in kept.requests)
    assert "canary" not in repr(kept.requests)
    assert ACCOUNT not in repr(kept.requests)


async def test_what_has_no_route_is_told_without_a_path(
    unix: httpx2.AsyncClient, tcp: httpx2.AsyncClient, kept: Kept
) -> None:
    await unix.get("/canary/canary")
    await unix.request("CANARY", "/healthz")
    await tcp.get(TOKEN)
    methods = [(one.method, one.status) for one in kept.requests]
    assert methods == [("GET", 404), (None, 405), ("GET", 401)]
    assert kept.requests[0].route is kept.requests[2].route is None
    assert "canary" not in repr(kept.requests).lower()


@pytest.mark.parametrize("headers", [[PARENT, PARENT], ["0" * 600], []])
async def test_several_or_endless_parents_are_none(
    unix: httpx2.AsyncClient, kept: Kept, headers: list[str]
) -> None:
    await unix.get("/healthz", headers=[("traceparent", value) for value in headers])
    assert [one.traceparent for one in kept.requests] == [None]


def test_nothing_stands_in_the_way_where_nobody_traces(
    runtime: Runtime, starter: RunStarter, app: Starlette
) -> None:
    keys = KnownKeys(runtime.api_keys, now=runtime.now)
    plain = make_app(runtime, starter, keys)
    assert "Middleware(Tracing, " in repr(app.user_middleware)
    assert "Tracing" not in repr(plain.user_middleware)
