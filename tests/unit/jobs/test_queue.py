"""What is queued is begun where there is a place, once, and again where its owner is gone."""

import asyncio
import dataclasses
import json
import logging
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import update

from connector import errors
from connector.account import Account
from connector.jobs.places import OF_AN_ACCOUNT, Limits
from connector.jobs.queue import RunQueue
from connector.jobs.run import JobRunner, RunEnding
from connector.runtime import Runtime, RuntimeCredentials
from connector.settings import JobSettings
from connector.simulator.faults import Fault
from connector.store.history_tables import RunRow
from connector.store.lost_runs import LONGEST_WAIT, MOST_ATTEMPTS
from connector.store.open_runs import IS_RUNNING
from connector.store.owner import new_owner
from connector.store.queued_runs import QueuedRuns
from connector.store.run_rows import Figures, Run
from tests.unit.jobs.bench import Jobs, is_running
from tests.unit.workbench import ACCOUNT, NOW, Workbench, dead_owner, in_thread

DUE = NOW
NOTHING = "def pull(api, context): return []"


def elsewhere() -> str:
    """Name an owner in another PID namespace of this host; its process cannot be looked for."""
    boot_id, namespace, _, start_time, number = new_owner().split(":")
    return f"{boot_id}:{namespace}0:1:{start_time}:{number}"


class Executed(JobRunner):
    """Executes nothing; what it was given ends when the test says so."""

    def __init__(self, **values: Any) -> None:
        super().__init__(**values)
        self.given: list[tuple[JobSettings, Run]] = []
        self.may_end = asyncio.Event()
        self.tasks: set[asyncio.Task[Any] | None] = set()

    async def execute(self, job: JobSettings, run: Run) -> RunEnding:
        self.given.append((job, run))
        self.tasks.add(asyncio.current_task())
        await self.may_end.wait()
        ending = RunEnding(outcome="succeeded")
        await self.runs.finish(run, ending, now=self._now())
        return ending


def executing(jobs: Jobs) -> Executed:
    made = jobs.make_runner(RuntimeCredentials(jobs.runtime))
    values = {
        name: getattr(made, f"_{name}") for name in ("accounts", "credentials", "folder", "now")
    }
    return Executed(
        **values, runs=made.runs, hidden_variables=made.hidden_variables, owner=made.owner
    )


@pytest.fixture
async def account(runtime: Runtime) -> Account:
    return await runtime.accounts.require(ACCOUNT)


@pytest.fixture
async def executed(jobs: Jobs) -> AsyncIterator[Executed]:
    runner = executing(jobs)
    yield runner
    runner.may_end.set()
    await asyncio.gather(*filter(None, runner.tasks), return_exceptions=True)


async def drained(queue: RunQueue) -> None:
    """Take what there is, and what there is a place for once that has ended, until it is all."""
    is_over = False
    while not is_over:
        queue._wake.clear()
        await begun(queue)
        if queue._tasks:
            await asyncio.wait(queue._tasks.values())
            await asyncio.sleep(0)  # until their places are free
        is_over = not queue._wake.is_set()


async def begun(queue: RunQueue) -> None:
    """Take what there is a place for, and let it begin."""
    await queue.drain()
    await asyncio.sleep(0)


