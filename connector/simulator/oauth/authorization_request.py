"""Authorization requests, read and checked (RFC 6749 §4.1.1, RFC 7636 §4.3, OpenID Connect §3.1.2).

The client and its redirect URI are checked before: without them there is nowhere to report to.
"""

import re
from dataclasses import dataclass

from connector.simulator.parameters import Parameters
from connector.simulator.settings import Settings

# RFC 6749 §3.3: one space between tokens of visible ASCII without " and \.
SCOPE = re.compile(r"[\x21\x23-\x5b\x5d-\x7e]+(?: [\x21\x23-\x5b\x5d-\x7e]+)*")

# The base64url of a SHA-256 digest (RFC 7636 §4.2) has exactly this length.
S256_CHALLENGE = re.compile(r"[A-Za-z0-9\-_]{43}")

PROMPTS = frozenset({"none", "login", "consent", "select_account"})


@dataclass(frozen=True, slots=True, kw_only=True)
class AuthorizationRequest:
    """What a client asks a person for."""

    client_id: str
    redirect_uri: str
    scope: tuple[str, ...]
    state: str | None
    nonce: str | None
    code_challenge: str | None
    prompt: frozenset[str]
    max_age: float | None
    """Seconds since the login after which it must be repeated."""


class AuthorizationRequestError(ValueError):
    """The request is refused with an error of RFC 6749 §4.1.2.1."""

    def __init__(self, error: str, description: str) -> None:
        super().__init__(description)
        self.error = error
        self.description = description


def read_request(
    parameters: Parameters, settings: Settings, *, client_id: str, redirect_uri: str
) -> AuthorizationRequest:
    """The request that the parameters make.

    Raises:
        AuthorizationRequestError: it is not one that can be granted.
    """
    _check_form(parameters)
    scope = read_scope(parameters.get("scope"), settings)
    prompt = frozenset((parameters.get("prompt") or "").split())
    if prompt - PROMPTS or ("none" in prompt and len(prompt) > 1):
        raise AuthorizationRequestError("invalid_request", "this prompt is not understood")
    return AuthorizationRequest(
        client_id=client_id,
        redirect_uri=redirect_uri,
        scope=scope,
        state=parameters.get("state"),
        nonce=parameters.get("nonce"),
        code_challenge=_challenge(parameters, settings),
        prompt=prompt,
        max_age=_max_age(parameters.get("max_age")),
    )


def read_scope(text: str | None, settings: Settings) -> tuple[str, ...]:
    """The scopes of a request, each once, in order; the default where it names none.

    Raises:
        AuthorizationRequestError: invalid_scope.
    """
    if text is None:
        return tuple(settings.default_scope.split())
    if not SCOPE.fullmatch(text):
        raise AuthorizationRequestError("invalid_scope", "the scope is malformed")
    scope = tuple(dict.fromkeys(text.split(" ")))
    if not set(scope) <= set(settings.scopes_supported):
        raise AuthorizationRequestError("invalid_scope", "the scope has tokens unknown here")
    return scope


def granted(scope: tuple[str, ...], settings: Settings) -> tuple[str, ...]:
    """What of a scope is granted: the server may give less than was asked (RFC 6749 §3.3)."""
    return tuple(token for token in scope if token not in settings.withheld_scopes)


def _check_form(parameters: Parameters) -> None:
    repeated = parameters.repeated()
    if repeated:
        raise AuthorizationRequestError("invalid_request", "a parameter is repeated")
    for name in ("request", "registration"):
        if name in parameters:
            raise AuthorizationRequestError(f"{name}_not_supported", f"{name} is not supported")
    response_type = parameters.get("response_type")
    if response_type is None:
        raise AuthorizationRequestError("invalid_request", "response_type is missing")
    if response_type != "code":
        raise AuthorizationRequestError("unsupported_response_type", "only code is supported")
    if parameters.get("response_mode") not in (None, "query"):
        raise AuthorizationRequestError("invalid_request", "the only response_mode is query")


def _challenge(parameters: Parameters, settings: Settings) -> str | None:
    challenge = parameters.get("code_challenge")
    method = parameters.get("code_challenge_method")
    if challenge is None:
        if settings.require_pkce:
            raise AuthorizationRequestError("invalid_request", "code challenge required")
        if method is not None:
            raise AuthorizationRequestError("invalid_request", "code_challenge is missing")
        return None
    # Left out, the method is plain (RFC 7636 §4.3), which proves nothing here.
    if method != "S256":
        raise AuthorizationRequestError("invalid_request", "transform algorithm not supported")
    if not S256_CHALLENGE.fullmatch(challenge):
        raise AuthorizationRequestError("invalid_request", "the code challenge is malformed")
    return challenge


def _max_age(text: str | None) -> float | None:
    if text is None:
        return None
    if not re.fullmatch(r"[0-9]{1,9}", text):
        raise AuthorizationRequestError("invalid_request", "max_age is not a number of seconds")
    return float(text)
