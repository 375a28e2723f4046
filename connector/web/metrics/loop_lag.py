"""How long the event loop makes everybody wait: how late a wish to be woken is granted."""

import asyncio
from collections import deque
from typing import Final

#: Between two looks (seconds).
_INTERVAL: Final = 0.5
#: The worst of so many looks is told: a scrape sees what was before it.
_LOOKS: Final = 120


class LoopLag:
    """Looks at how late the event loop is."""

    def __init__(self) -> None:
        self._lags: deque[float] = deque(maxlen=_LOOKS)
        self._task: asyncio.Task[None] | None = None

    @property
    def worst(self) -> float:
        """The longest that it was late within the last minute (seconds)."""
        return max(self._lags, default=0.0)

    def start(self) -> None:
        """Begin to look."""
        self._task = asyncio.create_task(self._look(), name="lag of the event loop")

    async def aclose(self) -> None:
        """Stop."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)

    async def _look(self) -> None:
        loop = asyncio.get_running_loop()
        while True:
            wanted_at = loop.time() + _INTERVAL
            await asyncio.sleep(_INTERVAL)
            self._lags.append(max(0.0, loop.time() - wanted_at))
