"""Who is logged in, in which browser.

A session id is made at each login and never taken from the request, so that nobody can plant one.
"""

from dataclasses import dataclass

from starlette.responses import Response

from connector.simulator.call import Call
from connector.simulator.opaque import new_token
from connector.simulator.people import Profile


@dataclass(frozen=True, slots=True, kw_only=True)
class Session:
    """One login of a person in one browser."""

    id: str
    person: Profile
    auth_time: float
    """When the person logged in, for `auth_time` and `max_age` (OpenID Connect Core §2)."""


class Sessions:
    """The sessions of one server, told apart from another's by the cookie."""

    def __init__(self, *, cookie: str, path: str) -> None:
        self._cookie = cookie
        self._path = path
        self._sessions: dict[str, Session] = {}

    def of(self, call: Call) -> Session | None:
        """The session of the browser that sent this request."""
        return self._sessions.get(call.cookie(self._cookie) or "")

    def open(self, person: Profile, *, now: float) -> Session:
        """Log a person in."""
        session = Session(id=new_token("session_"), person=person, auth_time=now)
        self._sessions[session.id] = session
        return session

    def remember(self, session: Session, response: Response) -> None:
        """Let the browser that gets this answer be the session's."""
        response.set_cookie(
            self._cookie, session.id, path=self._path, httponly=True, samesite="lax"
        )
