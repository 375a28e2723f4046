"""Who consented: from the ID token where there is one, else from a call that the provider has.

The identity is the provider's stable identifier, never an e-mail address or a name (CHECKLIST 94).
It is what tells a reconnect by another person from one by the same.
"""

from collections.abc import Mapping
from dataclasses import dataclass

from connector.oauth.answer_fields import printable
from connector.oauth.authorization_request import add_to_query
from connector.oauth.authorization_server import at_path
from connector.oauth.discovery import DiscoveryFailed, fetch_keys
from connector.oauth.id_token import (
    Expectation,
    IdTokenRejected,
    choose_algorithm,
    unverified_claims,
    validate,
)
from connector.oauth.strict_json import parse_json_object
from connector.oauth.token import TokenSet
from connector.oauth.wire import WireAnswer
from connector.providers.client import ProviderClient
from connector.secret import Secret


@dataclass(frozen=True, slots=True, kw_only=True)
class Person:
    """Who consented.

    Attributes:
        subject: the provider's stable identifier.
        name: for people only.
    """

    subject: str
    name: str | None = None


class IdentityUnknown(Exception):
    """Who consented could not be learned; says why."""


async def identify(
    client: ProviderClient, tokens: TokenSet, *, nonce: Secret | None, now: float
) -> Person | None:
    """Learn who consented, or None where the provider has no way to tell.

    Args:
        client: of the provider.
        tokens: what the code exchange answered.
        nonce: of the authorization request; set where an ID token was asked for.
        now: seconds since the epoch.

    Raises:
        IdentityUnknown: there is a way, and it failed.
        IdTokenRejected: the ID token must not be believed; the tokens must not be used.
    """
    if nonce is not None:
        if tokens.id_token is None:
            raise IdTokenRejected("openid was asked for and no ID token came")
        return await _from_id_token(client, tokens, tokens.id_token, nonce, now)
    if client.provider.identity is None:
        return None
    return await _from_api(client, tokens)


def check_refreshed(client: ProviderClient, tokens: TokenSet, subject: str | None) -> None:
    """Check the ID token of a refresh, where one came (OpenID Connect Core §12.2).

    It came from the token endpoint itself over TLS, so its claims are compared without fetching
    keys (§3.1.3.7, item 6): a refresh must not depend on one more server.

    Raises:
        IdTokenRejected: it names another issuer, client or person; the tokens must not be used.
    """
    if tokens.id_token is None or client.server.issuer is None or subject is None:
        return
    claims = unverified_claims(tokens.id_token)
    if claims.get("iss") != client.server.issuer:
        raise IdTokenRejected("iss names another issuer")
    if claims.get("sub") != subject:
        raise IdTokenRejected("sub names another person")
    audience = claims.get("aud")
    audiences = audience if isinstance(audience, list) else [audience]
    if client.registration.client_id not in audiences:
        raise IdTokenRejected("aud is not this client")


async def _from_id_token(
    client: ProviderClient, tokens: TokenSet, id_token: Secret, nonce: Secret, now: float
) -> Person:
    expected = _expectation(client, nonce)
    claims = await _validated(client, tokens, id_token, expected, now)
    name = claims.get("name") or claims.get("preferred_username") or claims.get("email")
    return Person(subject=str(claims["sub"]), name=printable(name, 100))


def _expectation(client: ProviderClient, nonce: Secret) -> Expectation:
    if client.server.issuer is None:
        raise IdTokenRejected("the provider has no issuer to compare with")
    return Expectation(
        issuer=client.server.issuer,
        client_id=client.registration.client_id,
        algorithm=choose_algorithm(client.server.id_token_signing_alg_values_supported),
        nonce=nonce,
    )


async def _validated(
    client: ProviderClient,
    tokens: TokenSet,
    id_token: Secret,
    expected: Expectation,
    now: float,
) -> Mapping[str, object]:
    if client.server.jwks_uri is None:
        raise IdTokenRejected("the provider has no jwks_uri to verify it with")
    unverified_claims(id_token)  # refuses what is no compact JWS before anything is fetched
    try:
        keys = await fetch_keys(client.wire, client.server.jwks_uri)
    except DiscoveryFailed as error:
        raise IdentityUnknown(f"the keys of the server cannot be had: {error}") from None
    return validate(
        id_token, keys=keys, expected=expected, access_token=tokens.access_token, now=now
    )


async def _from_api(client: ProviderClient, tokens: TokenSet) -> Person:
    identity = client.provider.identity
    assert identity is not None  # noqa: S101 - the caller has looked
    headers = {
        **client.provider.api.headers,
        "Authorization": f"{client.provider.api.scheme} {tokens.access_token.reveal()}",
    }
    url = identity.url
    proof = client.registration.prove(tokens.access_token)
    if client.provider.api.proof is not None and proof is not None:
        url = add_to_query(url, {client.provider.api.proof: proof})
    answer = await client.wire.send("GET", url, headers)
    if not isinstance(answer, WireAnswer):
        raise IdentityUnknown(f"{identity.url}: {answer.cause}")
    if answer.status != 200:
        raise IdentityUnknown(f"{identity.url}: HTTP {answer.status}")
    try:
        body = parse_json_object(answer.body)
    except ValueError as error:
        raise IdentityUnknown(f"{identity.url}: {error}") from None
    subject = at_path(body, identity.id)
    if not isinstance(subject, (str, int)) or isinstance(subject, bool) or subject == "":
        raise IdentityUnknown(f"{identity.url}: the answer has no {identity.id}")
    subject = str(subject)
    if not subject.isprintable():  # no database keeps it, and no two people may look alike
        raise IdentityUnknown(f"{identity.url}: {identity.id} is unusable")
    name = at_path(body, identity.name) if identity.name else None
    return Person(subject=subject, name=printable(name, 100))
