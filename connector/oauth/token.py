"""What a token endpoint grants, and how fresh an access token is (RFC 6749 §5.1, §1.5).

Times are seconds since the Unix epoch, passed in: no clock is read here. Expiry counts from when
the request was sent, so that a slow answer never makes a token look longer-lived than it is.
"""

import enum
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Final

from connector.secret import Secret

#: ``min_ttl`` by default: enough for one call to start, and never most of a short token's life.
DEFAULT_MIN_TTL_SHARE: Final = 0.1
LONGEST_DEFAULT_MIN_TTL: Final = 60.0

#: Early refresh begins when a fifth of the life is left, at most five minutes: twice the default
#: ``min_ttl``, so that there is a window in which a token is stale but still served.
MARGIN_SHARE: Final = 0.2
LONGEST_MARGIN: Final = 300.0


class Freshness(enum.Enum):
    """What may be done with an access token now."""

    FRESH = "fresh"  # serve it
    STALE = "stale"  # serve it, and refresh behind it
    EXPIRED = "expired"  # refresh before serving


@dataclass(frozen=True, slots=True, kw_only=True)
class TokenSet:
    """What the token endpoint answered.

    Attributes:
        access_token: goes with every call of the API.
        token_type: as sent; compare without case (RFC 6749 §7.1).
        refresh_token: goes to the token endpoint only; None where the answer had none.
        scope: what was granted; None means "as requested" (RFC 6749 §5.1).
        expires_at: when the access token ends; None where the answer did not tell.
        refresh_token_expires_at: when the refresh token ends, where the answer told.
        sent_at: when the request was sent.
        id_token: the OpenID Connect ID token, if any.
        extra: further fields, kept because some APIs need them (``instance_url``).
    """

    access_token: Secret
    token_type: str
    sent_at: float
    refresh_token: Secret | None = None
    scope: tuple[str, ...] | None = None
    expires_at: float | None = None
    refresh_token_expires_at: float | None = None
    id_token: Secret | None = None
    extra: Mapping[str, object] = field(default_factory=dict, repr=False)

    @property
    def lifetime(self) -> float | None:
        """Seconds that the access token lives in all."""
        return None if self.expires_at is None else self.expires_at - self.sent_at


@dataclass(frozen=True, slots=True, kw_only=True)
class AccessToken:
    """An access token as callers get it.

    Attributes:
        value: the token itself; never shown by ``repr``.
        token_type: the scheme of the ``Authorization`` header, ``Bearer`` almost everywhere.
        expires_at: when it ends (UTC), or None where the provider does not tell.
        scope: what was granted, joined by spaces; None where the provider did not tell.
        is_short: it lives less than the caller asked for, because no better one could be had.
    """

    value: str = field(repr=False)
    token_type: str = "Bearer"  # noqa: S105 - the name of a scheme
    expires_at: datetime | None = None
    scope: str | None = None
    is_short: bool = False

    def __str__(self) -> str:
        return repr(self)

    @property
    def expires_in(self) -> float | None:
        """Seconds left now, never below zero; None where the provider does not tell."""
        if self.expires_at is None:
            return None
        return max(0.0, (self.expires_at - datetime.now(UTC)).total_seconds())


def default_min_ttl(lifetime: float | None) -> float:
    """Give the least remaining life (s) of a token that is served when the caller names none."""
    if lifetime is None:
        return LONGEST_DEFAULT_MIN_TTL
    return min(lifetime * DEFAULT_MIN_TTL_SHARE, LONGEST_DEFAULT_MIN_TTL)


def refresh_margin(lifetime: float | None, longest: float = LONGEST_MARGIN) -> float:
    """Give how long (s) before its end a token is renewed early.

    Args:
        lifetime: seconds that the token lives in all; None where unknown.
        longest: the provider's cap, in seconds.
    """
    if lifetime is None:
        return 0.0
    return min(lifetime * MARGIN_SHARE, longest)


def freshness(now: float, expires_at: float | None, *, min_ttl: float, margin: float) -> Freshness:
    """Tell what may be done with a token.

    Args:
        now: seconds since the epoch.
        expires_at: when the token ends; None (unknown) is fresh until the API says otherwise.
        min_ttl: the least remaining life (s) that the caller accepts.
        margin: how long before its end a token is renewed early (s).
    """
    if expires_at is None:
        return Freshness.FRESH
    remaining = expires_at - now
    if remaining <= 0 or remaining < min_ttl:
        return Freshness.EXPIRED
    return Freshness.STALE if remaining <= margin else Freshness.FRESH
