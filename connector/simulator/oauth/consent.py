"""What people decide on at the authorization server: authorization requests and devices.

The login and the order of the pages are sign_in's; here are the consent page and what a decision
leads to.
"""

from urllib.parse import urlencode

from connector.simulator.call import Call, Reply, Subject
from connector.simulator.interactions import Interaction
from connector.simulator.oauth.authorization_request import (
    AuthorizationRequest,
    AuthorizationRequestError,
    granted,
)
from connector.simulator.oauth.authorization_response import failure, success
from connector.simulator.oauth.codes import Code, Device
from connector.simulator.opaque import new_token
from connector.simulator.pages import Pages
from connector.simulator.sessions import Session, Sessions
from connector.simulator.sign_in import Decision, Look, SignIn
from connector.simulator.state import State

LOGIN_PATH = "/oauth/login"
CONSENT_PATH = "/oauth/consent"

Asked = AuthorizationRequest | Device


class ConsentPages:
    """The pages under /oauth and the decisions taken on them."""

    def __init__(self, state: State, pages: Pages) -> None:
        self._state = state
        self._pages = pages
        look: Look[Asked] = Look(
            server="the simulated authorization server",
            layout="layout.html",
            login_path=LOGIN_PATH,
            consent_path=CONSENT_PATH,
            client_name=lambda asked: asked.client_id,
            consent_page=self._consent_page,
        )
        sessions = Sessions(cookie="simulator_oauth", path="/oauth")
        self.sign_in = SignIn(pages=pages, sessions=sessions, clock=state.clock, look=look)

    def ask(self, call: Call, request: AuthorizationRequest) -> Reply:
        """Show an authorization request to a person, or say why that is not allowed."""
        session = self.sign_in.session_of(call)
        is_stale = (
            session is not None
            and request.max_age is not None
            and self._state.clock.now() - session.auth_time > request.max_age
        )
        if "none" in request.prompt:
            # OpenID Connect Core §3.1.2.6; a consent is always asked for here
            error = "login_required" if session is None or is_stale else "consent_required"
            return self._back(request, AuthorizationRequestError(error, "a person is needed"))
        is_login_forced = is_stale or bool(request.prompt & {"login", "select_account"})
        return self.sign_in.begin(call, request, is_login_forced=is_login_forced)

    def decide(self, call: Call) -> Reply:
        """Carry out a decision: back to the client, or a page that sends the person away.

        Raises:
            RefusedError: there is no decision to be carried out.
        """
        decision = self.sign_in.decide(call)
        if isinstance(decision.subject, Device):
            return self._decide_device(decision.subject, decision)
        request = decision.subject
        if not decision.is_allowed:
            error = AuthorizationRequestError("access_denied", "the person denied the request")
            return self._back(request, error, person=decision.session.person.name)
        now = self._state.clock.now()
        code = new_token("code_")
        self._state.codes.add(
            code,
            Code(
                request=request,
                person=decision.session.person,
                auth_time=decision.session.auth_time,
                expires_at=now + self._state.settings.code_lifetime,
            ),
            now=now,
        )
        subject = Subject(client_id=request.client_id, person=decision.session.person.name)
        return success(
            self._state, request.redirect_uri, code, state_parameter=request.state, subject=subject
        )

    def _back(
        self,
        request: AuthorizationRequest,
        error: AuthorizationRequestError,
        *,
        person: str | None = None,
    ) -> Reply:
        subject = Subject(client_id=request.client_id, person=person)
        return failure(
            self._state,
            request.redirect_uri,
            error,
            state_parameter=request.state,
            subject=subject,
        )

    def _decide_device(self, device: Device, decision: Decision[Asked]) -> Reply:
        session = decision.session
        subject = Subject(client_id=device.client_id, person=session.person.name)
        if device.expires_at <= self._state.clock.now():
            raise self._pages.refusal("Too late", "The code of the device is over.")
        device.is_allowed = decision.is_allowed
        device.person = session.person
        device.auth_time = session.auth_time
        text = "The device is connected." if device.is_allowed else "The device was refused."
        values = {"title": "Done", "text": f"{text} You can close this page."}
        page = self._pages.render("message.html", values)
        outcome = "device_allowed" if device.is_allowed else "access_denied"
        return Reply(response=page, outcome=outcome, subject=subject)

    def _consent_page(self, interaction: Interaction[Asked], session: Session) -> Reply:
        query = urlencode({"interaction": interaction.id})
        values = {
            "client": interaction.subject.client_id,
            "person": session.person,
            "switch": f"{LOGIN_PATH}?{query}",
            "scopes": granted(interaction.subject.scope, self._state.settings),
            "action": CONSENT_PATH,
            "interaction": interaction.id,
        }
        return Reply(response=self._pages.render("consent.html", values), outcome="consent")
