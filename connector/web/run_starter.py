"""Runs that somebody asks the daemon for: they begin at once and go on behind the answer."""

import asyncio
import functools
import logging
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final, Literal

from connector.errors import ConnectorError, TemporarilyUnavailable
from connector.jobs.run import JobRunner
from connector.settings import JobSettings
from connector.store.runs import Run

logger = logging.getLogger(__name__)

#: Child processes at once, besides those of the timer: each is a Python of its own, some 40 MiB.
CONCURRENT_RUNS: Final = 8


@dataclass(frozen=True, slots=True, kw_only=True)
class Begun:
    """What became of the wish to run a job for an account.

    Attributes:
        state: ``waiting`` for a place among the runs under way; ``already_running``: left out.
        run: the run's id, where it has begun.
    """

    state: Literal["begun", "waiting", "already_running"]
    run: str | None = None


class RunStarter:
    """Starts runs in the background.

    Args:
        runner: runs them.
    """

    def __init__(self, runner: JobRunner) -> None:
        self.runner = runner
        self._places = asyncio.Semaphore(CONCURRENT_RUNS)
        self._tasks: dict[tuple[str, str], asyncio.Task[None]] = {}
        self._is_closed = False

    async def start(
        self, job: JobSettings, accounts: Iterable[str], since: object
    ) -> dict[str, Begun]:
        """Begin a run for each account, or have it wait for a place.

        A run is claimed once it has its place: its deadline counts from there.

        Args:
            job: which one.
            accounts: their names.
            since: replaces the cursor; None: it does not.

        Raises:
            TemporarilyUnavailable: the store cannot be had, or the daemon is stopping.
        """
        if self._is_closed:
            raise TemporarilyUnavailable("the daemon is stopping")
        wishes: dict[str, asyncio.Future[Begun]] = {}
        for account in accounts:
            wishes[account] = wish = asyncio.get_running_loop().create_future()
            key = (job.name, account)
            if key in self._tasks:
                wish.set_result(Begun(state="already_running"))
                continue
            self._tasks[key] = asyncio.create_task(self._take_place(job, account, since, wish))
            self._tasks[key].add_done_callback(functools.partial(self._land, key, wish))
        await asyncio.gather(*wishes.values(), return_exceptions=True)
        return {account: wish.result() for account, wish in wishes.items()}

    async def aclose(self) -> None:
        """Begin no more runs, and stop those under way; they are resumed at their cursor."""
        self._is_closed = True
        tasks = list(self._tasks.values())
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def _take_place(
        self, job: JobSettings, account: str, since: object, wish: asyncio.Future[Begun]
    ) -> None:
        if self._places.locked():
            wish.set_result(Begun(state="waiting"))
        async with self._places:
            await self._run(job, account, since, wish)

    async def _run(
        self, job: JobSettings, account: str, since: object, wish: asyncio.Future[Begun]
    ) -> None:
        """Run one account, and tell when it is certain that it will be run."""

        def tell(run: Run) -> None:
            if not wish.done():
                wish.set_result(Begun(state="begun", run=run.id))

        try:
            await self.runner.run(job, account, due_at=None, since=since, on_claim=tell)
        except Exception as error:
            extra = {"action": "run.failed", "job": job.name, "account": account}
            if isinstance(error, ConnectorError):
                logger.warning(str(error), extra=extra)
            else:
                logger.exception("a run failed by a bug", extra=extra)
            if not wish.done():
                wish.set_exception(error)

    def _land(
        self, key: tuple[str, str], wish: asyncio.Future[Begun], task: asyncio.Task[None]
    ) -> None:
        del self._tasks[key]
        if wish.done():
            return
        if task.cancelled():
            wish.set_exception(TemporarilyUnavailable("the daemon is stopping"))
        else:  # it ended without a claim
            wish.set_result(Begun(state="already_running"))
