"""How often who may call over TCP: so many calls a second for each API key, and not all at once.

Each key has its own measure, so that no key starves another (CHECKLIST 152); it may begin twice as
many calls at once as it may a second, and have only a part of all calls under way. Strangers are
measured by their address, and all together, as this host alone has sixteen million addresses
(127.0.0.0/8): whoever tries keys out is told to wait, and the store is not asked for them. A key
that is good is not held up by strangers, though they come from its address.
"""

import math
from typing import Final

#: Addresses of strangers that are told apart; each entry is some 200 bytes.
MOST_ADDRESSES: Final = 1024
#: Wrong keys a second from one address. A key of 256 bits is found at no rate, and the store is not
#: asked for each: this keeps who floods us from having all of the event loop.
STRANGER_RATE: Final = 500.0
#: The same from all addresses together.
STRANGERS_RATE: Final = 1000.0
#: How many seconds' worth may come at once.
BURST: Final = 2.0
#: A caller with too many calls under way is asked to wait (seconds).
BUSY_WAIT: Final = 1.0


class CallRates:
    """Measures callers over TCP.

    Args:
        rate: calls a second of one key; 0: as many as it likes.
        most_under_way: calls of one key that may be under way at once.
    """

    def __init__(self, rate: float, most_under_way: int) -> None:
        self._keys = Rate(rate) if rate else None
        self._most_under_way = most_under_way
        self._under_way: dict[str, int] = {}
        self._strangers = Rate(STRANGER_RATE, most=MOST_ADDRESSES)
        self._all_strangers = Rate(STRANGERS_RATE)

    def enter(self, key: str, now: float) -> float:
        """Let a call of a key begin, if it may; then `leave` must follow.

        Args:
            key: the key's identifier.
            now: seconds of a clock that never goes back.

        Returns:
            0.0, or for how many seconds it should wait.
        """
        under_way = self._under_way.get(key, 0)
        if under_way >= self._most_under_way:
            return BUSY_WAIT
        wait = self._keys.take(key, now) if self._keys is not None else 0.0
        if not wait:
            self._under_way[key] = under_way + 1
        return wait

    def leave(self, key: str) -> None:
        """Note the end of a call."""
        left = self._under_way[key] - 1
        if left:
            self._under_way[key] = left
        else:
            del self._under_way[key]

    def note_stranger(self, address: str, now: float) -> float:
        """Count a caller without a good key; give for how many seconds they should wait."""
        return max(self._strangers.take(address, now), self._all_strangers.take("", now))

    def wait_of_stranger(self, address: str, now: float) -> float:
        """Give for how many seconds callers without a good key should wait; counts nothing."""
        if not self._strangers:
            return 0.0
        return max(self._strangers.wait(address, now), self._all_strangers.wait("", now))


class Rate:
    """So much a second for each name, and `BURST` seconds' worth of it at once.

    Kept as the moment at which a name's measure is whole again (the generic cell rate algorithm):
    one number a name, and nothing has to be filled up.

    Args:
        per_second: how much.
        most: names that are kept; those that are whole again are forgotten first.
    """

    def __init__(self, per_second: float, *, most: int | None = None) -> None:
        self._interval = 1.0 / per_second
        self._burst = BURST - self._interval / 2  # half a call, for what floats leave out
        self._most = most
        self._whole_at: dict[str, float] = {}

    def __bool__(self) -> bool:
        return bool(self._whole_at)

    def take(self, name: str, now: float) -> float:
        """Take one of a name's measure; give 0.0, or for how many seconds there is none."""
        whole_at = self._whole_at.get(name, 0.0)
        if whole_at < now:
            whole_at = now
        elif whole_at - now > self._burst:
            return whole_at - now - self._burst
        if self._most is not None and len(self._whole_at) >= self._most:
            self._forget(now)
        self._whole_at[name] = whole_at + self._interval
        return 0.0

    def wait(self, name: str, now: float) -> float:
        """Give for how many seconds there is none."""
        return max(0.0, self._whole_at.get(name, 0.0) - now - self._burst)

    def _forget(self, now: float) -> None:
        """Forget who is whole again; where that is nobody, whoever is so first."""
        self._whole_at = {name: at for name, at in self._whole_at.items() if at > now}
        if self._most is not None and len(self._whole_at) >= self._most:
            kept = sorted(self._whole_at.items(), key=lambda item: item[1])
            self._whole_at = dict(kept[math.ceil(len(kept) / 2) :])
