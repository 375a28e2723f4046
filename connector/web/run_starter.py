"""Runs that somebody asks the daemon for: they begin at once and go on behind the answer."""

import asyncio
import logging
from collections.abc import Iterable
from typing import Final

from connector.errors import ConnectorError, TemporarilyUnavailable
from connector.jobs.run import JobRunner
from connector.settings import JobSettings
from connector.store.runs import Run

logger = logging.getLogger(__name__)

#: Child processes at once, besides those of the timer: each is a Python of its own, some 40 MiB.
CONCURRENT_RUNS: Final = 8


class RunStarter:
    """Starts runs in the background.

    Args:
        runner: runs them.
    """

    def __init__(self, runner: JobRunner) -> None:
        self.runner = runner
        self._places = asyncio.Semaphore(CONCURRENT_RUNS)
        self._tasks: set[asyncio.Task[None]] = set()
        self._is_closed = False

    async def start(
        self, job: JobSettings, accounts: Iterable[str], since: object
    ) -> dict[str, str | None]:
        """Begin a run for each account; each waits for a place among those under way.

        Args:
            job: which one.
            accounts: their names.
            since: replaces the cursor; None: it does not.

        Returns:
            The run's id by account; None: a run of the job for this account is under way.

        Raises:
            TemporarilyUnavailable: the store cannot be had, or the daemon is stopping.
        """
        if self._is_closed:
            raise TemporarilyUnavailable("the daemon is stopping")
        begun: dict[str, asyncio.Future[str | None]] = {}
        for account in accounts:
            begun[account] = asyncio.get_running_loop().create_future()
            task = asyncio.create_task(self._run(job, account, since, begun[account]))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)
        await asyncio.gather(*begun.values(), return_exceptions=True)
        return {account: future.result() for account, future in begun.items()}

    async def aclose(self) -> None:
        """Begin no more runs, and stop those under way; they are resumed at their cursor."""
        self._is_closed = True
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _run(
        self,
        job: JobSettings,
        account: str,
        since: object,
        begun: asyncio.Future[str | None],
    ) -> None:
        """Run one account, and tell when it is certain that it will be run."""
        has_place = False

        async def wait_for_place(run: Run) -> None:
            nonlocal has_place
            begun.set_result(run.id)
            has_place = await self._places.acquire()

        extra = {"action": "run.failed", "job": job.name, "account": account}
        try:
            await self.runner.run(job, account, due_at=None, since=since, on_claim=wait_for_place)
        except ConnectorError as error:
            if begun.done():
                logger.warning(str(error), extra=extra)
            else:
                begun.set_exception(error)
        except Exception as error:
            logger.exception("a run failed by a bug", extra=extra)
            if not begun.done():
                begun.set_exception(error)
        finally:
            if has_place:
                self._places.release()
            if not begun.done():
                begun.set_result(None)
