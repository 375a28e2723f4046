"""What follows a run; backfills beside the schedule; what a run said; and consents that lack."""

import asyncio
import json
from collections.abc import Mapping
from typing import Any

import pytest

from connector.account_name import parse_glob
from connector.jobs.end_writer import End
from connector.jobs.endings import RunEnding
from connector.jobs.run_log import RunLog
from connector.notices.causes import open_causes
from connector.runtime import Runtime
from connector.store.notice_facts import NoticeFacts
from tests.unit.jobs.bench import Jobs
from tests.unit.jobs.test_queue import drained
from tests.unit.workbench import ACCOUNT, NOW, Workbench

DUE = NOW - 60
NOTHING = "def pull(api, context): return []"


async def outcomes(jobs: Jobs) -> dict[str, list[tuple[str, float | None]]]:
    """Give the runs of each job: how they ended, and their slots."""
    found: dict[str, list[tuple[str, float | None]]] = {}
    for run in await jobs.runtime.runs.history(None, limit=99):
        found.setdefault(run.job, []).append((run.outcome, run.due_at))
    return found


async def run_slot(jobs: Jobs, *more: Mapping[str, Any]) -> dict[str, list[Any]]:
    """Run a slot of ``pull`` and whatever follows it."""
    declared = [jobs.job(), *(jobs.job(**changes) for changes in more)]
    queue = jobs.make_queue(*declared)
    account = await jobs.runtime.accounts.require(ACCOUNT)
    await queue.put_slot(declared[0], [account], DUE)
    async with asyncio.timeout(60):
        await drained(queue)
    return dict(await outcomes(jobs))


class TestChains:
    async def test_each_runs_when_the_one_before_has_succeeded(self, jobs: Jobs) -> None:
        jobs.write(NOTHING)
        second, third = {"name": "second", "after": "pull"}, {"name": "third", "after": "second"}
        found = await run_slot(jobs, second, third)
        assert found == {name: [("succeeded", DUE)] for name in ("pull", "second", "third")}

    async def test_a_failure_starts_nothing(self, jobs: Jobs) -> None:
        jobs.write("def pull(api, context): raise ValueError('no')")
        found = await run_slot(jobs, {"name": "second", "after": "pull"})
        assert found == {"pull": [("failed", DUE)]}

    async def test_a_run_that_a_person_asked_for_starts_nothing(self, jobs: Jobs) -> None:
        jobs.runner.ends.jobs = {"second": jobs.job(name="second", after="pull")}
        assert (await jobs.run(NOTHING)).outcome == "succeeded"
        assert await outcomes(jobs) == {"pull": [("succeeded", None)]}

    @pytest.mark.parametrize("changes", [{"accounts": parse_glob("beta/*")}, {"provider": "other"}])
    async def test_an_account_that_the_follower_does_not_select(
        self, jobs: Jobs, changes: Mapping[str, Any]
    ) -> None:
        jobs.write(NOTHING)
        found = await run_slot(jobs, {"name": "second", "after": "pull", **changes})
        assert found == {"pull": [("succeeded", DUE)]}

    async def test_a_paused_follower_is_not_run_and_said(
        self, jobs: Jobs, runtime: Runtime, caplog: pytest.LogCaptureFixture
    ) -> None:
        caplog.set_level("INFO")
        jobs.write(NOTHING)
        await runtime.runs.pause("second", now=NOW)
        found = await run_slot(jobs, {"name": "second", "after": "pull"})
        assert found == {"pull": [("succeeded", DUE)]}
        assert "the job that follows is paused; it is not run" in caplog.text

    async def test_an_end_is_written_once_however_many_are_at_it(
        self, jobs: Jobs, runtime: Runtime, caplog: pytest.LogCaptureFixture
    ) -> None:
        """The run itself, and whoever is about to take the next one."""
        jobs.write(NOTHING)
        declared = jobs.job()
        ends = jobs.runner.ends
        ends.jobs = {"pull": declared, "second": jobs.job(name="second", after="pull")}
        run = await runtime.runs.claim("pull", ACCOUNT, DUE, owner=runtime.owner, now=NOW)
        assert run is not None
        log = RunLog(runtime.runs.logs, run, lambda: NOW)
        ending = RunEnding(outcome="succeeded")
        end = End(run=run, ending=ending, at=NOW, log=log, again_at=None)
        await asyncio.gather(ends.write(end), *(ends.write_all() for _ in range(3)))
        assert await outcomes(jobs) == {"pull": [("succeeded", DUE)], "second": [("queued", DUE)]}
        assert "another process has taken it over" not in caplog.text


