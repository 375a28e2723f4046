"""The timer: puts the runs of jobs that are due into the queue.

APScheduler keeps the time, with its store in memory, made anew from the configuration at each
start. On purpose: ``misfire_grace_time`` None (a late fire still counts), ``coalesce`` (many missed
fires are one), ``max_instances`` 1 (a fire only queues runs and returns). Every daemon keeps time:
the slot is the same for all, and is there once.

It waits for a due time on the monotonic clock, which knows neither of a suspend nor of a wall clock
that is set: so the timer looks at both clocks every few seconds.
"""

import asyncio
import logging
import time
from collections.abc import Callable, Iterator, Mapping
from datetime import UTC, datetime
from typing import Final

from apscheduler.schedulers.asyncio import AsyncIOScheduler
from apscheduler.triggers.base import BaseTrigger

from connector.jobs.run import JobRunner
from connector.jobs.slots import PutSlot, Slots
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
    """Queues runs when they are due.

    Args:
        jobs: of the configuration.
        runner: knows their accounts.
        put: queues the runs of one slot.
        now: gives seconds since the epoch.
        monotonic: gives seconds of a clock that nobody sets.
    """

    def __init__(
        self,
        jobs: Mapping[str, JobSettings],
        runner: JobRunner,
        put: PutSlot,
        *,
        now: Callable[[], float],
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._jobs = jobs
        self._slots = Slots(jobs, runner, put, runner.runs.marks, now=now)
        self._now = now
        self._monotonic = monotonic
        self._looked_at = monotonic()
        self._offset = 0.0  # of the wall clock to the monotonic one
        self._watch: asyncio.Task[None] | None = None
        self._scheduler = AsyncIOScheduler(timezone=UTC)
        self._done: dict[str, float] = {}  # by job: what was due up to then was put

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

        A schedule that stays keeps its next due time.
        """
        before = dict(self._scheduled_by_name())
        self._jobs = self._slots.jobs = jobs
        after = dict(self._scheduled_by_name())
        for name, schedule in before.items():
            if schedule != after.get(name):
                del self._done[name]
                self._scheduler.remove_job(name)
        for name, schedule in after.items():
            if before.get(name) != schedule:
                self._add(jobs[name], schedule)

    async def aclose(self) -> None:
        """Keep time no more."""
        if self._scheduler.running:
            self._scheduler.shutdown(wait=False)
        if self._watch is not None:
            self._watch.cancel()
            await asyncio.gather(self._watch, return_exceptions=True)
        await self._slots.aclose()

    def is_well(self) -> bool:
        """Tell whether it keeps time."""
        watches = self._watch is not None and not self._watch.done()
        is_stuck = self._monotonic() - self._looked_at > LONGEST_LOOK
        return self._scheduler.running and watches and not is_stuck

    def look(self) -> None:
        """Look at the clocks: start what is due by now, and wait anew where the wall clock was set.

        Where it went forward, or the machine was suspended, due times that have passed were missed
        (see `jobs.slots`). Where it went back, the next due time is an earlier one;
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
                self._done[job.name] = self._now()
                moment = datetime.fromtimestamp(schedule.next_after(self._now()), UTC)
                self._scheduler.modify_job(job.name, next_run_time=moment)
        self._scheduler.wakeup()

    async def _watch_clocks(self) -> None:
        while True:
            await self._slots.catch_up()
            await asyncio.sleep(LOOK_INTERVAL)
            self.look()

    def _add(self, job: JobSettings, schedule: Schedule) -> None:
        self._done[job.name] = self._now()
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
        """Queue the runs of one slot, one for each active account."""
        present = self._jobs.get(job.name)
        if present is None or present.schedule != schedule:
            return  # it was exchanged since this was due
        first = schedule.next_after(self._done[job.name])
        if first > self._now() + LARGEST_DRIFT:
            return  # what this was for was put by the fire before
        self._done[job.name] = schedule.latest_due(first, self._now())
        try:
            await self._slots.put_due(present, schedule, first)
        except Exception:  # the next slot is tried all the same
            extra = {"action": "job.bug", "job": job.name}
            logger.exception("a slot could not be queued by a bug", extra=extra)
