"""Revoking a grant at the provider: RFC 7009, or the call that the provider has instead.

The refresh token goes first (RFC 7009 §2.1: revoking it ends the access tokens too). A token that
the server does not know is revoked by definition (§2.2). What could not be revoked stays a debt of
the caller.
"""

import dataclasses
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final
from urllib.parse import parse_qsl, quote, urlencode

from connector.oauth.answer_fields import read_retry_after
from connector.oauth.authorization_server import AuthorizationServer, Revocation
from connector.oauth.registration import ClientRegistration
from connector.oauth.strict_json import parse_json_object
from connector.oauth.token_endpoint import FORM
from connector.oauth.token_response import NeverSent, OutcomeUnknown, Refused, read_token_response
from connector.oauth.wire import Wire, WireAnswer
from connector.secret import Secret

#: What a provider's own call may be filled in with.
PLACEHOLDERS: Final = frozenset(
    {"access_token", "client_id", "client_secret", "proof", "refresh_token", "subject"}
)
_PLACEHOLDER: Final = re.compile(r"\{([a-z_]+)\}")
_GONE: Final = frozenset({404, 410})  # the provider's own calls answer so for a dead token
#: RFC 6750 §3.1 and RFC 6749 §5.2, as some servers name a token that they do not know (any more).
_DEAD_TOKEN: Final = frozenset({"invalid_grant", "invalid_token"})


@dataclass(frozen=True, slots=True, kw_only=True)
class RevocationAnswer:
    """What came of a revocation.

    Attributes:
        is_done: the provider no longer honours the tokens.
        cause: why not, in a few words.
        retry_after: seconds to wait, where the server said so.
    """

    is_done: bool
    cause: str = ""
    retry_after: float | None = None


async def revoke(
    wire: Wire,
    server: AuthorizationServer,
    registration: ClientRegistration,
    *,
    tokens: Mapping[str, Secret],
    subject: str | None,
    now: float,
) -> RevocationAnswer:
    """Revoke a grant.

    Args:
        wire: what sends.
        server: its ``revocation`` must be set.
        registration: our registration there.
        tokens: ``refresh_token`` and ``access_token``, as far as there are any.
        subject: the person's identifier at the provider, where known.
        now: seconds since the epoch.
    """
    if server.revocation is None:
        return RevocationAnswer(is_done=False, cause="the provider offers no revocation")
    call = _Call(
        wire=wire,
        server=server,
        revocation=server.revocation,
        registration=registration,
        tokens=tokens,
        subject=subject,
        now=now,
    )
    return await (call.standard() if call.revocation.is_standard else call.own())


