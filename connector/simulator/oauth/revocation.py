"""Token revocation (RFC 7009)."""

from starlette.responses import Response

from connector.simulator.call import NO_STORE, Call, Reply, Subject
from connector.simulator.oauth.authorize import read_form
from connector.simulator.oauth.client import authenticate
from connector.simulator.oauth.error import OAuthError
from connector.simulator.oauth.grants import Grant
from connector.simulator.state import State


class RevocationEndpoint:
    """Ends tokens at their client's wish."""

    def __init__(self, state: State) -> None:
        self._state = state

    def revoke(self, call: Call) -> Reply:
        """End a refresh token with its whole family, or one access token.

        A token that is not known is as good as revoked (RFC 7009 §2.2).

        Raises:
            OAuthError: the client is not authenticated, names no token, or another client's.
        """
        form = read_form(call)
        client = authenticate(call, form, self._state.settings)
        value = form.get("token")
        if value is None:
            raise OAuthError("invalid_request", "token is missing")
        # token_type_hint only says where to look first (RFC 7009 §2.1); both are looked at.
        refresh_token = self._state.grants.find_refresh_token(value)
        access_token = self._state.grants.find_access_token(value)
        subject = Subject(client_id=client.client_id)
        outcome = "unknown_token"
        if refresh_token is not None:
            _check_owner(refresh_token.grant, client.client_id)
            subject = refresh_token.subject()
            self._state.grants.revoke(refresh_token.grant, "revoked by the client")
            outcome = "revoked"
        elif access_token is not None:
            _check_owner(access_token.grant, client.client_id)
            access_token.expires_at = min(access_token.expires_at, self._state.clock.now())
            outcome = "revoked"
        return Reply(response=Response(headers=NO_STORE), outcome=outcome, subject=subject)


def _check_owner(grant: Grant, client_id: str) -> None:
    if grant.client_id != client_id:
        raise OAuthError("invalid_grant", "the token was issued to another client")
