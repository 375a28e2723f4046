"""What an answer of the token endpoint means (RFC 6749 §5): a type that its caller branches on.

    Granted              a 2xx with a non-empty string access_token and no error
    Refused              a well-formed error: only ``invalid_grant`` can end a grant
    RefusedUnexplained   a redirect, or a 4xx without an RFC error: never an end by itself
    Unavailable          429, 503, 408: nothing happened; when to come back
    OutcomeUnknown       sent, and no usable answer: the server may have rotated the token
    NeverSent            failed before a byte of the request left: free to retry

An error is known by its ``error`` field, or by a rule that the provider declares; never by text
found inside a message, and never by the status alone (some servers answer 401, 403 or even 200).
"""

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Final, cast
from urllib.parse import parse_qsl

from connector.oauth.answer_fields import (
    LONGEST_LIFETIME,
    printable,
    read_retry_after,
    read_scope,
    read_seconds,
)
from connector.oauth.authorization_server import STANDARD_FIELDS, TokenAnswer, at_path, meets
from connector.oauth.strict_json import parse_json_object, unique_pairs
from connector.oauth.token import TokenSet
from connector.secret import Secret

__all__ = [
    "RFC_ERRORS",
    "Answer",
    "Granted",
    "NeverSent",
    "OutcomeUnknown",
    "Refused",
    "RefusedUnexplained",
    "Unavailable",
    "parse_json_object",
    "printable",
    "read_seconds",
    "read_token_response",
]

#: ``Bearer``, or a type that is not known; a longer one is a mistake of the server.
LONGEST_TOKEN_TYPE: Final = 60

