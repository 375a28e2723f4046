"""A run of a schedule that fails for what passes is tried again; it is one run all the same."""

from dataclasses import replace

import pytest

from connector.account import Account
from connector.jobs.endings import RunEnding
from connector.jobs.places import Limits
from connector.jobs.queue import RunQueue
from connector.jobs.trying_again import GIVEN_UP_AFTER, LONGEST, SHORTEST, again_at, put_off
from connector.runtime import Runtime
from connector.schedule import Schedule, parse_schedule
from connector.store.run_rows import Run
from tests.unit.jobs.bench import Jobs
from tests.unit.jobs.test_queue import drained
from tests.unit.workbench import ACCOUNT, NOW, Workbench

AWAY = RunEnding(outcome="failed", error="it does not answer", kind="TemporarilyUnavailable")
DAILY = parse_schedule("0 3 * * *")
CODE = """
def pull(api, context):
    api.get("me").raise_for_status()
    return [{"id": 1}]
"""


@pytest.fixture
async def account(runtime: Runtime) -> Account:
    return await runtime.accounts.require(ACCOUNT)


@pytest.fixture
def run() -> Run:
    """A run that was begun with its slot."""
    return Run(
        id="1",
        job="pull",
        account=ACCOUNT,
        due_at=NOW,
        started_at=NOW,
        deadline_at=None,
        finished_at=None,
        outcome="running",
        error=None,
        records=0,
        batches=0,
        tokens=0,
        cursor=None,
        owner="me",
        queued_at=NOW,
    )


class TestWhen:
    def test_pauses_double_up_to_half_an_hour(self, jobs: Jobs, run: Run) -> None:
        job = jobs.job(schedule=parse_schedule("every 1d"))
        pauses, now = [], NOW + 1.0
        while (moment := again_at({}, job, run, AWAY, now)) is not None:
            pauses.append(moment - now)
            now = moment
        assert pauses[:3] == [SHORTEST, 61.0, 122.0]
        assert max(pauses) == LONGEST
        assert NOW + GIVEN_UP_AFTER - LONGEST < now <= NOW + GIVEN_UP_AFTER

    @pytest.mark.parametrize(
        ("schedule", "passed", "is_tried"),
        [
            (parse_schedule("every 5m"), 1.0, True),
            (parse_schedule("every 5m"), 200.0, False),
            (parse_schedule("every 1m"), 1.0, False),
            (None, 1.0, False),
        ],
    )
    def test_only_well_before_the_next_slot(
        self, jobs: Jobs, run: Run, schedule: Schedule | None, passed: float, *, is_tried: bool
    ) -> None:
        due = NOW // 300 * 300
        begun = replace(run, due_at=due, started_at=due)
        moment = again_at({}, jobs.job(schedule=schedule), begun, AWAY, due + passed)
        assert (moment is not None) is is_tried

    @pytest.mark.parametrize("kind", [None, "PullFailed", "ConsentRequired", "Deadline"])
    def test_not_what_does_not_pass(self, jobs: Jobs, run: Run, kind: str | None) -> None:
        job = jobs.job(schedule=DAILY)
        assert again_at({}, job, run, AWAY, NOW + 1) is not None
        assert again_at({}, job, run, replace(AWAY, kind=kind), NOW + 1) is None

    def test_an_api_that_does_not_answer(self, jobs: Jobs, run: Run) -> None:
        away = replace(AWAY, kind="Unusable")
        assert again_at({}, jobs.job(schedule=DAILY), run, away, NOW + 1) == NOW + 1 + SHORTEST

    def test_a_schedule_that_was_changed_meanwhile_holds(self, jobs: Jobs, run: Run) -> None:
        job = jobs.job(schedule=DAILY)
        often = jobs.job(schedule=parse_schedule("every 1m"))
        assert again_at({"pull": often}, job, run, AWAY, NOW + 1) is None
        assert again_at({"pull": jobs.job()}, job, run, AWAY, NOW + 1) is None

    def test_not_what_a_person_asked_for_nor_what_did_not_come_from_the_queue(
        self, jobs: Jobs, run: Run
    ) -> None:
        job = jobs.job(schedule=DAILY)
        assert again_at({}, job, replace(run, due_at=None), AWAY, NOW + 1) is None
        assert again_at({}, job, replace(run, queued_at=None), AWAY, NOW + 1) is None

    def test_what_follows_goes_by_the_schedule_of_the_first(self, jobs: Jobs, run: Run) -> None:
        first = jobs.job(name="first", schedule=DAILY)
        second = jobs.job(name="second", after="first")
        third = jobs.job(name="third", after="second")
        known = {job.name: job for job in (first, second, third)}
        assert again_at(known, third, run, AWAY, NOW + 1) == NOW + 1 + SHORTEST
        assert again_at({"third": third}, third, run, AWAY, NOW + 1) is None

    def test_the_reason_says_when(self) -> None:
        ending = put_off(AWAY, NOW + 60)
        assert ending.outcome == "interrupted"
        assert ending.error == "put off until 15 Jan 2027, 08:01 UTC: it does not answer"


