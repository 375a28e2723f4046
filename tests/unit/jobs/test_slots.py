"""Which slots are run that were missed: by downtime, pause, and what the job says of it."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Collection, Sequence

import pytest

from connector import errors
from connector.account import Account
from connector.jobs.schedule import Timer
from connector.jobs.slots import MOST_SLOTS, PutSlot, Slots
from connector.runtime import Runtime, RuntimeCredentials
from connector.schedule import parse_schedule
from connector.settings import JobSettings
from connector.store.runs import Ending
from tests.unit.jobs.bench import Jobs
from tests.unit.workbench import ACCOUNT, NOW, Workbench

HOURLY = parse_schedule("every 1h")
HOUR = 3600.0
#: The full hour before the tests begin.
LAST = NOW // HOUR * HOUR


class Rows:
    """What was queued; accounts whose run goes on take no other one."""

    def __init__(self) -> None:
        self.queued: list[tuple[str, float]] = []
        self.busy: set[str] = set()
        self.is_one_at_a_time = False
        self.error: Exception | None = None
        self.refused = 0
        self.changed = asyncio.Event()

    async def put(
        self, _job: JobSettings, accounts: Sequence[Account], due_at: float
    ) -> Collection[str]:
        if self.error is not None:
            raise self.error
        left_out = []
        for account in accounts:
            row = (account.name, due_at)
            if row in self.queued:
                continue
            if account.name in self.busy:
                left_out.append(account.name)
                self.refused += 1
                continue
            self.queued.append(row)
            self.changed.set()
            if self.is_one_at_a_time:
                self.busy.add(account.name)
        return left_out


@pytest.fixture
def rows() -> Rows:
    return Rows()


class Daemons:
    """Daemons on one database, one after the other or together."""

    def __init__(self, bench: Workbench, runtime: Runtime, jobs: Jobs, rows: Rows) -> None:
        self._bench = bench
        self._runtime = runtime
        self._runner = jobs.make_runner(RuntimeCredentials(runtime))
        self._rows = rows
        self._made: list[Slots] = []

    def start(self, *jobs: JobSettings) -> Slots:
        async def sleep(_seconds: float) -> None:
            self._rows.busy.clear()  # what went on has ended meanwhile
            await asyncio.sleep(0)

        by_name = {job.name: job for job in jobs}
        slots = Slots(
            by_name,
            self._runner,
            self._rows.put,
            self._runtime.runs.marks,
            now=self._bench.clock.now,
            sleep=sleep,
        )
        self._made.append(slots)
        return slots

    async def had_slot(self, job: str = "pull", slot: float = LAST) -> None:
        """Have a job's last slot be this one."""
        await self._runtime.runs.marks.set(job, slot, now=self._bench.clock.now())

    async def last_slot(self, job: str = "pull") -> float | None:
        return (await self._runtime.runs.marks.all())[job].slot_at

    async def aclose(self) -> None:
        for slots in self._made:
            await slots.aclose()


@pytest.fixture
async def daemons(
    bench: Workbench, runtime: Runtime, jobs: Jobs, rows: Rows
) -> AsyncIterator[Daemons]:
    made = Daemons(bench, runtime, jobs, rows)
    yield made
    await made.aclose()


async def settled(slots: Slots) -> None:
    """Wait until nothing is left to put."""
    async with asyncio.timeout(20):
        while slots._tasks:
            await asyncio.gather(*slots._tasks.values())


def at(*hours: int) -> list[tuple[str, float]]:
    """Give the slots of the account, by the hours after the last one."""
    return [(ACCOUNT, LAST + hour * HOUR) for hour in hours]


