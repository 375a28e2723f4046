"""Signing in with a one-time code, and out (CHECKLIST 154).

The code comes from ``connector dashboard``, which only a user of this host's vault can run; it is
typed into a form and never stands in a URL. Whoever signs in gets a session id that nobody has had
before, so that an id which somebody planted is worth nothing (A14 of the fault matrix).
"""

from starlette.requests import Request
from starlette.responses import Response

from connector.runtime import Runtime
from connector.store.audit_entry import Actor, Entry
from connector.store.dashboard_codes import DashboardCodes
from connector.store.dashboard_sessions import DashboardSessions
from connector.web.dashboard.frame import Frame
from connector.web.dashboard.guard import (
    PageRoute,
    actor_of_session,
    actor_of_visitor,
    field_of,
    read_form,
    same_site_path,
    session_of,
)


class LoginPages:
    """Routes of signing in and out.

    Args:
        runtime: the daemon's objects.
        frame: makes pages.
        sessions: begins and ends sessions.
        codes: takes codes.
    """

    def __init__(
        self, runtime: Runtime, frame: Frame, sessions: DashboardSessions, codes: DashboardCodes
    ) -> None:
        self._runtime = runtime
        self._frame = frame
        self._sessions = sessions
        self._codes = codes

    def routes(self) -> list[PageRoute]:
        """Give the routes."""
        guard = self._frame.guard
        return [
            guard.open_page("/login", self.ask, methods=["GET"]),
            guard.open_page("/login", self.sign_in, methods=["POST"]),
            self._frame.action("/logout", self.sign_out),
        ]

    async def ask(self, request: Request) -> Response:
        """Ask for the code."""
        to = _wanted(request.query_params.get("to", ""))
        if await self._frame.guard.session(request) is not None:
            return self._frame.go(request, to)
        return await self._show(request, to)

    async def sign_in(self, request: Request) -> Response:
        """Take the code, and begin a session."""
        form = await read_form(request)
        to = _wanted(form.get("to", ("",))[0])
        now = self._runtime.now()
        tried = await self._codes.take(form.get("code", ("",))[0], now=now)
        if tried.actor is None:
            self._frame.guard.refused(actor_of_visitor(request), tried.reason)
            return await self._show(request, to, reason=tried.reason)
        await self._end_old(request)
        session = await self._sessions.begin(tried.actor, now=now)
        actor = actor_of_session(session)
        self._note("dashboard.opened", actor)
        response = self._frame.go(request, to)
        response.set_cookie(
            self._frame.guard.cookie,
            session.id.reveal(),
            path="/",
            secure=self._frame.guard.is_secure,
            httponly=True,
            samesite="strict",
        )
        return response

    async def sign_out(self, request: Request) -> Response:
        """End the session, or all of this user's."""
        session = session_of(request)
        assert session is not None  # noqa: S101 - the guard has looked
        actor = actor_of_session(session)
        if field_of(request, "everywhere"):
            await self._sessions.end_all(session.actor)
            self._runtime.trail.note(
                Entry(event="dashboard.closed", actor=actor, outcome="everywhere")
            )
        else:
            await self._sessions.end(session.id.reveal())
            self._runtime.trail.note(Entry(event="dashboard.closed", actor=actor, outcome="here"))
        response = self._frame.go(request, "/login")
        guard = self._frame.guard
        response.delete_cookie(
            guard.cookie, path="/", secure=guard.is_secure, httponly=True, samesite="strict"
        )
        return response

    async def _show(self, request: Request, to: str, *, reason: str = "") -> Response:
        values = {"to": to, "reason": reason}
        status = 403 if reason else 200
        return await self._frame.render(request, "login.html", values, status=status)

    async def _end_old(self, request: Request) -> None:
        """End the session that this browser comes with: a new one takes its place."""
        old = request.cookies.get(self._frame.guard.cookie)
        if old:
            await self._sessions.end(old)

    def _note(self, event: str, actor: Actor) -> None:
        self._runtime.trail.note(Entry(event=event, actor=actor))


def _wanted(path: str) -> str:
    """Give the page to go to once signed in: one of ours."""
    is_ours = same_site_path(path) and not path.startswith(("/login", "/logout"))
    return path if is_ours else "/accounts"