SPELL = """
    def pull(api, context):
        window = context.window and [context.window.since, context.window.until]
        context.cursor = context.cursor or "of the schedule"
        yield [{"id": context.run_id, "window": str(window), "due": str(context.due_at)}]
"""


class TestBackfill:
    async def test_it_has_a_window_and_leaves_the_cursor_alone(self, jobs: Jobs) -> None:
        await jobs.run(SPELL)
        before = jobs.cursor()
        ending = await jobs.runner.run(
            jobs.job(), ACCOUNT, due_at=None, since="2025-01-01", until="2025-02-01"
        )
        assert ending is not None
        assert (ending.outcome, ending.records) == ("succeeded", 1)
        lanes = {run.lane for run in await jobs.runtime.runs.history("pull", limit=9)}
        assert lanes == {"", "2025-01-01/2025-02-01"}
        assert jobs.cursor() == before == json.dumps("of the schedule")
        windows = {window for (window,) in jobs.rows("window")}
        assert windows == {"None", "['2025-01-01', '2025-02-01']"}

    async def test_the_same_command_goes_on_where_it_stopped(self, jobs: Jobs) -> None:
        jobs.write("""
            def pull(api, context):
                begun = context.checkpoint or 0
                for number in range(begun, 4):
                    context.checkpoint = number + 1
                    yield [{"id": number, "begun": begun}]
                    if number == 1 and not begun:
                        raise ValueError("the laptop is closed")
        """)
        outcome = []
        for _ in range(2):
            ending = await jobs.runner.run(
                jobs.job(), ACCOUNT, due_at=None, since="2025-01-01", until="2025-02-01"
            )
            assert ending is not None
            outcome.append(ending.outcome)
        assert outcome == ["failed", "succeeded"]
        assert jobs.rows("id, begun") == [(0, 0), (1, 0), (2, 2), (3, 2)]

    async def test_a_run_knows_its_slot(self, jobs: Jobs) -> None:
        jobs.write(SPELL)
        await run_slot(jobs)
        assert [float(due) for (due,) in jobs.rows("due")] == [DUE]


class TestLog:
    async def test_what_a_run_says_is_kept(self, jobs: Jobs, runtime: Runtime) -> None:
        await jobs.run("""
            def pull(api, context):
                context.logger.warning("careful\\nnow")
                print("printed")
                return []
        """)
        run = await jobs.last()
        lines = await runtime.runs.logs.of_run(run.id)
        said = {(line.kind, line.text) for line in lines}
        assert {("warning", "careful now"), ("stdout", "printed")} <= said

    async def test_a_run_that_fails_has_its_log(self, jobs: Jobs, runtime: Runtime) -> None:
        await jobs.run("""
            def pull(api, context):
                context.logger.info("before")
                raise ValueError("no")
        """)
        lines = await runtime.runs.logs.of_run((await jobs.last()).id)
        assert [line.text for line in lines][:1] == ["before"]


class TestScopes:
    async def test_an_account_that_was_granted_less_is_not_run_for(
        self, bench: Workbench, jobs: Jobs, runtime: Runtime
    ) -> None:
        """Until it is granted: then the next run is one like any other."""
        needy = {"scopes": ("ads_read", "ads_management")}
        ending = await jobs.run("raise SystemError('it was imported')", **needy)
        assert ending.outcome == "consent_required"
        run = await jobs.last()
        assert run.error == "the consent does not grant ads_management"
        await bench.connect(runtime, scope="ads_read ads_management")
        assert (await jobs.run(NOTHING, **needy)).outcome == "succeeded"

    async def test_others_run(self, jobs: Jobs) -> None:
        assert (await jobs.run(NOTHING, scopes=("ads_read",))).outcome == "succeeded"

    async def test_a_notice_is_open_until_it_is_granted(
        self, bench: Workbench, jobs: Jobs, runtime: Runtime
    ) -> None:
        facts = NoticeFacts(runtime.database, providers=["acme"], jobs=["pull"])
        bench.clock.advance(60)
        await jobs.run(NOTHING, scopes=("ads_management",))
        now = bench.clock.now()
        (cause,) = open_causes(await facts.look(now=now), now=now)
        assert (cause.kind, cause.job, cause.account) == ("consent_required", "pull", ACCOUNT)
        assert cause.reason == "the consent does not grant ads_management"
        bench.clock.advance(60)
        await bench.connect(runtime, scope="ads_read ads_management")
        assert open_causes(await facts.look(now=now + 60), now=now + 60) == []
