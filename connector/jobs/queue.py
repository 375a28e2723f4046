"""The queue of runs: what is due or asked for goes in, what there is a place for here comes out.

Which process takes a run is nobody's business: on Postgres any daemon or worker of any host, on
SQLite the daemon. Each also looks for runs whose owner is gone, and puts them back.
"""

import asyncio
import contextlib
import functools
import logging
import random
import time
from collections import Counter
from collections.abc import Callable, Coroutine, Mapping, Sequence
from typing import Any, Final

from connector.account import Account
from connector.errors import ConnectorError
from connector.jobs import trying_again
from connector.jobs.places import Limits, Places
from connector.jobs.run import JobRunner, RunEnding
from connector.settings import JobSettings
from connector.store.queued_runs import Wish
from connector.store.run_rows import Run

logger = logging.getLogger(__name__)

#: How long what another process has queued may wait at the most though there is a place (seconds).
LOOK_INTERVAL: Final = 1.0
#: Before it takes one more of a queue that others take from too, a process waits so long for each
#: run that it executes: who has less to do is first (seconds). Only while nothing has waited long.
MODESTY: Final = 0.1
LONGEST_MODESTY: Final = 0.3
#: Lost runs are looked for so often within one heartbeat: what is late by that adds to the limit.
_SWEEPS: Final = 2
#: One that has not looked for so long is stuck (seconds).
LONGEST_LOOK: Final = 30.0


