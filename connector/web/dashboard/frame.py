"""What all pages have in common: the layout and its values, the headers, errors, what was done.

`Frame.render` is what a page ends in; the package's docstring says how to add one.
"""

import asyncio
import functools
import logging
import pwd
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from jinja2 import Environment, PackageLoader, StrictUndefined
from starlette.requests import Request
from starlette.responses import HTMLResponse, RedirectResponse, Response

from connector import errors
from connector.runtime import Runtime
from connector.store.audit_entry import Actor
from connector.store.dashboard_sessions import DashboardSession, DashboardSessions
from connector.store.reachable import check_reachable
from connector.web.body import UnusableBody
from connector.web.dashboard import words
from connector.web.dashboard.guard import (
    CSRF_FIELD,
    LIVE_HEADER,
    Endpoint,
    Guard,
    PageRoute,
    RefusedForm,
    csrf_token,
    session_of,
)
from connector.web.dashboard.static import static_path

logger = logging.getLogger(__name__)

#: Of the layout: path, name and icon (of ``dashboard/icons.html``); shown where there is a page.
SECTIONS: Final = (
    ("/accounts", "Accounts", "accounts"),
    ("/jobs", "Jobs", "jobs"),
    ("/runs", "Runs", "runs"),
    ("/keys", "API keys", "keys"),
    ("/audit", "Audit", "audit"),
)
#: Sessions that something is to be told to; whoever does not come for it is forgotten.
_MOST_TOLD: Final = 1000
#: An error's page waits no longer for whether the store can be had (seconds).
_LOOKING_TIME: Final = 2.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Notice:
    """What stands above every page until it is dealt with.

    Attributes:
        level: ``info``, ``warning`` or ``danger``.
        title: in a few words.
        text: what it means for the person.
        path: of the page where it is dealt with; empty: none.
        action: what to do there, as a link's text.
    """

    level: str
    title: str
    text: str = ""
    path: str = ""
    action: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Told:
    """What came of a form, for the next page.

    Attributes:
        level: ``good``, ``warning`` or ``danger``.
        text: a sentence.
    """

    level: str
    text: str


#: Gives the notices of the moment.
Notices = Callable[[], Awaitable[Sequence[Notice]]]


async def no_notices() -> Sequence[Notice]:
    """Give none."""
    return ()


