"""Metadata of an authorization server: RFC 8414, and OpenID Connect for what that lacks.

Each document must name exactly the issuer that was asked for (RFC 8414 §3.3, OpenID Connect
Discovery §4.3), compared as a string; one that names another is not used at all. What was learned
is kept by the caller and pinned, so that refreshing goes on while discovery is away, and a token
never follows metadata to another host (CHECKLIST 30, 32, 34).
"""

from collections.abc import Mapping
from typing import Final
from urllib.parse import urlsplit

from connector.oauth.endpoint_url import check_endpoint_url
from connector.oauth.strict_json import parse_json_object
from connector.oauth.wire import Wire, WireAnswer

#: Metadata that is used, and whether it is a URL.
_URLS: Final = (
    "authorization_endpoint",
    "token_endpoint",
    "revocation_endpoint",
    "device_authorization_endpoint",
    "pushed_authorization_request_endpoint",
    "jwks_uri",
    "userinfo_endpoint",
)
_FLAGS: Final = (
    "authorization_response_iss_parameter_supported",
    "require_pushed_authorization_requests",
)
_LISTS: Final = (
    "code_challenge_methods_supported",
    "token_endpoint_auth_methods_supported",
    "id_token_signing_alg_values_supported",
)


class DiscoveryFailed(Exception):
    """Metadata could not be had, or must not be used.

    Attributes:
        is_temporary: it may be there later; otherwise the configuration or the server is wrong.
    """

    def __init__(self, message: str, *, is_temporary: bool) -> None:
        super().__init__(message)
        self.is_temporary = is_temporary


def metadata_urls(issuer: str) -> tuple[str, str]:
    """Give where metadata stands: RFC 8414 §3.1 (path form), then OpenID Connect Discovery §4."""
    parts = urlsplit(issuer)
    path = parts.path.rstrip("/")
    origin = f"{parts.scheme}://{parts.netloc}"
    return (
        f"{origin}/.well-known/oauth-authorization-server{path}",
        f"{origin}{path}/.well-known/openid-configuration",
    )


async def discover(wire: Wire, issuer: str) -> dict[str, object]:
    """Fetch and check the metadata of an issuer.

    Returns:
        The checked entries that Connector uses, ``issuer`` among them.

    Raises:
        DiscoveryFailed: no document could be had, or one names another issuer or a bad endpoint.
    """
    metadata: dict[str, object] = {}
    failures: list[str] = []
    is_temporary = False
    for url in metadata_urls(issuer):
        answer = await wire.send("GET", url, {})
        if not isinstance(answer, WireAnswer):
            failures.append(f"{url}: {answer.cause}")
            is_temporary = True
            continue
        if answer.status != 200:
            failures.append(f"{url}: HTTP {answer.status}")
            is_temporary = is_temporary or answer.status >= 500 or answer.status == 429
            continue
        try:
            document = parse_json_object(answer.body)
        except ValueError as error:  # many a server answers any path with a page
            failures.append(f"{url}: {error}")
            continue
        metadata = _check_document(document, issuer, url) | metadata
    if not metadata:
        raise DiscoveryFailed("; ".join(failures), is_temporary=is_temporary)
    missing = [
        name for name in ("authorization_endpoint", "token_endpoint") if name not in metadata
    ]
    if missing:
        raise DiscoveryFailed(
            f"the metadata of {issuer} lacks {' and '.join(missing)}", is_temporary=False
        )
    return metadata


def _check_document(document: Mapping[str, object], issuer: str, url: str) -> dict[str, object]:
    """Keep what is well-formed in one document.

    Raises:
        DiscoveryFailed: it names another issuer, or has an unsafe endpoint.
    """
    if document.get("issuer") != issuer:
        raise DiscoveryFailed(
            f"{url} is the metadata of another issuer, not of {issuer} (RFC 8414 §3.3)",
            is_temporary=False,
        )
    kept: dict[str, object] = {"issuer": issuer}
    for name in _URLS:
        value = document.get(name)
        if isinstance(value, str) and value:
            try:
                kept[name] = check_endpoint_url(value)
            except ValueError as error:
                raise DiscoveryFailed(f"{url}: {name} {error}", is_temporary=False) from None
    kept |= {name: True for name in _FLAGS if document.get(name) is True}
    kept |= {name: value for name in _LISTS if (value := _texts(document, name)) is not None}
    return kept


def _texts(document: Mapping[str, object], name: str) -> list[str] | None:
    value = document.get(name)
    if isinstance(value, list) and all(isinstance(word, str) for word in value):
        return value
    return None


async def fetch_keys(wire: Wire, jwks_uri: str) -> dict[str, object]:
    """Fetch a JSON Web Key Set (RFC 7517 §5).

    Raises:
        DiscoveryFailed: it cannot be had, or is no JSON object.
    """
    answer = await wire.send("GET", jwks_uri, {})
    if not isinstance(answer, WireAnswer):
        raise DiscoveryFailed(f"{jwks_uri}: {answer.cause}", is_temporary=True)
    if answer.status != 200:
        raise DiscoveryFailed(f"{jwks_uri}: HTTP {answer.status}", is_temporary=True)
    try:
        return parse_json_object(answer.body)
    except ValueError as error:
        raise DiscoveryFailed(f"{jwks_uri}: {error}", is_temporary=False) from None
