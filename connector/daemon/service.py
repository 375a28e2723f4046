"""What a daemon and a worker have in common: how they are told, and tell, what goes on."""

import asyncio
import contextlib
import functools
import logging
from collections.abc import AsyncIterator, Coroutine

from connector.daemon.reloading import Reloadable, Reloading
from connector.daemon.service_manager import ServiceManager
from connector.daemon.signals import hang_ups, stops
from connector.daemon.watchdog import Watchdog
from connector.errors import VaultSealed
from connector.runtime import Runtime, configured_seal
from connector.settings import Settings
from connector.store.reachable import check_threads
from connector.store.seal_watch import SealWatch
from connector.telemetry import Telemetry, open_telemetry

logger = logging.getLogger(__name__)


class Service:
    """A process that runs until it is stopped, and may be given another configuration meanwhile.

    Args:
        settings: the configuration.
        manager: is told how it stands.
    """

    def __init__(self, settings: Settings, manager: ServiceManager | None = None) -> None:
        self._settings = settings
        self._manager = manager or ServiceManager()
        self._stop = asyncio.Event()
        self._reload = asyncio.Event()
        self._sealed: VaultSealed | None = None

    def stop(self) -> None:
        """Begin the orderly stop."""
        self._stop.set()

    def reload(self) -> None:
        """Have the configuration read again, once all is begun."""
        self._reload.set()

    def hang_ups(self) -> contextlib.AbstractContextManager[None]:
        """Take SIGHUP; the first of all."""
        return hang_ups(self.reload, self.stop)

    def traced(self, stack: contextlib.AsyncExitStack) -> Telemetry | None:
        """Have traces sent until the end of a stack: before all else, which is told of till then.

        Raises:
            ConfigurationError: the extra is not installed, or the headers cannot be had.
        """
        telemetry = open_telemetry(self._settings)
        if telemetry is not None:
            stack.push_async_callback(telemetry.aclose)
        return telemetry

    async def keep(self, runtime: Runtime, stack: contextlib.AsyncExitStack) -> None:
        """Have an open runtime watched over, and closed in order at the end of a stack."""
        # until what is under way has been written, the vault is ours and no signal cuts it off
        stack.enter_context(stops(self.stop))
        watchdog = Watchdog(self._manager, functools.partial(check_threads, runtime.database))
        await stack.enter_async_context(running(watchdog.run(), "watchdog"))
        stack.push_async_callback(runtime.aclose)
        stack.callback(watchdog.stopping)

    def watching_seal(self, runtime: Runtime) -> contextlib.AbstractAsyncContextManager[None]:
        """Stop in order once the seal has not answered for too long: the keys leave memory."""
        return running(self._watch_seal(runtime), "seal")

    async def until_stopped(self, serving: Reloadable, *, status: str, at_end: str) -> None:
        """Say that all is begun, and reload whenever that is wished, until `stop`.

        Args:
            serving: what another configuration takes effect in.
            status: for the service manager: what goes on now.
            at_end: likewise: what goes on once it stops.
        """
        self._manager.ready(status)
        reloading = Reloading(serving, self._reload, self._manager, status)
        async with running(reloading.run(), "reloading"):
            await self._stop.wait()
        self._manager.stopping(at_end)

    async def _watch_seal(self, runtime: Runtime) -> None:
        max_age = self._settings.vault.seal_max_age
        if max_age is None:
            return
        seal = configured_seal(self._settings)
        self._sealed = await SealWatch(runtime.database, seal, max_age=max_age).run()
        self.stop()


@contextlib.asynccontextmanager
async def running(work: Coroutine[None, None, None], name: str) -> AsyncIterator[None]:
    """Run something beside what is done within the ``async with`` block."""
    task = asyncio.create_task(work, name=name)
    try:
        yield
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
