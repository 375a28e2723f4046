"""When a refresh token may be sent again after a request whose answer was lost (CHECKLIST C).

The standards leave the client no rule: the server may or may not have rotated. So the provider's
rotation profile decides, and the durable attempt says how often the token was sent, and when first:

    none, lazy, by_age      the old token still works: again at once, then with growing pauses
    grace, idempotent       again at once, then every few seconds while the grace lasts, counted
                            from the first send; afterwards as strict
    strict                  once more at once (the request may never have arrived), then with pauses
    strict_family, unknown  as strict; but a replay may also kill the access token, so while that is
                            still useful, the one retry waits until its life is nearly over

Nothing older than the token that was sent is ever sent. A second silence is recorded like the
first. Everything here is a pure function of values.
"""

from typing import Final

from connector.account import Attempt
from connector.oauth.token import default_min_ttl
from connector.providers.provider import Rotation, RotationProfile

_HARMLESS: Final[frozenset[Rotation]] = frozenset({"none", "lazy", "by_age"})
_FORGIVING: Final[frozenset[Rotation]] = frozenset({"grace", "idempotent"})
_REVOKING: Final[frozenset[Rotation]] = frozenset({"strict_family", "unknown"})

#: "Every few seconds": a server that lost one answer is given a moment.
GRACE_INTERVAL: Final = 3.0
#: A grace is used up to a tenth before its end, at most ten seconds: clocks and networks differ.
_GRACE_RESERVE_SHARE: Final = 0.1
_LONGEST_GRACE_RESERVE: Final = 10.0
#: Where the old token works, a lost answer costs nothing but a request.
_FIRST_HARMLESS_PAUSE: Final = 2.0
_LONGEST_HARMLESS_PAUSE: Final = 300.0
#: Where each further try may be the one that is taken for theft.
_FIRST_STRICT_PAUSE: Final = 60.0
_LONGEST_STRICT_PAUSE: Final = 3600.0
#: An owner on another host may hold the lost answer in its journal: so much longer than its lease
#: it is given to come back and write it, where sending again could end the grant.
REPLAY_PERIOD: Final = 30.0


def next_send(
    attempt: Attempt,
    profile: RotationProfile,
    *,
    expires_at: float | None = None,
    lifetime: float | None = None,
) -> float:
    """Give the moment from which the token of an unanswered attempt may be sent again.

    Args:
        attempt: what was sent; its count is at least one.
        profile: of the provider.
        expires_at: when the access token ends that can still be used; None: there is none.
        lifetime: seconds that this access token lives in all.
    """
    if profile.rotation in _HARMLESS:
        return _after_pause(attempt, 1, _FIRST_HARMLESS_PAUSE, _LONGEST_HARMLESS_PAUSE)
    if profile.rotation in _FORGIVING:
        if attempt.count == 1:
            return attempt.sent_at
        again = attempt.sent_at + GRACE_INTERVAL
        if again <= _grace_end(attempt, profile):
            return again
    if attempt.count == 1 and profile.rotation in _REVOKING and expires_at is not None:
        return max(attempt.sent_at, expires_at - default_min_ttl(lifetime))
    return _after_pause(attempt, 1, _FIRST_STRICT_PAUSE, _LONGEST_STRICT_PAUSE)


def replay_period(profile: RotationProfile) -> float:
    """Give how long after the lease of an unheard owner elsewhere nothing is sent, in seconds."""
    return 0.0 if profile.rotation in _HARMLESS | _FORGIVING else REPLAY_PERIOD


def _after_pause(attempt: Attempt, free: int, first: float, longest: float) -> float:
    """Give when to send next: at once for so many retries, then after pauses that double."""
    if attempt.count <= free:
        return attempt.sent_at
    return attempt.sent_at + min(longest, first * 2.0 ** min(attempt.count - free - 1, 20))


def _grace_end(attempt: Attempt, profile: RotationProfile) -> float:
    if profile.rotation == "idempotent" and profile.grace == 0:
        return float("inf")  # the same answer again until the new token is used
    reserve = min(profile.grace * _GRACE_RESERVE_SHARE, _LONGEST_GRACE_RESERVE)
    return attempt.first_sent_at + profile.grace - reserve
