"""When runs are started, and when not; on a clock of the test's own."""

import asyncio
import dataclasses
import time
from collections import Counter
from collections.abc import Iterable
from datetime import UTC, datetime, tzinfo
from typing import cast

import pytest

from connector import errors
from connector.account import Account
from connector.jobs.places import FOR_A_PROVIDER, IN_ALL, OF_A_JOB
from connector.jobs.run import JobRunner
from connector.jobs.schedule import SlotTrigger, Timer
from connector.runtime import Runtime, RuntimeCredentials
from connector.schedule import Schedule, parse_schedule
from connector.settings import JobSettings
from connector.store.runs import Ending, RunStore
from tests.unit.jobs.bench import Jobs
from tests.unit.workbench import ACCOUNT, NOW, Workbench

MINUTELY = parse_schedule("every 1m")


class Runs:
    """Runs that are begun and end when the test says so."""

    def __init__(self, jobs: Jobs) -> None:
        self.begun: list[tuple[str, str, float | None]] = []
        self.jobs: list[JobSettings] = []
        self.ends = asyncio.Event()
        self.changed = asyncio.Condition()
        self.error: Exception | None = None
        self.selected: dict[str, list[Account]] = {}
        self._real = jobs.make_runner(RuntimeCredentials(jobs.runtime))
        self.runs = self._real.runs

    async def accounts_of(self, job: JobSettings) -> list[Account]:
        return self.selected.get(job.name) or await self._real.accounts_of(job)

    async def run(self, job: JobSettings, account: str, *, due_at: float | None) -> Ending | None:
        async with self.changed:
            self.begun.append((job.name, account, due_at))
            self.jobs.append(job)
            self.changed.notify_all()
        if self.error is not None:
            raise self.error
        await self.ends.wait()
        return None

    async def wait_for(self, count: int) -> None:
        async with self.changed:
            await self.changed.wait_for(lambda: len(self.begun) >= count)


@pytest.fixture
def runs(jobs: Jobs) -> Runs:
    return Runs(jobs)


def make_timer(
    bench: Workbench, runs: Runs, jobs: Iterable[JobSettings], waits: list[float] | None = None
) -> Timer:
    async def sleep(seconds: float) -> None:
        if waits is not None:
            waits.append(seconds)

    by_name = {job.name: job for job in jobs}
    return Timer(by_name, cast("JobRunner", runs), now=bench.clock.now, sleep=sleep)


async def fire(timer: Timer, job: JobSettings) -> None:
    schedule = cast("Schedule", job.schedule)
    await timer._fire(job, schedule)


