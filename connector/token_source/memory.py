"""Access tokens in this process's memory, with bounded staleness.

Whoever watches the store for changes says so with `confirm`; without a confirmation within the last
two seconds nothing is served from here, so that a token that was revoked or replaced elsewhere
stops being served. Reading takes one dictionary look-up, one look at the clock and no lock: safe
from any thread, in less time than anything else that a caller does with a token.

The confirmation goes by the same clock as the end of a token. Where that is set back, nothing is
served until the next confirmation; where it is set forward, likewise.
"""

from collections.abc import Callable
from typing import Final

from connector.oauth.token import AccessToken, Freshness
from connector.token_source.remembered import Remembered

#: A change elsewhere is noticed within this many seconds.
STALENESS_BOUND: Final = 2.0


class TokenMemory:
    """Tokens by account name.

    Args:
        now: gives seconds since the epoch.
    """

    def __init__(self, *, now: Callable[[], float]) -> None:
        self._now = now
        self._tokens: dict[str, Remembered] = {}
        self._unverified: set[str] = set()
        self._used: set[str] = set()
        self._noted: dict[str, tuple[str, int]] = {}
        self._confirmed_from = self._confirmed_until = 0.0

    def hit(self, name: str, min_ttl: float | None = None) -> AccessToken | None:
        """Give a token that needs nothing done, or None; `fresh` spelled out, for speed."""
        remembered = self._tokens.get(name)
        if remembered is None:
            return None
        now = self._now()
        if (
            min_ttl is None
            and remembered.fresh_from <= now < remembered.fresh_until
            and self._confirmed_from <= now < self._confirmed_until
        ):
            if name not in self._used:
                self._used.add(name)
            return remembered.token
        found = self.fresh(name, min_ttl)
        return None if found is None else found.token

    def fresh(self, name: str, min_ttl: float | None = None) -> Remembered | None:
        """Give what is remembered where its token needs nothing done, or None."""
        remembered = self._tokens.get(name)
        now = self._now()
        if remembered is None or not self._confirmed_from <= now < self._confirmed_until:
            return None
        if min_ttl is None:
            is_fresh = remembered.fresh_from <= now < remembered.fresh_until
        else:
            is_fresh = remembered.freshness(now, min_ttl) is Freshness.FRESH
        if not is_fresh:
            return None
        self._used.add(name)
        return remembered

    def note_use(self, name: str) -> None:
        """Say that a token was given that was not served from here."""
        self._used.add(name)

    def take_used(self) -> list[Remembered]:
        """Give what was used for the first time since it was minted, and is told of only once."""
        used, self._used = self._used, set()
        found = []
        for name in used:
            remembered = self._tokens.get(name)
            if remembered is None or remembered.renew_at == float("inf"):
                continue
            version = (remembered.account_id, remembered.generation)
            if self._noted.get(name) != version:
                self._noted[name] = version
                found.append(remembered)
        return found

    def forget_noted(self) -> None:
        """Have everything that is used told of again: it could not be written down."""
        self._noted.clear()

    def get(self, name: str) -> Remembered | None:
        """Give what is remembered, confirmed or not."""
        return self._tokens.get(name)

    def put(self, name: str, remembered: Remembered) -> Remembered:
        """Remember a token; until it is verified, `take_unverified` names it.

        Returns:
            What is remembered now: a newer one of the same account stays.
        """
        present = self._tokens.get(name)
        if (
            present is not None
            and present.account_id == remembered.account_id
            and present.generation > remembered.generation
        ):
            return present
        self._tokens[name] = remembered
        self._unverified.add(name)
        return remembered

    def forget(self, name: str) -> None:
        """Forget a token."""
        self._tokens.pop(name, None)
        self._noted.pop(name, None)

    def names(self) -> list[str]:
        """Give the names of all accounts with a remembered token."""
        return list(self._tokens)

    def take_unverified(self) -> list[str]:
        """Give the names that were remembered since the last call.

        Between reading the store and remembering, somebody may have written: what is new here is
        compared with the store once more, even where nothing has changed since.
        """
        names = [name for name in self._unverified if name in self._tokens]
        self._unverified.clear()
        return names

    def is_unverified(self, name: str) -> bool:
        """Tell whether a token was remembered since `take_unverified` was called."""
        return name in self._unverified

    def doubt(self) -> None:
        """Have everything that is remembered compared with the store."""
        self._unverified.update(self._tokens)

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
