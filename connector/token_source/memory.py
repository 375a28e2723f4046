"""Access tokens in this process's memory, with bounded staleness.

Whoever watches the store for changes says so with `confirm`; without a confirmation within the last
two seconds nothing is served from here, so that a token that was revoked or replaced elsewhere
stops being served. Reading takes one dictionary look-up, one look at the clock and no lock: safe
from any thread, in less time than anything else that a caller does with a token.

The confirmation goes by the same clock as the end of a token. Where that is set back, nothing is
served until the next confirmation; where it is set forward, likewise.
"""

from collections import deque
from collections.abc import Callable, Iterator
from typing import Final

from connector.oauth.token import AccessToken, Freshness
from connector.token_source.remembered import Remembered

#: A change elsewhere is noticed within this many seconds.
STALENESS_BOUND: Final = 2.0


class _Entry:
    """A token in memory: what a hit needs lies close together."""

    __slots__ = ("fresh_until", "is_used", "remembered", "served", "token", "told")

    def __init__(self, remembered: Remembered) -> None:
        self.fresh_until = remembered.fresh_until
        self.token = remembered.token
        self.remembered = remembered
        self.is_used = False
        #: How often it was served, and how much of that `released` has told.
        self.served = self.told = 0

    def is_version_of(self, remembered: Remembered) -> bool:
        mine = self.remembered
        return (mine.account_id, mine.generation) == (remembered.account_id, remembered.generation)

    def take_served(self) -> int:
        """Tell how often it was served since this was asked last."""
        told, self.told = self.told, self.served
        return self.told - told


class TokenMemory:
    """Tokens by account name.

    Args:
        now: gives seconds since the epoch.
    """

    def __init__(self, *, now: Callable[[], float]) -> None:
        self._now = now
        self._entries: dict[str, _Entry] = {}
        self._unverified: set[str] = set()
        self._used: deque[_Entry] = deque()
        self._retired: deque[tuple[str, _Entry]] = deque()
        self._confirmed_from = self._confirmed_until = 0.0
        #: Before then the clock was set back, as the newest of all tokens shows.
        self._fresh_from = float("-inf")
        #: The later of the two, so that a hit compares once.
        self._from = 0.0

    def hit(self, name: str, min_ttl: float | None = None) -> AccessToken | None:
        """Give a token that needs nothing done, or None; `fresh` spelled out, for speed."""
        try:
            entry = self._entries[name]
        except KeyError:
            return None
        now = self._now()
        if (
            min_ttl is None
            and self._from <= now < self._confirmed_until
            and now < entry.fresh_until
        ):
            served = entry.served
            if not served:
                self._note(entry)
                served = entry.served
            entry.served = served + 1  # no other thread came between: there was no call
            return entry.token
        found = self.fresh(name, min_ttl)
        if found is None:
            return None
        entry.served += 1
        return found.token

    def fresh(self, name: str, min_ttl: float | None = None) -> Remembered | None:
        """Give what is remembered where its token needs nothing done, or None."""
        entry = self._entries.get(name)
        now = self._now()
        if entry is None or not self._confirmed_from <= now < self._confirmed_until:
            return None
        remembered = entry.remembered
        if min_ttl is None:
            is_fresh = remembered.fresh_from <= now < remembered.fresh_until
        else:
            is_fresh = remembered.freshness(now, min_ttl) is Freshness.FRESH
        if not is_fresh:
            return None
        self._note(entry)
        return remembered

    def note_use(self, name: str) -> None:
        """Say that a token was given that was not served from here."""
        entry = self._entries.get(name)
        if entry is not None:
            self._note(entry)

    def take_used(self) -> list[Remembered]:
        """Give what was used for the first time since it was minted, and is told of only once."""
        found = []
        while self._used:  # others add meanwhile
            entry = self._used.popleft()
            if entry.remembered.renew_at != float("inf"):
                found.append(entry.remembered)
        return found

    def forget_noted(self) -> None:
        """Have everything that is used told of again: it could not be written down."""
        self._used.extend(entry for entry in self._entries.values() if entry.is_used)

    def get(self, name: str) -> Remembered | None:
        """Give what is remembered, confirmed or not."""
        entry = self._entries.get(name)
        return None if entry is None else entry.remembered

    def put(self, name: str, remembered: Remembered) -> Remembered:
        """Remember a token; until it is verified, `take_unverified` names it.

        Returns:
            What is remembered now: a newer one of the same account stays.
        """
        present = self._entries.get(name)
        if (
            present is not None
            and present.remembered.account_id == remembered.account_id
            and present.remembered.generation > remembered.generation
        ):
            return present.remembered
        entry = _Entry(remembered)
        entry.is_used = (
            present is not None and present.is_used and present.is_version_of(remembered)
        )
        self._fresh_from = max(self._fresh_from, remembered.fresh_from)
        self._from = max(self._confirmed_from, self._fresh_from)
        self._entries[name] = entry
        self._retire(name, present)
        self._unverified.add(name)
        return remembered

    def forget(self, name: str) -> None:
        """Forget a token."""
        self._retire(name, self._entries.pop(name, None))

    def released(self) -> Iterator[tuple[str, Remembered, int]]:
        """Give name, token and count of what `hit` gave since this was asked last."""
        for name in list(self._entries):
            entry = self._entries.get(name)
            if entry is not None and entry.served != entry.told:
                yield name, entry.remembered, entry.take_served()
        while self._retired:
            name, entry = self._retired.popleft()
            yield name, entry.remembered, entry.take_served()

    @property
    def count(self) -> int:
        """How many accounts have a remembered token."""
        return len(self._entries)

    def names(self) -> list[str]:
        """Give the names of all accounts with a remembered token."""
        return list(self._entries)

    def take_unverified(self) -> list[str]:
        """Give the names that were remembered since the last call.

        Between reading the store and remembering, somebody may have written: what is new here is
        compared with the store once more, even where nothing has changed since.
        """
        names = [name for name in self._unverified if name in self._entries]
        self._unverified.clear()
        return names

    def is_unverified(self, name: str) -> bool:
        """Tell whether a token was remembered since `take_unverified` was called."""
        return name in self._unverified

    def doubt(self) -> None:
        """Have everything that is remembered compared with the store."""
        self._unverified.update(self._entries)

    def moment(self) -> float:
        """Give the time on the clock of confirmations."""
        return self._now()

    def confirm(self, asked_at: float) -> None:
        """Say that what is remembered agrees with the store.

        Args:
            asked_at: the `moment` before the store was asked; what happened there since is not
                known.
        """
        self._confirmed_from, self._confirmed_until = asked_at, asked_at + STALENESS_BOUND
        self._from = max(self._confirmed_from, self._fresh_from)

    def _retire(self, name: str, entry: _Entry | None) -> None:
        """Keep what was served from here and is not told yet."""
        if entry is not None and entry.served != entry.told:
            self._retired.append((name, entry))

    def _note(self, entry: _Entry) -> None:
        if not entry.is_used:
            entry.is_used = True
            self._used.append(entry)
