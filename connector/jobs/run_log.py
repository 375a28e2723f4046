"""What a run says, until it is written: the first lines and the newest ones, however many come."""

from collections import deque
from collections.abc import Callable
from typing import Final

from connector.store.run_logs import FIRST_LINES, NEWEST_LINES, LogLine, RunLogs
from connector.store.run_rows import Run

#: What is kept of a line: a thousand of them are a megabyte at the most (characters).
LONGEST_TEXT: Final = 1000


class RunLog:
    """The lines of one run under way.

    Args:
        logs: where they go.
        run: whose they are.
        now: gives seconds since the epoch.
    """

    def __init__(self, logs: RunLogs, run: Run, now: Callable[[], float]) -> None:
        self._logs = logs
        self._run = run
        self._now = now
        self._count = 0
        self._base: int | None = None
        self._first: deque[LogLine] = deque()
        self._newest: deque[LogLine] = deque(maxlen=NEWEST_LINES)

    def add(self, kind: str, text: str) -> None:
        """Take a line.

        Args:
            kind: as of `LogLine`.
            text: without secrets.
        """
        self._count += 1
        line = " ".join(text.splitlines())
        kept = line if len(line) <= LONGEST_TEXT else f"{line[: LONGEST_TEXT - 1]}…"
        lines = self._first if self._count <= FIRST_LINES else self._newest
        lines.append(LogLine(number=self._count, at=self._now(), kind=kind, text=kept))

    async def flush(self) -> None:
        """Write what has come; it is kept where that fails.

        Raises:
            TemporarilyUnavailable: the store cannot be had.
        """
        lines = [*self._first, *self._newest]
        if not lines:
            return
        base = await self._logs.add(self._run, lines, base=self._base)
        self._base = self._base if base is None else base
        for kept in (self._first, self._newest):
            while kept and kept[0].number <= lines[-1].number:
                kept.popleft()