@pytest.mark.parametrize(
    ("catch_up", "hours", "run"),
    [
        ("last", 0.9, []),
        ("last", 1.5, [1]),
        ("last", 5.5, [5]),
        ("all", 0.9, []),
        ("all", 1.5, [1]),
        ("all", 5.5, [1, 2, 3, 4, 5]),
        ("none", 1.5, []),
        ("none", 5.5, []),
    ],
)
async def test_after_a_downtime(
    bench: Workbench,
    jobs: Jobs,
    rows: Rows,
    daemons: Daemons,
    catch_up: str,
    hours: float,
    run: list[int],
) -> None:
    await daemons.had_slot()
    bench.clock.advance(LAST + hours * HOUR - bench.clock.now())
    slots = daemons.start(jobs.job(schedule=HOURLY, catch_up=catch_up))
    await slots.catch_up()
    await settled(slots)
    assert rows.queued == at(*run)
    await slots.catch_up()
    again = daemons.start(jobs.job(schedule=HOURLY, catch_up=catch_up))
    await again.catch_up()
    await settled(again)
    assert rows.queued == at(*run), "a slot that was caught up is not missed any more"


async def test_a_new_job_has_missed_nothing(jobs: Jobs, rows: Rows, daemons: Daemons) -> None:
    slots = daemons.start(jobs.job(schedule=HOURLY, catch_up="all"))
    await slots.catch_up()
    assert rows.queued == []


async def test_at_most_the_newest_hundred(
    bench: Workbench, jobs: Jobs, rows: Rows, daemons: Daemons
) -> None:
    await daemons.had_slot()
    bench.clock.advance(300 * HOUR)
    slots = daemons.start(jobs.job(schedule=HOURLY, catch_up="all"))
    await slots.catch_up()
    await settled(slots)
    assert rows.queued == at(*range(301 - MOST_SLOTS, 301))


@pytest.mark.parametrize(
    ("catch_up", "run"),
    [("last", range(288, 289)), ("none", range(0)), ("all", range(289 - MOST_SLOTS, 289))],
)
async def test_after_a_day_of_five_minutes(
    bench: Workbench, jobs: Jobs, rows: Rows, daemons: Daemons, catch_up: str, run: range
) -> None:
    """Of 288 slots one is run, or none; or the newest hundred, one after another."""
    five = 300.0
    last = NOW // five * five
    await daemons.had_slot(slot=last)
    bench.clock.advance(last + 288.5 * five - bench.clock.now())
    rows.is_one_at_a_time = True
    slots = daemons.start(jobs.job(schedule=parse_schedule("every 5m"), catch_up=catch_up))
    await slots.catch_up()
    await settled(slots)
    assert rows.queued == [(ACCOUNT, last + number * five) for number in run]


@pytest.mark.parametrize("catch_up", ["last", "all"])
async def test_a_job_that_was_paused_over_it(
    bench: Workbench, runtime: Runtime, jobs: Jobs, rows: Rows, daemons: Daemons, catch_up: str
) -> None:
    await daemons.had_slot()
    await runtime.runs.pause("pull", now=NOW)
    bench.clock.advance(5 * HOUR)
    job = jobs.job(schedule=HOURLY, catch_up=catch_up)
    await daemons.start(job).catch_up()
    assert rows.queued == []
    await runtime.runs.resume("pull", now=bench.clock.now())
    await daemons.start(job).catch_up()
    assert rows.queued == []
    bench.clock.advance(HOUR)
    slots = daemons.start(job)
    await slots.catch_up()
    await settled(slots)
    assert rows.queued == at(6)


async def test_each_slot_waits_until_the_one_before_has_ended(
    bench: Workbench, runtime: Runtime, jobs: Jobs, rows: Rows, daemons: Daemons
) -> None:
    await bench.connect(runtime, "acme/other")
    await daemons.had_slot()
    bench.clock.advance(LAST + 3.5 * HOUR - bench.clock.now())
    rows.is_one_at_a_time = True
    slots = daemons.start(jobs.job(schedule=HOURLY, catch_up="all"))
    await slots.catch_up()
    await settled(slots)
    assert rows.refused > 0
    for name in (ACCOUNT, "acme/other"):
        of_account = [slot for account, slot in rows.queued if account == name]
        assert of_account == [LAST + hour * HOUR for hour in (1, 2, 3)]
    assert await daemons.last_slot() == LAST + 3 * HOUR


