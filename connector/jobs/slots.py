"""Which slots of a job are put into the queue: those that are due, and those that were missed.

A slot was missed if it lies between the job's last one (`store.slot_marks`) and now and has no row:
no daemon ran, the machine slept, the clock was set, or the database was away. Every daemon puts
what it finds; a slot is there once. One that was missed waits for the run before it, and for the
runs that follow that one: nothing of it is left out.
"""

import asyncio
import logging
from collections import deque
from collections.abc import Awaitable, Callable, Collection, Mapping, Sequence
from typing import Final

from connector.account import Account, Active
from connector.errors import ConnectorError
from connector.jobs.run import JobRunner
from connector.schedule import Schedule, newest_slots
from connector.settings import JobSettings
from connector.store.slot_marks import JobMark, SlotMarks

logger = logging.getLogger(__name__)

#: Of more missed slots than these the older ones are left out: a week of hours is 168.
MOST_SLOTS: Final = 100
#: A slot that is put so late was missed (seconds); the timer looks at the clocks each 5 s.
LATEST: Final = 60.0
#: How often is looked whether the run of a missed slot has ended, so that the next one may be put
#: (seconds).
LOOK_INTERVAL: Final = 1.0

#: Queues the runs of one slot, given a job, its accounts and when it was due; gives the names of
#: those that have no run of it now, for another one of theirs is under way.
PutSlot = Callable[[JobSettings, Sequence[Account], float], Awaitable[Collection[str]]]


