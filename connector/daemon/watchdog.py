"""Says that all is well, as long as event loop and store are not stuck."""

import asyncio
import logging
from collections.abc import Awaitable, Callable
from typing import Final

from connector.daemon.service_manager import ServiceManager
from connector.errors import ConnectorError

logger = logging.getLogger(__name__)

#: Of the time within which the service manager wants to hear of us (sd_watchdog_enabled(3)).
SHARE: Final = 0.5


class Watchdog:
    """Tells the service manager that all is well.

    Args:
        manager: who wants to know.
        check: comes back where the store's threads are not stuck; that the database is away is no
            reason to end, for tokens in memory are served on.
    """

    def __init__(self, manager: ServiceManager, check: Callable[[], Awaitable[None]]) -> None:
        self._manager = manager
        self._check = check
        self._is_stopping = False

    def stopping(self) -> None:
        """Ask the store no more: it is about to be closed."""
        self._is_stopping = True

    async def run(self) -> None:
        """Tell until cancelled; nothing where nobody wants to know."""
        if self._manager.watchdog is None:
            return
        interval = self._manager.watchdog * SHARE
        loop = asyncio.get_running_loop()
        while True:
            began = loop.time()
            if await self._is_well(interval * SHARE):
                self._manager.pet()
            await asyncio.sleep(max(0.0, began + interval - loop.time()))

    async def _is_well(self, patience: float) -> bool:
        if self._is_stopping:
            return True
        try:
            async with asyncio.timeout(patience):
                await self._check()
        except TimeoutError:
            extra = {"action": "watchdog.stuck", "seconds": patience}
            logger.error("the store is stuck, and the service manager is not told", extra=extra)  # noqa: TRY400
            return False
        except ConnectorError:
            return True
        return True
