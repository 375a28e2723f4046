"""What is sent under a lease, and until when it may be."""

from dataclasses import dataclass
from typing import Final

from connector.account import Attempt
from connector.secret import Secret
from connector.store.owner import boot_time

#: From taking the lease to the first byte: connecting takes 10 s at most. Later, somebody else may
#: have refreshed, and the token in hand would be an old one (I3).
SENDING_TIME: Final = 12.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Sending:
    """What is sent under a lease.

    Attributes:
        credential: the refresh token, or the access token that is exchanged.
        before: what was sent earlier and is unanswered.
        lease_asked_at: seconds since boot.
    """

    credential: Secret
    before: Attempt | None
    lease_asked_at: float

    def is_timely(self) -> bool:
        """Tell whether the lease is young enough: what stood still meanwhile must not send."""
        return boot_time() - self.lease_asked_at < SENDING_TIME