@dataclass(frozen=True, slots=True, kw_only=True)
class _Call:
    """One revocation, with all that it needs."""

    wire: Wire
    server: AuthorizationServer
    revocation: Revocation
    registration: ClientRegistration
    tokens: Mapping[str, Secret]
    subject: str | None
    now: float

    async def standard(self) -> RevocationAnswer:
        """Revoke by RFC 7009: the refresh token first, then the access token."""
        outcome = RevocationAnswer(is_done=True)
        for hint in ("refresh_token", "access_token"):
            if hint not in self.tokens:
                continue
            token = self.tokens[hint].reveal()
            body = urlencode({"token": token, "token_type_hint": hint})
            url, headers, body = self._authorize(self.revocation.endpoint, body)
            answer = await self.wire.send("POST", url, headers, body.encode())
            if hint == "access_token" and _error_of(answer) == "unsupported_token_type":
                continue  # RFC 7009 §2.2.1: it only takes refresh tokens
            outcome = self._read(answer)
            if not outcome.is_done:
                return outcome
        return outcome

    async def own(self) -> RevocationAnswer:
        """Revoke by the call that the provider has instead of RFC 7009."""
        revocation, values = self.revocation, self._values()
        texts = (revocation.endpoint, *revocation.parameters.values())
        needed = {name for text in texts for name in _PLACEHOLDER.findall(text)}
        if "refresh_token" in needed and "refresh_token" not in self.tokens:
            return RevocationAnswer(is_done=True, cause="there is no refresh token to revoke")
        quoted = {name: quote(value, safe="") for name, value in values.items()}
        parameters = {key: _fill(text, values) for key, text in revocation.parameters.items()}
        url, headers, body = self._authorize(
            _fill(revocation.endpoint, quoted), urlencode(parameters)
        )
        content: bytes | None = body.encode()
        if revocation.encoding == "none":
            del headers["Content-Type"]
            content = None
        elif revocation.encoding == "json":
            headers["Content-Type"] = "application/json"
            content = json.dumps(dict(parse_qsl(body, keep_blank_values=True))).encode()
        answer = await self.wire.send(revocation.method, url, headers, content)
        if isinstance(answer, WireAnswer) and answer.status in self._gone():
            return RevocationAnswer(is_done=True)
        return self._read(answer)

    def _gone(self) -> frozenset[int]:
        """Give the statuses that tell of a dead token; 401 may as well mean our credentials."""
        return _GONE | {401} if self.revocation.authentication == "bearer" else _GONE

    def _values(self) -> dict[str, str]:
        """Give what placeholders stand for."""
        secret = self.registration.client_secret
        access_token = self.tokens.get("access_token", Secret(""))
        return {
            "access_token": access_token.reveal(),
            "client_id": self.registration.client_id,
            "client_secret": secret.reveal() if secret else "",
            "proof": self.registration.prove(access_token) or "",
            "refresh_token": self.tokens.get("refresh_token", Secret("")).reveal(),
            "subject": self.subject or "me",
        }

    def _authorize(self, url: str, body: str) -> tuple[str, dict[str, str], str]:
        """Add our credentials, or the token, as this provider wants it."""
        headers = {"Content-Type": FORM}
        kind = self.revocation.authentication
        if kind == "bearer":
            headers["Authorization"] = f"Bearer {self._values()['access_token']}"
        elif kind in {"client", "basic"}:
            registration = self.registration
            if kind == "basic":
                registration = dataclasses.replace(registration, auth_method="client_secret_basic")
            return registration.authenticate(self.server, url, headers, body, now=self.now)
        return url, headers, body

    def _read(self, answer: WireAnswer | NeverSent | OutcomeUnknown) -> RevocationAnswer:
        if not isinstance(answer, WireAnswer):
            cause = answer.cause if isinstance(answer, NeverSent) else "no usable answer"
            return RevocationAnswer(is_done=False, cause=cause)
        is_success = 200 <= answer.status < 300
        if is_success and (self.revocation.is_standard or not _tells_of_failure(answer)):
            return RevocationAnswer(is_done=True)
        if _error_of(answer) in _DEAD_TOKEN:
            return RevocationAnswer(is_done=True)
        meaning = read_token_response(
            answer.status,
            answer.headers,
            answer.body,
            shape=self.server.token_answer,
            sent_at=self.now,
        )
        if isinstance(meaning, Refused):
            is_dead = meaning.error == "invalid_grant"
            cause = "" if is_dead else f"the provider answered {meaning.error}"
            return RevocationAnswer(is_done=is_dead, cause=cause)
        return RevocationAnswer(
            is_done=False,
            cause=f"the provider answered {answer.status}",
            retry_after=read_retry_after(answer.headers, self.now),
        )


def _fill(text: str, values: Mapping[str, str]) -> str:
    """Fill in placeholders in one pass, so that no value is taken for a placeholder."""
    return _PLACEHOLDER.sub(lambda match: values.get(match[1], match[0]), text)


def _error_of(answer: WireAnswer | NeverSent | OutcomeUnknown) -> object:
    """Give the error of a refusal, if it names one (RFC 6749 §5.2)."""
    if not isinstance(answer, WireAnswer) or not 400 <= answer.status < 500:
        return None
    try:
        error = parse_json_object(answer.body).get("error")
    except ValueError:
        return None
    return error if isinstance(error, str) else None


def _tells_of_failure(answer: WireAnswer) -> bool:
    """Tell whether a 2xx of a provider's own call says that nothing was done."""
    try:
        body = parse_json_object(answer.body)
    except ValueError:
        return False
    return bool(body.get("error")) or body.get("success") is False or body.get("ok") is False
