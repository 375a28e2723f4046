"""Gates: named points at which requests wait until a test lets them go on.

With them a race is played out step by step, without a sleep: hold the request, do the other
thing, release. They are worked from test threads; the held requests live in the server's loop.
"""

import asyncio
import threading
from collections import deque

# The first gate of a test needs no name.
DEFAULT_GATE = "gate"


class StoppingError(Exception):
    """The simulator is stopping: whatever waits gives up."""


class Gate:
    """One named point; safe to use from any thread."""

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._held: deque[asyncio.Future[bool]] = deque()
        self._is_abandoned = False

    @property
    def held(self) -> int:
        """How many requests wait here now."""
        with self._changed:
            return len(self._held)

    async def hold(self) -> None:
        """Wait here until released; called in the server's loop.

        Raises:
            StoppingError: the simulator stops first.
        """
        future: asyncio.Future[bool] = asyncio.get_running_loop().create_future()
        with self._changed:
            if self._is_abandoned:
                raise StoppingError
            self._held.append(future)
            self._changed.notify_all()
        if not await future:
            raise StoppingError

    def wait_until_held(self, count: int = 1, *, timeout: float = 10.0) -> None:
        """Block until `count` requests wait here.

        Raises:
            TimeoutError: they do not within `timeout` seconds.
        """
        with self._changed:
            arrived = self._changed.wait_for(
                lambda: self._is_abandoned or len(self._held) >= count, timeout
            )
            if not arrived or self._is_abandoned:
                message = f"{len(self._held)} of {count} requests reached the gate"
                raise TimeoutError(message)

    def release(self, count: int | None = None) -> int:
        """Let the `count` longest held requests go on, or all of them; returns how many."""
        with self._changed:
            number = len(self._held) if count is None else min(count, len(self._held))
            released = [self._held.popleft() for _ in range(number)]
        for future in released:
            _resolve(future, going_on=True)
        return number

    def abandon(self) -> None:
        """Give up whatever waits here, and whatever comes: the simulator is stopping."""
        with self._changed:
            self._is_abandoned = True
            abandoned = list(self._held)
            self._held.clear()
            self._changed.notify_all()
        for future in abandoned:
            _resolve(future, going_on=False)


def _resolve(future: asyncio.Future[bool], *, going_on: bool) -> None:
    future.get_loop().call_soon_threadsafe(future.set_result, going_on)


class Gates:
    """The gates of a simulator, by name; a gate exists as soon as it is named."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._gates: dict[str, Gate] = {}
        self._is_open = True

    def __getitem__(self, name: str) -> Gate:
        with self._lock:
            if name not in self._gates:
                self._gates[name] = Gate()
                if not self._is_open:
                    self._gates[name].abandon()
            return self._gates[name]

    def held(self) -> dict[str, int]:
        """How many requests wait at each gate."""
        with self._lock:
            gates = dict(self._gates)
        return {name: gate.held for name, gate in gates.items()}

    def abandon(self) -> None:
        """Give up all that waits, and whatever comes: the simulator is stopping."""
        with self._lock:
            self._is_open = False
            gates = list(self._gates.values())
        for gate in gates:
            gate.abandon()

    def reopen(self) -> None:
        """Have fresh gates for a new start."""
        with self._lock:
            self._is_open = True
            self._gates.clear()
