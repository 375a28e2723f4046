"""The Graph token endpoint: a GET with everything in the query, and errors that are not the RFC's.

A code becomes a short-lived token; that, exchanged, a long-lived one; and what exchanging a
long-lived one gives is a setting, because reports differ. An expired token is never exchanged.
"""

import hmac

from connector.simulator.call import NO_STORE, Call, Reply, Subject, json_response
from connector.simulator.facebook.error import GraphError, bad_parameter, unreadable_token
from connector.simulator.facebook.provider import Provider
from connector.simulator.facebook.tokens import GraphToken
from connector.simulator.parameters import MalformedParametersError, Parameters
from connector.simulator.settings import Settings

EXCHANGE = "fb_exchange_token"

# A system user's token ends only if that is asked for.
IN_60_DAYS = "set_token_expires_in_60_days"
SIXTY_DAYS = 60 * 86400.0

BAD_CODE = "Invalid verification code format."


class AccessTokenEndpoint:
    """GET /oauth/access_token."""

    def __init__(self, provider: Provider) -> None:
        self._provider = provider

    def answer(self, call: Call) -> Reply:
        """A token, by the grant that the query names.

        Raises:
            GraphError: codes 1, 100, 101 or 190.
        """
        parameters = _parameters(call)
        self._check_app(parameters)
        grant_type = parameters.get("grant_type")
        if grant_type in (None, "authorization_code"):
            return self._redeem(parameters)
        if grant_type == EXCHANGE:
            return self._exchange(parameters)
        if grant_type == "client_credentials":
            token = self._provider.issue("app", None, expires_at=None)
            return self._reply(token, "issued")
        raise GraphError(
            100,
            "Invalid grant_type: the value is not one of them. "
            "Supported types: authorization_code, client_credentials",
        )

    def revoke(self, call: Call) -> Reply:
        """The end of the token in `revoke_token`.

        Raises:
            GraphError: codes 1, 100, 101 or 190.
        """
        parameters = _parameters(call)
        self._check_app(parameters)
        token = self._provider.find(parameters.get("revoke_token") or "")
        if token is None or token.person is None:
            raise bad_parameter("The parameter revoke_token is required")  # assumed wording
        self._provider.revoke(token)
        body = json_response({"success": True})
        return Reply(response=body, outcome="revoked", subject=token.subject())

    def preview(self, call: Call) -> Subject:
        """Whom a request is about, told before anything is checked."""
        try:
            parameters = _parameters(call)
        except GraphError:
            return Subject()
        client_id = parameters.get("client_id")
        grant_type = parameters.get("grant_type") or "authorization_code"
        token = self._provider.find(parameters.get(EXCHANGE) or "")
        known = token.subject() if token else Subject()
        return Subject(
            client_id=client_id,
            grant_type=grant_type,
            person=known.person,
            refresh_token=known.refresh_token,
            generation=known.generation,
            family=known.family,
        )

    def _check_app(self, parameters: Parameters) -> None:
        settings = self._provider.state.settings
        if parameters.get("client_id") is None:
            raise GraphError(101, "Missing client_id parameter.")
        if parameters.get("client_id") != settings.app_id:
            raise GraphError(101, "Error validating application. Invalid application ID.")
        secret = parameters.get("client_secret") or ""
        if not hmac.compare_digest(secret.encode("utf-8", "surrogatepass"), _secret(settings)):
            raise GraphError(1, "Error validating client secret.")

    def _redeem(self, parameters: Parameters) -> Reply:
        state = self._provider.state
        now = state.clock.now()
        code = self._provider.codes.get(parameters.get("code") or "")
        if code is None:
            raise GraphError(100, BAD_CODE)
        subject = Subject(person=code.person.name)
        if code.is_used:
            message = "This authorization code has been used."
            raise GraphError(100, message, subcode=36009, subject=subject)  # assumed subcode
        if code.expires_at <= now:
            message = "This authorization code has expired."
            raise GraphError(100, message, subcode=36007, subject=subject)  # assumed subcode
        if parameters.get("redirect_uri") != code.redirect_uri:
            message = (
                "Error validating verification code. Please make sure your redirect_uri is "
                "identical to the one you used in the OAuth dialog request"
            )
            raise GraphError(100, message, subcode=36008, subject=subject)  # assumed subcode
        code.is_used = True
        token = self._provider.issue(
            "short", code.person, expires_at=now + state.settings.short_lived_lifetime
        )
        return self._reply(token, "issued")

    def _exchange(self, parameters: Parameters) -> Reply:
        value = parameters.get(EXCHANGE)
        if value is None:
            raise bad_parameter("The parameter fb_exchange_token is required")
        token = self._provider.find(value)
        if token is None or token.person is None:
            raise unreadable_token()
        death = self._provider.death_of(token)
        if death is not None:
            raise death
        is_limited = parameters.get(IN_60_DAYS) == "true"
        return self._renew(token, is_limited=is_limited)

    def _renew(self, token: GraphToken, *, is_limited: bool) -> Reply:
        state = self._provider.state
        settings = state.settings
        if token.kind == "long" and settings.renewal == "same_token":
            return self._reply(token, "same_token")
        expires_at: float | None = state.clock.now() + settings.long_lived_lifetime
        if token.kind == "system":
            # the old one stays valid until its own end
            expires_at = state.clock.now() + SIXTY_DAYS if is_limited else None
            system = self._provider.issue(
                "system", token.person, expires_at=expires_at, parent=token
            )
            return self._reply(system, "issued")
        if token.kind == "long" and settings.renewal == "same_expiry":
            expires_at = token.expires_at
        renewed = self._provider.issue("long", token.person, expires_at=expires_at, parent=token)
        return self._reply(renewed, "issued")

    def _reply(self, token: GraphToken, outcome: str) -> Reply:
        state = self._provider.state
        body: dict[str, object] = {"access_token": token.value, "token_type": "bearer"}
        if token.expires_at is not None and not state.settings.graph_omit_expires_in:
            body["expires_in"] = max(0, int(token.expires_at - state.clock.now()))
        return Reply(
            response=json_response(body, headers=NO_STORE),
            outcome=outcome,
            subject=Subject(
                client_id=state.settings.app_id,
                person=token.person.name if token.person else None,
                family=token.family,
            ),
        )


def _parameters(call: Call) -> Parameters:
    try:
        parameters = call.form() if call.method == "POST" else call.query()
    except MalformedParametersError as error:
        raise bad_parameter(str(error)) from None
    if parameters.repeated():
        raise bad_parameter("A parameter is repeated")
    return parameters


def _secret(settings: Settings) -> bytes:
    return settings.app_secret.encode()
