"""Bearer tokens at the resource server and at userinfo (RFC 6750), in the header only."""

from dataclasses import dataclass

from connector.simulator.call import (
    NO_STORE,
    NO_SUBJECT,
    Call,
    RefusedError,
    Reply,
    Subject,
    json_response,
)
from connector.simulator.oauth.grants import AccessToken
from connector.simulator.parameters import MalformedParametersError
from connector.simulator.state import State


class BearerError(RefusedError):
    """A request is refused with a challenge (RFC 6750 §3)."""

    def __init__(
        self,
        status: int,
        error: str | None,
        description: str,
        *,
        scope: str | None = None,
        subject: Subject = NO_SUBJECT,
    ) -> None:
        # Without any credentials the challenge names no error (RFC 6750 §3.1).
        attributes = ['realm="simulator"']
        if error is not None:
            attributes += [f'error="{error}"', f'error_description="{description}"']
        if scope is not None:
            attributes.append(f'scope="{scope}"')
        headers = {**NO_STORE, "WWW-Authenticate": f"Bearer {', '.join(attributes)}"}
        body = {"error": error or "unauthorized", "error_description": description}
        response = json_response(body, status=status, headers=headers)
        outcome = error or "unauthorized"
        super().__init__(Reply(response=response, outcome=outcome, subject=subject))


@dataclass(frozen=True, slots=True, kw_only=True)
class Bearer:
    """Who calls."""

    token: AccessToken
    subject: Subject


def read_bearer(call: Call, state: State, *, scope: str | None = None) -> Bearer:
    """The valid access token that a request carries in its Authorization header.

    Raises:
        BearerError: there is none, it is dead, or it lacks the scope.
    """
    _refuse_in_url(call)
    scheme, _, value = call.headers.get("authorization", "").partition(" ")
    if scheme.lower() != "bearer":
        raise BearerError(401, None, "no access token")
    token = state.grants.find_access_token(value.strip())
    if token is None:
        raise BearerError(401, "invalid_token", "the access token is unknown")
    person = token.grant.person
    subject = Subject(
        client_id=token.grant.client_id,
        person=person.name if person else None,
        family=token.grant.family,
    )
    if not token.is_valid(state.clock.now()):
        text = "the access token is over or revoked"
        raise BearerError(401, "invalid_token", text, subject=subject)
    if scope is not None and scope not in token.scope:
        text = "the access token lacks the scope"
        raise BearerError(403, "insufficient_scope", text, scope=scope, subject=subject)
    return Bearer(token=token, subject=subject)


def preview_bearer(call: Call, state: State) -> Subject:
    """Whom a request is about, told before anything is checked.

    The family is left out: it is for token requests, which are counted while in flight.
    """
    _, _, value = call.headers.get("authorization", "").partition(" ")
    token = state.grants.find_access_token(value.strip())
    if token is None:
        return NO_SUBJECT
    person = token.grant.person
    return Subject(client_id=token.grant.client_id, person=person.name if person else None)


def expire_bearer(call: Call, state: State) -> int:
    """End the access tokens of the family that a request's token is of; returns how many ended."""
    _, _, value = call.headers.get("authorization", "").partition(" ")
    token = state.grants.find_access_token(value.strip())
    if token is None:
        return 0
    return state.grants.retire_access_tokens(token.grant, at=state.clock.now())


def _refuse_in_url(call: Call) -> None:
    try:
        parameters = call.query()
    except MalformedParametersError as error:
        raise BearerError(400, "invalid_request", str(error)) from None
    if "access_token" in parameters:
        raise BearerError(400, "invalid_request", "the token belongs in the Authorization header")
