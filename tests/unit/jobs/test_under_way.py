"""What changes while runs go on: the configuration, the account, the clocks, the daemon."""

import asyncio
from collections.abc import AsyncIterator

import pytest

from connector.account import Account
from connector.account_name import parse_glob
from connector.jobs.places import Limits
from connector.jobs.queue import RunQueue
from connector.runtime import Runtime
from connector.simulator.faults import Fault
from connector.store.run_rows import Ending, Figures, Run
from connector.store.runs import RunStore
from tests.unit.jobs.bench import Jobs
from tests.unit.jobs.test_queue import (
    DUE,
    NOTHING,
    Executed,
    account,
    begun,
    drained,
    executed,
)
from tests.unit.workbench import ACCOUNT, NOW, Workbench

__all__ = ["account", "executed"]


class TestReload:
    async def test_a_provider_that_goes_and_comes_again_keeps_its_places(
        self, runtime: Runtime, jobs: Jobs, executed: Executed
    ) -> None:
        declared, limits = {"pull": jobs.job(concurrent_runs=1)}, Limits(for_provider={"acme": 8})
        queue = RunQueue(executed, declared, limits, now=jobs.bench.clock.now)
        for number in range(3):
            one = await runtime.accounts.begin(f"acme/{number}", "acme", now=NOW)
            await queue.put_slot(declared["pull"], [one], DUE)
        await begun(queue)
        assert len(executed.given) == 1
        queue.replace(declared, Limits())
        executed.may_end.set()
        await drained(queue)
        queue.replace(declared, limits)
        await drained(queue)
        assert len(executed.given) == 3
        executed.may_end.clear()
        for number in range(3):
            one = await runtime.accounts.require(f"acme/{number}")
            await queue.put_slot(declared["pull"], [one], DUE + 60)
        await begun(queue)
        assert len(executed.given) == 4, "one at a time, as before"


TWICE = """
import time
def pull(api, context):
    for number in (1, 2):
        yield [{"id": number, "name": api.get("me").raise_for_status().json()["name"]}]
        time.sleep(1.2 * (number == 1))  # a token is asked for again after a second
"""
ADA = [("Ada Lovelace",)]


@pytest.fixture
async def held(bench: Workbench, jobs: Jobs, account: Account) -> AsyncIterator[RunQueue]:
    """A run of a slot, held while the API makes its first answer."""
    bench.simulator.faults.add(Fault(endpoint="api_me", kind="hold"))
    jobs.write(TWICE)
    queue = jobs.make_queue(jobs.job())
    await queue.put_slot(jobs.job(), [account], DUE)
    await queue.drain()
    await bench.held()
    yield queue
    await queue.aclose()


class TestAccount:
    async def test_one_that_is_renamed_goes_on(
        self, bench: Workbench, runtime: Runtime, jobs: Jobs, account: Account, held: RunQueue
    ) -> None:
        await runtime.accounts.rename(account, "acme/new")
        bench.release()
        await drained(held)
        run = await jobs.last()
        assert (run.account, run.outcome, run.error) == ("acme/new", "succeeded", None)
        assert jobs.rows("name") == ADA * 2

    async def test_its_name_leads_to_nobody_else(
        self, bench: Workbench, runtime: Runtime, jobs: Jobs, account: Account, held: RunQueue
    ) -> None:
        await runtime.accounts.rename(account, "acme/new")
        await bench.connect(runtime, person="grace")
        bench.release()
        await drained(held)
        assert (await jobs.last()).outcome == "succeeded"
        assert jobs.rows("name") == ADA * 2

    async def test_one_that_is_forgotten_ends_though_another_has_its_name(
        self, bench: Workbench, runtime: Runtime, jobs: Jobs, account: Account, held: RunQueue
    ) -> None:
        await runtime.accounts.forget(account)
        await bench.connect(runtime, person="grace")
        bench.release()
        await drained(held)
        run = await jobs.last()
        assert run.outcome == "failed"
        assert ACCOUNT in str(run.error)
        assert jobs.rows("name") == ADA

    async def test_what_follows_is_for_its_new_name(
        self, bench: Workbench, runtime: Runtime, jobs: Jobs, account: Account, held: RunQueue
    ) -> None:
        held.replace(
            {"pull": jobs.job(), "second": jobs.job(name="second", after="pull", run="no:no")},
            Limits.of(runtime.settings),
        )
        await runtime.accounts.rename(account, "acme/new")
        bench.release()
        await drained(held)
        names = {run.job: run.account for run in await runtime.runs.history(None, limit=9)}
        assert names == {"pull": "acme/new", "second": "acme/new"}

    async def test_one_that_the_job_does_not_select_any_more_is_not_begun(
        self, jobs: Jobs, runtime: Runtime, account: Account
    ) -> None:
        jobs.write("def pull(api, context): return [{'id': 1}]")
        queue = jobs.make_queue(jobs.job())
        await queue.put_slot(jobs.job(), [account], DUE)
        others = jobs.job(accounts=parse_glob("beta/*"))
        queue.replace({"pull": others}, Limits.of(runtime.settings))
        await drained(queue)
        run = await jobs.last()
        assert (run.outcome, run.records) == ("interrupted", 0)
        assert run.error == "the job does not select this account any more"


