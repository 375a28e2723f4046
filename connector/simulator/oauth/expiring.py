"""Short-lived things by their secret name: codes, device codes, pushed requests.

They are kept for a while after their end, so that a late or second use can be told from a guess.
"""

from collections.abc import Iterator
from typing import Generic, Protocol, TypeVar

# Long after the longest of them has ended; a use this late is as good as unknown.
KEPT_SECONDS = 3600.0


class _Ends(Protocol):
    expires_at: float


_E = TypeVar("_E", bound=_Ends)


class Expiring(Generic[_E]):
    """Things with an `expires_at`, by name."""

    def __init__(self) -> None:
        self._things: dict[str, _E] = {}

    def add(self, name: str, thing: _E, *, now: float) -> None:
        """Take one in; those long over are forgotten on the way."""
        for old, known in list(self._things.items()):
            if now - known.expires_at <= KEPT_SECONDS:
                break
            del self._things[old]
        self._things[name] = thing

    def get(self, name: str) -> _E | None:
        """The one with this name, over or not."""
        return self._things.get(name)

    def pop(self, name: str) -> _E | None:
        """The one with this name, which cannot be asked for again."""
        return self._things.pop(name, None)

    def __iter__(self) -> Iterator[_E]:
        return iter(list(self._things.values()))
