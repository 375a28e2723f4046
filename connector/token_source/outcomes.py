"""What the token endpoint answered to each refresh, for whoever counts or keeps it.

Told once per request that was tried, as soon as the answer is there and before it is acted on. An
observer must be quick and is never waited for; one that fails is logged and harms nothing.
"""

import logging
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from connector.account import Account
from connector.oauth.token_response import (
    Answer,
    Granted,
    NeverSent,
    OutcomeUnknown,
    Refused,
    RefusedUnexplained,
    Unavailable,
)

logger = logging.getLogger(__name__)

#: The outcomes that there are: tokens; an RFC error; a refusal that says not why; the server did
#: not process it; sent, and no usable answer; it never left.
OUTCOMES: Final = ("granted", "refused", "unexplained", "unavailable", "unknown", "not_sent")


@dataclass(frozen=True, slots=True, kw_only=True)
class RefreshOutcome:
    """What came of one request for new tokens.

    Attributes:
        account: its name.
        account_id: stays when it is renamed.
        provider: its name in the configuration.
        sent_at: seconds since the epoch.
        seconds: until the answer, or until it was given up.
        outcome: one of `OUTCOMES`.
        error: the RFC error or the HTTP status (``invalid_grant``, ``http_403``), where there is
            one; never text of a provider.
    """

    account: str
    account_id: str
    provider: str
    sent_at: float
    seconds: float
    outcome: str
    error: str | None = None


Observer = Callable[[RefreshOutcome], None]


class RefreshOutcomes:
    """Tells observers."""

    def __init__(self) -> None:
        self._observers: list[Observer] = []

    def tell_to(self, observer: Observer) -> None:
        """Tell an observer of every outcome from now on."""
        self._observers.append(observer)

    def note(self, account: Account, answer: Answer, sent_at: float, now: float) -> None:
        """Tell all observers.

        Args:
            account: that was refreshed.
            answer: of the token endpoint.
            sent_at: seconds since the epoch.
            now: as well.
        """
        if not self._observers:
            return
        outcome, error = _classify(answer)
        told = RefreshOutcome(
            account=account.name,
            account_id=account.id,
            provider=account.provider,
            sent_at=sent_at,
            seconds=max(0.0, now - sent_at),
            outcome=outcome,
            error=error,
        )
        for observer in self._observers:
            try:
                observer(told)
            except Exception:  # the tokens must be written, whatever becomes of a count
                logger.exception("an observer failed", extra={"action": "refresh.observer_bug"})


def _classify(answer: Answer) -> tuple[str, str | None]:
    match answer:
        case Granted():
            return "granted", None
        case Refused(error=error):
            return "refused", error
        case RefusedUnexplained(status=status):
            return "unexplained", f"http_{status}"
        case Unavailable(status=status):
            return "unavailable", f"http_{status}"
        case OutcomeUnknown(status=status):
            return "unknown", None if status is None else f"http_{status}"
        case NeverSent():
            return "not_sent", None
