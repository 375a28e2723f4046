"""The timer: starts the runs of jobs that are due.

APScheduler keeps the time, with its store in memory, made anew from the configuration at each
start. On purpose: ``misfire_grace_time`` None (a late fire still counts), ``coalesce`` (many missed
fires are one), ``max_instances`` 1 (a fire only starts runs and returns). Jitter delays a run's
start and never its due time, so that the slot is the same for every daemon.

It waits for a due time on the monotonic clock, which knows neither of a suspend nor of a wall clock
that is set: so the timer looks at both clocks every few seconds.
"""

import asyncio
import functools
import logging
import random
import time
from collections.abc import Awaitable, Callable, Iterator, Mapping
from datetime import UTC, datetime
from typing import Final

from apscheduler.schedulers.asyncio import AsyncIOScheduler
from apscheduler.triggers.base import BaseTrigger

from connector.account import Account, Active
from connector.errors import ConnectorError
from connector.jobs.places import Places
from connector.jobs.run import JobRunner
from connector.schedule import Schedule
from connector.settings import JobSettings

logger = logging.getLogger(__name__)

#: So late at the most is a job after a suspend, or after the wall clock was set (seconds).
LOOK_INTERVAL: Final = 5.0
#: A timer that has not looked for so long is stuck (seconds).
LONGEST_LOOK: Final = 30.0
#: The wall clock was set, if it went this far from the monotonic one between two looks; a clock
#: that is merely adjusted drifts by milliseconds (seconds).
LARGEST_DRIFT: Final = 3.0


class SlotTrigger(BaseTrigger):  # type: ignore[misc]
    """Fires at the due times of a schedule.

    Args:
        schedule: when.
    """

    def __init__(self, schedule: Schedule) -> None:
        self._schedule = schedule

    def get_next_fire_time(self, _previous: datetime | None, now: datetime) -> datetime:
        """Give the first due time after ``now``."""
        return datetime.fromtimestamp(self._schedule.next_after(now.timestamp()), UTC)


