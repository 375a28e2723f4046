"""An authorization server as a value: its endpoints, and how its calls and answers look.

Metadata names are those of RFC 8414 §2. What a provider does differently from RFC 6749 (a GET with
a query, an error object, a success told by a field) is data here, so that no code branches on a
provider's name.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final, Literal

Encoding = Literal["form", "json", "query"]
ErrorMeaning = Literal[
    "invalid_grant",
    "invalid_client",
    "invalid_scope",
    "temporarily_unavailable",
]
RevocationAuthentication = Literal["client", "basic", "bearer", "none"]

#: The fields of a token answer that RFC 6749 §5.1, OpenID Connect and common practice name.
STANDARD_FIELDS: Final = {
    "access_token": ("access_token",),
    "token_type": ("token_type",),
    "expires_in": ("expires_in",),
    "expires_at": (),
    "refresh_token": ("refresh_token",),
    "refresh_token_expires_in": ("refresh_token_expires_in", "refresh_expires_in"),
    "scope": ("scope",),
    "id_token": ("id_token",),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class TokenRequest:
    """How a request to the token endpoint looks.

    Attributes:
        method: ``POST`` (RFC 6749 §3.2), or ``GET`` where the provider wants it.
        encoding: ``form``, ``json``, or ``query`` (parameters in the URL).
        headers: sent besides ``Accept``.
        parameters: sent with every token request.
        renames: standard parameter name → the provider's.
    """

    method: Literal["POST", "GET"] = "POST"
    encoding: Encoding = "form"
    headers: Mapping[str, str] = field(default_factory=dict)
    parameters: Mapping[str, str] = field(default_factory=dict)
    renames: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class ErrorRule:
    """What an answer that is no RFC 6749 §5.2 error means.

    Attributes:
        when: path in the answer → the values that match; every path must match.
        means: the RFC error that it stands for.
    """

    when: Mapping[str, tuple[object, ...]]
    means: ErrorMeaning

    def matches(self, answer: Mapping[str, object]) -> bool:
        """Tell whether every condition holds; see `meets`."""
        return meets(answer, self.when)


@dataclass(frozen=True, slots=True, kw_only=True)
class TokenAnswer:
    """How an answer of the token endpoint looks.

    Attributes:
        encoding: ``json`` (RFC 6749 §5.1), or ``form`` where the provider answers so.
        envelope: path of the object that holds the token; empty where it is the answer itself.
        fields: standard field → where it stands in the answer, the first that is there wins.
        success: path → values; further conditions that make a 2xx a success (``ok`` is true).
        errors: what answers mean that are not RFC errors.
        error_description: path of the text that a person may read.
    """

    encoding: Literal["json", "form"] = "json"
    envelope: str = ""
    fields: Mapping[str, tuple[str, ...]] = field(default_factory=lambda: STANDARD_FIELDS)
    success: Mapping[str, tuple[object, ...]] = field(default_factory=dict)
    errors: tuple[ErrorRule, ...] = ()
    error_description: str = "error_description"


@dataclass(frozen=True, slots=True, kw_only=True)
class Revocation:
    """How a grant is revoked; RFC 7009 unless the provider has a call of its own.

    Attributes:
        endpoint: its URL; ``{refresh_token}``, ``{access_token}``, ``{client_id}``,
            ``{client_secret}``, ``{subject}`` and ``{proof}`` (HMAC-SHA256 of the access token
            under the client secret) are filled in, percent-encoded.
        method: the HTTP method.
        encoding: of the parameters; ``none`` sends no body.
        parameters: name → value, with the same placeholders.
        authentication: ``client`` as at the token endpoint, ``basic``, ``bearer`` with the access
            token, or ``none``.
        is_standard: RFC 7009: token and token_type_hint, refresh token first.
    """

    endpoint: str
    method: str = "POST"
    encoding: Literal["form", "json", "none"] = "form"
    parameters: Mapping[str, str] = field(default_factory=dict)
    authentication: RevocationAuthentication = "client"
    is_standard: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class AuthorizationServer:
    """One authorization server (RFC 8414 §2).

    Attributes:
        authorization_endpoint, token_endpoint: where consent and tokens are asked for.
        issuer: its identifier; compared whole with ``iss`` (RFC 9207 §2.4).
        authorization_response_iss_parameter_supported: it promises ``iss`` in every
            authorization response, so that one without it is refused.
        code_challenge_methods_supported: as advertised; None where nothing is known.
        token_endpoint_auth_methods_supported: as advertised; None where nothing is known.
        scope_separator: between scopes; a space by RFC 6749 §3.3.
    """

    authorization_endpoint: str
    token_endpoint: str
    issuer: str | None = None
    revocation: Revocation | None = None
    device_authorization_endpoint: str | None = None
    pushed_authorization_request_endpoint: str | None = None
    require_pushed_authorization_requests: bool = False
    jwks_uri: str | None = None
    userinfo_endpoint: str | None = None
    authorization_response_iss_parameter_supported: bool = False
    code_challenge_methods_supported: tuple[str, ...] | None = None
    token_endpoint_auth_methods_supported: tuple[str, ...] | None = None
    id_token_signing_alg_values_supported: tuple[str, ...] | None = None
    scope_separator: str = " "
    token_request: TokenRequest = field(default_factory=TokenRequest)
    token_answer: TokenAnswer = field(default_factory=TokenAnswer)


def meets(answer: object, conditions: Mapping[str, tuple[object, ...]]) -> bool:
    """Tell whether at every path stands one of its values.

    Values are compared whole, never by substring, and ``true`` is not 1, as it is in Python.
    """
    return all(
        any(
            value == found and isinstance(value, bool) == isinstance(found, bool)
            for value in values
        )
        for found, values in ((at_path(answer, path), v) for path, v in conditions.items())
    )


def at_path(answer: object, path: str) -> object:
    """Give what stands at a dotted path in a JSON object; None where there is nothing."""
    for key in path.split("."):
        if not isinstance(answer, Mapping):
            return None
        answer = answer.get(key)
    return answer
