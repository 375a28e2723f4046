"""Log lines that are written in a thread of their own, so that nobody waits for their reader.

A pipe that nobody reads takes 64 KiB; whoever writes to it then waits. A daemon must not: tokens
are refreshed and served in the thread that logs. Lines wait in memory, up to a bound; what is
beyond it is dropped, and how much that was is told once lines are read again.
"""

import contextlib
import logging
import queue
import threading
from typing import Final, TextIO

#: Lines that wait for a reader.
MOST_LINES: Final = 10_000
#: At the end what waits is written, unless nobody reads for so long (seconds).
CLOSING_TIME: Final = 2.0


class ThreadedHandler(logging.Handler):
    """Writes to a stream, without ever making who logs wait for it.

    Args:
        stream: what is written to.
        most: lines that wait.
    """

    def __init__(self, stream: TextIO, *, most: int = MOST_LINES) -> None:
        super().__init__()
        self._stream = stream
        self._lines: queue.Queue[str | None] = queue.Queue(maxsize=most)
        self._dropped = 0
        self._counting = threading.Lock()
        self._thread = threading.Thread(target=self._write, name="log", daemon=True)
        self._thread.start()

    def emit(self, record: logging.LogRecord) -> None:
        """Take a line; it is written soon."""
        try:
            self._lines.put_nowait(self.format(record))
        except queue.Full:
            with self._counting:
                self._dropped += 1
        except Exception:  # noqa: BLE001 - as the handlers of the standard library do
            self.handleError(record)

    def close(self) -> None:
        """Write what waits, as far as somebody reads."""
        with contextlib.suppress(queue.Full):
            self._lines.put(None, timeout=CLOSING_TIME)
            self._thread.join(CLOSING_TIME)
        super().close()

    def _write(self) -> None:
        while (line := self._lines.get()) is not None:
            with self._counting:
                dropped, self._dropped = self._dropped, 0
            text = f"{line}\n"
            if dropped:
                text += f"({dropped} lines of the log were dropped: nobody read them)\n"
            with contextlib.suppress(OSError, ValueError):  # who read it has gone
                self._stream.write(text)
                self._stream.flush()
