"""The userinfo endpoint (OpenID Connect Core §5.3)."""

from connector.simulator.call import NO_STORE, Call, Reply, Subject, json_response
from connector.simulator.oauth.bearer import BearerError, preview_bearer, read_bearer
from connector.simulator.state import State


class UserinfoEndpoint:
    """Says who the person behind an access token is."""

    def __init__(self, state: State) -> None:
        self._state = state

    def preview(self, call: Call) -> Subject:
        """Whom a request is about."""
        return preview_bearer(call, self._state)

    def answer(self, call: Call) -> Reply:
        """The claims that the token's scope allows.

        Raises:
            BearerError: no valid token with the scope openid.
        """
        bearer = read_bearer(call, self._state, scope="openid")
        person, scope = bearer.token.grant.person, bearer.token.scope
        if person is None:
            raise BearerError(403, "insufficient_scope", "no person is behind this token")
        claims: dict[str, object] = {"sub": person.id}
        if "profile" in scope:
            claims["name"] = person.full_name
        if "email" in scope:
            claims |= {"email": person.email, "email_verified": True}
        claims |= self._state.settings.userinfo_claims
        wanted = {name: value for name, value in claims.items() if value is not None}
        return Reply(response=json_response(wanted, headers=NO_STORE), subject=bearer.subject)