#: RFC 6749 §5.2, RFC 8628 §3.5, RFC 8707 §2, RFC 9449 §5: what counts as an RFC error.
RFC_ERRORS: Final = frozenset(
    {
        "invalid_request",
        "invalid_client",
        "invalid_grant",
        "unauthorized_client",
        "unsupported_grant_type",
        "invalid_scope",
        "invalid_target",
        "authorization_pending",
        "slow_down",
        "access_denied",
        "expired_token",
        "invalid_dpop_proof",
        "use_dpop_nonce",
        "temporarily_unavailable",
        "server_error",
    }
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Granted:
    """The server issued tokens."""

    tokens: TokenSet


@dataclass(frozen=True, slots=True, kw_only=True)
class Refused:
    """The server refused with an error that says why (RFC 6749 §5.2).

    Attributes:
        error: the RFC error, or the one that the provider's own error stands for.
        description: the server's text, cut and printable; for people only.
        status: the HTTP status.
    """

    error: str
    status: int
    description: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class RefusedUnexplained:
    """The server refused and did not say why in any declared form."""

    status: int
    description: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Unavailable:
    """The server did not process the request.

    Attributes:
        status: the HTTP status.
        retry_after: seconds to wait, where it said so (RFC 9110 §10.2.3).
    """

    status: int
    retry_after: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class OutcomeUnknown:
    """The request left, and no usable answer came: the server may or may not have acted.

    Attributes:
        cause: what happened, in a few words without a secret.
        status: the HTTP status, where there was one.
    """

    cause: str
    status: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class NeverSent:
    """It failed before anything was sent (name resolution, connect, TLS)."""

    cause: str


Answer = Granted | Refused | RefusedUnexplained | Unavailable | OutcomeUnknown | NeverSent


def read_token_response(
    status: int,
    headers: Mapping[str, str],
    body: bytes,
    *,
    shape: TokenAnswer,
    sent_at: float,
    sent: Iterable[str] = (),
) -> Answer:
    """Decide what a complete answer of the token endpoint means.

    Args:
        status: the HTTP status.
        headers: of the answer; names compared as the mapping does.
        body: decoded, whole, within the size limit.
        shape: how this provider's answers look.
        sent_at: when the request was sent, seconds since the epoch.
        sent: secrets of the request; some servers quote them in their messages.
    """
    if status in {408, 429, 503}:
        return Unavailable(status=status, retry_after=read_retry_after(headers, sent_at))
    if status >= 500 or status < 200:  # a gateway may speak after the server has acted
        return OutcomeUnknown(cause=f"the server answered {status}", status=status)
    if 300 <= status < 400:  # never followed, and what it says is not believed (CHECKLIST 41)
        return RefusedUnexplained(status=status)
    try:
        answer = _parse(body, shape)
    except ValueError as error:
        if status < 300:
            return OutcomeUnknown(cause=f"the answer is unusable: {error}", status=status)
        return RefusedUnexplained(status=status)
    refusal = _read_refusal(status, answer, shape, sent)
    if refusal is not None:
        return refusal
    if status >= 300:
        description = _shown(at_path(answer, shape.error_description), sent)
        return RefusedUnexplained(status=status, description=description)
    try:
        return Granted(tokens=_read_tokens(answer, shape, sent_at))
    except ValueError as error:
        return OutcomeUnknown(cause=f"the answer is unusable: {error}", status=status)


def _parse(body: bytes, shape: TokenAnswer) -> dict[str, object]:
    if shape.encoding == "json":
        return parse_json_object(body)
    try:
        pairs = parse_qsl(body.decode("ascii"), keep_blank_values=True, max_num_fields=100)
    except ValueError:
        raise ValueError("not form-encoded") from None
    return unique_pairs(cast("list[tuple[str, object]]", pairs))


def _read_refusal(
    status: int, answer: dict[str, object], shape: TokenAnswer, sent: Iterable[str]
) -> Answer | None:
    """Give the refusal that the answer holds, if any; a declared rule goes before the RFC field."""
    description = _shown(at_path(answer, shape.error_description), sent)
    for rule in shape.errors:
        if rule.matches(answer):
            if rule.means == "temporarily_unavailable":
                return Unavailable(status=status)
            return Refused(error=rule.means, status=status, description=description)
    error = answer.get("error")
    if isinstance(error, str) and error in RFC_ERRORS:
        if error in {"temporarily_unavailable", "server_error"}:
            return Unavailable(status=status)
        return Refused(error=error, status=status, description=description)
    if error:
        return RefusedUnexplained(status=status, description=description or _shown(error, sent))
    if not meets(answer, shape.success):
        return RefusedUnexplained(status=status, description=description)
    return None


def _shown(text: object, sent: Iterable[str]) -> str | None:
    """Give a server's text for people, without the secrets of the request that it may quote."""
    if not isinstance(text, str):
        return None
    for secret in sorted(filter(None, sent), key=len, reverse=True):
        text = text.replace(secret, "…")
    return printable(text)


def _read_tokens(answer: dict[str, object], shape: TokenAnswer, sent_at: float) -> TokenSet:
    """Read a success strictly.

    Raises:
        ValueError: says which field is missing or wrong; never quotes a value.
    """
    token = at_path(answer, shape.envelope) if shape.envelope else answer
    if not isinstance(token, dict):
        raise ValueError("no object holds the token")
    access_token = _field(token, shape, "access_token")
    if not isinstance(access_token, str) or not access_token:
        raise ValueError("no access_token")
    _check_header_value(access_token)
    refresh_token = _field(token, shape, "refresh_token")
    if refresh_token is not None and not (
        isinstance(refresh_token, str) and _is_text(refresh_token)
    ):
        raise ValueError("refresh_token is not a string")
    token_type = printable(_field(token, shape, "token_type"), LONGEST_TOKEN_TYPE)
    id_token = _field(token, shape, "id_token")
    known = {path.split(".")[0] for paths in shape.fields.values() for path in paths}
    return TokenSet(
        access_token=Secret(access_token),
        token_type=token_type or "Bearer",
        sent_at=sent_at,
        refresh_token=Secret(refresh_token) if refresh_token else None,
        scope=read_scope(_field(token, shape, "scope")),
        expires_at=_read_expiry(token, shape, sent_at),
        # zero means "never" where it occurs (Keycloak's offline tokens)
        refresh_token_expires_at=_after(
            sent_at, read_seconds(_field(token, shape, "refresh_token_expires_in")) or None
        ),
        id_token=Secret(id_token) if isinstance(id_token, str) and id_token else None,
        extra={name: value for name, value in token.items() if name not in known},
    )


def _is_text(value: str) -> bool:
    """Tell whether a string can be written at all: JSON may hold halves of characters."""
    try:
        value.encode()
    except UnicodeEncodeError:
        return False
    return True


def _field(token: dict[str, object], shape: TokenAnswer, name: str) -> object:
    for path in shape.fields.get(name, STANDARD_FIELDS[name]):
        value = at_path(token, path)
        if value is not None:
            return value
    return None


def _check_header_value(access_token: str) -> None:
    """Refuse what cannot stand in an ``Authorization`` header (RFC 6749 A.12, RFC 9110 §5.5)."""
    is_visible = access_token.isascii() and access_token.isprintable()
    if not is_visible or access_token != access_token.strip():
        raise ValueError("access_token has a character that no header can carry")


def _read_expiry(token: dict[str, object], shape: TokenAnswer, sent_at: float) -> float | None:
    seconds = read_seconds(_field(token, shape, "expires_in"))
    if seconds is not None:
        return _after(sent_at, seconds)
    moment = read_seconds(_field(token, shape, "expires_at"), longest=math.inf)
    return None if moment is None else _after(sent_at, max(0.0, moment - sent_at))


def _after(sent_at: float, seconds: float | None) -> float | None:
    return None if seconds is None else sent_at + min(seconds, LONGEST_LIFETIME)
