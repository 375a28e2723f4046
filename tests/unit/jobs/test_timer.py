"""When runs are started, and when not; on a clock of the test's own."""

import asyncio
import dataclasses
import time
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime, tzinfo
from typing import cast

import pytest

from connector import errors
from connector.account import Account
from connector.jobs.places import Limits
from connector.jobs.queue import RunQueue
from connector.jobs.schedule import SlotTrigger, Timer
from connector.runtime import Runtime, RuntimeCredentials
from connector.schedule import Schedule, parse_schedule
from connector.settings import JobSettings
from connector.store.slot_marks import SlotMarks
from tests.unit.jobs.bench import Jobs
from tests.unit.workbench import ACCOUNT, NOW, Workbench

MINUTELY = parse_schedule("every 1m")


class Slots:
    """Slots that a timer has queued."""

    def __init__(self, jobs: Jobs) -> None:
        self.queued: list[tuple[str, str, float]] = []
        self.jobs: list[JobSettings] = []
        self.changed = asyncio.Condition()
        self.error: Exception | None = None
        self.left_out: frozenset[str] = frozenset()
        self.runner = jobs.make_runner(RuntimeCredentials(jobs.runtime))

    async def put(
        self, job: JobSettings, accounts: Sequence[Account], due_at: float
    ) -> frozenset[str]:
        if self.error is not None:
            raise self.error
        async with self.changed:
            rows = [(job.name, account.name, due_at) for account in accounts]
            self.queued += [row for row in rows if row not in self.queued]  # each slot once
            self.jobs.append(job)
            self.changed.notify_all()
        return self.left_out

    async def wait_for(self, count: int) -> None:
        async with self.changed:
            await self.changed.wait_for(lambda: len(self.queued) >= count)


@pytest.fixture
def slots(jobs: Jobs) -> Slots:
    return Slots(jobs)


def make_timer(bench: Workbench, slots: Slots, jobs: Iterable[JobSettings]) -> Timer:
    by_name = {job.name: job for job in jobs}
    return Timer(by_name, slots.runner, slots.put, now=bench.clock.now)


async def fire(timer: Timer, job: JobSettings) -> None:
    schedule = cast("Schedule", job.schedule)
    await timer._fire(job, schedule)


class TestSlotTrigger:
    @pytest.mark.parametrize(
        ("schedule", "now", "due"),
        [
            ("every 15m", "2027-01-15T08:00:00", "2027-01-15T08:15:00"),
            ("every 15m", "2027-01-15T08:14:59.999", "2027-01-15T08:15:00"),
            ("0 3 * * *", "2027-01-15T03:00:00", "2027-01-16T03:00:00"),
        ],
    )
    def test_fires_at_the_next_due_time(self, schedule: str, now: str, due: str) -> None:
        trigger = SlotTrigger(parse_schedule(schedule))
        moment = datetime.fromisoformat(now).replace(tzinfo=UTC)
        expected = datetime.fromisoformat(due).replace(tzinfo=UTC)
        for previous in (None, moment):
            assert trigger.get_next_fire_time(previous, moment) == expected