class TestSlots:
    async def test_two_daemons_queue_a_slot_once_and_one_runs_it(
        self, bench: Workbench, jobs: Jobs, account: Account
    ) -> None:
        jobs.write(NOTHING)
        job = jobs.job()
        async with bench.runtime() as other:
            with closing(Jobs(bench, other)) as others:
                ours, theirs = jobs.make_queue(job), others.make_queue(job)
                left_out = [await one.put_slot(job, [account], DUE) for one in (ours, theirs)]
                assert left_out == [frozenset(), frozenset()]
                await asyncio.gather(drained(ours), drained(theirs))
        run = await jobs.last()
        assert (run.outcome, run.due_at, run.attempt) == ("succeeded", DUE, 1)
        assert len(await jobs.runtime.runs.history("pull", limit=9)) == 1

    async def test_a_run_that_takes_longer_is_not_queued_again(
        self, jobs: Jobs, account: Account, executed: Executed
    ) -> None:
        job, other = jobs.job(), jobs.job(name="other")
        queue = jobs.make_queue(job, other, runner=executed)
        left_out = []
        for seconds in (0, 60, 120):
            left_out.append(await queue.put_slot(job, [account], DUE + seconds))
            await begun(queue)
        assert left_out == [frozenset(), {ACCOUNT}, {ACCOUNT}]
        await queue.put_slot(job, [account], DUE)
        await queue.put_slot(other, [account], DUE)
        await begun(queue)
        assert [run.job for _, run in executed.given] == ["pull", "other"]
        executed.may_end.set()
        await drained(queue)
        await queue.put_slot(job, [account], DUE + 180)
        await drained(queue)
        assert executed.given[-1][1].due_at == DUE + 180

    async def test_jitter_delays_a_run_and_not_its_slot(
        self, bench: Workbench, jobs: Jobs, account: Account, executed: Executed
    ) -> None:
        job = jobs.job(jitter=6)
        queue = jobs.make_queue(job, runner=executed)
        executed.may_end.set()
        waits: set[float] = set()
        for count in range(12):
            now = bench.clock.now()
            await queue.put_slot(job, [account], DUE + 60 * count)
            found = await jobs.runtime.runs.history("pull", limit=99)
            (run,) = [one for one in found if one.due_at == DUE + 60 * count]
            assert run.queued_at is not None
            waits.add(run.queued_at - now)
            bench.clock.advance(6)
            await drained(queue)
        assert all(0 <= wait <= 6 for wait in waits)
        assert len(waits) > 1
        assert [run.due_at for _, run in executed.given] == [DUE + 60 * i for i in range(12)]

    async def test_what_is_delayed_does_not_begin_before(
        self, bench: Workbench, jobs: Jobs, account: Account, executed: Executed
    ) -> None:
        job = jobs.job(jitter=1e6)
        queue = jobs.make_queue(job, runner=executed)
        await queue.put_slot(job, [account], DUE)
        await begun(queue)
        assert executed.given == []
        bench.clock.advance(1e6)
        await begun(queue)
        assert len(executed.given) == 1

    async def test_what_somebody_asks_for_waits_for_no_jitter_and_for_no_schedule(
        self, jobs: Jobs, account: Account, executed: Executed
    ) -> None:
        job, other = jobs.job(), jobs.job(name="other", jitter=1e6)
        queue = jobs.make_queue(job, other, runner=executed)
        await queue.put_slot(job, [account], DUE)
        await queue.put_asked(other, [account], None)
        assert [run.job for _, run in executed.given] == ["other", "pull"]

    async def test_a_wish_goes_with_the_run(
        self, bench: Workbench, jobs: Jobs, account: Account
    ) -> None:
        """Another process than the one that was asked executes it."""
        jobs.write("def pull(api, context): return [{'id': 1, 'cursor': context.cursor}]")
        async with bench.runtime() as other:
            await (
                Jobs(bench, other)
                .make_queue(jobs.job(name="else"))
                .put_asked(jobs.job(), [account], {"day": "2027-01-01"})
            )
        await drained(jobs.make_queue(jobs.job()))
        ((cursor,),) = jobs.rows("cursor")
        assert json.loads(cursor) == {"day": "2027-01-01"}


