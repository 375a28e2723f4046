"""How often tokens were given at this process's boundaries, and where each came from.

Counted where a token leaves (the HTTP API, a job's run), never in the memory that serves it: a hit
costs what it did. Plain numbers, for whoever shows them.
"""

from collections.abc import Callable
from typing import Final

from connector.token_source.memory import TokenMemory
from connector.token_source.remembered import Remembered

#: The process had it; it had to read it; it was minted while the caller waited.
SOURCES: Final = ("memory", "store", "refresh")


class TokenReads:
    """Counts tokens that are given.

    Args:
        memory: of this process.
        now: gives seconds since the epoch.

    Attributes:
        counts: by source, of `SOURCES`, and by where they left, ``http`` or ``job``.
    """

    def __init__(self, memory: TokenMemory, *, now: Callable[[], float]) -> None:
        self.counts: dict[tuple[str, str], int] = {}
        self._memory = memory
        self._now = now

    def begin(self, account: str) -> tuple[Remembered | None, float]:
        """Say that somebody asks; give what `end` wants."""
        return self._memory.get(account), self._now()

    def end(self, account: str, via: str, begun: tuple[Remembered | None, float]) -> None:
        """Count a token that was given.

        Args:
            account: whose it is.
            via: where it leaves.
            begun: what `begin` gave.
        """
        before, began_at = begun
        after = self._memory.get(account)
        if after is not None and after is before:
            source = "memory"
        elif after is not None and after.minted_at >= began_at:
            source = "refresh"
        else:
            source = "store"
        self.count(source, via)

    def count(self, source: str, via: str) -> None:
        """Count a token of a source that is known."""
        self.counts[source, via] = self.counts.get((source, via), 0) + 1
