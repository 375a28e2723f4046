"""One daemon, from the binding of its sockets to the orderly stop."""

import asyncio
import contextlib
import logging
import signal
from collections.abc import Iterator

from connector.daemon.serving import Serving
from connector.daemon.sockets import bind, sole_daemon
from connector.errors import VaultSealed
from connector.runtime import Runtime, configured_seal, open_runtime
from connector.settings import Settings
from connector.store.seal_watch import SealWatch
from connector.vault.environment import forget_key

logger = logging.getLogger(__name__)


class Daemon:
    """One daemon.

    Args:
        settings: the configuration.
    """

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._stop = asyncio.Event()
        self._sealed: VaultSealed | None = None

    def stop(self) -> None:
        """Begin the orderly stop."""
        self._stop.set()

    async def run(self) -> None:
        """Serve until `stop`.

        Raises:
            ConfigurationError: a port or socket is taken, or another daemon has this vault.
            VaultSealed: the vault does not open, or its seal has not answered for too long.
            TemporarilyUnavailable: the database cannot be had.
        """
        sockets = bind(self._settings)
        async with contextlib.AsyncExitStack() as stack:
            stack.callback(sockets.close)
            runtime = await open_runtime(
                self._settings, has_background=True, create=True, through="connector serve"
            )
            try:
                stack.enter_context(sole_daemon(runtime.database.path))
            except BaseException:
                await runtime.aclose()
                raise
            # until what is under way has been written, the vault is ours and no signal cuts it off
            stack.enter_context(self._signals())
            stack.push_async_callback(runtime.aclose)
            stack.callback(sockets.close)
            await self._serve(runtime, Serving(runtime, sockets))

    @contextlib.contextmanager
    def _signals(self) -> Iterator[None]:
        """Take SIGINT and SIGTERM as the wish to stop, the second one as well."""
        loop = asyncio.get_running_loop()
        numbers = (signal.SIGINT, signal.SIGTERM)
        for number in numbers:
            loop.add_signal_handler(number, self.stop)
        try:
            yield
        finally:
            for number in numbers:
                loop.remove_signal_handler(number)

    async def _serve(self, runtime: Runtime, serving: Serving) -> None:
        _forget_and_warn(self._settings)
        watching = asyncio.create_task(self._watch_seal(runtime), name="seal")
        try:
            await serving.start()
            daemon = self._settings.daemon
            logger.info(
                "serving",
                extra={
                    "action": "daemon.ready",
                    "url": f"http://{daemon.host}:{daemon.port}",
                    "path": str(daemon.socket or ""),
                },
            )
            await self._stop.wait()
            logger.info("stopping", extra={"action": "daemon.stopping"})
        finally:
            watching.cancel()
            await asyncio.gather(watching, return_exceptions=True)
            await serving.aclose()
        if self._sealed is not None:
            raise self._sealed

    async def _watch_seal(self, runtime: Runtime) -> None:
        """Stop in order once the seal has not answered for too long: the keys leave memory."""
        max_age = self._settings.vault.seal_max_age
        if max_age is None:
            return
        seal = configured_seal(self._settings)
        self._sealed = await SealWatch(runtime.database, seal, max_age=max_age).run()
        self.stop()


def _forget_and_warn(settings: Settings) -> None:
    """Drop a key from our environment; warn of what is set and not as good as it looks."""
    if forget_key(settings.vault.seal_kind, settings.vault.seal_name):
        message = (
            "the root key's seal is an environment variable, which whatever starts this"
            " process keeps and the same user can read; a systemd credential is safer"
        )
        logger.warning(message, extra={"action": "seal.environment"})
    if settings.notify.urls or settings.notify.command:
        message = "[notify] is set, but notices are not sent in this version"
        logger.warning(message, extra={"action": "notify.unavailable"})