class TestPlaces:
    @pytest.mark.parametrize(
        ("wanted", "expected"),
        [
            ({("slow", "acme"): 20, ("fast", "acme"): 1}, {"slow": 6, "fast": 1}),
            ({("both", "slow"): 20, ("both", "fast"): 1}, {"both": 7}),
            (
                {("slow", "acme"): 20, ("slower", "acme"): 20, ("fast", "other"): 1},
                {"slow": 6, "slower": 2, "fast": 1},
            ),
            (
                {("one", "1"): 20, ("two", "2"): 20, ("three", "3"): 20},
                {"one": 6, "two": 6, "three": 4},
            ),
            ({("narrow", "acme"): 3, ("fast", "acme"): 1}, {"narrow": 1, "fast": 1}),
        ],
        ids=[
            "a job that hangs",
            "a job that hangs at one of its providers",
            "a provider that hangs",
            "all of them",
            "a job with a bound of its own",
        ],
    )
    async def test_what_hangs_leaves_places_to_others(
        self,
        runtime: Runtime,
        jobs: Jobs,
        executed: Executed,
        wanted: dict[tuple[str, str], int],
        expected: dict[str, int],
    ) -> None:
        declared = {
            name: jobs.job(name=name, concurrent_runs=1 if name == "narrow" else 6)
            for name, _ in wanted
        }
        providers = {provider for _, provider in wanted}
        limits = Limits(for_provider=dict.fromkeys(providers, 8))
        queue = RunQueue(executed, declared, limits, now=jobs.bench.clock.now)
        for (name, provider), count in wanted.items():
            accounts = [
                await runtime.accounts.begin(f"{name}-{provider}/{number}", provider, now=NOW)
                for number in range(count)
            ]
            await queue.put_slot(declared[name], accounts, DUE)
            jobs.bench.clock.advance(1)  # first come, first served
        await begun(queue)
        assert Counter(job.name for job, _ in executed.given) == expected
        executed.may_end.set()
        await drained(queue)
        assert len(executed.given) == sum(wanted.values()), "each gets its turn"

    async def test_an_account_has_few_at_once(
        self, jobs: Jobs, account: Account, executed: Executed
    ) -> None:
        declared = [jobs.job(name=f"job{number}") for number in range(OF_AN_ACCOUNT + 2)]
        queue = jobs.make_queue(*declared, runner=executed)
        for job in declared:
            await queue.put_slot(job, [account], DUE)
        await begun(queue)
        assert len(executed.given) == OF_AN_ACCOUNT
        executed.may_end.set()
        await drained(queue)
        assert len(executed.given) == OF_AN_ACCOUNT + 2

    async def test_what_waits_is_not_lost(
        self, bench: Workbench, jobs: Jobs, account: Account, executed: Executed
    ) -> None:
        queue = RunQueue(executed, {"pull": jobs.job()}, Limits(in_all=0), now=bench.clock.now)
        await queue.put_slot(jobs.job(), [account], DUE)
        bench.clock.advance(3600)
        await queue.sweep()
        await queue.drain()
        run = await jobs.last()
        assert (run.outcome, run.attempt, executed.given) == ("queued", 1, [])

    async def test_what_no_host_wants_ends_after_a_day(
        self, bench: Workbench, jobs: Jobs, account: Account
    ) -> None:
        queue = jobs.make_queue(jobs.job(name="another"))
        await queue.put_slot(jobs.job(), [account], DUE)
        bench.clock.advance(LONGEST_WAIT + 1)
        await queue.sweep()
        run = await jobs.last()
        assert (run.outcome, run.error) == ("interrupted", "no host has begun it for a day")

    async def test_a_job_that_was_removed_is_not_begun_and_one_that_changed_is_as_it_is_now(
        self, jobs: Jobs, account: Account, executed: Executed
    ) -> None:
        job, removed = jobs.job(), jobs.job(name="removed")
        queue = jobs.make_queue(job, removed, runner=executed)
        for one in (job, removed):
            await queue.put_slot(one, [account], DUE)
        changed = dataclasses.replace(job, run="other:pull")
        queue.replace({"pull": changed}, Limits(for_provider={"acme": 8}))
        await begun(queue)
        assert [one for one, _ in executed.given] == [changed]

    async def test_an_account_that_has_gone_ends_its_run(
        self, runtime: Runtime, jobs: Jobs, account: Account
    ) -> None:
        queue = jobs.make_queue(jobs.job())
        await queue.put_slot(jobs.job(), [account], DUE)
        await runtime.accounts.forget(account)
        await drained(queue)
        run = await jobs.last()
        assert (run.outcome, run.error) == ("interrupted", "the account was forgotten")


@pytest.fixture
async def taken(runtime: Runtime, jobs: Jobs, account: Account) -> Run:
    """A run that another process has begun, of which nothing is seen here."""
    queue = jobs.make_queue(jobs.job())
    await queue.put_slot(jobs.job(), [account], DUE)
    found = await runtime.runs.queue.take(
        queue._places.openings(), owner=elsewhere(), now=NOW, deadlines={"pull": 60.0}
    )
    assert found is not None
    return found[0]


