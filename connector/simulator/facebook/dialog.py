"""The login dialog under /facebook: log in, choose permissions, go back with a code.

A declined permission is not offered again unless the app asks with auth_type=rerequest.
"""

from dataclasses import dataclass
from urllib.parse import urlencode

from connector.simulator.call import Call, Reply, Subject, see_other
from connector.simulator.facebook.provider import (
    PERMISSIONS,
    PUBLIC_PROFILE,
    DialogCode,
    Provider,
)
from connector.simulator.facebook.redirect_uri import is_allowed
from connector.simulator.interactions import Interaction
from connector.simulator.oauth.authorization_response import with_query
from connector.simulator.opaque import new_token
from connector.simulator.pages import Pages
from connector.simulator.parameters import MalformedParametersError, Parameters
from connector.simulator.people import Profile
from connector.simulator.sessions import Session, Sessions
from connector.simulator.sign_in import Decision, Look, SignIn

LOGIN_PATH = "/facebook/login"
CONSENT_PATH = "/facebook/consent"

# The real provider puts this after every code.
FRAGMENT = "#_=_"


@dataclass(frozen=True, slots=True, kw_only=True)
class DialogRequest:
    """What an app asks a person for."""

    redirect_uri: str
    state: str | None
    permissions: tuple[str, ...]
    is_rerequest: bool
    """Whether declined permissions are offered again."""


class Dialog:
    """The pages of the dialog and what a decision on them leads to."""

    def __init__(self, provider: Provider, pages: Pages) -> None:
        self._provider = provider
        self._pages = pages
        state = provider.state
        look: Look[DialogRequest] = Look(
            server="the simulated Facebook",
            layout="facebook.html",
            login_path=LOGIN_PATH,
            consent_path=CONSENT_PATH,
            client_name=lambda _: state.settings.app_name,
            consent_page=self._permissions_page,
        )
        sessions = Sessions(cookie="simulator_facebook", path="/facebook")
        self.sign_in = SignIn(pages=pages, sessions=sessions, clock=state.clock, look=look)

    def open(self, call: Call) -> Reply:
        """The first page of the dialog.

        Raises:
            RefusedError: the app, its redirect URI or its request is not in order.
        """
        try:
            parameters = call.query()
        except MalformedParametersError as error:
            raise self._pages.refusal("Bad request", f"{error}.") from None
        request = self._read(call, parameters)
        is_login_forced = parameters.get("auth_type") in {"reauthenticate", "reauthorize"}
        return self.sign_in.begin(call, request, is_login_forced=is_login_forced)

    def decide(self, call: Call) -> Reply:
        """Carry out a decision: back to the app with a code, or with the person's refusal.

        Raises:
            RefusedError: there is no decision to be carried out.
        """
        decision = self.sign_in.decide(call)
        request, person = decision.subject, decision.session.person
        subject = Subject(client_id=self._provider.state.settings.app_id, person=person.name)
        if not decision.is_allowed:
            location = with_query(
                request.redirect_uri,
                {
                    "error": "access_denied",
                    "error_reason": "user_denied",
                    "error_code": "200",
                    "error_description": "Permissions error",
                    "state": request.state,
                },
            )
            return Reply(response=see_other(location), outcome="access_denied", subject=subject)
        self._connect(request, person, decision)
        code = self._new_code(request, person)
        location = with_query(request.redirect_uri, {"code": code, "state": request.state})
        response = see_other(f"{location}{FRAGMENT}")
        return Reply(response=response, outcome="code", subject=subject)

    def _read(self, call: Call, parameters: Parameters) -> DialogRequest:
        settings = self._provider.state.settings
        title = "This app cannot be opened"
        if call.path["version"] not in settings.graph_versions:
            raise self._pages.refusal(title, "There is no dialog of this version.", status=404)
        if parameters.repeated():
            raise self._pages.refusal(title, "A parameter is repeated.")
        if parameters.get("client_id") != settings.app_id:
            raise self._pages.refusal(title, "Invalid App ID: no app has it.")
        redirect_uri = parameters.get("redirect_uri")
        if redirect_uri is None or not is_allowed(redirect_uri, settings):
            raise self._pages.refusal(
                title, "URL blocked: the redirect URI is not among the app's valid ones."
            )
        if parameters.get("response_type") not in (None, "code"):
            raise self._pages.refusal(title, "Only response_type=code is simulated.")
        asked = (parameters.get("scope") or "").replace(",", " ").split()
        permissions = tuple(dict.fromkeys(name for name in asked if name != PUBLIC_PROFILE))
        if not set(permissions) <= set(PERMISSIONS):
            raise self._pages.refusal(title, "Invalid scopes: one of them does not exist.")
        return DialogRequest(
            redirect_uri=redirect_uri,
            state=parameters.get("state"),
            permissions=permissions,
            is_rerequest=parameters.get("auth_type") == "rerequest",
        )

    def _asked(self, request: DialogRequest, person: Profile) -> tuple[str, ...]:
        known = self._provider.connection(person).permissions
        is_again = request.is_rerequest or self._provider.state.settings.declined_asked_again
        return tuple(
            name
            for name in request.permissions
            if name not in known or (known[name] == "declined" and is_again)
        )

    def _connect(
        self, request: DialogRequest, person: Profile, decision: Decision[DialogRequest]
    ) -> None:
        state = self._provider.state
        asked, chosen = self._asked(request, person), decision.form.every("permission")
        if not set(chosen) <= set(asked):
            raise self._pages.refusal("Bad request", "A permission was chosen that was not asked.")
        connection = self._provider.connection(person)
        connection.is_connected = True
        connection.permissions |= {
            name: "granted" if name in chosen else "declined" for name in asked
        }
        now, lifetime = state.clock.now(), state.settings.data_access_lifetime
        connection.data_access_expires_at = now + lifetime

    def _new_code(self, request: DialogRequest, person: Profile) -> str:
        state = self._provider.state
        now = state.clock.now()
        code = new_token("AQ")
        self._provider.codes.add(
            code,
            DialogCode(
                redirect_uri=request.redirect_uri,
                person=person,
                expires_at=now + state.settings.dialog_code_lifetime,
            ),
            now=now,
        )
        return code

    def _permissions_page(self, interaction: Interaction[DialogRequest], session: Session) -> Reply:
        request = interaction.subject
        asked = self._asked(request, session.person)
        known = self._provider.connection(session.person).permissions
        values = {
            "app": self._provider.state.settings.app_name,
            "person": session.person,
            "switch": f"{LOGIN_PATH}?{urlencode({'interaction': interaction.id})}",
            "asked": [(name, PERMISSIONS[name]) for name in asked],
            "settled": [(name, known[name]) for name in request.permissions if name not in asked],
            "action": CONSENT_PATH,
            "interaction": interaction.id,
        }
        return Reply(response=self._pages.render("permissions.html", values), outcome="consent")