class Frame:
    """Makes pages and their routes.

    Args:
        runtime: the daemon's objects.
        sessions: who is signed in.
        address: of the daemon, as people reach it.
        refused: is told who was refused, and why in a word.
        notices: gives what stands above every page.
    """

    def __init__(
        self,
        runtime: Runtime,
        sessions: DashboardSessions,
        *,
        address: str,
        refused: Callable[[Actor, str], None],
        notices: Notices = no_notices,
    ) -> None:
        self.guard = Guard(
            sessions,
            now=runtime.now,
            address=address,
            refused=refused,
            show_error=self.show_error,
            come_again=self.come_again,
        )
        self.paths: set[str] = set()
        self._runtime = runtime
        self._address = address
        self._notices = notices
        self._told: OrderedDict[str, Told] = OrderedDict()

    def page(self, path: str, endpoint: Endpoint) -> PageRoute:
        """Make the route of a page (GET), see `Guard.page`."""
        self.paths.add(path)
        return self.guard.page(path, endpoint)

    def action(self, path: str, endpoint: Endpoint) -> PageRoute:
        """Make the route of a form (POST), see `Guard.action`."""
        return self.guard.action(path, endpoint)

    async def render(
        self,
        request: Request,
        template: str,
        values: Mapping[str, object],
        *,
        status: int = 200,
    ) -> Response:
        """Render a page.

        Args:
            request: whose answer it is.
            template: file name in ``templates/dashboard/``.
            values: for the template; escaped there.
            status: the HTTP status.
        """
        session = session_of(request)
        is_live = LIVE_HEADER in request.headers  # nobody may be there to be told
        common = {
            "section": _section(request.url.path),
            "sections": [one for one in SECTIONS if one[0] in self.paths],
            "csrf_field": CSRF_FIELD,
            "csrf_token": csrf_token(session) if session else "",
            "person": _person(session),
            "told": self._told.pop(_key(session), None) if session and not is_live else None,
            "notices": await self._open_notices() if session else (),
            "store_is_reachable": True,  # it has said who is signed in
            "vault_is_open": True,
            "now": self._runtime.now(),
        }
        html = _environment().get_template(f"dashboard/{template}").render({**common, **values})
        return HTMLResponse(html, status_code=status, headers=self.headers())

    def go(self, request: Request, path: str, text: str = "", *, level: str = "good") -> Response:
        """Lead to a page after a form, and tell there what came of it.

        Args:
            request: the form's.
            path: of ours.
            text: a sentence; empty: none.
            level: ``good``, ``warning`` or ``danger``.
        """
        session = session_of(request)
        if text and session is not None:
            self._told[_key(session)] = Told(level=level, text=text)
            while len(self._told) > _MOST_TOLD:
                self._told.popitem(last=False)
        return RedirectResponse(path, status_code=303, headers=self.headers())

    def headers(self) -> dict[str, str]:
        """Give the headers that every page has (CHECKLIST 156)."""
        policy = (
            "default-src 'none'; style-src 'self'; script-src 'self'; img-src 'self'; "
            f"connect-src 'self'; form-action 'self' {self._address}; "
            "base-uri 'none'; frame-ancestors 'none'"
        )
        return {
            "Content-Security-Policy": policy,
            # under no-referrer a form would be sent with "Origin: null", as if from nowhere
            "Referrer-Policy": "same-origin",
            "Cache-Control": "no-store",
            "X-Content-Type-Options": "nosniff",
            "Cross-Origin-Opener-Policy": "same-origin",
            "Cross-Origin-Resource-Policy": "same-origin",
        }

    async def come_again(self, request: Request) -> Response:
        """Make a page that leads to itself at once; see `guard.Guard`."""
        query = f"?{request.url.query}" if request.url.query else ""
        return await self.render(request, "come_again.html", {"path": request.url.path + query})

    async def show_error(self, request: Request, error: Exception) -> Response:
        """Make a page of an error; of one that is none of ours it says nothing."""
        status, heading, text = _told_of(error)
        if status == 503 and session_of(request) is None:
            # it says where the database is, which is for those who are signed in
            text = "Try again in a moment; the daemon's log says more."
        values: dict[str, object] = {"heading": heading, "text": text}
        if status == 503:
            values["store_is_reachable"] = await self._is_store_reachable()
            values["vault_is_open"] = not isinstance(error, errors.VaultSealed)
        return await self.render(request, "error.html", values, status=status)

    async def _open_notices(self) -> Sequence[Notice]:
        """Give the notices; a page is shown though they cannot be had."""
        try:
            return await self._notices()
        except errors.ConnectorError:
            return ()
        except Exception:  # without the pages nobody could look into it
            logger.exception("notices cannot be shown: a bug", extra={"action": "web.bug"})
            return ()

    async def _is_store_reachable(self) -> bool:
        try:
            async with asyncio.timeout(_LOOKING_TIME):
                await check_reachable(self._runtime.database)
        except (errors.ConnectorError, TimeoutError):
            return False
        return True


def _told_of(error: Exception) -> tuple[int, str, str]:
    """Give status, heading and text of an error."""
    match error:
        case errors.UnknownAccount():
            return 404, "There is no such account", str(error)
        case errors.TemporarilyUnavailable():
            return 503, "Not available at the moment", str(error)
        case errors.VaultSealed():
            return 503, "The vault is sealed", str(error)
        case errors.ConnectorError():
            return 409, "That did not work", str(error)
        case UnusableBody():
            return error.status, "That form cannot be used", error.detail
        case RefusedForm():
            text = "It comes from no page of this session. Go back, reload the page and try again."
            return 403, "That form was refused", text
    return 500, "This is a bug in Connector", "The daemon's log says more."


def _section(path: str) -> str:
    """Give the section of `SECTIONS` that a path is in."""
    first = "/" + path.split("/", 2)[1]
    return "/accounts" if first in {"/", "/connect"} else first


def _key(session: DashboardSession) -> str:
    return csrf_token(session)


def _person(session: DashboardSession | None) -> str:
    """Name the user of this host who acts in a session."""
    if session is None:
        return ""
    try:
        return pwd.getpwuid(int(session.actor)).pw_name
    except (KeyError, ValueError):
        return f"user {session.actor}"


@functools.cache
def _environment() -> Environment:
    environment = Environment(
        loader=PackageLoader("connector.web"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.globals["static"] = static_path
    environment.filters.update(words.FILTERS)
    return environment