async def test_a_daily_run_is_made_up_for_once_the_provider_is_back(
    bench: Workbench, runtime: Runtime, jobs: Jobs, account: Account
) -> None:
    jobs.write(CODE)
    job = jobs.job(schedule=DAILY)
    jobs.runner.ends.jobs = {"pull": job}
    queue = jobs.make_queue(job)
    told: list[tuple[float, str, float]] = []
    jobs.runner.tell_to(
        lambda run, ending, seconds: told.append((run.started_at, ending.outcome, seconds))
    )
    bench.simulator.state.expire_access_tokens("ada")
    bench.clock.advance(3600)
    bench.fault("status", times=None)
    await queue.put_slot(job, [account], NOW)
    await drained(queue)
    waiting = await jobs.last()
    assert (waiting.outcome, waiting.finished_at) == ("queued", None)
    assert "put off until" in str(waiting.error)
    assert "HTTP 503" in str(waiting.error)
    await queue.sweep()
    bench.clock.advance(SHORTEST - 1)
    await drained(queue)
    assert await jobs.last() == waiting, "not yet"
    assert await queue.put_asked(job, [account], {"day": "2026-01-01"}) == {}
    assert await jobs.last() == waiting
    bench.simulator.faults.clear()
    bench.clock.advance(3600)  # the provider was left alone for a while
    await drained(queue)
    run = await jobs.last()
    assert (run.id, run.outcome, run.error) == (waiting.id, "succeeded", None)
    assert (run.attempt, run.records) == (1, 1)
    assert len(await runtime.runs.history(None, limit=9)) == 1
    again_at_last = NOW + 3600 + SHORTEST - 1 + 3600
    assert told == [(NOW + 3600, "interrupted", 0), (again_at_last, "succeeded", 0)], (
        "who counts how long runs take does not count how long they wait"
    )
    await queue.aclose()


async def test_it_does_not_wait_for_its_moment_where_somebody_asks(
    jobs: Jobs, account: Account
) -> None:
    jobs.write(CODE)
    job, other = jobs.job(schedule=DAILY, jitter=1e6), jobs.job(name="other", jitter=1e6)
    queue = jobs.make_queue(job, other)
    await queue.put_slot(job, [account], NOW)
    await queue.put_slot(other, [account], NOW)
    waiting = await jobs.last()
    put = await queue.put_asked(job, [account], None)
    assert put[ACCOUNT].id == waiting.id
    await drained(queue)
    run = await jobs.last()
    assert (run.id, run.outcome, run.due_at) == (waiting.id, "succeeded", NOW)
    assert (await jobs.runtime.runs.queue.count()) == {"other": {"queued": 1, "running": 0}}
    await queue.aclose()


@pytest.mark.parametrize(
    ("since", "outcome"), [(None, "queued"), ({"day": "2026-01-01"}, "failed")]
)
async def test_what_a_person_asks_of_one_that_waits_is_not_tried_again_without_it(
    bench: Workbench, jobs: Jobs, account: Account, since: object, outcome: str
) -> None:
    """It would be pulled from its cursor, and not from where the person said."""
    jobs.write(CODE)
    job = jobs.job(schedule=DAILY, jitter=600)
    queue = jobs.make_queue(job)
    bench.simulator.state.expire_access_tokens("ada")
    bench.clock.advance(3600)
    bench.fault("status", times=None)
    await queue.put_slot(job, [account], NOW)
    ending = await jobs.runner.run(job, ACCOUNT, due_at=None, since=since)
    assert ending is not None
    assert (await jobs.last()).outcome == outcome
    await queue.aclose()


async def test_a_daemon_without_jobs_looks_for_lost_runs_all_the_same(
    bench: Workbench, jobs: Jobs
) -> None:
    queue = RunQueue(jobs.runner, {}, Limits(), now=bench.clock.now)
    await queue.sweep()
    await queue.aclose()
