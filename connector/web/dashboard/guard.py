"""Lets nobody through to a page who is not signed in, and no form that is not a page's of ours.

Denied by default: the check of who may call (`web.access`) passes over TCP without an API key only
what a `PageRoute` takes, and nothing but `Guard` makes those (CHECKLIST 143, 154, 155). A cookie
opens pages and never ``/v1``; an API key opens ``/v1`` and never a page.
"""

import hashlib
import hmac
import logging
from collections.abc import Awaitable, Callable, Mapping
from typing import Final
from urllib.parse import parse_qsl, quote, urlsplit

from starlette.requests import ClientDisconnect, Request
from starlette.responses import RedirectResponse, Response
from starlette.routing import Route

from connector.errors import ConnectorError
from connector.store.audit_entry import Actor, acting_as
from connector.store.dashboard_sessions import DashboardSession, DashboardSessions
from connector.web.body import LARGEST_BODY, UnusableBody
from connector.web.peer import actor_of_stranger
from connector.web.problems import CHALLENGE, problem

logger = logging.getLogger(__name__)

Endpoint = Callable[[Request], Awaitable[Response]]

#: The field of a form that holds the CSRF token.
CSRF_FIELD: Final = "csrf_token"
#: A page that keeps itself fresh says so by this header: it keeps no session alive.
LIVE_HEADER: Final = "connector-live"
_SESSION: Final = "connector.session"
_FORM: Final = "connector.form"
_MOST_FIELDS: Final = 100


class PageRoute(Route):
    """A route of the dashboard; made by `Guard` alone."""


class RefusedForm(Exception):
    """A form that no page of this session has sent."""


class Guard:
    """Makes the routes of pages.

    Args:
        sessions: finds who is signed in.
        now: gives seconds since the epoch.
        address: of the daemon, as people reach it.
        refused: is told who was refused, and why in a word.
        show_error: makes a page of an error.
        come_again: makes a page that leads to itself.
    """

    def __init__(
        self,
        sessions: DashboardSessions,
        *,
        now: Callable[[], float],
        address: str,
        refused: Callable[[Actor, str], None],
        show_error: Callable[[Request, Exception], Awaitable[Response]],
        come_again: Endpoint,
    ) -> None:
        parts = urlsplit(address)
        self.is_secure = parts.scheme == "https"
        # cookies know no ports: two daemons of one host would sign each other's people out
        name = "connector_session" if self.is_secure else f"connector_session_{parts.port}"
        self.cookie = f"__Host-{name}" if self.is_secure else name
        self.refused = refused
        self._sessions = sessions
        self._now = now
        self._show_error = show_error
        self._come_again = come_again

    def page(self, path: str, endpoint: Endpoint) -> PageRoute:
        """Make the route of a page, which changes nothing (GET)."""
        return PageRoute(path, self._guarded(endpoint), methods=["GET"])

    def action(self, path: str, endpoint: Endpoint) -> PageRoute:
        """Make the route of a form (POST), which needs the session's CSRF token."""
        return PageRoute(path, self._guarded(endpoint), methods=["POST"])

    def open_page(self, path: str, endpoint: Endpoint, *, methods: list[str]) -> PageRoute:
        """Make a route that needs no session: signing in, and what that page looks like."""
        return PageRoute(path, self._shown(endpoint), methods=methods)

    async def session(self, request: Request) -> DashboardSession | None:
        """Give the session that a request's cookie is of."""
        value = request.cookies.get(self.cookie)
        if value is None:
            return None
        is_used = LIVE_HEADER not in request.headers
        return await self._sessions.find(value, now=self._now(), is_used=is_used)

    def _guarded(self, endpoint: Endpoint) -> Endpoint:
        async def guarded(request: Request) -> Response:
            session = await self.session(request)
            if session is None and self.cookie not in request.cookies and _is_led_here(request):
                return await self._come_again(request)
            if session is None:
                return self._to_login(request)
            request.scope[_SESSION] = session
            actor = actor_of_session(session)
            if request.method not in {"GET", "HEAD"}:
                form = await read_form(request)
                if not _is_ours(request, session, form):
                    self.refused(actor, "no_csrf_token")
                    raise RefusedForm
                request.scope[_FORM] = form
            with acting_as(actor):
                return await endpoint(request)

        return self._shown(guarded)

    def _shown(self, endpoint: Endpoint) -> Endpoint:
        """Make pages of errors."""

        async def shown(request: Request) -> Response:
            try:
                return await endpoint(request)
            except (ConnectorError, UnusableBody, RefusedForm) as error:
                return await self._show_error(request, error)
            except ClientDisconnect:
                raise  # in the middle of a form: nobody is there to be told
            except Exception as error:  # whatever it is, a person is told in a page
                logger.exception("a page failed by a bug", extra={"action": "web.bug"})
                return await self._show_error(request, error)

        return shown

    def _to_login(self, request: Request) -> Response:
        """Lead to where one signs in, and from there back to the page that was wanted.

        What is no browser is told that it may not, as at every other route.
        """
        if "text/html" not in request.headers.get("accept", ""):
            detail = "the dashboard is for browsers, after signing in: connector dashboard"
            return problem(401, "unauthorized", detail, headers=CHALLENGE)
        wanted = request.url.path
        if request.url.query:
            wanted += f"?{request.url.query}"
        is_page = request.method in {"GET", "HEAD"} and wanted not in {"/", "/accounts"}
        query = f"?to={quote(wanted, safe='')}" if is_page and same_site_path(wanted) else ""
        headers = {"Cache-Control": "no-store"}
        return RedirectResponse(f"/login{query}", status_code=303, headers=headers)


