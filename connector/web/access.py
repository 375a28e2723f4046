"""Who may call: checked before any route is looked at, and refused by default.

A request must name a host that is ours (a page that was bound to our address by DNS names its own),
must not come from another site's page, and must come from a caller whom we know: this user, over
the Unix socket, which nobody else can open; over TCP whoever presents an API key, in the header and
nowhere else (CHECKLIST 142 to 147). What a caller may do is the routes' business, see `caller`;
who is signed in to the dashboard is its own routes', see `dashboard.guard`.
"""

import time
from collections.abc import Callable, Iterable
from functools import partial
from typing import Final, NamedTuple

from starlette.responses import Response
from starlette.routing import Match
from starlette.types import ASGIApp, Receive, Scope, Send

from connector.api_key import ApiKey
from connector.consent import redirect_path
from connector.errors import TemporarilyUnavailable
from connector.store.audit_entry import Actor, acting_as
from connector.web.bounded import KNOWN
from connector.web.caller import KEY, Caller
from connector.web.dashboard import PageRoute
from connector.web.known_keys import KnownKeys
from connector.web.pages import page
from connector.web.peer import actor_of_key, actor_of_stranger
from connector.web.problems import CHALLENGE, problem, too_many_requests
from connector.web.rate import CallRates
from connector.web.redirection import raw_path

#: What a person's browser must reach to consent, besides the redirect URIs.
OPEN_PREFIXES: Final = ("/connect/", "/callback/", "/consent/")
_SAME_SITE: Final = frozenset({b"none", b"same-origin"})

#: The values of each header, in order; names in lower case.
_Headers = dict[bytes, list[bytes]]


class _Refusal(NamedTuple):
    status: int
    name: str
    detail: str
    outcome: str  # for the audit trail


_FOREIGN_HOST: Final = _Refusal(
    403, "forbidden", "the Host header names another host", "foreign_host"
)
_FOREIGN_PAGE: Final = _Refusal(
    403, "forbidden", "the request comes from another site's page", "foreign_page"
)
_NO_KEY: Final = _Refusal(
    401,
    "unauthorized",
    "over TCP an API key is needed (Authorization: Bearer …); or use the Unix socket",
    "no_key",
)
_BAD_KEY: Final = _Refusal(
    401, "unauthorized", "the API key is none that is good: connector keys lists them", "bad_key"
)


