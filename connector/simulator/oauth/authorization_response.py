"""The way back to the client: authorization responses (RFC 6749 §4.1.2, RFC 9207 §2)."""

from collections.abc import Mapping
from urllib.parse import urlencode, urlsplit, urlunsplit

from connector.simulator.call import NO_SUBJECT, Reply, Subject, see_other
from connector.simulator.oauth.authorization_request import AuthorizationRequestError
from connector.simulator.state import State

# An issuer that is not ours, for clients that must compare it (RFC 9207 §2.4).
WRONG_ISSUER = "https://another-issuer.example"


def success(
    state: State, redirect_uri: str, code: str, *, state_parameter: str | None, subject: Subject
) -> Reply:
    """Back to the client with a code."""
    location = _location(state, redirect_uri, {"code": code, "state": state_parameter})
    return Reply(response=see_other(location), outcome="code", subject=subject)


def failure(
    state: State,
    redirect_uri: str,
    error: AuthorizationRequestError,
    *,
    state_parameter: str | None,
    subject: Subject = NO_SUBJECT,
) -> Reply:
    """Back to the client with an error (RFC 6749 §4.1.2.1)."""
    parameters = {
        "error": error.error,
        "error_description": error.description,
        "state": state_parameter,
    }
    location = _location(state, redirect_uri, parameters)
    return Reply(response=see_other(location), outcome=error.error, subject=subject)


def with_query(uri: str, parameters: Mapping[str, str | None]) -> str:
    """A URI with parameters added to the query that it has (RFC 6749 §3.1.2)."""
    parts = urlsplit(uri)
    added = urlencode({name: value for name, value in parameters.items() if value is not None})
    query = f"{parts.query}&{added}" if parts.query else added
    return urlunsplit(parts._replace(query=query))


def _location(state: State, redirect_uri: str, parameters: Mapping[str, str | None]) -> str:
    issuers = {"correct": state.issuer, "absent": None, "wrong": WRONG_ISSUER}
    return with_query(redirect_uri, {**parameters, "iss": issuers[state.settings.iss_parameter]})
