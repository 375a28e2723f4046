"""Tells the newest of many: what is told in quick succession is told once, a moment later.

A pull from a quick API commits four hundred pages a second. To tell of each costs more than to look
at it, on both sides; of those within a moment only the last one is told, and it always is, though
the run does nothing more. A process that is killed leaves no more than that moment untold.
"""

import contextlib
import threading
import time
from collections.abc import Callable

from connector.jobs.channel import Message


class Newest:
    """Tells the newest message.

    Args:
        send: sends one.
    """

    #: The shortest time between two (seconds); quicker than anyone reads.
    interval: float = 0.1

    def __init__(self, send: Callable[[Message], None]) -> None:
        self._send = send
        self._lock = threading.Lock()  # also keeps an older one from overtaking a newer one
        self._waiting: Message | None = None
        self._free_at = 0.0
        self._is_waiting = threading.Event()
        self._thread: threading.Thread | None = None
        self._is_closed = False

    def tell(self, message: Message) -> None:
        """Tell of a message at once, or of a newer one in a moment; it must not be changed."""
        with self._lock:
            if self._is_closed:
                return
            if self._waiting is None and time.monotonic() >= self._free_at:
                self._tell(message)
                return
            self._waiting = message
            self._is_waiting.set()
            if self._thread is None:
                self._thread = threading.Thread(target=self._follow, name="newest", daemon=True)
                self._thread.start()

    def close(self) -> None:
        """Tell of nothing that waits, nor of what would have to: a last word follows."""
        with self._lock:
            self._is_closed, self._waiting = True, None
        self._is_waiting.set()

    def _tell(self, message: Message) -> None:
        self._waiting = None
        self._send(message)
        self._free_at = time.monotonic() + self.interval

    def _follow(self) -> None:
        """Tell of what has waited for its moment."""
        while True:
            self._is_waiting.wait()
            time.sleep(max(0.0, self._free_at - time.monotonic()))
            with self._lock:
                if self._is_closed:
                    return
                self._is_waiting.clear()
                if self._waiting is not None:
                    with contextlib.suppress(OSError):  # nobody is there any more
                        self._tell(self._waiting)