async def test_a_slot_that_comes_meanwhile_is_put_after_them(
    bench: Workbench, jobs: Jobs, rows: Rows, daemons: Daemons
) -> None:
    await daemons.had_slot()
    bench.clock.advance(LAST + 3.5 * HOUR - bench.clock.now())
    rows.is_one_at_a_time = True
    job = jobs.job(schedule=HOURLY, catch_up="all")
    slots = daemons.start(job)
    await slots.catch_up()
    bench.clock.advance(HOUR)
    await slots.put_due(job, HOURLY, LAST + 4 * HOUR)
    await settled(slots)
    assert rows.queued == at(1, 2, 3, 4)


async def test_several_daemons_run_each_slot_once(
    bench: Workbench, jobs: Jobs, rows: Rows, daemons: Daemons
) -> None:
    await daemons.had_slot()
    bench.clock.advance(LAST + 5.5 * HOUR - bench.clock.now())
    rows.is_one_at_a_time = True
    job = jobs.job(schedule=HOURLY, catch_up="all")
    started = [daemons.start(job) for _ in range(3)]
    await asyncio.gather(*(slots.catch_up() for slots in started))
    for slots in started:
        await settled(slots)
    assert Counter(rows.queued) == Counter(at(1, 2, 3, 4, 5))
    assert rows.queued == at(1, 2, 3, 4, 5)


@pytest.mark.parametrize(
    ("catch_up", "run"), [("last", [5]), ("all", [1, 2, 3, 4, 5]), ("none", [])]
)
async def test_after_a_suspend(
    bench: Workbench, jobs: Jobs, rows: Rows, daemons: Daemons, catch_up: str, run: list[int]
) -> None:
    """The process lived on, and the slot that it waited for is long past."""
    job = jobs.job(schedule=HOURLY, catch_up=catch_up)
    slots = daemons.start(job)
    bench.clock.advance(LAST + 5.5 * HOUR - bench.clock.now())
    await slots.put_due(job, HOURLY, LAST + HOUR)
    await settled(slots)
    assert rows.queued == at(*run)


@pytest.mark.parametrize("catch_up", ["last", "all", "none"])
async def test_a_slot_that_is_just_due_is_no_missed_one(
    bench: Workbench, jobs: Jobs, rows: Rows, daemons: Daemons, catch_up: str
) -> None:
    job = jobs.job(schedule=HOURLY, catch_up=catch_up)
    slots = daemons.start(job)
    bench.clock.advance(LAST + HOUR + 4 - bench.clock.now())
    await slots.put_due(job, HOURLY, LAST + HOUR)
    assert rows.queued == at(1)
    assert await daemons.last_slot() == LAST + HOUR


async def test_a_slot_that_the_database_kept_from_its_run_is_run_later(
    bench: Workbench, jobs: Jobs, rows: Rows, daemons: Daemons, caplog: pytest.LogCaptureFixture
) -> None:
    await daemons.had_slot()
    job = jobs.job(schedule=HOURLY)
    slots = daemons.start(job)
    bench.clock.advance(LAST + HOUR - bench.clock.now())
    rows.error = errors.TemporarilyUnavailable("the database is away")
    await slots.put_due(job, HOURLY, LAST + HOUR)
    assert "the database is away" in caplog.text
    rows.error = None
    bench.clock.advance(120)
    await slots.catch_up()
    assert rows.queued == at(1)


async def test_a_crash_between_two_accounts_leaves_the_slot_to_be_put_again(
    bench: Workbench, runtime: Runtime, jobs: Jobs, rows: Rows, daemons: Daemons
) -> None:
    await bench.connect(runtime, "acme/other")
    await daemons.had_slot()
    bench.clock.advance(LAST + 1.5 * HOUR - bench.clock.now())
    rows.queued = at(1)  # and no mark
    await daemons.start(jobs.job(schedule=HOURLY)).catch_up()
    assert rows.queued == [*at(1), ("acme/other", LAST + HOUR)]


