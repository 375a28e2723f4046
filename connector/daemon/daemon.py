"""One daemon, from the binding of its sockets to the orderly stop."""

import contextlib
import logging

from connector.daemon.notifier import tell_why_it_ends
from connector.daemon.service import Service
from connector.daemon.serving import Serving
from connector.daemon.sockets import bind, sole_daemon
from connector.errors import TemporarilyUnavailable, VaultSealed
from connector.runtime import Runtime, open_runtime
from connector.settings import Settings
from connector.vault.environment import forget_key

logger = logging.getLogger(__name__)


class Daemon(Service):
    """One daemon.

    Args:
        settings: the configuration.
        manager: is told how it stands.
    """

    async def run(self) -> None:
        """Serve until `stop`.

        Raises:
            ConfigurationError: a port or socket is taken, another daemon has this vault, or an
                extra is missing.
            VaultSealed: the vault does not open, or its seal has not answered for too long.
            TemporarilyUnavailable: the database cannot be had.
        """
        async with contextlib.AsyncExitStack() as stack:
            stack.enter_context(self.hang_ups())
            telemetry = self.traced(stack)
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
            await self.keep(runtime, stack)
            stack.callback(sockets.close)
            await self._serve(runtime, Serving(runtime, sockets, telemetry))

    async def _serve(self, runtime: Runtime, serving: Serving) -> None:
        _forget_and_warn(self._settings)
        try:
            async with self.watching_seal(runtime):
                await serving.start()
                daemon = self._settings.daemon
                url = f"http://{daemon.host}:{daemon.port}"
                extra = {"action": "daemon.ready", "url": url, "path": str(daemon.socket or "")}
                logger.info("serving", extra=extra)
                await self.until_stopped(
                    serving, status="serving", at_end="what is under way comes to its end"
                )
                logger.info("stopping", extra={"action": "daemon.stopping"})
        finally:
            await serving.aclose()
        if self._sealed is not None:
            await tell_why_it_ends(self._settings, self._sealed)
            raise self._sealed


def _forget_and_warn(settings: Settings) -> None:
    """Drop a key from our environment, and warn that it stood there."""
    if forget_key(settings.vault.seal_kind, settings.vault.seal_name):
        message = (
            "the root key's seal is an environment variable, which whatever starts this"
            " process keeps and the same user can read; a systemd credential is safer"
        )
        logger.warning(message, extra={"action": "seal.environment"})
