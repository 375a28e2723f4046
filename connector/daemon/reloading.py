"""SIGHUP: the configuration is read again, and takes effect as a whole or not at all.

Nothing is in force before all of it is known to be good; then everything changes at once, between
two steps of the event loop. What is under way goes on with what it began with.
"""

import asyncio
import logging
from typing import Protocol

from connector.daemon.service_manager import ServiceManager
from connector.errors import ConfigurationError, ConnectorError
from connector.runtime import Prepared, Runtime, prepare
from connector.settings import load_settings
from connector.worker_thread import WorkerThread

logger = logging.getLogger(__name__)


class Reloadable(Protocol):
    """What a configuration is in force in: a daemon's `Serving` or a worker's `Working`."""

    @property
    def runtime(self) -> Runtime:
        """Its objects."""
        ...

    def use(self, prepared: Prepared) -> None:
        """Put another configuration in force, all of it at once or, where that fails, nothing."""


class Reloading:
    """Reads the configuration again whenever that is wished.

    Args:
        serving: what it takes effect in.
        wish: is set where somebody wants it; while one is under way, another one follows, however
            often it was wanted.
        manager: is told how it stands.
        status: for the manager: what goes on while nothing is reloaded.
    """

    def __init__(
        self, serving: Reloadable, wish: asyncio.Event, manager: ServiceManager, status: str
    ) -> None:
        self._serving = serving
        self._wish = wish
        self._manager = manager
        self._status = status
        self._thread = WorkerThread("configuration")

    async def run(self) -> None:
        """Serve wishes until cancelled."""
        try:
            while True:
                await self._wish.wait()
                self._wish.clear()
                self._manager.reloading()
                is_in_force = await self.reload()
                refused = f"{self._status}; the last reload was refused, see the log"
                self._manager.ready(self._status if is_in_force else refused)
        finally:
            self._thread.close()

    async def reload(self) -> bool:
        """Read the configuration again; tell whether it is in force."""
        logger.info("reading the configuration again", extra={"action": "reload.begun"})
        runtime = self._serving.runtime
        try:
            # a file system that hangs holds up no call, and not the end of the daemon either
            path = runtime.settings.path
            settings = await self._thread.run(lambda: load_settings(path))
            prepared = await prepare(runtime, settings)
            self._serving.use(prepared)
        except ConfigurationError as error:
            for problem in error.problems:
                logger.error("%s", problem, extra={"action": "reload.problem"})  # noqa: TRY400 - no bug
            found = len(error.problems)
            problems = "1 problem" if found == 1 else f"{found} problems"
            return _refused(f"{problems} in {runtime.settings.path.name}")
        except ConnectorError as error:
            return _refused(str(error))
        except Exception:
            logger.exception("reading it failed by a bug", extra={"action": "reload.bug"})
            return _refused("a bug")
        logger.info("the new configuration is in force", extra={"action": "reload.done"})
        return True


def _refused(reason: str) -> bool:
    logger.error(
        "the configuration from before stays in force: %s",
        reason,
        extra={"action": "reload.refused"},
    )
    return False