class RunQueue:
    """Puts runs into the queue, takes them out, and executes them.

    Args:
        runner: executes one.
        jobs: of the configuration.
        limits: how many go on at once here.
        now: gives seconds since the epoch.
        monotonic: gives seconds of a clock that nobody sets.

    Attributes:
        runner: as given.
        takeovers: runs that this process has put back because their owner was gone, by job.
    """

    def __init__(
        self,
        runner: JobRunner,
        jobs: Mapping[str, JobSettings],
        limits: Limits,
        *,
        now: Callable[[], float],
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self.runner = runner
        self.takeovers: Counter[str] = Counter()
        self._queue = runner.runs.queue
        self._places = Places(jobs, limits)
        runner.ends.jobs = jobs
        self._now = now
        self._monotonic = monotonic
        self._looked_at = monotonic()
        self._taking = asyncio.Lock()
        self._wake = asyncio.Event()
        self._loops: list[asyncio.Task[None]] = []
        self._tasks: dict[str, asyncio.Task[RunEnding]] = {}
        self._is_closed = False
        self._failing: set[str] = set()

    def start(self) -> None:
        """Begin to take runs, and to look for those that are lost."""
        self._looked_at = self._monotonic()
        pause = self._queue.heartbeat / _SWEEPS
        self._loops = [
            asyncio.create_task(self._keep_taking(), name="queue of runs"),
            asyncio.create_task(self._keep_sweeping(pause), name="lost runs"),
        ]

    def replace(self, jobs: Mapping[str, JobSettings], limits: Limits) -> None:
        """Take runs of other jobs; what is under way goes on with what it began with."""
        self._places.jobs, self._places.limits = jobs, limits
        self.runner.ends.jobs = jobs
        self._wake.set()

    async def aclose(self) -> None:
        """Take no more runs, and stop those under way: they go back, to be resumed elsewhere."""
        self._is_closed = True
        async with self._taking:
            await asyncio.sleep(0)  # what was taken just now begins, and ends as the others
            tasks: list[asyncio.Task[Any]] = [*self._tasks.values(), *self._loops]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    def is_well(self) -> bool:
        """Tell whether runs are taken."""
        is_stuck = self._monotonic() - self._looked_at > LONGEST_LOOK
        return bool(self._loops) and not any(one.done() for one in self._loops) and not is_stuck

    @property
    def is_closed(self) -> bool:
        """No run begins here any more."""
        return self._is_closed

    @property
    def limits(self) -> Limits:
        """How many runs go on at once here."""
        return self._places.limits

    def has_begun(self, run: str) -> bool:
        """Tell whether a run goes on in this process."""
        return run in self._tasks

    async def put_slot(
        self, job: JobSettings, accounts: Sequence[Account], due_at: float
    ) -> frozenset[str]:
        """Queue the runs of one slot.

        Returns:
            The names of the accounts that have none of it, for another run of theirs is under way.

        Raises:
            TemporarilyUnavailable: the store cannot be had.
        """
        put = await self._put(job, accounts, due_at, None)
        left_out = frozenset(one.name for one in accounts if one.name not in put)
        if not left_out:
            return left_out
        return left_out - await self._queue.have_slot(job.name, due_at, left_out)

    async def put_asked(
        self, job: JobSettings, accounts: Sequence[Account], since: object
    ) -> dict[str, Run]:
        """Queue runs that somebody asks for, and take what there is a place for here.

        One that waits for a later moment is begun now, unless another begin is asked for.

        Returns:
            Those that are new, or wait no more, by account.

        Raises:
            TemporarilyUnavailable: the store cannot be had.
        """
        asked = None if since is None else {"since": since}
        put = await self._put(job, accounts, None, asked)
        if asked is None and (others := [one.name for one in accounts if one.name not in put]):
            put |= await self._queue.hurry(job.name, others, now=self._now())
        await self.drain()
        return put

    async def drain(self) -> None:
        """Take and begin everything that there is a place for.

        Raises:
            TemporarilyUnavailable: the store cannot be had.
        """
        async with self._taking:
            while not self._is_closed:
                run = await self._take()
                if run is None:
                    break
                await asyncio.sleep(self._modesty(run))

    async def sweep(self) -> None:
        """Put back what was lost.

        Raises:
            TemporarilyUnavailable: the store cannot be had.
        """
        jobs = self._places.jobs
        found = await self._queue.lost.sweep(
            owner=self.runner.owner,
            now=self._now(),
            is_wanted=self._is_wanted,
            longest_delay=max([trying_again.LONGEST, *(job.jitter for job in jobs.values())]),
        )
        for lost in found:
            run = lost.run
            is_back = run.outcome == "queued"
            self.takeovers[run.job] += is_back
            extra = {
                "action": "run.lost",
                "job": run.job,
                "account": run.account,
                "run": run.id,
                "attempt": run.attempt,
                "outcome": run.outcome,
                "host": run.host,
            }
            logger.warning(lost.error, extra=extra)
            if is_back:
                self._wake.set()

    async def _put(
        self,
        job: JobSettings,
        accounts: Sequence[Account],
        due_at: float | None,
        asked: Mapping[str, object] | None,
    ) -> dict[str, Run]:
        known = self._places.limits.for_provider
        jitter = job.jitter if due_at is not None else 0.0
        wishes = [
            Wish(
                account=one.name,
                provider=one.provider if one.provider in known else "",
                delay=random.uniform(0, jitter) if jitter else 0.0,  # noqa: S311 - spreads load
            )
            for one in accounts
        ]
        put = await self._queue.put(job.name, wishes, due_at=due_at, now=self._now(), asked=asked)
        if not self._queue.is_shared:  # else whoever keeps time would execute it all
            self._wake.set()
        return put

    def _is_wanted(self, job: str, account: str, provider: str) -> bool:
        declared = self._places.jobs.get(job)
        return (
            declared is not None
            and declared.accounts.matches(account)
            and declared.provider in {None, provider}
        )

    def _modesty(self, run: Run) -> float:
        """Give how long others are given the chance to take what is next (seconds)."""
        has_waited = self._now() - (run.queued_at or 0.0)
        if not self._queue.is_shared or has_waited > 2 * LOOK_INTERVAL:
            return 0.0
        return min(LONGEST_MODESTY, MODESTY * len(self._tasks))

    async def _take(self) -> Run | None:
        """Take one run and begin it; None: there is none, or no place for it."""
        await self.runner.write_endings()
        openings = self._places.openings()
        jobs = self._places.jobs
        if not openings.places or not await self._queue.has_waiting():
            return None
        taken = await self._queue.take(
            openings,
            owner=self.runner.owner,
            now=self._now(),
            deadlines={name: job.deadline for name, job in jobs.items()},
        )
        if taken is None:
            return None
        run, provider = taken
        leave = self._places.take(run.job, provider, run.account)
        task = asyncio.create_task(self.runner.execute(jobs[run.job], run), name=f"run {run.id}")
        self._tasks[run.id] = task
        task.add_done_callback(functools.partial(self._land, run, leave))
        return run

    def _land(self, run: Run, leave: Callable[[], None], task: asyncio.Task[RunEnding]) -> None:
        del self._tasks[run.id]
        leave()
        error = None if task.cancelled() else task.exception()
        if error is not None:
            extra = {"action": "run.failed", "job": run.job, "account": run.account}
            logger.error("a run failed by a bug", exc_info=error, extra=extra)
        self._wake.set()

    async def _keep_taking(self) -> None:
        while True:
            self._wake.clear()
            self._looked_at = self._monotonic()
            await self._attempt(self.drain)
            with contextlib.suppress(TimeoutError):
                # not all in step: who is last would never find anything
                async with asyncio.timeout(LOOK_INTERVAL * random.uniform(0.5, 1)):  # noqa: S311
                    await self._wake.wait()

    async def _keep_sweeping(self, pause: float) -> None:
        while True:
            await self._attempt(self.sweep)
            await asyncio.sleep(pause)

    async def _attempt(self, work: Callable[[], Coroutine[None, None, None]]) -> None:
        """Do something with the queue; what keeps it from that is told once."""
        name = work.__name__
        try:
            await work()
        except ConnectorError as error:
            if name not in self._failing:
                logger.warning(str(error), extra={"action": "queue.away"})
            self._failing.add(name)
        except Exception:  # one that ends would begin no run any more
            logger.exception("the queue of runs failed by a bug", extra={"action": "queue.bug"})
        else:
            self._failing.discard(name)
