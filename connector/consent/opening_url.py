"""The URL that a person opens to consent; pushed first where the server wants it (RFC 9126)."""

from collections.abc import Callable

from connector import errors
from connector.consent.outcome import unavailable
from connector.oauth.authorization_request import AuthorizationRequest, add_to_query
from connector.oauth.endpoint_url import check_endpoint_url
from connector.providers.client import ProviderClient
from connector.token_source.verdict import judge


async def opening_url(
    client: ProviderClient, request: AuthorizationRequest, *, now: Callable[[], float]
) -> str:
    """Give the URL to open; with PAR it holds only client_id and request_uri (RFC 9126 §4).

    Args:
        client: of the provider.
        request: to be opened.
        now: gives seconds since the epoch.

    Raises:
        ConfigurationError: the server offers no S256, or no PAR though it is wanted.
        RegistrationRejected: the server rejects our client registration.
        TemporarilyUnavailable: the request could not be pushed.
    """
    server = client.server
    methods = server.code_challenge_methods_supported
    if request.code_verifier is not None and methods is not None and "S256" not in methods:
        raise _problem(
            client,
            "pkce",
            "the authorization server does not offer PKCE with S256",
            'set pkce = "off" if it rejects PKCE; state alone protects the flow then',
        )
    if not (client.provider.use_par or server.require_pushed_authorization_requests):
        return check_endpoint_url(request.url(server))
    if server.pushed_authorization_request_endpoint is None:
        raise _problem(
            client,
            "par",
            "there is no pushed_authorization_request_endpoint",
            "add it, or set par = false",
        )
    pushed = await client.endpoint.push_authorization_request(request.query(server))
    if isinstance(pushed, tuple):
        parameters = {"client_id": request.client_id, "request_uri": pushed[0]}
        return check_endpoint_url(add_to_query(server.authorization_endpoint, parameters))
    verdict = judge(pushed, client.provider.name, 1)
    if verdict.rejected is not None:
        raise errors.RegistrationRejected(client.provider.name, verdict.rejected)
    raise unavailable(verdict, now=now())


def _problem(
    client: ProviderClient, key: str, message: str, remedy: str
) -> errors.ConfigurationError:
    dotted = f"providers.{client.provider.name}.{key}"
    return errors.ConfigurationError([errors.Problem("config.toml", dotted, message, remedy)])
