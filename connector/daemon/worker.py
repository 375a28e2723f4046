"""More hands for jobs, on further hosts: takes runs from the queue of a Postgres vault.

It has no HTTP and keeps no time; tokens come from the vault, which it opens itself.
"""

import contextlib
import logging

from connector.daemon.executing import Executing
from connector.daemon.notifier import Notifier, configured_channels, tell_why_it_ends
from connector.daemon.service import Service
from connector.daemon.service_manager import ServiceManager
from connector.errors import ConfigurationError, Problem, TemporarilyUnavailable, VaultSealed
from connector.runtime import Prepared, Runtime, open_runtime
from connector.settings import Settings
from connector.store.run_rows import this_host
from connector.telemetry import Telemetry
from connector.vault.environment import forget_key

logger = logging.getLogger(__name__)


class Working:
    """Everything that runs in a worker.

    Args:
        runtime: its objects.
        concurrency: runs at once; None: as the configuration says.
        telemetry: takes traces; None: nobody does.

    Attributes:
        runtime: as given.
        executing: the runs.
    """

    def __init__(
        self,
        runtime: Runtime,
        concurrency: int | None = None,
        telemetry: Telemetry | None = None,
    ) -> None:
        self.runtime = runtime
        self.executing = Executing(runtime, concurrency, telemetry)
        channels = configured_channels(runtime.settings)
        self._notifier = Notifier(runtime, channels, of_host_alone=True)

    async def start(self) -> None:
        """Begin to take runs."""
        self._notifier.start()
        await self.executing.start()

    def use(self, prepared: Prepared) -> None:
        """Put another configuration in force; what is under way goes on with what it began with."""
        channels = configured_channels(prepared.settings)
        prepared.use_in(self.runtime)
        self.executing.use(prepared.settings)
        self._notifier.use(channels)

    async def aclose(self) -> None:
        """Take no more; runs under way stop at their cursor and go back to the queue."""
        await self._notifier.aclose()
        await self.executing.aclose()


class Worker(Service):
    """One worker.

    Args:
        settings: the configuration.
        manager: is told how it stands.
        concurrency: runs at once, also after a reload; None: as the configuration says.
    """

    def __init__(
        self,
        settings: Settings,
        manager: ServiceManager | None = None,
        concurrency: int | None = None,
    ) -> None:
        super().__init__(settings, manager)
        self._concurrency = concurrency

    async def run(self) -> None:
        """Execute runs until `stop`: then they stop at their cursor, and go back to the queue.

        Raises:
            ConfigurationError: the vault is not on Postgres, or an extra is missing.
            VaultSealed: the vault does not open, or its seal has not answered for too long.
            TemporarilyUnavailable: the database cannot be had.
        """
        async with contextlib.AsyncExitStack() as stack:
            stack.enter_context(self.hang_ups())
            telemetry = self.traced(stack)
            try:
                runtime = await open_runtime(
                    self._settings, has_background=True, through="connector worker"
                )
            except (VaultSealed, TemporarilyUnavailable) as error:
                await tell_why_it_ends(self._settings, error)
                raise
            forget_key(self._settings.vault.seal_kind, self._settings.vault.seal_name)
            await self.keep(runtime, stack)
            if runtime.database.is_sqlite:
                raise _not_shared(self._settings)
            await self._work(Working(runtime, self._concurrency, telemetry))
        if self._sealed is not None:
            await tell_why_it_ends(self._settings, self._sealed)
            raise self._sealed

    async def _work(self, working: Working) -> None:
        async with self.watching_seal(working.runtime):
            try:
                await working.start()
                count = working.executing.queue.limits.in_all
                extra = {"action": "worker.ready", "host": this_host(), "count": count}
                logger.info("taking runs", extra=extra)
                await self.until_stopped(
                    working, status="taking runs", at_end="runs go back to the queue"
                )
                logger.info("stopping", extra={"action": "worker.stopping"})
            finally:
                await working.aclose()


def _not_shared(settings: Settings) -> ConfigurationError:
    message = "is a SQLite file, whose runs the daemon of its host executes"
    remedy = "start connector serve there; workers of several hosts need a Postgres vault"
    return ConfigurationError([Problem(settings.path.name, "vault.url", message, remedy)])
