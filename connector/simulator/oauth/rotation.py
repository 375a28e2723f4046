"""What the use of a refresh token leads to: the rotation modes, as one pure decision.

RFC 6749 §6 lets a server replace a refresh token at each use, RFC 9700 §4.14.2 lets it end the
grant when a replaced one comes back. What lies between those two is each provider's own.
"""

from enum import Enum

from connector.simulator.oauth.grants import RefreshToken
from connector.simulator.settings import Settings


class Decision(Enum):
    """What is done with a refresh token that was presented."""

    KEEP = "keep"
    """A new access token; the refresh token stays as it is."""
    ROTATE = "rotate"
    """A new access token and a new refresh token."""
    REPEAT = "repeat"
    """The very answer that its first use got."""
    REFUSE = "refuse"
    """invalid_grant: it was replaced."""
    REVOKE_FAMILY = "revoke_family"
    """invalid_grant, and everything that descends from the consent ends."""


def decide(token: RefreshToken, settings: Settings, *, now: float) -> Decision:
    """What the use of a living family's refresh token leads to."""
    if token.replaced_at is None:
        return _decide_current(token, settings, now)
    return _decide_replaced(token, settings, now - token.replaced_at)


def _decide_current(token: RefreshToken, settings: Settings, now: float) -> Decision:
    # An answer without a refresh token means that the old one goes on (RFC 6749 §6).
    if settings.rotation == "none" or "refresh_token" in settings.omit:
        return Decision.KEEP
    if settings.rotation == "by_age" and now - token.issued_at < settings.rotation_age_seconds:
        return Decision.KEEP
    return Decision.ROTATE


def _decide_replaced(token: RefreshToken, settings: Settings, age: float) -> Decision:
    is_in_grace = age < settings.grace_seconds
    accepted: dict[str, tuple[bool, Decision]] = {
        # Only the immediately previous one: once a successor was used, it is older than that.
        "grace_previous": (is_in_grace and not token.is_child_used, Decision.ROTATE),
        "grace": (is_in_grace, Decision.ROTATE),
        "by_age": (is_in_grace, Decision.ROTATE),
        "idempotent": (is_in_grace and not token.is_child_used, Decision.REPEAT),
        "lazy": (not token.is_child_used, Decision.ROTATE),
    }
    is_accepted, decision = accepted.get(settings.rotation, (False, Decision.REFUSE))
    if is_accepted and (decision is not Decision.REPEAT or token.answer is not None):
        return decision
    if settings.rotation in {"strict_family", "grace_previous"}:
        return Decision.REVOKE_FAMILY
    return Decision.REFUSE