class TestFire:
    async def test_starts_a_run_for_each_active_account(
        self, bench: Workbench, runtime: Runtime, jobs: Jobs, slots: Slots
    ) -> None:
        await bench.connect(runtime, "acme/other")
        await bench.connect(runtime, "beta/ads")
        await runtime.consents.begin("acme", "acme/pending")
        ended = await bench.connect(runtime, "acme/ended", person="grace")
        await runtime.revocations.destroy(ended, "revoked", now=NOW, is_owed=False)
        job = jobs.job(schedule=MINUTELY)
        timer = make_timer(bench, slots, [job])
        timer.start()
        bench.clock.advance(60)
        await fire(timer, job)
        await slots.wait_for(2)
        assert sorted(slots.queued) == [
            ("pull", "acme/ads", NOW + 60),
            ("pull", "acme/other", NOW + 60),
        ]
        await timer.aclose()

    async def test_after_a_long_absence_it_is_one_run(
        self, bench: Workbench, jobs: Jobs, slots: Slots
    ) -> None:
        job = jobs.job(schedule=MINUTELY)
        timer = make_timer(bench, slots, [job])
        timer.start()
        bench.clock.advance(86_400 + 30)
        await fire(timer, job)
        await slots.wait_for(1)
        await timer.aclose()
        assert slots.queued == [("pull", ACCOUNT, NOW + 86_400)]

    async def test_a_paused_job_waits_until_it_is_resumed(
        self, bench: Workbench, runtime: Runtime, jobs: Jobs, slots: Slots
    ) -> None:
        job = jobs.job(schedule=MINUTELY)
        timer = make_timer(bench, slots, [job])
        timer.start()
        await runtime.runs.pause("pull", now=NOW)
        bench.clock.advance(60)
        await fire(timer, job)
        assert slots.queued == []
        await runtime.runs.resume("pull", now=NOW)
        bench.clock.advance(60)
        await fire(timer, job)
        await slots.wait_for(1)
        assert slots.queued == [("pull", ACCOUNT, NOW + 120)]
        await timer.aclose()

    async def test_the_store_is_away(
        self,
        bench: Workbench,
        jobs: Jobs,
        slots: Slots,
        monkeypatch: pytest.MonkeyPatch,
        caplog: pytest.LogCaptureFixture,
    ) -> None:
        async def fail(_marks: SlotMarks) -> None:
            raise errors.TemporarilyUnavailable("the database is away")

        job = jobs.job(schedule=MINUTELY)
        timer = make_timer(bench, slots, [job])
        timer.start()
        bench.clock.advance(60)
        with monkeypatch.context() as patch:
            patch.setattr(SlotMarks, "all", fail)
            await fire(timer, job)
        assert "the database is away" in caplog.text
        bench.clock.advance(60)
        await fire(timer, job)
        await slots.wait_for(1)
        await timer.aclose()

    async def test_failures_and_bugs_are_told_and_end_nothing(
        self, bench: Workbench, jobs: Jobs, slots: Slots, caplog: pytest.LogCaptureFixture
    ) -> None:
        job = jobs.job(schedule=MINUTELY)
        timer = make_timer(bench, slots, [job])
        timer.start()
        raised: list[Exception] = [
            errors.TemporarilyUnavailable("the disk is full"),
            ZeroDivisionError("a bug"),
        ]
        for error in raised:
            slots.error = error
            bench.clock.advance(60)
            await fire(timer, job)
            assert str(error) in caplog.text
        slots.error = None
        bench.clock.advance(60)
        await fire(timer, job)
        await slots.wait_for(1)
        await timer.aclose()


class TestClose:
    async def test_before_it_was_started(self, bench: Workbench, slots: Slots) -> None:
        await make_timer(bench, slots, []).aclose()