def session_of(request: Request) -> DashboardSession | None:
    """Give the session of a request that was let through; None on a page that needs none."""
    found: DashboardSession | None = request.scope.get(_SESSION)
    return found


def form_of(request: Request) -> Mapping[str, tuple[str, ...]]:
    """Give the fields of a form that was let through."""
    found: Mapping[str, tuple[str, ...]] = request.scope[_FORM]
    return found


def field_of(request: Request, name: str) -> str:
    """Give one field of a form, without the space around it; empty where it is not there."""
    return form_of(request).get(name, ("",))[0].strip()


def actor_of_session(session: DashboardSession) -> Actor:
    """Give who acts in a session: the user of this host who made the code for it."""
    return Actor(kind="uid", name=session.actor, through="dashboard")


def actor_of_visitor(request: Request) -> Actor:
    """Give who acts where nobody is signed in."""
    return actor_of_stranger(request.scope)


def csrf_token(session: DashboardSession) -> str:
    """Give a session's CSRF token: derived from its id, which only the cookie has."""
    key = session.id.reveal().encode()
    return hmac.new(key, b"connector dashboard csrf v1", hashlib.sha256).hexdigest()


def same_site_path(text: str) -> bool:
    """Tell whether a text is a path of ours: nothing that a browser takes for another site."""
    if not text.startswith("/") or text.startswith("//") or "\\" in text:
        return False
    if not all("!" <= letter <= "~" for letter in text) or len(text) > 2000:
        return False
    parts = urlsplit(text)
    return not parts.scheme and not parts.netloc


async def read_form(request: Request) -> dict[str, tuple[str, ...]]:
    """Read the fields of a form.

    Raises:
        UnusableBody: it is too long, or no form.
    """
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if kind != "application/x-www-form-urlencoded":
        raise UnusableBody(415, "unsupported-media-type", "a form is needed")
    body = b""
    async for chunk in request.stream():  # no more is taken in than is allowed
        body += chunk
        if len(body) > LARGEST_BODY:
            raise UnusableBody(413, "content-too-large", f"at most {LARGEST_BODY} bytes")
    try:
        pairs = parse_qsl(
            body.decode(), keep_blank_values=True, max_num_fields=_MOST_FIELDS, errors="strict"
        )
    except ValueError:
        raise UnusableBody(400, "bad-request", "the form cannot be read") from None
    form: dict[str, tuple[str, ...]] = {}
    for name, value in pairs:
        form[name] = (*form.get(name, ()), value)
    return form


def _is_led_here(request: Request) -> bool:
    """Tell whether a link of another site leads here: a browser keeps a strict cookie to itself.

    A page of ours that leads to itself brings the cookie, and pages change nothing (RFC 6265bis).
    """
    headers = request.headers
    is_foreign = headers.get("sec-fetch-site") in {"cross-site", "same-site"}
    return request.method == "GET" and is_foreign and headers.get("sec-fetch-mode") == "navigate"


def _is_ours(
    request: Request, session: DashboardSession, form: Mapping[str, tuple[str, ...]]
) -> bool:
    """Tell whether a page of this session sent a form (CSRF token, Fetch Metadata)."""
    presented = form.get(CSRF_FIELD, ())
    expected = csrf_token(session)
    if len(presented) != 1 or not hmac.compare_digest(presented[0].encode(), expected.encode()):
        return False
    return request.headers.get("sec-fetch-site") in {None, "same-origin", "none"}