async def settle(timer: Timer) -> None:
    await asyncio.gather(*timer._running.values(), return_exceptions=True)


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
        self, bench: Workbench, runtime: Runtime, jobs: Jobs, runs: Runs
    ) -> None:
        await bench.connect(runtime, "acme/other")
        await bench.connect(runtime, "beta/ads")
        await runtime.consents.begin("acme", "acme/pending")
        ended = await bench.connect(runtime, "acme/ended", person="grace")
        await runtime.revocations.destroy(ended, "revoked", now=NOW, is_owed=False)
        job = jobs.job(schedule=MINUTELY)
        timer = make_timer(bench, runs, [job])
        timer.start()
        bench.clock.advance(60)
        await fire(timer, job)
        await runs.wait_for(2)
        runs.ends.set()
        await settle(timer)
        assert sorted(runs.begun) == [
            ("pull", "acme/ads", NOW + 60),
            ("pull", "acme/other", NOW + 60),
        ]
        await timer.aclose()

    async def test_after_a_long_absence_it_is_one_run(
        self, bench: Workbench, jobs: Jobs, runs: Runs
    ) -> None:
        job = jobs.job(schedule=MINUTELY)
        timer = make_timer(bench, runs, [job])
        timer.start()
        bench.clock.advance(86_400 + 30)
        await fire(timer, job)
        await runs.wait_for(1)
        runs.ends.set()
        await timer.aclose()
        assert runs.begun == [("pull", ACCOUNT, NOW + 86_400)]

    async def test_a_run_that_takes_longer_is_not_started_again(
        self, bench: Workbench, jobs: Jobs, runs: Runs, caplog: pytest.LogCaptureFixture
    ) -> None:
        job = jobs.job(schedule=MINUTELY)
        other = dataclasses.replace(job, name="other")
        timer = make_timer(bench, runs, [job, other])
        timer.start()
        for _ in range(3):
            bench.clock.advance(60)
            await fire(timer, job)
        await fire(timer, other)
        await runs.wait_for(2)
        assert [name for name, _, _ in runs.begun] == ["pull", "other"]
        assert caplog.text.count("the run before is still under way") == 2
        runs.ends.set()
        await settle(timer)
        bench.clock.advance(60)
        await fire(timer, job)
        await runs.wait_for(3)
        assert runs.begun[-1] == ("pull", ACCOUNT, NOW + 240)
        await timer.aclose()

    async def test_a_paused_job_waits_until_it_is_resumed(
        self, bench: Workbench, runtime: Runtime, jobs: Jobs, runs: Runs
    ) -> None:
        runs.ends.set()
        job = jobs.job(schedule=MINUTELY)
        timer = make_timer(bench, runs, [job])
        timer.start()
        await runtime.runs.pause("pull", now=NOW)
        bench.clock.advance(60)
        await fire(timer, job)
        assert timer._running == {}
        await runtime.runs.resume("pull")
        bench.clock.advance(60)
        await fire(timer, job)
        await runs.wait_for(1)
        assert runs.begun == [("pull", ACCOUNT, NOW + 120)]
        await timer.aclose()

    async def test_jitter_delays_a_run_and_not_its_slot(
        self, bench: Workbench, jobs: Jobs, runs: Runs
    ) -> None:
        runs.ends.set()
        waits: list[float] = []
        job = jobs.job(schedule=MINUTELY, jitter=6)
        timer = make_timer(bench, runs, [job], waits)
        timer.start()
        for count in range(1, 21):
            bench.clock.advance(60)
            await fire(timer, job)
            await runs.wait_for(count)
            await settle(timer)
        assert all(0 <= wait <= 6 for wait in waits)
        assert len(set(waits)) > 1
        assert [due for _, _, due in runs.begun] == [NOW + 60 * i for i in range(1, 21)]
        await timer.aclose()

    @pytest.mark.parametrize(
        ("wanted", "begun"),
        [
            ({("slow", "acme"): 20, ("fast", "acme"): 1}, {"slow": OF_A_JOB, "fast": 1}),
            ({("both", "slow"): 20, ("both", "fast"): 1}, {"both": OF_A_JOB + 1}),
            (
                {("slow", "acme"): 20, ("slower", "acme"): 20, ("fast", "other"): 1},
                {"slow": OF_A_JOB, "slower": FOR_A_PROVIDER - OF_A_JOB, "fast": 1},
            ),
            (
                {("one", "1"): 20, ("two", "2"): 20, ("three", "3"): 20},
                {"one": OF_A_JOB, "two": OF_A_JOB, "three": IN_ALL - 2 * OF_A_JOB},
            ),
        ],
        ids=[
            "a job that hangs",
            "a job that hangs at one of its providers",
            "a provider that hangs",
            "all of them",
        ],
    )
    async def test_what_hangs_leaves_places_to_others(
        self,
        bench: Workbench,
        runtime: Runtime,
        jobs: Jobs,
        runs: Runs,
        wanted: dict[tuple[str, str], int],
        begun: dict[str, int],
    ) -> None:
        account = await runtime.accounts.require(ACCOUNT)
        for (name, provider), count in wanted.items():
            runs.selected.setdefault(name, []).extend(
                dataclasses.replace(account, name=f"{provider}/{number}", provider=provider)
                for number in range(count)
            )
        declared = [jobs.job(name=name, schedule=MINUTELY) for name in runs.selected]
        timer = make_timer(bench, runs, declared)
        timer.start()
        bench.clock.advance(60)
        for job in declared:
            await fire(timer, job)
        await runs.wait_for(sum(begun.values()))
        for _ in range(20):
            await asyncio.sleep(0)
        assert Counter(name for name, _, _ in runs.begun) == begun
        runs.ends.set()
        await settle(timer)
        assert len(runs.begun) == sum(wanted.values()), "each gets its turn"
        await timer.aclose()

    async def test_the_store_is_away(
        self,
        bench: Workbench,
        jobs: Jobs,
        runs: Runs,
        monkeypatch: pytest.MonkeyPatch,
        caplog: pytest.LogCaptureFixture,
    ) -> None:
        async def fail(_store: RunStore) -> frozenset[str]:
            raise errors.TemporarilyUnavailable("the database is away")

        job = jobs.job(schedule=MINUTELY)
        timer = make_timer(bench, runs, [job])
        timer.start()
        bench.clock.advance(60)
        with monkeypatch.context() as patch:
            patch.setattr(RunStore, "paused", fail)
            await fire(timer, job)
        assert "the database is away" in caplog.text
        runs.ends.set()
        bench.clock.advance(60)
        await fire(timer, job)
        await runs.wait_for(1)
        await timer.aclose()

    async def test_failures_and_bugs_are_told_and_end_nothing(
        self, bench: Workbench, jobs: Jobs, runs: Runs, caplog: pytest.LogCaptureFixture
    ) -> None:
        job = jobs.job(schedule=MINUTELY)
        timer = make_timer(bench, runs, [job])
        timer.start()
        raised: list[Exception] = [
            errors.TemporarilyUnavailable("the disk is full"),
            ZeroDivisionError("a bug"),
        ]
        for error in raised:
            runs.error = error
            bench.clock.advance(60)
            await fire(timer, job)
            await settle(timer)
            assert str(error) in caplog.text
        runs.error = None
        bench.clock.advance(60)
        await fire(timer, job)
        await runs.wait_for(3)
        await timer.aclose()


