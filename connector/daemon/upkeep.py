"""What a daemon does now and then, each in a task of its own: one that fails is tried again."""

import asyncio
import logging
from collections.abc import Awaitable, Callable
from typing import Final

from connector.errors import ConnectorError
from connector.runtime import Runtime
from connector.store.run_pruning import RunPruning

logger = logging.getLogger(__name__)

#: How often debts of revocation are looked at (seconds).
SETTLING_INTERVAL: Final = 15.0
#: How often rows of the audit trail and of the history that are too old are removed (seconds).
PRUNING_INTERVAL: Final = 3600.0
#: How often connect links that have expired are removed, with what is pending for them (seconds).
SWEEPING_INTERVAL: Final = 60.0


class Upkeep:
    """Settles debts of revocation; prunes audit trail, history and runs; sweeps links away.

    Args:
        runtime: the daemon's objects.
    """

    def __init__(self, runtime: Runtime) -> None:
        self._runtime = runtime
        self._tasks: list[asyncio.Task[None]] = []

    def start(self) -> None:
        """Begin."""
        self._repeat(SETTLING_INTERVAL, self._settle, "revocation.owed")
        self._repeat(PRUNING_INTERVAL, self._prune, "audit.not_pruned")
        self._repeat(PRUNING_INTERVAL, self._prune_history, "refresh_history.not_pruned")
        self._repeat(PRUNING_INTERVAL, self._prune_runs, "runs.not_pruned")
        self._repeat(SWEEPING_INTERVAL, self._runtime.links.sweep, "consent.not_swept")

    async def aclose(self) -> None:
        """Stop."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        self._tasks.clear()

    def _repeat(self, interval: float, work: Callable[[], Awaitable[None]], action: str) -> None:
        """Do something at once and after each interval (seconds).

        Args:
            interval: between the end of one time and the beginning of the next.
            work: is done.
            action: of the log's line where it fails.
        """

        async def repeat() -> None:
            while True:
                try:
                    await work()
                except ConnectorError as error:
                    logger.warning(str(error), extra={"action": action})
                except Exception:  # one that ends would keep house no more
                    extra = {"action": "upkeep.bug"}
                    logger.exception("%s: upkeep failed by a bug", action, extra=extra)
                await asyncio.sleep(interval)

        self._tasks.append(asyncio.create_task(repeat(), name=action))

    async def _settle(self) -> None:
        await self._runtime.revoker.settle_due()

    async def _prune(self) -> None:
        await self._runtime.trail.prune(self._runtime.settings.vault.audit_keep)

    async def _prune_history(self) -> None:
        await self._runtime.refresh_history.prune(self._runtime.settings.daemon.history_keep)

    async def _prune_runs(self) -> None:
        runs = RunPruning(self._runtime.database)
        await runs.prune(self._runtime.settings.daemon.runs_keep, now=self._runtime.now())
