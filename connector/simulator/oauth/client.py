"""The registered clients and how they prove themselves (RFC 6749 §2).

Basic credentials are form-urlencoded before they are joined (§2.3.1); a client that leaves that
out is refused as soon as its id or secret has a character that needs it.
"""

import base64
import binascii
import hmac
import re
from dataclasses import dataclass, field
from urllib.parse import unquote_plus, urlsplit

from connector.simulator.call import Call
from connector.simulator.oauth.error import OAuthError
from connector.simulator.parameters import Parameters
from connector.simulator.settings import Settings

LOOPBACK_HOSTS = frozenset({"127.0.0.1", "::1", "localhost"})

# One path per provider under here is what native clients use (RFC 8252 §7.3, §8.10).
CALLBACK_PATH = "/callback/"

# What form-urlencoding may leave as it is; the tilde is not agreed on, so it is let through.
FORM_ENCODED = re.compile(r"(?:[A-Za-z0-9*\-._~+]|%[0-9A-Fa-f]{2})*")


@dataclass(frozen=True, slots=True, kw_only=True)
class RegisteredClient:
    """A client as the authorization server knows it."""

    client_id: str
    client_secret: str | None = field(repr=False)
    """None: a public client."""
    redirect_uris: tuple[str, ...]
    """The exact ones; http on loopback under /callback/ is registered besides, any port."""
    auth_methods: tuple[str, ...]
    """As in token_endpoint_auth_methods_supported (RFC 8414 §2)."""

    def may_redirect_to(self, redirect_uri: str) -> bool:
        """Whether a redirect URI is registered: exactly, or as a loopback one (RFC 8252 §7.3)."""
        return redirect_uri in self.redirect_uris or is_loopback_callback(redirect_uri)


def is_loopback_callback(redirect_uri: str) -> bool:
    """Whether a URI is http on loopback, any port, with a path under /callback/."""
    try:
        parts = urlsplit(redirect_uri)
        is_port_valid = parts.port is None or parts.port > 0
    except ValueError:
        return False
    return (
        parts.scheme == "http"
        and parts.hostname in LOOPBACK_HOSTS
        and is_port_valid
        and "@" not in parts.netloc
        and "#" not in redirect_uri
        and redirect_uri.isascii()
        and redirect_uri.isprintable()
        and parts.path.startswith(CALLBACK_PATH)
        and parts.path != CALLBACK_PATH
        and ".." not in parts.path
    )


def find_client(client_id: str | None, settings: Settings) -> RegisteredClient | None:
    """The client with this id, if one is registered."""
    if client_id == settings.client_id:
        return RegisteredClient(
            client_id=settings.client_id,
            client_secret=settings.client_secret,
            redirect_uris=settings.redirect_uris,
            auth_methods=settings.token_endpoint_auth_methods,
        )
    if client_id == settings.public_client_id:
        return RegisteredClient(
            client_id=settings.public_client_id,
            client_secret=None,
            redirect_uris=settings.redirect_uris,
            auth_methods=("none",),
        )
    return None


def claimed_client_id(call: Call, form: Parameters) -> str | None:
    """The client that a request says it is from; nothing is proved by it."""
    try:
        basic = _basic_credentials(call)
    except OAuthError:
        return None
    return form.get("client_id") if basic is None else basic[0]


def authenticate(call: Call, form: Parameters, settings: Settings) -> RegisteredClient:
    """The client that a request to a back-channel endpoint is proved to come from.

    Raises:
        OAuthError: invalid_client, or invalid_request where two methods are used at once.
    """
    basic = _basic_credentials(call)
    client_id, secret = form.get("client_id"), form.get("client_secret")
    method = "none" if secret is None else "client_secret_post"
    if basic is not None:
        if secret is not None:
            raise OAuthError("invalid_request", "more than one way of client authentication")
        if client_id not in (None, basic[0]):
            raise OAuthError("invalid_request", "client_id differs from the Basic user name")
        client_id, secret = basic
        method = "client_secret_basic"
    client = find_client(client_id, settings)
    if client is None:
        raise invalid_client("unknown client" if client_id else "no client authentication")
    if method not in client.auth_methods:
        raise invalid_client(f"this client is not registered for the method {method}")
    if client.client_secret is not None and not _is_same(client.client_secret, secret or ""):
        raise invalid_client("wrong client secret")
    return client


def invalid_client(description: str) -> OAuthError:
    """The refusal with the challenge that RFC 6749 §5.2 asks for."""
    challenge = {"WWW-Authenticate": 'Basic realm="simulator", charset="UTF-8"'}
    return OAuthError("invalid_client", description, status=401, headers=challenge)


def _basic_credentials(call: Call) -> tuple[str, str] | None:
    scheme, _, encoded = call.headers.get("authorization", "").partition(" ")
    if not scheme:
        return None
    if scheme.lower() != "basic":
        raise invalid_client("clients authenticate with the scheme Basic")
    try:
        text = base64.b64decode(encoded.strip(), validate=True).decode("ascii")
        client_id, separator, secret = text.partition(":")
        if not separator or not all(map(FORM_ENCODED.fullmatch, (client_id, secret))):
            raise ValueError  # noqa: TRY301 - one answer for every way of being malformed
        return (
            unquote_plus(client_id, errors="strict"),
            unquote_plus(secret, errors="strict"),
        )
    except (binascii.Error, ValueError):
        raise invalid_client("the Basic credentials are not form-urlencoded") from None


def _is_same(expected: str, given: str) -> bool:
    return hmac.compare_digest(expected.encode(), given.encode("utf-8", "surrogatepass"))