class Timer:
    """Starts runs when they are due.

    Args:
        jobs: of the configuration.
        runner: runs them.
        now: gives seconds since the epoch.
        sleep: waits out a run's share of the jitter.
        monotonic: gives seconds of a clock that nobody sets.
    """

    def __init__(
        self,
        jobs: Mapping[str, JobSettings],
        runner: JobRunner,
        *,
        now: Callable[[], float],
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._jobs = jobs
        self._runner = runner
        self._now = now
        self._sleep = sleep
        self._monotonic = monotonic
        self._looked_at = monotonic()
        self._offset = 0.0  # of the wall clock to the monotonic one
        self._watch: asyncio.Task[None] | None = None
        self._scheduler = AsyncIOScheduler(timezone=UTC)
        self._due: dict[str, float] = {}
        self._running: dict[tuple[str, str], asyncio.Task[None]] = {}
        self._places = Places()

    def start(self) -> None:
        """Begin to keep time."""
        self._looked_at = self._monotonic()
        self._offset = self._now() - self._monotonic()
        for job, schedule in self._scheduled():
            self._add(job, schedule)
        self._scheduler.start()
        self._watch = asyncio.create_task(self._watch_clocks(), name="clocks of the timer")

    def replace(self, jobs: Mapping[str, JobSettings]) -> None:
        """Keep time for other jobs.

        A run under way goes on with what it began with; one that still waits for its place begins
        with what is in force then, or not at all. A schedule that stays keeps its next due time.
        """
        before = dict(self._scheduled_by_name())
        self._jobs = jobs
        after = dict(self._scheduled_by_name())
        for name, schedule in before.items():
            if schedule != after.get(name):
                del self._due[name]
                self._scheduler.remove_job(name)
        for name, schedule in after.items():
            if before.get(name) != schedule:
                self._add(jobs[name], schedule)

    async def aclose(self) -> None:
        """Start no more runs, and stop those under way; they are resumed at their cursor."""
        if self._scheduler.running:
            self._scheduler.shutdown(wait=False)
        tasks = [*self._running.values(), *filter(None, [self._watch])]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    def is_well(self) -> bool:
        """Tell whether it keeps time."""
        watches = self._watch is not None and not self._watch.done()
        is_stuck = self._monotonic() - self._looked_at > LONGEST_LOOK
        return self._scheduler.running and watches and not is_stuck

    def look(self) -> None:
        """Look at the clocks: start what is due by now, and wait anew where the wall clock was set.

        Where it went forward, or the machine was suspended, a due time that has passed still counts
        (once, see `Schedule.latest_due`). Where it went back, the next due time is an earlier one;
        a slot that was run before is run no second time.
        """
        self._looked_at = self._monotonic()
        offset = self._now() - self._monotonic()
        drift, self._offset = offset - self._offset, offset
        if abs(drift) > LARGEST_DRIFT:
            extra = {"action": "clock.set", "seconds": round(drift, 1)}
            logger.warning("the wall clock was set, or the machine was suspended", extra=extra)
        if drift < -LARGEST_DRIFT:
            for job, schedule in self._scheduled():
                due_at = schedule.next_after(self._now())
                self._due[job.name] = due_at
                moment = datetime.fromtimestamp(due_at, UTC)
                self._scheduler.modify_job(job.name, next_run_time=moment)
        self._scheduler.wakeup()

    async def _watch_clocks(self) -> None:
        while True:
            await asyncio.sleep(LOOK_INTERVAL)
            self.look()

    def _add(self, job: JobSettings, schedule: Schedule) -> None:
        self._due[job.name] = schedule.next_after(self._now())
        self._scheduler.add_job(
            self._fire,
            SlotTrigger(schedule),
            args=(job, schedule),
            id=job.name,
            misfire_grace_time=None,
            coalesce=True,
            max_instances=1,
        )

    def _scheduled_by_name(self) -> Iterator[tuple[str, Schedule]]:
        for job, schedule in self._scheduled():
            yield job.name, schedule

    def _scheduled(self) -> Iterator[tuple[JobSettings, Schedule]]:
        """Give the jobs that have a schedule."""
        for job in self._jobs.values():
            if job.schedule is not None:
                yield job, job.schedule

    async def _fire(self, job: JobSettings, schedule: Schedule) -> None:
        """Start the runs of one slot, one for each active account."""
        present = self._jobs.get(job.name)
        if present is None or present.schedule != schedule:
            return  # it was exchanged since this was due
        job = present
        due_at = schedule.latest_due(self._due[job.name], self._now())
        self._due[job.name] = due_at
        try:
            if job.name in await self._runner.runs.paused():
                return
            accounts = await self._runner.accounts_of(job)
        except ConnectorError as error:
            logger.warning(str(error), extra={"action": "job.not_started", "job": job.name})
            return
        for account in accounts:
            if not isinstance(account.state, Active):
                continue
            place = (job.name, account.name)
            if place in self._running:
                logger.warning(
                    "the run before is still under way; this one is left out",
                    extra={"action": "run.skipped", "job": job.name, "account": account.name},
                )
                continue
            task = asyncio.create_task(self._run(job, account, due_at))
            self._running[place] = task
            task.add_done_callback(functools.partial(self._land, place))

    def _land(self, place: tuple[str, str], task: asyncio.Task[None]) -> None:
        del self._running[place]
        error = None if task.cancelled() else task.exception()
        if error is not None:
            job, account = place
            extra = {"action": "run.failed", "job": job, "account": account}
            logger.error("a run failed by a bug", exc_info=error, extra=extra)

    async def _run(self, job: JobSettings, account: Account, due_at: float) -> None:
        if job.jitter:
            await self._sleep(random.uniform(0, job.jitter))  # noqa: S311 - spreads load
        async with self._places.take(job.name, account.provider):
            present = self._jobs.get(job.name)
            if present is None:
                return  # it was removed while this waited
            try:
                await self._runner.run(present, account.name, due_at=due_at)
            except ConnectorError as error:
                extra = {"action": "run.failed", "job": job.name, "account": account.name}
                logger.warning(str(error), extra=extra)
