"""The refresh token grant (RFC 6749 §6), under whichever rotation mode is set.

Whatever can be refused without touching the token is refused first: a malformed request or a
scope too wide never uses a refresh token up.
"""

from connector.simulator.call import Reply
from connector.simulator.oauth.authorization_request import (
    AuthorizationRequestError,
    granted,
    read_scope,
)
from connector.simulator.oauth.client import RegisteredClient
from connector.simulator.oauth.error import OAuthError
from connector.simulator.oauth.grants import Grant, RefreshToken
from connector.simulator.oauth.issuance import Issuance, token_reply
from connector.simulator.oauth.rotation import Decision, decide
from connector.simulator.parameters import Parameters
from connector.simulator.state import State


class RefreshGrant:
    """Tokens for a refresh token."""

    def __init__(self, state: State, issuance: Issuance) -> None:
        self._state = state
        self._issuance = issuance

    def redeem(self, form: Parameters, client: RegisteredClient) -> Reply:
        """A new access token and, as the mode has it, a new refresh token.

        Raises:
            OAuthError: invalid_request, invalid_grant or invalid_scope.
        """
        value = form.get("refresh_token")
        if value is None:
            raise OAuthError("invalid_request", "refresh_token is missing")
        token = self._state.grants.find_refresh_token(value)
        if token is None or token.grant.client_id != client.client_id:
            raise OAuthError("invalid_grant", "the refresh token is unknown, or another client's")
        subject = token.subject()
        if token.grant.revoked is not None:
            raise OAuthError("invalid_grant", "the grant was revoked", subject=subject)
        scope = self._scope(form, token.grant)
        now = self._state.clock.now()
        decision = decide(token, self._state.settings, now=now)
        self._refuse_reuse(token, decision)
        if token.expires_at is not None and token.expires_at <= now:
            raise OAuthError("invalid_grant", "the refresh token is over", subject=subject)
        if decision is Decision.REPEAT and token.answer is not None:
            return token_reply(token.answer, "replayed", subject)
        outcome = "issued" if token.replaced_at is None else "replayed"
        token.answer = self._use(token, scope, now=now, is_rotated=decision is Decision.ROTATE)
        return token_reply(token.answer, outcome, subject)

    def _use(
        self, token: RefreshToken, scope: tuple[str, ...], *, now: float, is_rotated: bool
    ) -> dict[str, object]:
        settings, grants = self._state.settings, self._state.grants
        self._retire_access_tokens(token.grant, now)
        if token.parent is not None:
            token.parent.is_child_used = True
        answered: RefreshToken | None = None
        if is_rotated:
            answered = grants.issue_refresh_token(token.grant, settings, parent=token, now=now)
            if token.replaced_at is None:
                token.replaced_at = now
        else:
            if settings.refresh_token_lifetime is not None:
                self._prolong(token, settings.refresh_token_lifetime, now)
            if settings.return_unrotated_refresh_token and "refresh_token" not in settings.omit:
                answered = token
        return self._issuance.answer(token.grant, scope, answered, is_first=False)

    def _prolong(self, token: RefreshToken, lifetime: float, now: float) -> None:
        if self._state.settings.refresh_token_expiry == "sliding":
            token.expires_at = now + lifetime

    def _retire_access_tokens(self, grant: Grant, now: float) -> None:
        settings = self._state.settings
        if settings.old_access_token == "dies_now":
            self._state.grants.retire_access_tokens(grant, at=now)
        elif settings.old_access_token == "dies_after":
            self._state.grants.retire_access_tokens(
                grant, at=now + settings.old_access_token_seconds
            )

    def _refuse_reuse(self, token: RefreshToken, decision: Decision) -> None:
        if decision is Decision.REVOKE_FAMILY:
            self._state.grants.revoke(token.grant, "a replaced refresh token came back")
        if decision in {Decision.REVOKE_FAMILY, Decision.REFUSE}:
            raise OAuthError(
                "invalid_grant",
                "the refresh token was replaced",
                outcome="reuse_detected",
                subject=token.subject(),
            )

    def _scope(self, form: Parameters, grant: Grant) -> tuple[str, ...]:
        settings = self._state.settings
        asked = form.get("scope")
        if asked is None:
            return granted(grant.scope, settings)
        try:
            scope = read_scope(asked, settings)
        except AuthorizationRequestError as error:
            raise OAuthError(error.error, error.description) from None
        if not set(scope) <= set(grant.scope):
            raise OAuthError("invalid_scope", "the scope is wider than what was granted")
        return granted(scope, settings)