class TestTakeover:
    async def test_an_owner_that_is_silent_for_four_heartbeats(
        self, bench: Workbench, runtime: Runtime, jobs: Jobs, taken: Run
    ) -> None:
        jobs.write(NOTHING)
        queue = jobs.make_queue(jobs.job())
        bench.clock.advance(15)
        assert await runtime.runs.queue.beat(taken, Figures(records=7, pages=2))
        bench.clock.advance(20)
        await queue.sweep()
        assert (await jobs.last()).outcome == "running"
        bench.clock.advance(0.1)
        await queue.sweep()
        lost = await jobs.last()
        assert (lost.outcome, lost.attempt, lost.records, lost.pages) == ("queued", 2, 7, 2)
        assert lost.error == "attempt 1 was interrupted: nothing was heard of it for 20 s"
        assert queue.takeovers == {"pull": 1}
        await drained(queue)
        run = await jobs.last()
        assert (run.id, run.outcome, run.attempt) == (taken.id, "succeeded", 2)
        assert run.started_at == taken.started_at
        assert (run.records, run.pages) == (7, 2), "those of both owners"
        assert run.error is None

    async def test_one_that_is_gone_is_not_waited_for(
        self, runtime: Runtime, jobs: Jobs, taken: Run
    ) -> None:
        async with runtime.database.write() as connection:
            gone = await in_thread(dead_owner)
            await connection.execute(update(RunRow).values(owner=gone))
        await jobs.make_queue(jobs.job()).sweep()
        run = await jobs.last()
        assert (run.id, run.outcome, run.attempt) == (taken.id, "queued", 2)

    async def test_one_that_is_taken_over_writes_nothing(
        self, bench: Workbench, runtime: Runtime, jobs: Jobs, taken: Run
    ) -> None:
        bench.clock.advance(21)
        await jobs.make_queue(jobs.job()).sweep()
        queue, ending = runtime.runs.queue, RunEnding(outcome="failed", records=99)
        assert not await queue.beat(taken, Figures(records=99))
        assert not await queue.release(taken, ending, now=NOW)
        assert not await runtime.runs.finish(taken, ending, now=NOW)
        run = await jobs.last()
        assert (run.outcome, run.records) == ("queued", 0)

    async def test_the_fifth_that_is_lost_is_the_last(
        self, bench: Workbench, runtime: Runtime, jobs: Jobs, taken: Run
    ) -> None:
        queue = jobs.make_queue(jobs.job())
        for attempt in range(2, MOST_ATTEMPTS + 1):
            bench.clock.advance(21)
            await queue.sweep()
            found = await runtime.runs.queue.take(
                queue._places.openings(),
                owner=elsewhere(),
                now=bench.clock.now(),
                deadlines={"pull": 60.0},
            )
            assert found is not None
            assert (found[0].id, found[0].attempt) == (taken.id, attempt)
        bench.clock.advance(21)
        await queue.sweep()
        run = await jobs.last()
        assert (run.outcome, run.attempt) == ("interrupted", MOST_ATTEMPTS)
        assert run.finished_at == bench.clock.now()
        assert queue.takeovers["pull"] == MOST_ATTEMPTS - 1
        await begun(queue)
        assert (await jobs.last()).outcome == "interrupted"

    async def test_one_that_somebody_began_by_hand_is_not_begun_again(
        self, bench: Workbench, runtime: Runtime, jobs: Jobs
    ) -> None:
        await runtime.runs.claim("pull", ACCOUNT, None, owner=elsewhere(), now=NOW)
        bench.clock.advance(21)
        await jobs.make_queue(jobs.job()).sweep()
        assert (await jobs.last()).outcome == "interrupted"

    async def test_a_laptop_that_slept_keeps_its_runs(self, bench: Workbench, jobs: Jobs) -> None:
        """Their processes are seen, and go on by themselves."""
        async with bench.runtime() as other:
            await other.runs.claim("pull", ACCOUNT, None, owner=other.owner, now=NOW, deadline=7200)
            bench.clock.advance(3600)
            await jobs.make_queue(jobs.job()).sweep()
            assert (await jobs.last()).outcome == "running"
            bench.clock.advance(3600 + 301)
            await jobs.make_queue(jobs.job()).sweep()
            assert (await jobs.last()).outcome == "interrupted"


ENDLESS = """
import os, time
def pull(api, context):
    yield [{"id": os.getpid()}]
    api.get("me")
    time.sleep(600)
"""