class TestClose:
    async def test_stops_what_runs(self, bench: Workbench, jobs: Jobs, runs: Runs) -> None:
        job = jobs.job(schedule=MINUTELY)
        timer = make_timer(bench, runs, [job])
        timer.start()
        bench.clock.advance(60)
        await fire(timer, job)
        await runs.wait_for(1)
        (task,) = timer._running.values()
        await timer.aclose()
        assert task.cancelled()
        assert timer._running == {}

    async def test_before_it_was_started(self, bench: Workbench, runs: Runs) -> None:
        await make_timer(bench, runs, []).aclose()


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
        self, clock: WallClock, jobs: Jobs, runs: Runs
    ) -> None:
        runs.ends.set()
        job = jobs.job(schedule=parse_schedule("every 1s"))
        timer = Timer({"pull": job}, cast("JobRunner", runs), now=clock.now)
        timer.start()
        async with asyncio.timeout(20):
            await runs.wait_for(1)
            clock.offset = -3600.0
            await runs.wait_for(len(runs.begun) + 2)
        await timer.aclose()
        due = [cast("float", due_at) for _, _, due_at in runs.begun]
        assert due[0] - 3600 < due[-1] < due[0] - 3500

    @pytest.mark.parametrize("schedule", ["every 1d", "0 0 * * *"])
    async def test_a_machine_that_was_suspended(
        self, clock: WallClock, jobs: Jobs, runs: Runs, schedule: str
    ) -> None:
        """What was due meanwhile is started, once; monotonic time stood still."""
        runs.ends.set()
        daily = parse_schedule(schedule)
        due_at = daily.next_after(clock.now() + 86_400)
        timer = Timer({"pull": jobs.job(schedule=daily)}, cast("JobRunner", runs), now=clock.now)
        timer.start()
        for _ in range(10):
            await asyncio.sleep(0)  # until it waits for the first due time
        clock.offset = due_at - clock.now() + 60
        async with asyncio.timeout(20):
            await runs.wait_for(1)
        await asyncio.sleep(0.3)
        await timer.aclose()
        assert runs.begun == [("pull", ACCOUNT, due_at)]

    async def test_a_slot_that_was_run_is_not_run_again(
        self, clock: WallClock, runtime: Runtime, jobs: Jobs
    ) -> None:
        jobs.write("def pull(api, context): return []")
        runner = jobs.make_runner(RuntimeCredentials(runtime), now=clock.now)
        job = jobs.job(schedule=parse_schedule("every 1h"))
        full_hour = clock.now() // 3600 * 3600
        clock.offset = full_hour + 1800 - clock.now()
        timer = Timer({"pull": job}, runner, now=clock.now)
        timer.start()
        for hours in (1, 0, 1, 2):
            clock.offset = full_hour + hours * 3600 + 1800 - time.time()
            timer.look()
            if hours > 0:
                await fire(timer, job)
                await settle(timer)
        await timer.aclose()
        due = [run.due_at for run in await runtime.runs.history("pull", limit=9)]
        assert due == [full_hour + 7200, full_hour + 3600]


