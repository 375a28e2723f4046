"""The token endpoint (RFC 6749 §3.2): authenticates the client and calls the grant asked for."""

from collections.abc import Callable, Mapping

from connector.simulator.call import Call, Reply, Subject
from connector.simulator.oauth.authorize import read_form
from connector.simulator.oauth.client import RegisteredClient, authenticate, claimed_client_id
from connector.simulator.oauth.code_grant import CodeGrant
from connector.simulator.oauth.error import OAuthError
from connector.simulator.oauth.issuance import Issuance
from connector.simulator.oauth.other_grants import ClientCredentialsGrant, DeviceGrant
from connector.simulator.oauth.refresh_grant import RefreshGrant
from connector.simulator.parameters import MalformedParametersError, Parameters
from connector.simulator.state import State

DEVICE_CODE = "urn:ietf:params:oauth:grant-type:device_code"

GRANT_TYPES = ("authorization_code", "refresh_token", "client_credentials", DEVICE_CODE)

Redeem = Callable[[Parameters, RegisteredClient], Reply]


class TokenEndpoint:
    """Gives tokens for grants."""

    def __init__(self, state: State) -> None:
        self._state = state
        issuance = Issuance(state)
        self._redeem: Mapping[str, Redeem] = {
            "authorization_code": CodeGrant(state, issuance).redeem,
            "refresh_token": RefreshGrant(state, issuance).redeem,
            "client_credentials": ClientCredentialsGrant(state, issuance).redeem,
            DEVICE_CODE: DeviceGrant(state, issuance).redeem,
        }

    def answer(self, call: Call) -> Reply:
        """A token answer.

        Raises:
            OAuthError: an error of RFC 6749 §5.2 or RFC 8628 §3.5.
        """
        form = read_form(call)
        client = authenticate(call, form, self._state.settings)
        grant_type = form.get("grant_type")
        if grant_type is None:
            raise OAuthError("invalid_request", "grant_type is missing")
        if grant_type not in self._redeem:
            raise OAuthError("unsupported_grant_type", "this grant_type is not supported")
        try:
            return self._redeem[grant_type](form, client)
        except OAuthError as error:
            if error.error != "invalid_grant":
                raise
            raise error.with_status(self._state.settings.invalid_grant_status) from None

    def preview(self, call: Call) -> Subject:
        """Whom a request is about, told before anything is checked."""
        try:
            form = call.form()
        except MalformedParametersError:
            return Subject()
        client_id, grant_type = claimed_client_id(call, form), form.get("grant_type")
        refresh_token = self._state.grants.find_refresh_token(form.get("refresh_token") or "")
        if refresh_token is None:
            return Subject(client_id=client_id, grant_type=grant_type)
        known = refresh_token.subject()
        return Subject(
            client_id=client_id,
            grant_type=grant_type,
            person=known.person,
            refresh_token=known.refresh_token,
            generation=known.generation,
            family=known.family,
        )
