"""The authorization endpoint (RFC 6749 §3.1, §4.1) and pushed authorization requests (RFC 9126).

An unknown client or an unregistered redirect URI ends on a page and never redirects; everything
after that is told to the client at its redirect URI.
"""

from connector.simulator.call import NO_STORE, Call, RefusedError, Reply, Subject, json_response
from connector.simulator.oauth.authorization_request import (
    AuthorizationRequest,
    AuthorizationRequestError,
    read_request,
)
from connector.simulator.oauth.authorization_response import failure
from connector.simulator.oauth.client import RegisteredClient, authenticate, find_client
from connector.simulator.oauth.codes import PushedRequest
from connector.simulator.oauth.consent import ConsentPages
from connector.simulator.oauth.error import OAuthError
from connector.simulator.opaque import new_token
from connector.simulator.pages import Pages
from connector.simulator.parameters import MalformedParametersError, Parameters
from connector.simulator.state import State

# RFC 9126 §2.2 leaves the form to the server and suggests this one.
REQUEST_URI_PREFIX = "urn:ietf:params:oauth:request_uri:"


class AuthorizationEndpoint:
    """Takes authorization requests, in the browser and pushed."""

    def __init__(self, state: State, pages: Pages, consent: ConsentPages) -> None:
        self._state = state
        self._pages = pages
        self._consent = consent

    def authorize(self, call: Call) -> Reply:
        """The first page of a consent, or the way back with an error.

        Raises:
            RefusedError: there is nowhere to go back to.
        """
        try:
            parameters = call.form() if call.method == "POST" else call.query()
        except MalformedParametersError as error:
            raise self._pages.refusal("Bad request", f"{error}.") from None
        if "request_uri" in parameters:
            return self._consent.ask(call, self._pushed(parameters))
        client, redirect_uri = self._who_asks(parameters)
        try:
            request = self._read_unpushed(parameters, client.client_id, redirect_uri)
        except AuthorizationRequestError as error:
            return failure(
                self._state,
                redirect_uri,
                error,
                state_parameter=_single(parameters, "state"),
                subject=Subject(client_id=client.client_id),
            )
        return self._consent.ask(call, request)

    def push(self, call: Call) -> Reply:
        """Take a pushed request and hand out the reference to it (RFC 9126 §2).

        Raises:
            OAuthError: the client is not authenticated, or the request cannot be granted.
        """
        settings, now = self._state.settings, self._state.clock.now()
        parameters = read_form(call)
        client = authenticate(call, parameters, settings)
        if "request_uri" in parameters:
            raise OAuthError("invalid_request", "request_uri cannot be pushed")
        redirect_uri = parameters.get("redirect_uri")
        if redirect_uri is None or not client.may_redirect_to(redirect_uri):
            raise OAuthError("invalid_request", "redirect_uri is missing or not registered")
        try:
            request = read_request(
                parameters, settings, client_id=client.client_id, redirect_uri=redirect_uri
            )
        except AuthorizationRequestError as error:
            raise OAuthError(error.error, error.description) from None
        request_uri = new_token(REQUEST_URI_PREFIX)
        lifetime = settings.pushed_request_lifetime
        pushed = PushedRequest(request=request, expires_at=now + lifetime)
        self._state.pushed_requests.add(request_uri, pushed, now=now)
        body = {"request_uri": request_uri, "expires_in": int(lifetime)}
        return Reply(
            response=json_response(body, status=201, headers=NO_STORE),
            outcome="pushed",
            subject=Subject(client_id=client.client_id),
        )

    def _read_unpushed(
        self, parameters: Parameters, client_id: str, redirect_uri: str
    ) -> AuthorizationRequest:
        settings = self._state.settings
        if settings.require_pushed_authorization_requests:
            raise AuthorizationRequestError("invalid_request", "the request must be pushed")
        return read_request(parameters, settings, client_id=client_id, redirect_uri=redirect_uri)

    def _pushed(self, parameters: Parameters) -> AuthorizationRequest:
        # Used once (RFC 9126 §7.3): taken out before it is looked at.
        pushed = self._state.pushed_requests.pop(parameters.get("request_uri") or "")
        if pushed is None or pushed.expires_at <= self._state.clock.now():
            raise self._refusal("invalid_request_uri", "The pushed request is unknown or over.")
        if _single(parameters, "client_id") != pushed.request.client_id:
            raise self._refusal("invalid_request", "The request was pushed by another client.")
        return pushed.request

    def _who_asks(self, parameters: Parameters) -> tuple[RegisteredClient, str]:
        client = find_client(_single(parameters, "client_id"), self._state.settings)
        if client is None:
            raise self._refusal("invalid_client", "No client is registered under this client_id.")
        redirect_uri = _single(parameters, "redirect_uri")
        if redirect_uri is None or not client.may_redirect_to(redirect_uri):
            raise self._refusal(
                "invalid_redirect_uri",
                "The redirect_uri is missing, repeated, or not registered for this client.",
            )
        return client, redirect_uri

    def _refusal(self, outcome: str, text: str) -> RefusedError:
        return self._pages.refusal("This request cannot be answered", text, outcome=outcome)


def read_form(call: Call) -> Parameters:
    """The body of a back-channel request (RFC 6749 §3.2).

    Raises:
        OAuthError: it is no form, a parameter is repeated, or some came in the URL.
    """
    if call.query_string:
        raise OAuthError("invalid_request", "parameters belong in the body, not in the URL")
    try:
        form = call.form()
    except MalformedParametersError as error:
        raise OAuthError("invalid_request", str(error)) from None
    if form.repeated():
        raise OAuthError("invalid_request", "a parameter is repeated")
    return form


def _single(parameters: Parameters, name: str) -> str | None:
    return None if name in parameters.repeated() else parameters.get(name)
