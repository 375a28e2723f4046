"""The simulator's only clock: a source of time plus an offset that can be moved forward.

Every lifetime in the simulator is measured on it, so that a test passes months without waiting.
"""

import threading
import time
from collections.abc import Callable


class Clock:
    """Seconds since the epoch, UTC; safe to read and move from any thread."""

    def __init__(self, *, source: Callable[[], float] = time.time) -> None:
        self._source = source
        self._offset = 0.0
        self._lock = threading.Lock()

    def now(self) -> float:
        """The simulated time, in seconds since the epoch."""
        with self._lock:
            return self._source() + self._offset

    def advance(self, seconds: float) -> float:
        """Move the clock forward by `seconds` and return the new time.

        Raises:
            ValueError: `seconds` is negative: a server's clock never runs backwards here.
        """
        if not seconds >= 0:
            message = f"the clock only moves forward, not by {seconds!r} seconds"
            raise ValueError(message)
        with self._lock:
            self._offset += seconds
            return self._source() + self._offset