@pytest.mark.parametrize("open_job", ["pull", "report", "mail"])
@pytest.mark.parametrize(("catch_up", "run"), [("last", [3]), ("all", [1, 2, 3]), ("all", [1])])
async def test_what_was_missed_waits_for_the_run_before_and_for_what_follows_that(
    bench: Workbench,
    jobs: Jobs,
    rows: Rows,
    daemons: Daemons,
    open_job: str,
    catch_up: str,
    run: list[int],
) -> None:
    """Of a daemon that was killed; its own next run would be left out, or that of a follower."""
    runtime, hours = jobs.runtime, run[-1]
    await daemons.had_slot()
    bench.clock.advance(LAST + (hours + 0.001) * HOUR - bench.clock.now())
    before = await runtime.runs.claim(
        open_job, ACCOUNT, LAST, owner="another", now=bench.clock.now(), deadline=HOUR
    )
    assert before is not None
    looks: list[int] = []

    async def sleep(_seconds: float) -> None:
        looks.append(len(rows.queued))
        if len(looks) == 2:
            ending = Ending(outcome="succeeded")
            assert await runtime.runs.finish(before, ending, now=bench.clock.now())

    declared = [
        jobs.job(schedule=HOURLY, catch_up=catch_up),
        jobs.job(name="report", after="pull"),
        jobs.job(name="mail", after="report"),
    ]
    slots = Slots(
        {job.name: job for job in declared},
        jobs.make_runner(RuntimeCredentials(runtime)),
        # as the queue does: an account whose run is open has none of it
        put_unless_open(runtime, rows),
        runtime.runs.marks,
        now=bench.clock.now,
        sleep=sleep,
    )
    await slots.catch_up()
    await settled(slots)
    assert looks == [0, 0]
    assert rows.refused == 0, "one that ends between look and put has queued its follower"
    assert rows.queued == at(*run)
    assert await daemons.last_slot() == LAST + hours * HOUR


def put_unless_open(runtime: Runtime, rows: Rows) -> PutSlot:
    async def put(job: JobSettings, accounts: Sequence[Account], due_at: float) -> Collection[str]:
        busy = await runtime.runs.busy({job.name})
        left_out = [one.name for one in accounts if one.name in busy]
        rows.refused += len(left_out)
        free = [one for one in accounts if one.name not in busy]
        return [*left_out, *await rows.put(job, free, due_at)]

    return put


async def test_of_the_last_slots_the_latest_alone_waits(
    bench: Workbench, jobs: Jobs, rows: Rows, daemons: Daemons, runtime: Runtime
) -> None:
    await daemons.had_slot()
    bench.clock.advance(LAST + 1.5 * HOUR - bench.clock.now())
    before = await runtime.runs.claim(
        "pull", ACCOUNT, LAST, owner="another", now=bench.clock.now(), deadline=9 * HOUR
    )
    assert before is not None
    job = jobs.job(schedule=HOURLY)
    slots = daemons.start(job)
    await slots.catch_up()
    bench.clock.advance(HOUR)
    await slots.put_due(job, HOURLY, LAST + 2 * HOUR)
    assert rows.queued == []
    assert await runtime.runs.finish(before, Ending(outcome="succeeded"), now=bench.clock.now())
    await settled(slots)
    assert rows.queued == at(2)


async def test_a_timer_catches_up_when_it_starts(
    bench: Workbench, jobs: Jobs, rows: Rows, daemons: Daemons, runtime: Runtime
) -> None:
    await daemons.had_slot()
    bench.clock.advance(LAST + 2.5 * HOUR - bench.clock.now())
    runner = jobs.make_runner(RuntimeCredentials(runtime))
    timer = Timer({"pull": jobs.job(schedule=HOURLY)}, runner, rows.put, now=bench.clock.now)
    timer.start()
    async with asyncio.timeout(20):
        await rows.changed.wait()
    await timer.aclose()
    assert rows.queued == at(2)