class TestOwner:
    async def test_tells_how_far_it_is_and_kills_its_child_when_it_is_taken_over(
        self, bench: Workbench, runtime: Runtime, jobs: Jobs, account: Account
    ) -> None:
        runtime.runs.queue.heartbeat = 0.05
        jobs.write(ENDLESS)
        bench.simulator.faults.add(Fault(endpoint="api_me", kind="hold"))
        queue = jobs.make_queue(jobs.job())
        await queue.put_slot(jobs.job(), [account], DUE)
        await queue.drain()
        await bench.held()
        async with asyncio.timeout(20):
            while (await jobs.last()).records != 1:  # noqa: ASYNC110
                await asyncio.sleep(0.02)  # polls what a heartbeat writes
        ((pid,),) = jobs.rows("id")
        (task,) = queue._tasks.values()
        taker = elsewhere()
        async with runtime.database.write() as connection:
            later = update(RunRow).where(IS_RUNNING).values(attempt=2, owner=taker)
            await connection.execute(later)
        async with asyncio.timeout(20):
            ending = await task
        assert (ending.outcome, ending.kind) == ("interrupted", "TakenOver")
        assert not is_running(int(pid))
        run = await jobs.last()
        assert (run.outcome, run.attempt, run.owner) == ("running", 2, taker)
        bench.release()

    async def test_goes_on_while_the_database_is_away(
        self,
        runtime: Runtime,
        jobs: Jobs,
        monkeypatch: pytest.MonkeyPatch,
        caplog: pytest.LogCaptureFixture,
        tmp_path: Path,
    ) -> None:
        async def fail(*_: object) -> bool:
            raise errors.TemporarilyUnavailable("the disk is full")

        runtime.runs.queue.heartbeat = 0.02
        monkeypatch.setattr(QueuedRuns, "beat", fail)
        code = f"""
        import pathlib, time
        def pull(api, context):
            while not pathlib.Path({str(tmp_path / "on")!r}).exists():
                time.sleep(0.01)
            return [{{"id": 1}}]
        """
        running = asyncio.create_task(jobs.run(code))
        async with asyncio.timeout(20):
            while "the disk is full" not in caplog.text:  # noqa: ASYNC110
                await asyncio.sleep(0.01)  # polls the log
        (tmp_path / "on").touch()
        ending = await running
        assert (ending.outcome, ending.records) == ("succeeded", 1)

    async def test_what_is_stopped_in_order_waits_and_goes_on_at_its_next_start(
        self, bench: Workbench, jobs: Jobs, account: Account, caplog: pytest.LogCaptureFixture
    ) -> None:
        caplog.set_level(logging.INFO)
        jobs.write(ENDLESS)
        bench.simulator.faults.add(Fault(endpoint="api_me", kind="hold"))
        queue = jobs.make_queue(jobs.job())
        await queue.put_slot(jobs.job(), [account], DUE)
        await queue.drain()
        await bench.held()
        await queue.aclose()
        await queue.drain()
        stopped = await jobs.last()
        assert (stopped.outcome, stopped.attempt, stopped.records) == ("queued", 1, 1)
        assert stopped.error == "the process was stopped"
        bench.release()
        jobs.write(NOTHING, "others")
        await drained(jobs.make_queue(jobs.job(run="others:pull")))
        run = await jobs.last()
        assert (run.id, run.outcome, run.attempt) == (stopped.id, "succeeded", 1)

    async def test_one_that_was_taken_just_before_the_end_goes_back(
        self, jobs: Jobs, account: Account
    ) -> None:
        jobs.write(ENDLESS)
        queue = jobs.make_queue(jobs.job())
        await queue.put_slot(jobs.job(), [account], DUE)
        await queue.drain()
        await queue.aclose()
        assert (await jobs.last()).outcome == "queued"

    async def test_a_person_begins_what_waits(self, jobs: Jobs, account: Account) -> None:
        queue = jobs.make_queue(jobs.job())
        await queue.put_slot(jobs.job(), [account], DUE)
        put = await jobs.last()
        ending = await jobs.run(NOTHING)
        assert ending.outcome == "succeeded"
        run = await jobs.last()
        assert (run.id, run.outcome) == (put.id, "succeeded")
        await begun(queue)
        assert len(await jobs.runtime.runs.history("pull", limit=9)) == 1


async def test_it_takes_by_itself_what_another_process_has_queued(
    bench: Workbench, jobs: Jobs, account: Account, executed: Executed
) -> None:
    queue = jobs.make_queue(jobs.job(), runner=executed)
    assert not queue.is_well()
    queue.start()
    async with bench.runtime() as other:
        await Jobs(bench, other).make_queue(jobs.job()).put_slot(jobs.job(), [account], DUE)
    async with asyncio.timeout(20):
        while not executed.given:  # noqa: ASYNC110
            await asyncio.sleep(0.02)  # polls what the queue's own loop does
    assert queue.is_well()
    executed.may_end.set()
    await queue.aclose()
    assert not queue.is_well()


async def test_a_database_that_is_away_and_a_bug_end_nothing(
    jobs: Jobs,
    account: Account,
    executed: Executed,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    queue = jobs.make_queue(jobs.job(), runner=executed)
    await queue.put_slot(jobs.job(), [account], DUE)
    for error in (
        errors.TemporarilyUnavailable("away"),
        errors.TemporarilyUnavailable("away"),
        ZeroDivisionError("a bug"),
    ):

        async def fail(_queue: object, error: Exception = error) -> bool:
            raise error

        with monkeypatch.context() as patch:
            patch.setattr(QueuedRuns, "has_waiting", fail)
            await queue._attempt(queue.drain)
    assert [record.getMessage() for record in caplog.records].count("away. Try again later.") == 1
    assert "ZeroDivisionError" in caplog.text
    await queue._attempt(queue.drain)
    await asyncio.sleep(0)
    assert len(executed.given) == 1
