"""One daemon, from the binding of its sockets to the orderly stop."""

import asyncio
import contextlib
import functools
import logging
from collections.abc import AsyncIterator, Coroutine

from connector.daemon.notifier import tell_why_it_ends
from connector.daemon.reloading import Reloading
from connector.daemon.service_manager import ServiceManager
from connector.daemon.serving import Serving
from connector.daemon.signals import hang_ups, stops
from connector.daemon.sockets import bind, sole_daemon
from connector.daemon.watchdog import Watchdog
from connector.errors import TemporarilyUnavailable, VaultSealed
from connector.runtime import Runtime, configured_seal, open_runtime
from connector.settings import Settings
from connector.store.reachable import check_threads
from connector.store.seal_watch import SealWatch
from connector.telemetry import open_telemetry
from connector.vault.environment import forget_key

logger = logging.getLogger(__name__)


class Daemon:
    """One daemon.

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
        """Have the configuration read again, once calls are served."""
        self._reload.set()

    async def run(self) -> None:
        """Serve until `stop`.

        Raises:
            ConfigurationError: a port or socket is taken, another daemon has this vault, or an
                extra is missing.
            VaultSealed: the vault does not open, or its seal has not answered for too long.
            TemporarilyUnavailable: the database cannot be had.
        """
        async with contextlib.AsyncExitStack() as stack:
            stack.enter_context(hang_ups(self.reload, self.stop))
            telemetry = open_telemetry(self._settings)
            if telemetry is not None:
                stack.push_async_callback(telemetry.aclose)  # the last: all else is told of before
            sockets = bind(self._settings)
            stack.callback(sockets.close)
            try:
                runtime = await open_runtime(
                    self._settings, has_background=True, create=True, through="connector serve"
                )
            except (VaultSealed, TemporarilyUnavailable) as error:
                await tell_why_it_ends(self._settings, error)
                raise
            try:
                stack.enter_context(sole_daemon(runtime.database.path))
            except BaseException:
                await runtime.aclose()
                raise
            # until what is under way has been written, the vault is ours and no signal cuts it off
            stack.enter_context(stops(self.stop))
            watchdog = Watchdog(self._manager, functools.partial(check_threads, runtime.database))
            await stack.enter_async_context(running(watchdog.run(), "watchdog"))
            stack.push_async_callback(runtime.aclose)
            stack.callback(watchdog.stopping)
            stack.callback(sockets.close)
            await self._serve(runtime, Serving(runtime, sockets, telemetry))

    async def _serve(self, runtime: Runtime, serving: Serving) -> None:
        _forget_and_warn(self._settings)
        reloading = Reloading(serving, self._reload, self._manager)
        try:
            async with running(self._watch_seal(runtime), "seal"):
                await serving.start()
                daemon = self._settings.daemon
                url = f"http://{daemon.host}:{daemon.port}"
                extra = {"action": "daemon.ready", "url": url, "path": str(daemon.socket or "")}
                logger.info("serving", extra=extra)
                self._manager.ready("serving")
                async with running(reloading.run(), "reloading"):
                    await self._stop.wait()
                logger.info("stopping", extra={"action": "daemon.stopping"})
                self._manager.stopping("what is under way comes to its end")
        finally:
            await serving.aclose()
        if self._sealed is not None:
            await tell_why_it_ends(self._settings, self._sealed)
            raise self._sealed

    async def _watch_seal(self, runtime: Runtime) -> None:
        """Stop in order once the seal has not answered for too long: the keys leave memory."""
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


def _forget_and_warn(settings: Settings) -> None:
    """Drop a key from our environment, and warn that it stood there."""
    if forget_key(settings.vault.seal_kind, settings.vault.seal_name):
        message = (
            "the root key's seal is an environment variable, which whatever starts this"
            " process keeps and the same user can read; a systemd credential is safer"
        )
        logger.warning(message, extra={"action": "seal.environment"})