class WallClock:
    """The real time, until it is set; APScheduler reads it too."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.offset = 0.0
        clock = self

        class Moment(datetime):
            @classmethod
            def now(cls, tz: tzinfo | None = None) -> "Moment":
                return cls.fromtimestamp(clock.now(), tz)

        monkeypatch.setattr("apscheduler.schedulers.base.datetime", Moment)
        monkeypatch.setattr("connector.jobs.schedule.LOOK_INTERVAL", 0.1)

    def now(self) -> float:
        return time.time() + self.offset


class TestClocks:
    @pytest.fixture
    def clock(self, monkeypatch: pytest.MonkeyPatch) -> WallClock:
        return WallClock(monkeypatch)

    async def test_a_wall_clock_that_is_set_back(
        self, clock: WallClock, jobs: Jobs, slots: Slots
    ) -> None:
        job = jobs.job(schedule=parse_schedule("every 1s"))
        timer = Timer({"pull": job}, slots.runner, slots.put, now=clock.now)
        timer.start()
        async with asyncio.timeout(20):
            await slots.wait_for(1)
            clock.offset = -3600.0
            await slots.wait_for(len(slots.queued) + 2)
        await timer.aclose()
        due = [due_at for _, _, due_at in slots.queued]
        assert due[0] - 3600 < due[-1] < due[0] - 3500

    @pytest.mark.parametrize("schedule", ["every 1d", "0 0 * * *"])
    async def test_a_machine_that_was_suspended(
        self, clock: WallClock, jobs: Jobs, slots: Slots, schedule: str
    ) -> None:
        """What was due meanwhile is started, once; monotonic time stood still."""
        daily = parse_schedule(schedule)
        due_at = daily.next_after(clock.now() + 86_400)
        timer = Timer({"pull": jobs.job(schedule=daily)}, slots.runner, slots.put, now=clock.now)
        timer.start()
        for _ in range(10):
            await asyncio.sleep(0)  # until it waits for the first due time
        clock.offset = due_at - clock.now() + 60
        async with asyncio.timeout(20):
            await slots.wait_for(1)
        await asyncio.sleep(0.3)
        await timer.aclose()
        assert slots.queued == [("pull", ACCOUNT, due_at)]

    async def test_a_slot_that_was_run_is_not_run_again(
        self, clock: WallClock, runtime: Runtime, jobs: Jobs
    ) -> None:
        jobs.write("def pull(api, context): return []")
        runner = jobs.make_runner(RuntimeCredentials(runtime), now=clock.now)
        job = jobs.job(schedule=parse_schedule("every 1h"))
        queue = RunQueue(runner, {"pull": job}, Limits(), now=clock.now)
        full_hour = clock.now() // 3600 * 3600
        clock.offset = full_hour + 1800 - clock.now()
        timer = Timer({"pull": job}, runner, queue.put_slot, now=clock.now)
        timer.start()
        for hours in (1, 0, 1, 2):
            clock.offset = full_hour + hours * 3600 + 1800 - time.time()
            timer.look()
            if hours > 0:
                await fire(timer, job)
                await queue.drain()
                await asyncio.gather(*queue._tasks.values())
        await timer.aclose()
        due = [run.due_at for run in await runtime.runs.history("pull", limit=9)]
        assert due == [full_hour + 7200, full_hour + 3600]


async def test_keeps_real_time(bench: Workbench, jobs: Jobs) -> None:
    """Every second for real: the timer's own loop, and a job without a schedule left alone."""
    slots = Slots(jobs)
    job = jobs.job(schedule=parse_schedule("every 1s"))
    asked_for = dataclasses.replace(job, name="asked for", schedule=None)
    by_name = {one.name: one for one in (job, asked_for)}
    timer = Timer(by_name, slots.runner, slots.put, now=time.time)
    timer.start()
    async with asyncio.timeout(20):
        await slots.wait_for(2)
    await timer.aclose()
    (_, _, first), (_, _, second) = slots.queued[:2]
    assert first is not None
    assert second is not None
    assert first % 1 == 0
    assert second > first
    assert {name for name, _, _ in slots.queued} == {"pull"}
    assert bench.refreshes == 0


class TestReplace:
    """Another configuration's jobs."""

    async def test_a_schedule_that_stays_keeps_its_next_due_time(
        self, bench: Workbench, jobs: Jobs, slots: Slots
    ) -> None:
        """The slot is past, and its fire is on the way: a reload does not swallow it."""
        job = jobs.job(schedule=MINUTELY)
        timer = make_timer(bench, slots, [job])
        timer.start()
        bench.clock.advance(60)
        changed = dataclasses.replace(job, deadline=30.0)
        timer.replace({"pull": changed, "more": jobs.job(name="more", schedule=MINUTELY)})
        await fire(timer, job)
        await slots.wait_for(1)
        assert slots.queued == [("pull", ACCOUNT, NOW + 60)]
        assert slots.jobs == [changed]
        await timer.aclose()

    async def test_what_was_removed_or_moved_does_not_begin(
        self, bench: Workbench, jobs: Jobs, slots: Slots
    ) -> None:
        moved, removed = jobs.job(schedule=MINUTELY), jobs.job(name="more", schedule=MINUTELY)
        timer = make_timer(bench, slots, [moved, removed])
        timer.start()
        bench.clock.advance(60)
        hourly = dataclasses.replace(moved, schedule=parse_schedule("every 1h"))
        timer.replace({"pull": hourly})
        for job in (moved, removed):
            await fire(timer, job)
        assert slots.queued == []
        bench.clock.advance(3600)
        await fire(timer, hourly)
        await slots.wait_for(1)
        assert slots.queued == [("pull", ACCOUNT, NOW - NOW % 3600 + 3600)]
        assert {job.id for job in timer._scheduler.get_jobs()} == {"pull"}
        await timer.aclose()
