"""The authorization request, and the check of the response to it (RFC 6749 §4.1.1, §4.1.2).

``response_type`` is always ``code``; PKCE is S256 with a fresh verifier (RFC 7636 §4.1); ``state``
has 256 bits. A response is used only if it is whole: no repeated parameter, ``state`` equal,
``iss`` equal (RFC 9207 §2.4), and either a code or an error. No further parameter of a provider may
replace one that protects the flow.
"""

import base64
import hashlib
import hmac
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Final, cast
from urllib.parse import parse_qsl, urlencode, urlsplit

from connector.oauth.answer_fields import printable
from connector.oauth.authorization_server import AuthorizationServer
from connector.secret import Secret

#: What further parameters must not set (CHECKLIST 14).
PROTECTED_PARAMETERS: Final = frozenset(
    {
        "client_id",
        "code_challenge",
        "code_challenge_method",
        "dpop_jkt",
        "iss",
        "nonce",
        "redirect_uri",
        "request",
        "request_uri",
        "response_type",
        "state",
    }
)
#: A redirect with more than this is not a response to us.
LARGEST_RESPONSE: Final = 16 * 1024
_RANDOM_BYTES: Final = 32  # 256 bits: 43 characters, the least that RFC 7636 §4.1 allows


@dataclass(frozen=True, slots=True, kw_only=True)
class AuthorizationRequest:
    """One request for consent; what is needed to check and use its response.

    Attributes:
        client_id: ours.
        redirect_uri: where the response must arrive; sent again byte-identical.
        scopes: asked for.
        state: ties the response to this request.
        code_verifier: of PKCE; None where the provider rejects PKCE.
        nonce: ties an ID token to this request; None without ``openid``.
        parameters: further ones, by the provider's or the operator's wish.
    """

    client_id: str
    redirect_uri: str
    scopes: tuple[str, ...]
    state: Secret
    code_verifier: Secret | None
    nonce: Secret | None
    parameters: Mapping[str, str]

    def query(self, server: AuthorizationServer) -> dict[str, str]:
        """Give the parameters of the request, in the order in which they are sent."""
        query = {
            "response_type": "code",
            "client_id": self.client_id,
            "redirect_uri": self.redirect_uri,
            "state": self.state.reveal(),
        }
        if self.scopes:
            query["scope"] = server.scope_separator.join(self.scopes)
        if self.code_verifier:
            query["code_challenge"] = code_challenge(self.code_verifier)
            query["code_challenge_method"] = "S256"
        if self.nonce:
            query["nonce"] = self.nonce.reveal()
        return query | {
            name: value
            for name, value in self.parameters.items()
            if name not in PROTECTED_PARAMETERS
        }

    def url(self, server: AuthorizationServer) -> str:
        """Give the URL that the person opens."""
        return add_to_query(server.authorization_endpoint, self.query(server))


@dataclass(frozen=True, slots=True, kw_only=True)
class AuthorizationCode:
    """The person consented: a code to exchange, and the response's other parameters."""

    code: Secret
    parameters: Mapping[str, str] = field(repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class AuthorizationError:
    """The authorization server answered with an error (RFC 6749 §4.1.2.1).

    Attributes:
        error: its code, printable.
        description: the server's text, printable and cut.
    """

    error: str
    description: str | None = None


class ResponseRejected(ValueError):
    """The response must not be used."""


def new_request(
    *,
    client_id: str,
    redirect_uri: str,
    scopes: tuple[str, ...],
    use_pkce: bool,
    parameters: Mapping[str, str],
    token_bytes: Callable[[int], bytes],
) -> AuthorizationRequest:
    """Make a request with fresh state, verifier and, for ``openid``, nonce.

    Args:
        client_id: ours.
        redirect_uri: where the response must arrive.
        scopes: asked for.
        use_pkce: False only for providers that reject it.
        parameters: further ones; protected names are left out.
        token_bytes: source of randomness, such as `secrets.token_bytes`.
    """

    def fresh() -> Secret:
        return Secret(_base64url(token_bytes(_RANDOM_BYTES)))

    return AuthorizationRequest(
        client_id=client_id,
        redirect_uri=redirect_uri,
        scopes=scopes,
        state=fresh(),
        code_verifier=fresh() if use_pkce else None,
        nonce=fresh() if "openid" in scopes else None,
        parameters=parameters,
    )


def code_challenge(verifier: Secret) -> str:
    """Give the S256 challenge of a verifier (RFC 7636 §4.2)."""
    from authlib.oauth2.rfc7636 import create_s256_code_challenge  # 40 ms

    return cast("str", create_s256_code_challenge(verifier.reveal()))


def hash_state(state: str) -> str:
    """Give what a state is stored and found by; the state itself is never stored in clear."""
    return hashlib.sha256(state.encode()).hexdigest()


def parse_response(query: str) -> dict[str, str]:
    """Read the query of a redirect, strictly.

    Raises:
        ResponseRejected: it is too large, malformed, or names a parameter twice (RFC 6749 §3.1).
    """
    if len(query) > LARGEST_RESPONSE:
        raise ResponseRejected("the response is too large")
    try:
        query.encode()  # a query that was pasted may hold what is no text
        pairs = parse_qsl(query, keep_blank_values=True, errors="strict", max_num_fields=100)
    except ValueError:
        raise ResponseRejected("the response is malformed") from None
    response = dict(pairs)
    if len(response) != len(pairs):
        raise ResponseRejected("a parameter occurs twice")
    return response


def check_response(
    response: Mapping[str, str], *, state: Secret, server: AuthorizationServer
) -> AuthorizationCode | AuthorizationError:
    """Check a response against the request that it claims to answer.

    Args:
        response: its parameters, from `parse_response`.
        state: of the request.
        server: which the request was sent to.

    Raises:
        ResponseRejected: says why; nothing of the response may be used.
    """
    if not hmac.compare_digest(response.get("state", "").encode(), state.reveal().encode()):
        raise ResponseRejected("state does not match")
    issuer = response.get("iss")
    if issuer is None and server.authorization_response_iss_parameter_supported:
        raise ResponseRejected("iss is missing, though the server promises it (RFC 9207 §2.4)")
    if issuer is not None and server.issuer is not None and issuer != server.issuer:
        raise ResponseRejected("iss names another authorization server (RFC 9207 §2.4)")
    if "code" in response and "error" in response:
        raise ResponseRejected("it holds both a code and an error")
    if "error" in response:
        return AuthorizationError(
            error=printable(response["error"], 60) or "error",
            description=printable(response.get("error_description")),
        )
    code = response.get("code", "")
    if not code:
        raise ResponseRejected("it holds neither a code nor an error")
    others = {name: value for name, value in response.items() if name not in {"code", "state"}}
    return AuthorizationCode(code=Secret(code), parameters=others)


def add_to_query(url: str, parameters: Mapping[str, str]) -> str:
    """Add parameters to a URL's query; those that it has already are kept (RFC 6749 §3.1)."""
    separator = "&" if urlsplit(url).query else "?"
    return f"{url.rstrip('?')}{separator}{urlencode(parameters)}"


def _base64url(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()
