"""The authorization code grant's second half (RFC 6749 §4.1.3, RFC 7636 §4.6)."""

import base64
import hashlib
import hmac
import re

from connector.simulator.call import Reply, Subject
from connector.simulator.oauth.authorization_request import granted
from connector.simulator.oauth.client import RegisteredClient
from connector.simulator.oauth.codes import Code
from connector.simulator.oauth.error import OAuthError
from connector.simulator.oauth.issuance import Issuance
from connector.simulator.parameters import Parameters
from connector.simulator.state import State

# RFC 7636 §4.1
CODE_VERIFIER = re.compile(r"[A-Za-z0-9\-._~]{43,128}")


class CodeGrant:
    """Tokens for an authorization code."""

    def __init__(self, state: State, issuance: Issuance) -> None:
        self._state = state
        self._issuance = issuance

    def redeem(self, form: Parameters, client: RegisteredClient) -> Reply:
        """Tokens for the code, once.

        Raises:
            OAuthError: invalid_request or invalid_grant.
        """
        value = form.get("code")
        if value is None:
            raise OAuthError("invalid_request", "code is missing")
        code = self._state.codes.get(value)
        if code is None or code.request.client_id != client.client_id:
            raise OAuthError("invalid_grant", "the code is unknown, or another client's")
        self._refuse_reuse(code)
        now = self._state.clock.now()
        if code.expires_at <= now:
            raise OAuthError("invalid_grant", "the code is over", subject=_subject(code))
        self._check_binding(code, form)
        scope = granted(code.request.scope, self._state.settings)
        code.grant = self._issuance.begin(
            client_id=client.client_id,
            scope=scope,
            person=code.person,
            auth_time=code.auth_time,
            nonce=code.request.nonce,
        )
        return self._issuance.first_reply(code.grant)

    def _refuse_reuse(self, code: Code) -> None:
        # RFC 6749 §4.1.2: what the first use gave should be revoked.
        if code.grant is not None:
            self._state.grants.revoke(code.grant, "the authorization code was used twice")
            raise OAuthError(
                "invalid_grant",
                "the code was used already",
                outcome="reuse_detected",
                subject=_subject(code),
            )

    def _check_binding(self, code: Code, form: Parameters) -> None:
        redirect_uri = form.get("redirect_uri")
        if redirect_uri is None:
            raise OAuthError("invalid_request", "redirect_uri is missing")
        if redirect_uri != code.request.redirect_uri:
            raise OAuthError(
                "invalid_grant",
                "redirect_uri differs from the authorization request's",
                subject=_subject(code),
            )
        verifier = form.get("code_verifier")
        challenge = code.request.code_challenge
        if challenge is None:
            # RFC 9700 §4.8.2: otherwise an attacker could strip the challenge
            if verifier is not None:
                raise OAuthError("invalid_grant", "there was no code_challenge")
            return
        if verifier is None or not CODE_VERIFIER.fullmatch(verifier):
            raise OAuthError("invalid_request", "code_verifier is missing or malformed")
        digest = hashlib.sha256(verifier.encode()).digest()
        computed = base64.urlsafe_b64encode(digest).rstrip(b"=").decode()
        if not hmac.compare_digest(computed, challenge):
            raise OAuthError("invalid_grant", "code_verifier does not fit", subject=_subject(code))


def _subject(code: Code) -> Subject:
    family = code.grant.family if code.grant else None
    return Subject(client_id=code.request.client_id, person=code.person.name, family=family)
