"""Who may call: checked before any route is looked at, and refused by default.

A request must name a host that is ours (a page that was bound to our address by DNS names its own),
must not come from another site's page, and must come from a peer that we trust: over the Unix
socket, which only this user can open. Over TCP an API key is needed; until there are keys, only the
paths that need none are served there (CHECKLIST 142 to 145).
"""

from collections.abc import Callable, Iterable
from typing import Final, NamedTuple

from starlette.datastructures import Headers
from starlette.types import ASGIApp, Receive, Scope, Send

from connector.consent import redirect_path
from connector.store.audit_entry import Actor, acting_as
from connector.web.peer import actor_of_stranger
from connector.web.problems import problem
from connector.web.redirection import raw_path

#: What a person's browser must reach to consent, besides the redirect URIs.
OPEN_PREFIXES: Final = ("/connect/", "/callback/", "/consent/")
_SAME_SITE: Final = frozenset({None, "none", "same-origin"})


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
    401, "unauthorized", "over TCP an API key is needed; use the Unix socket", "no_key"
)


class AccessCheck:
    """Refuses what may not call.

    Args:
        app: the application.
        hosts: what a ``Host`` header over TCP may say.
        redirect_uris: where providers send the person's browser.
        on_refusal: is told who was refused, and why in a word.
    """

    def __init__(
        self,
        app: ASGIApp,
        hosts: Iterable[str],
        redirect_uris: Iterable[str],
        on_refusal: Callable[[Actor, str], None],
    ) -> None:
        self._on_refusal = on_refusal
        self._app = app
        self._hosts = frozenset(hosts)
        self._callbacks = frozenset(map(redirect_path, redirect_uris))

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass on, or answer with a problem document."""
        if scope["type"] != "http":
            return
        if scope.get("connector.trusted_peer"):
            await self._app(scope, receive, send)
            return
        actor, refusal = actor_of_stranger(scope), self._refusal(scope)
        if refusal is None:
            with acting_as(actor):
                await self._app(scope, receive, send)
            return
        self._on_refusal(actor, refusal.outcome)
        await problem(refusal.status, refusal.name, refusal.detail)(scope, receive, send)

    def _refusal(self, scope: Scope) -> _Refusal | None:
        headers = Headers(scope=scope)
        if headers.get("host") not in self._hosts:
            return _FOREIGN_HOST
        path: str = scope["path"]
        is_callback = raw_path(scope) in self._callbacks or path.startswith("/callback/")
        # contentless: the liveness of the daemon
        is_open = path == "/healthz" or is_callback or path.startswith(OPEN_PREFIXES)
        # a provider sends the person's browser from its own site to the redirect URI
        if not is_callback and not _is_own_page(headers, self._hosts):
            return _FOREIGN_PAGE
        if not is_open:
            return _NO_KEY
        return None


def _is_own_page(headers: Headers, hosts: frozenset[str]) -> bool:
    """Tell whether a request comes from no page, or from one of ours (Fetch Metadata, Origin)."""
    origin = headers.get("origin")
    if origin is not None and origin.partition("://")[2] not in hosts:
        return False
    site = headers.get("sec-fetch-site")
    if site in _SAME_SITE:
        return True
    # a link to us on somebody's page may be followed; it changes nothing
    return headers.get("sec-fetch-mode") == "navigate" and headers.get("sec-fetch-dest") == (
        "document"
    )