async def test_keeps_real_time(bench: Workbench, jobs: Jobs) -> None:
    """Every second for real: the timer's own loop, and a job without a schedule left alone."""
    runs = Runs(jobs)
    runs.ends.set()
    job = jobs.job(schedule=parse_schedule("every 1s"))
    asked_for = dataclasses.replace(job, name="asked for", schedule=None)
    by_name = {one.name: one for one in (job, asked_for)}
    timer = Timer(by_name, cast("JobRunner", runs), now=time.time)
    timer.start()
    async with asyncio.timeout(20):
        await runs.wait_for(2)
    await timer.aclose()
    (_, _, first), (_, _, second) = runs.begun[:2]
    assert first is not None
    assert second is not None
    assert first % 1 == 0
    assert second > first
    assert {name for name, _, _ in runs.begun} == {"pull"}
    assert bench.refreshes == 0


class TestReplace:
    """Another configuration's jobs."""

    async def test_a_schedule_that_stays_keeps_its_next_due_time(
        self, bench: Workbench, jobs: Jobs, runs: Runs
    ) -> None:
        """The slot is past, and its fire is on the way: a reload does not swallow it."""
        job = jobs.job(schedule=MINUTELY)
        timer = make_timer(bench, runs, [job])
        timer.start()
        bench.clock.advance(60)
        changed = dataclasses.replace(job, deadline=30.0)
        timer.replace({"pull": changed, "more": jobs.job(name="more", schedule=MINUTELY)})
        await fire(timer, job)
        await runs.wait_for(1)
        assert runs.begun == [("pull", ACCOUNT, NOW + 60)]
        assert runs.jobs == [changed]
        await timer.aclose()

    async def test_what_was_removed_or_moved_does_not_begin(
        self, bench: Workbench, jobs: Jobs, runs: Runs
    ) -> None:
        moved, removed = jobs.job(schedule=MINUTELY), jobs.job(name="more", schedule=MINUTELY)
        timer = make_timer(bench, runs, [moved, removed])
        timer.start()
        bench.clock.advance(60)
        hourly = dataclasses.replace(moved, schedule=parse_schedule("every 1h"))
        timer.replace({"pull": hourly})
        for job in (moved, removed):
            await fire(timer, job)
        assert timer._running == {}
        bench.clock.advance(3600)
        await fire(timer, hourly)
        await runs.wait_for(1)
        assert runs.begun == [("pull", ACCOUNT, NOW - NOW % 3600 + 3600)]
        assert {job.id for job in timer._scheduler.get_jobs()} == {"pull"}
        await timer.aclose()

    async def test_a_run_under_way_goes_on_though_its_job_is_removed(
        self, bench: Workbench, jobs: Jobs, runs: Runs
    ) -> None:
        job = jobs.job(schedule=MINUTELY)
        timer = make_timer(bench, runs, [job])
        timer.start()
        bench.clock.advance(60)
        await fire(timer, job)
        await runs.wait_for(1)
        (running,) = timer._running.values()
        timer.replace({})
        runs.ends.set()
        await running  # raises where it was cancelled
        await timer.aclose()

    @pytest.mark.parametrize("is_removed", [True, False])
    async def test_a_run_that_waits_begins_with_what_is_in_force_then(
        self, bench: Workbench, jobs: Jobs, runs: Runs, *, is_removed: bool
    ) -> None:
        job = jobs.job(schedule=MINUTELY, jitter=5.0)
        is_waiting, may_begin = asyncio.Event(), asyncio.Event()

        async def sleep(_seconds: float) -> None:
            is_waiting.set()
            await may_begin.wait()

        runner = cast("JobRunner", runs)
        timer = Timer({"pull": job}, runner, now=bench.clock.now, sleep=sleep)
        timer.start()
        bench.clock.advance(60)
        await fire(timer, job)
        await is_waiting.wait()
        changed = dataclasses.replace(job, run="other:pull")
        timer.replace({} if is_removed else {"pull": changed})
        may_begin.set()
        runs.ends.set()
        await settle(timer)
        assert runs.jobs == ([] if is_removed else [changed])
        await timer.aclose()
