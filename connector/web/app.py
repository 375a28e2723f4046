"""The daemon's application: routes, behind the check of who may call."""

import logging
import secrets
from functools import partial

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.requests import ClientDisconnect, Request
from starlette.responses import JSONResponse, PlainTextResponse, Response
from starlette.routing import Route
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from connector.errors import ConnectorError
from connector.runtime import Runtime
from connector.store.reachable import check_reachable
from connector.telemetry import Telemetry
from connector.web.access import AccessCheck
from connector.web.api import Api
from connector.web.body import UnusableBody
from connector.web.browser_cookie import BrowserCookie
from connector.web.caller import ANY, route
from connector.web.connect_link import ConnectLinkPages
from connector.web.dashboard import Dashboard
from connector.web.dashboard.open_notices import open_notices
from connector.web.hot_route import HotRoute
from connector.web.job_runs import JobRuns
from connector.web.known_keys import KnownKeys
from connector.web.limits import SizeLimits
from connector.web.metrics import Metrics
from connector.web.metrics.requests import Counting, Naming
from connector.web.openapi import openapi
from connector.web.problems import answer_error, problem
from connector.web.rate import CallRates
from connector.web.readiness import Readiness
from connector.web.redirection import Redirection
from connector.web.refreshes import Refreshes
from connector.web.refusals import Refusals
from connector.web.run_starter import RunStarter
from connector.web.tokens import Tokens
from connector.web.tracing import Tracing

logger = logging.getLogger(__name__)


class Lasting:
    """What outlives the exchange of an application for that of another configuration.

    Args:
        runtime: the daemon's objects.
        telemetry: takes traces of requests; None: nobody does.

    Attributes:
        redirection: has the consents whose outcome a browser is about to be shown.
        refusals: has counts that are not in the audit trail yet.
        readiness: tells whether calls should be sent here.
        metrics: go on from where they are.
        telemetry: as given.
    """

    def __init__(self, runtime: Runtime, telemetry: Telemetry | None = None) -> None:
        self.telemetry = telemetry
        self.redirection = Redirection(
            runtime.consents,
            runtime.directory.provider,
            runtime.links,
            accounts_path="/accounts",
        )
        self.readiness = Readiness(partial(check_reachable, runtime.database))
        self.refusals = Refusals()
        runtime.trail.collect_from(self.refusals.collect)
        self.metrics = Metrics(runtime, self.refusals)


def make_app(
    runtime: Runtime, starter: RunStarter, keys: KnownKeys, lasting: Lasting | None = None
) -> Starlette:
    """Make the application of a daemon, for the configuration that is in force.

    Args:
        runtime: the daemon's objects.
        starter: begins runs that are asked for.
        keys: with which programs may call over TCP.
        lasting: of the application whose place this one takes.
    """
    lasting = lasting or Lasting(runtime)
    daemon = runtime.settings.daemon
    providers = runtime.settings.providers
    host = f"[{daemon.host}]" if ":" in daemon.host else daemon.host
    address = daemon.public_url or f"http://{host}:{daemon.port}"
    cookie = BrowserCookie(is_secure=address.startswith("https:"))
    links = ConnectLinkPages(
        runtime.links,
        runtime.consents,
        providers.get,
        cookie=cookie,
        address=address,
        now=runtime.now,
    )
    lasting.redirection.cookie = cookie
    refused = lasting.refusals.note
    pages = Dashboard(
        runtime,
        links,
        address=address,
        refused=refused,
        starter=starter,
        notices=open_notices(runtime),
    ).routes()
    traced = [Middleware(Tracing, note=lasting.telemetry.note_request)] if lasting.telemetry else []
    redirect_uris = [provider.redirect_uri for provider in providers.values()]

    hosts = {f"{name}:{daemon.port}" for name in (host, "localhost", "127.0.0.1", "[::1]")}
    if daemon.public_url:
        hosts.add(daemon.public_url.partition("://")[2])
    app = Starlette(
        routes=[
            Route("/healthz", _alive, methods=["GET"]),
            route("/readyz", lasting.readiness.answer, ANY, methods=["GET"]),
            route("/openapi.json", _describe, ANY, methods=["GET"]),
            *Tokens(runtime).routes(),
            *Api(runtime, links).routes(),
            *JobRuns(runtime, starter).routes(),
            *Refreshes(runtime).routes(),
            *links.routes(),
            *lasting.redirection.routes(redirect_uris),
            *lasting.metrics.routes(),
            *pages,
        ],
        middleware=[
            Middleware(Counting, counts=lasting.metrics.requests),
            *traced,
            Middleware(BugGuard),
            Middleware(SizeLimits),
            Middleware(
                AccessCheck,
                hosts=hosts,
                keys=keys,
                rates=CallRates(daemon.rate_limit, max(1, daemon.max_connections // 2)),
                redirect_uris=redirect_uris,
                on_refusal=refused,
                pages=pages,
            ),
            Middleware(
                HotRoute,
                memory=runtime.tokens.memory,
                releases=runtime.releases,
                reads=runtime.reads,
            ),
            Middleware(Naming),
        ],
        exception_handlers={
            ConnectorError: answer_error,
            UnusableBody: _unusable,
            404: _not_found,
            405: _not_allowed,
        },
    )
    app.router.redirect_slashes = False  # it would lead on by the Host header of the request
    return app


async def _alive(_request: Request) -> Response:
    return PlainTextResponse("ok\n")


async def _describe(_request: Request) -> Response:
    return JSONResponse(openapi())


async def _unusable(_request: Request, error: Exception) -> Response:
    assert isinstance(error, UnusableBody)  # noqa: S101 - registered for these alone
    return problem(error.status, error.name, error.detail)


async def _not_found(_request: Request, _error: Exception) -> Response:
    return problem(404, "not-found", "there is nothing at this address")


async def _not_allowed(_request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)  # noqa: S101 - registered for these alone
    allowed = dict(error.headers or {})  # RFC 9110 §15.5.6: Allow
    detail = "this address does not take that method"
    return problem(405, "method-not-allowed", detail, headers=allowed)


class BugGuard:
    """Answers 500 to what no route has foreseen; the log has the traceback, the answer nothing.

    Both have the same reference, so that one is found by the other.

    Args:
        app: the application.
    """

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass on."""
        has_started = False

        async def noting_send(message: Message) -> None:
            nonlocal has_started
            has_started = True
            await send(message)

        try:
            await self._app(scope, receive, noting_send)
        except ClientDisconnect:
            return  # in the middle of its request: nobody is there to be answered
        except Exception:
            reference = secrets.token_hex(8)
            extra = {"action": "web.bug", "reference": reference}
            logger.exception("a request failed by a bug", extra=extra)
            if has_started:
                raise  # the answer is cut off: the client must notice
            detail = f"this is a bug in Connector; its log says more under {reference}"
            members: dict[str, object] = {"reference": reference}
            answer = problem(500, "internal-error", detail, members=members)
            await answer(scope, receive, send)
