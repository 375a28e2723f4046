"""Requests that were refused, summed up for the audit trail so that nobody can fill the disk.

Over TCP anybody on this host may ask, as often as they like, and from sixteen million addresses of
their own (127.0.0.0/8): a few are told apart, the others are told as one.
"""

from collections.abc import Iterator
from typing import Final

from connector.store.audit_entry import Actor, Entry

#: Addresses, and holders of keys, that are told apart within an interval.
MOST_PEERS: Final = 10
_OTHERS: Final = Actor(kind="peer", name="others", through="tcp")


class Refusals:
    """Counts refused requests.

    Attributes:
        totals: by outcome, since the start.
    """

    def __init__(self) -> None:
        self.totals: dict[str, int] = {}
        self._counts: dict[tuple[Actor, str], int] = {}

    def note(self, actor: Actor, outcome: str) -> None:
        """Count one.

        Args:
            actor: who asked.
            outcome: why it was refused, in a word of a short list.
        """
        self.totals[outcome] = self.totals.get(outcome, 0) + 1
        peers = {known for known, _outcome in self._counts}
        if actor not in peers and len(peers) >= MOST_PEERS:
            actor = _OTHERS
        key = actor, outcome
        self._counts[key] = self._counts.get(key, 0) + 1

    def collect(self) -> Iterator[Entry]:
        """Give what was counted since this was asked last."""
        while self._counts:
            (actor, outcome), count = self._counts.popitem()
            yield Entry(event="access.refused", actor=actor, outcome=outcome, count=count)