class Slots:
    """Puts slots.

    Args:
        jobs: of the configuration; may be replaced.
        runner: knows their accounts.
        put: queues the runs of one slot.
        marks: of the store.
        now: gives seconds since the epoch.
        sleep: waits between two looks at a run that is under way.
    """

    def __init__(
        self,
        jobs: Mapping[str, JobSettings],
        runner: JobRunner,
        put: PutSlot,
        marks: SlotMarks,
        *,
        now: Callable[[], float],
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        self.jobs = jobs
        self._runner = runner
        self._put = put
        self._marks = marks
        self._now = now
        self._sleep = sleep
        self._unsure = {
            job.name for job in jobs.values() if job.schedule is not None and job.catch_up != "none"
        }
        self._backlogs: dict[str, deque[float]] = {}
        self._tasks: dict[str, asyncio.Task[None]] = {}

    async def aclose(self) -> None:
        """Put no more."""
        tasks = list(self._tasks.values())
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def catch_up(self) -> None:
        """Put what was missed, of each job of which that is not known; those that fail stay so."""
        if not self._unsure:
            return
        try:
            marks = await self._marks.all()
        except ConnectorError:
            return  # which was told, or is by whoever needs it
        for name in sorted(self._unsure):
            self._unsure.discard(name)
            job, mark = self.jobs.get(name), marks.get(name)
            if job is None or job.schedule is None or mark is None or mark.slot_at is None:
                continue
            slots = newest_slots(job.schedule, mark.slot_at, self._now(), limit=MOST_SLOTS)
            await self._put_some(job, slots, mark, were_missed=job.catch_up != "none")

    async def put_due(self, job: JobSettings, schedule: Schedule, first: float) -> None:
        """Put what is due by now.

        Args:
            job: which one.
            schedule: its own.
            first: the due time that was waited for; later ones may have passed as well.
        """
        now = self._now()
        later = newest_slots(schedule, first, now, limit=MOST_SLOTS)
        slots = [first, *later][-MOST_SLOTS:]
        try:
            mark = (await self._marks.all()).get(job.name)
        except ConnectorError as error:
            self._fail(job.name, error)
            return
        if mark is not None and mark.slot_at is not None and mark.slot_at <= now:
            slots = [slot for slot in slots if slot >= mark.slot_at]
        await self._put_some(job, slots, mark)

    async def _put_some(
        self,
        job: JobSettings,
        slots: list[float],
        mark: JobMark | None,
        *,
        were_missed: bool = False,
    ) -> None:
        """Put slots, the oldest first, as the job says of those that were missed.

        Args:
            job: which one.
            slots: the oldest first.
            mark: of the job.
            were_missed: though it may be a short time ago: the daemon was not there.
        """
        if mark is not None and mark.is_paused:
            return
        if job.catch_up != "all":
            slots = slots[-1:]
        if job.catch_up == "none":
            slots = [slot for slot in slots if self._now() - slot <= LATEST]
        if not slots:
            return
        missed = [slot for slot in slots if self._now() - slot > LATEST]
        if missed:
            extra = {"action": "job.caught_up", "job": job.name, "slots": len(missed)}
            logger.info("slots that were missed are run", extra=extra)
        try:
            waits = were_missed or bool(missed)
            if len(slots) > 1 or job.name in self._backlogs or (waits and await self._busy(job)):
                self._add_to_backlog(job, slots)
                return
            left_out = await self._put(job, await self._active(job), slots[0])
            await self._marks.set(job.name, slots[0], now=self._now())
        except ConnectorError as error:
            self._fail(job.name, error)
            return
        for account in left_out:
            message = "the run before is still under way; this one is left out"
            extra = {"action": "run.skipped", "job": job.name, "account": account}
            logger.warning(message, extra=extra)

    def _add_to_backlog(self, job: JobSettings, slots: list[float]) -> None:
        name = job.name
        backlog = self._backlogs.setdefault(name, deque(maxlen=MOST_SLOTS))
        later = [slot for slot in slots if not backlog or slot > backlog[-1]]
        if later and job.catch_up != "all":
            backlog.clear()
        backlog.extend(later)
        if name not in self._tasks:
            task = asyncio.create_task(self._work_off(name), name=f"missed slots of {name}")
            self._tasks[name] = task

    async def _work_off(self, name: str) -> None:
        """Put the slots of a backlog: an account's next one when its run before has ended.

        And when those that follow it have, whose own next run would be left out.
        """
        passed: dict[str, float] = {}
        backlog = self._backlogs[name]
        try:
            while backlog and (job := self.jobs.get(name)) is not None:
                if name in await self._runner.runs.paused():
                    return
                if not await self._put_next(job, backlog, passed):
                    await self._sleep(LOOK_INTERVAL)
        except ConnectorError as error:
            self._fail(name, error)
        except Exception:  # what is left is missed at the next start
            extra = {"action": "job.bug", "job": name}
            logger.exception("missed slots could not be queued by a bug", extra=extra)
        finally:  # at once: what is added from now on has a task of its own
            del self._tasks[name], self._backlogs[name]

    async def _put_next(
        self, job: JobSettings, backlog: deque[float], passed: dict[str, float]
    ) -> bool:
        """Put the next slot of each account; tells whether there was a place for any.

        Args:
            job: which one.
            backlog: its slots; those that every account has are taken out.
            passed: the last slot that an account has, by its name.
        """
        accounts = await self._active(job)
        # its own run too: one that ends after this look has followers that this look did not see
        busy = await self._busy(job)
        wanted: dict[float, list[Account]] = {}
        for account in accounts:
            if account.name in busy:
                continue
            last = passed.get(account.name, float("-inf"))
            following = next((slot for slot in backlog if slot > last), None)
            if following is not None:
                wanted.setdefault(following, []).append(account)
        has_moved = False
        for slot, some in sorted(wanted.items(), key=lambda item: item[0]):
            left_out = set(await self._put(job, some, slot))
            done = [account.name for account in some if account.name not in left_out]
            passed |= dict.fromkeys(done, slot)
            has_moved = has_moved or bool(done)
        names = [account.name for account in accounts]
        everybody = min((passed.get(name, float("-inf")) for name in names), default=backlog[-1])
        last_done = None
        while backlog and backlog[0] <= everybody:
            last_done = backlog.popleft()
        if last_done is not None:
            await self._marks.set(job.name, last_done, now=self._now())
        return has_moved

    async def _busy(self, job: JobSettings) -> frozenset[str]:
        """Give the accounts for which a run of a job goes on, or one that follows it."""
        return await self._runner.runs.busy({job.name, *self._followers(job.name)})

    def _followers(self, name: str) -> set[str]:
        """Give the jobs that follow one, those that follow these, and so on."""
        found: set[str] = set()
        names = {name}
        while names:
            names = {job.name for job in self.jobs.values() if job.after in names} - found
            found |= names
        return found

    async def _active(self, job: JobSettings) -> list[Account]:
        accounts = await self._runner.accounts_of(job)
        return [account for account in accounts if isinstance(account.state, Active)]

    def _fail(self, job: str, error: ConnectorError) -> None:
        """Tell why a slot was not put; it is missed, and looked for again."""
        self._unsure.add(job)
        logger.warning(str(error), extra={"action": "job.not_started", "job": job})