class AccessCheck:
    """Refuses what may not call.

    Args:
        app: the application.
        hosts: what a ``Host`` header over TCP may say.
        keys: finds the API key of a caller.
        rates: how often it may call.
        redirect_uris: where providers send the person's browser.
        on_refusal: is told who was refused, and why in a word.
        pages: of the dashboard, which look for themselves who is signed in.
    """

    def __init__(
        self,
        app: ASGIApp,
        hosts: Iterable[str],
        keys: KnownKeys,
        rates: CallRates,
        redirect_uris: Iterable[str],
        on_refusal: Callable[[Actor, str], None],
        pages: Iterable[PageRoute],
    ) -> None:
        self._on_refusal = on_refusal
        self._pages = tuple(pages)
        self._app = app
        self._keys = keys
        self._hosts = frozenset(host.encode() for host in hosts)
        self._rates = rates
        self._callbacks = frozenset(map(redirect_path, redirect_uris))

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass on, or answer with a problem document."""
        if scope["type"] != "http":
            return
        if scope.get("connector.trusted_peer"):
            await self._app({**scope, KEY: Caller()}, receive, send)
            return
        headers = _headers_of(scope)
        stranger = actor_of_stranger(scope)
        refusal, is_open = self._refusal(scope, headers)
        if refusal is None and is_open:
            with acting_as(stranger):
                await self._app(scope, receive, send)
            return
        if refusal is None:
            may_wait = not self._rates.wait_of_stranger(stranger.name, time.monotonic())
            try:
                key = await self._keys.find(_bearer(headers), may_wait=may_wait)
            except TemporarilyUnavailable as error:
                later = {"Retry-After": "5"}
                answer = problem(503, error.problem_type(), str(error), headers=later)
                await answer(scope, receive, send)
                return
            if key is not None:
                scope[KNOWN] = True
                await self._call(key, scope, receive, send)
                return
            refusal = _BAD_KEY if any(headers.get(b"authorization", ())) else _NO_KEY
            wait = self._rates.note_stranger(stranger.name, time.monotonic())
            if wait:
                self._on_refusal(stranger, "too_many_requests")
                await too_many_requests(wait)(scope, receive, send)
                return
        self._on_refusal(stranger, refusal.outcome)
        await _answer(refusal, headers)(scope, receive, send)

    async def _call(self, key: ApiKey, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass on what the holder of a key asks for, unless that is too much."""
        holder = actor_of_key(key.name)
        wait = self._rates.enter(key.id, time.monotonic())
        if wait:
            self._on_refusal(holder, "too_many_requests")
            await too_many_requests(wait)(scope, receive, send)
            return
        try:
            caller = Caller(key=key, refused=partial(self._on_refusal, holder))
            with acting_as(holder):
                await self._app({**scope, KEY: caller}, receive, send)
        finally:
            self._rates.leave(key.id)

    def _refusal(self, scope: Scope, headers: _Headers) -> tuple[_Refusal | None, bool]:
        """Give the refusal of what no page of ours sent; and whether the path needs no key."""
        named = headers.get(b"host", ())
        if len(named) != 1 or named[0] not in self._hosts:
            return _FOREIGN_HOST, False
        path: str = scope["path"]
        is_callback = raw_path(scope) in self._callbacks or path.startswith("/callback/")
        # contentless: the liveness of the daemon
        is_open = path == "/healthz" or is_callback or path.startswith(OPEN_PREFIXES)
        if not is_open and not path.startswith("/v1/"):  # no page is there, whatever its pattern
            is_open = any(one.matches(scope)[0] is not Match.NONE for one in self._pages)
        # a provider sends the person's browser from its own site to the redirect URI
        if not is_callback and not _is_own_page(headers, self._hosts, scope["method"]):
            return _FOREIGN_PAGE, False
        return None, is_open


def _answer(refusal: _Refusal, headers: _Headers) -> Response:
    """Answer with a problem document; a person who has mistyped an address, with a page."""
    if refusal.status != 401:
        return problem(refusal.status, refusal.name, refusal.detail)
    is_browser = refusal is _NO_KEY and headers.get(b"sec-fetch-mode") == [b"navigate"]
    if not is_browser:
        return problem(refusal.status, refusal.name, refusal.detail, headers=CHALLENGE)
    answer = page("nowhere.html", {}, status=refusal.status)
    answer.headers.update(CHALLENGE)
    return answer


def _headers_of(scope: Scope) -> _Headers:
    """Read the headers, once: a lookup among `Headers` goes through all of them."""
    headers: _Headers = {}
    for name, value in scope["headers"]:
        headers.setdefault(name, []).append(value)
    return headers


def _bearer(headers: _Headers) -> str:
    """Give the key that a request presents; nothing where there are several, or none."""
    values = headers.get(b"authorization", ())
    scheme, _, value = values[0].partition(b" ") if len(values) == 1 else (b"", b"", b"")
    return value.strip().decode("latin-1") if scheme.lower() == b"bearer" else ""


def _is_own_page(headers: _Headers, hosts: frozenset[bytes], method: str) -> bool:
    """Tell whether a request comes from no page, or from one of ours (Fetch Metadata, Origin)."""
    for origin in headers.get(b"origin", ()):
        if origin.partition(b"://")[2] not in hosts:
            return False
    if _SAME_SITE.issuperset(headers.get(b"sec-fetch-site", ())):
        return True
    # a link to us on somebody's page may be followed; it changes nothing
    return (
        method in {"GET", "HEAD"}
        and headers.get(b"sec-fetch-mode") == [b"navigate"]
        and headers.get(b"sec-fetch-dest") == [b"document"]
    )