class TestStop:
    async def test_waits_until_the_end_of_a_run_is_written(
        self, jobs: Jobs, account: Account, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        is_at_it, may_go_on = asyncio.Event(), asyncio.Event()
        finish = RunStore.finish

        async def slow(store: RunStore, run: Run, ending: Ending, *, now: float) -> bool:
            is_at_it.set()
            await may_go_on.wait()
            return await finish(store, run, ending, now=now)

        monkeypatch.setattr(RunStore, "finish", slow)
        jobs.write(NOTHING)
        queue = jobs.make_queue(jobs.job())
        await queue.put_slot(jobs.job(), [account], DUE)
        await queue.drain()
        async with asyncio.timeout(20):
            await is_at_it.wait()
        closing = asyncio.create_task(queue.aclose())
        for _ in range(20):
            await asyncio.sleep(0)
        is_over = closing.done()
        may_go_on.set()
        await closing
        assert ((await jobs.last()).outcome, is_over) == ("succeeded", False)


#: Seconds for which the wall clock is set on while a run waits, or goes on.
A_DAY = 86_400.0
AN_HOUR = 3600.0


class TestWallClock:
    async def test_set_on_by_a_day_a_run_is_not_lost_whose_owner_is_heard(
        self, bench: Workbench, jobs: Jobs
    ) -> None:
        async with bench.runtime() as other:
            run = await other.runs.claim(
                "pull", ACCOUNT, None, owner=other.owner, now=NOW, deadline=60
            )
            assert run is not None
            bench.clock.advance(A_DAY)
            assert await other.runs.queue.beat(run, Figures())
            await jobs.make_queue(jobs.job()).sweep()
            assert await jobs.runner.run(jobs.job(), ACCOUNT, due_at=None) is None
        assert (await jobs.last()).outcome == "running"

    async def test_set_on_by_a_day_what_waits_still_does(
        self, bench: Workbench, jobs: Jobs, account: Account, executed: Executed
    ) -> None:
        full = RunQueue(executed, {"pull": jobs.job()}, Limits(in_all=0), now=bench.clock.now)
        await full.put_slot(jobs.job(), [account], DUE)
        bench.clock.advance(A_DAY + 1)
        await full.sweep()
        assert (await jobs.last()).outcome == "queued"

    async def test_set_back_by_an_hour_what_waits_is_begun(
        self, bench: Workbench, jobs: Jobs, account: Account, executed: Executed
    ) -> None:
        queue = jobs.make_queue(jobs.job(), runner=executed)
        await queue.put_slot(jobs.job(), [account], DUE)
        queue._now = executed._now = lambda: bench.clock.now() - AN_HOUR
        await queue.sweep()
        await begun(queue)
        assert len(executed.given) == 1

    async def test_set_back_by_an_hour_what_is_delayed_waits_for_its_jitter(
        self, bench: Workbench, jobs: Jobs, account: Account, executed: Executed
    ) -> None:
        job = jobs.job(jitter=2 * AN_HOUR)
        longer = jobs.job(name="longer", jitter=3 * AN_HOUR)
        queue = jobs.make_queue(job, longer, runner=executed)
        await queue.put_slot(job, [account], DUE)
        queue._now = executed._now = lambda: bench.clock.now() - 60
        await queue.sweep()
        await begun(queue)
        assert executed.given == []
