"""The pages between a request for consent and its decision, the same at both servers.

Login, then consent; a browser that is logged in goes straight to the consent. A decision counts
only in the session in which its page was shown.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Generic, TypeVar
from urllib.parse import urlencode

from connector.simulator.call import Call, RefusedError, Reply, see_other
from connector.simulator.clock import Clock
from connector.simulator.interactions import Interaction, Interactions
from connector.simulator.pages import Pages
from connector.simulator.parameters import MalformedParametersError, Parameters
from connector.simulator.people import PEOPLE
from connector.simulator.sessions import Session, Sessions

_S = TypeVar("_S")


@dataclass(frozen=True, slots=True, kw_only=True)
class Look(Generic[_S]):
    """What differs between the two servers."""

    server: str
    """How the login page calls the server."""
    layout: str
    login_path: str
    consent_path: str
    client_name: Callable[[_S], str]
    consent_page: Callable[[Interaction[_S], Session], Reply]


@dataclass(frozen=True, slots=True, kw_only=True)
class Decision(Generic[_S]):
    """What a person decided."""

    subject: _S
    session: Session
    is_allowed: bool
    form: Parameters


class SignIn(Generic[_S]):
    """One server's pages."""

    def __init__(self, *, pages: Pages, sessions: Sessions, clock: Clock, look: Look[_S]) -> None:
        self._pages = pages
        self._sessions = sessions
        self._interactions: Interactions[_S] = Interactions()
        self._clock = clock
        self._look = look

    def session_of(self, call: Call) -> Session | None:
        """Who is logged in, in the browser that sent this."""
        return self._sessions.of(call)

    def begin(self, call: Call, subject: _S, *, is_login_forced: bool = False) -> Reply:
        """The first page for a new request for consent."""
        interaction = self._interactions.begin(subject, now=self._clock.now())
        session = self._sessions.of(call)
        if session is None or is_login_forced:
            return self._login_page(interaction)
        return self._show_consent(interaction, session)

    def login_page(self, call: Call) -> Reply:
        """The login page again, to be somebody else.

        Raises:
            RefusedError: the page is no longer open.
        """
        return self._login_page(self._open_one(self._parameters(call)))

    def log_in(self, call: Call) -> Reply:
        """A person was chosen: a new session, and on to the consent page.

        Raises:
            RefusedError: the page is no longer open, or there is no such person.
        """
        form = self._parameters(call)
        interaction = self._open_one(form)
        person = PEOPLE.get(form.get("person") or "")
        if person is None:
            raise self._pages.refusal("Nobody of that name", "Choose one of the people listed.")
        session = self._sessions.open(person, now=self._clock.now())
        interaction.session = session.id
        query = urlencode({"interaction": interaction.id})
        response = see_other(f"{self._look.consent_path}?{query}")
        self._sessions.remember(session, response)
        return Reply(response=response)

    def consent_page(self, call: Call) -> Reply:
        """The consent page, or the login page where nobody is logged in.

        Raises:
            RefusedError: the page is no longer open.
        """
        interaction = self._open_one(self._parameters(call))
        session = self._sessions.of(call)
        if session is None:
            return self._login_page(interaction)
        return self._show_consent(interaction, session)

    def decide(self, call: Call) -> Decision[_S]:
        """The decision on the consent page; it is taken once.

        Raises:
            RefusedError: no decision, or not in the session that was asked.
        """
        form = self._parameters(call)
        interaction = self._open_one(form)
        session = self._sessions.of(call)
        if session is None or interaction.session != session.id:
            raise self._pages.refusal(
                "Not your page", "This was asked in another session. Start again.", status=403
            )
        decision = form.get("decision")
        if decision not in {"allow", "deny"}:
            raise self._pages.refusal("No decision", "The decision is either allow or deny.")
        self._interactions.finish(interaction)
        return Decision(
            subject=interaction.subject,
            session=session,
            is_allowed=decision == "allow",
            form=form,
        )

    def _parameters(self, call: Call) -> Parameters:
        try:
            return call.form() if call.method == "POST" else call.query()
        except MalformedParametersError as error:
            raise self._pages.refusal("Bad request", f"{error}.") from None

    def _open_one(self, parameters: Parameters) -> Interaction[_S]:
        identity = parameters.get("interaction")
        interaction = self._interactions.find(identity, now=self._clock.now())
        if interaction is None:
            raise self._gone()
        return interaction

    def _gone(self) -> RefusedError:
        return self._pages.refusal(
            "This page is no longer open",
            "It was already decided, or it waited too long. Go back to where you came from.",
        )

    def _login_page(self, interaction: Interaction[_S]) -> Reply:
        values = {
            "layout": self._look.layout,
            "server": self._look.server,
            "client": self._look.client_name(interaction.subject),
            "action": self._look.login_path,
            "interaction": interaction.id,
            "people": list(PEOPLE.values()),
        }
        return Reply(response=self._pages.render("login.html", values), outcome="login")

    def _show_consent(self, interaction: Interaction[_S], session: Session) -> Reply:
        interaction.session = session.id
        return self._look.consent_page(interaction, session)
