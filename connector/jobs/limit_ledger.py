"""How near an API's rate limits are: kept for all runs of this process, and shared by them.

A limit is that of an app (a client registration), an account or a part; a run is told how long to
wait before it sends. Where most of a limit is used, calls are spread out, the more the nearer it
is, and each is given a turn of its own; where all of it is, everybody waits until it is free again.
Other processes learn of it by the store (`connector.jobs.shared_limits`).
"""

import math
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Final, cast

from connector.store.rate_limits import FORGOTTEN_AFTER, LimitName, SharedLimit

#: Between two calls, where all of a limit is used and nothing says until when (seconds).
_LONGEST_SPREAD: Final = 10.0
#: Between the first calls after a halt (seconds): not all who waited go at once.
_AFTER_HALT: Final = 0.1
#: What comes back from the store is known already, where it was told no later than this (seconds).
_SAME: Final = 1.0
#: So many limits are kept before those that are not near are dropped.
_MOST: Final = 1000
#: All of a limit, in per cent.
_ALL: Final = 100.0

Observer = Callable[[LimitName], None]


@dataclass(slots=True)
class _Limit:
    told_at: float
    spread: float = 0.0  # seconds between calls
    until: float = 0.0  # nothing is sent before
    turn: float = 0.0  # the next one that is free

    def is_near(self, now: float) -> bool:
        is_fresh = now - self.told_at < FORGOTTEN_AFTER
        return self.until > now or (self.spread > 0 and is_fresh)


class LimitLedger:
    """The limits that runs of this process have met.

    Args:
        now: gives seconds that only grow.

    Attributes:
        on_note: is told of each limit that runs of this process tell of, as it is afterwards.
    """

    def __init__(self, now: Callable[[], float]) -> None:
        self._now = now
        self.on_note: Callable[[SharedLimit], None] = lambda _limit: None
        self._limits: dict[LimitName, _Limit] = {}
        self._observers: set[Observer] = set()

    def observe(self, observer: Observer) -> Callable[[], None]:
        """Tell an observer of each limit that comes near, by its name; give what ends that."""
        self._observers.add(observer)
        return lambda: self._observers.discard(observer)

    def note(self, name: LimitName, *, used: float, wait: float, slow_from: float) -> None:
        """Note how much of a limit is used.

        Args:
            name: of the limit.
            used: in per cent.
            wait: seconds until it is free again; 0: unknown.
            slow_from: per cent from which calls are spread out.
        """
        now = self._now()
        limit = self._limit(name, now)
        was_near = limit.is_near(now)
        limit.told_at = now
        if used >= _ALL and wait > 0:  # all of it is free again then
            limit.spread = 0.0
            limit.until = max(limit.until, now + wait)
        else:
            limit.spread = min(_spread(used, slow_from), wait or _LONGEST_SPREAD)
        self._tell(name, limit, now, was_near=was_near)
        wait = max(0.0, limit.until - now)
        self.on_note(SharedLimit(limit=name, spread=limit.spread, wait=wait, age=0.0))

    def learn(self, shared: SharedLimit) -> None:
        """Take in what another process has met; what is known here and newer stays."""
        now = self._now()
        limit = self._limit(shared.limit, now)
        was_near = limit.is_near(now)
        limit.until = max(limit.until, now + shared.wait)
        if now - shared.age > limit.told_at + _SAME:
            limit.told_at, limit.spread = now - shared.age, shared.spread
        self._tell(shared.limit, limit, now, was_near=was_near)

    def _limit(self, name: LimitName, now: float) -> _Limit:
        if name not in self._limits and len(self._limits) >= _MOST:
            self._limits = {one: limit for one, limit in self._limits.items() if limit.is_near(now)}
        return self._limits.setdefault(name, _Limit(-math.inf))

    def _tell(self, name: LimitName, limit: _Limit, now: float, *, was_near: bool) -> None:
        if limit.is_near(now) and not was_near:
            for observer in list(self._observers):
                observer(name)

    def is_near(self, names: Iterable[LimitName]) -> bool:
        """Tell whether any of these limits is near."""
        return any(limit.is_near(self._now()) for limit in self._of(names))

    def wait(self, names: Iterable[LimitName], *, has_turn: bool) -> float:
        """Give how long to wait before a request is sent that all these limits hold for.

        Args:
            names: of the limits.
            has_turn: it has waited for its turn: only a halt counts.

        Returns:
            Seconds; its turn is kept.
        """
        now = self._now()
        near = [limit for limit in self._of(names) if limit.is_near(now)]
        begin = max((limit.until for limit in near), default=now)
        if not has_turn:
            begin = max([begin, *(limit.turn for limit in near)])
            for limit in near:
                limit.turn = max(begin, now) + max(limit.spread, _AFTER_HALT)
        return max(0.0, begin - now)

    def _of(self, names: Iterable[LimitName]) -> list[_Limit]:
        return [self._limits[name] for name in names if name in self._limits]


def _spread(used: float, slow_from: float) -> float:
    """Give the seconds between calls: none below ``slow_from``, the longest where all is used."""
    if used < slow_from:
        return 0.0
    share = (used - slow_from) / max(_ALL - slow_from, 1.0)
    return _LONGEST_SPREAD * min(1.0, share) ** 2


class LimitShare:
    """One run's share in the ledger: it tells of its own app, account and parts, and of no others.

    Args:
        ledger: of this process.
        provider: the name of the account's provider: a registration of its own.
        account_id: the account's identifier.
        send: sends a message to the run.
    """

    def __init__(
        self,
        ledger: LimitLedger,
        *,
        provider: str,
        account_id: str,
        send: Callable[[Mapping[str, object]], None],
    ) -> None:
        self._ledger = ledger
        self._provider = provider
        self._names = {
            "app": LimitName(provider=provider, scope="app"),
            "account": LimitName(provider=provider, scope="account", name=account_id),
        }
        self._send = send
        self.close = ledger.observe(self._observe)

    def receive(self, message: Mapping[str, object]) -> bool:
        """Take a message of the run, where it is of limits; tell whether it was.

        Raises:
            LookupError, TypeError: it is none of ours.
        """
        if message["type"] == "limit":
            name = self._names.get(cast("str", message["scope"])) or self._part(message)
            self._ledger.note(
                name,
                used=cast("float", message["used"]),
                wait=cast("float", message["wait"]),
                slow_from=cast("float", message["slow_from"]),
            )
            return True
        if message["type"] != "leave":
            return False
        names = [*self._names.values(), self._part(message)]
        wait = self._ledger.wait(names, has_turn=bool(message["has_turn"]))
        is_near = self._ledger.is_near(names)
        self._send({"type": "leave", "id": message["id"], "wait": wait, "is_near": is_near})
        return True

    def _part(self, message: Mapping[str, object]) -> LimitName:
        return LimitName(provider=self._provider, scope="part", name=str(message["part"]))

    def _observe(self, name: LimitName) -> None:
        is_of_a_part = name.scope == "part" and name.provider == self._provider
        if is_of_a_part or name in self._names.values():
            self._send({"type": "limit"})
