"""Jobs and runs on pages: what they show, run now, pause and resume."""

import asyncio
from dataclasses import replace

import pytest
from sqlalchemy import insert

from connector.account_name import parse_glob
from connector.pulls.reading import load_pull
from connector.runtime import Runtime
from connector.schedule import parse_schedule
from connector.store.history_tables import RunRow
from connector.web.dashboard.run_words import schedule_words
from connector.web.run_starter import RunStarter
from tests.unit.jobs.bench import Jobs
from tests.unit.web.test_job_runs import ENDLESS, ONE, ended, started
from tests.unit.workbench import ACCOUNT, NOW, Workbench

from .test_pages import ATTACK, change, rows_of, text_of
from .visitor import Visitor

DAY = 86_400.0
DASH = "\N{EN DASH}"


async def write(runtime: Runtime, *rows: dict[str, object]) -> None:
    """Have runs there."""
    whole = [
        {
            "id": f"{number:016x}",
            "job": "pull",
            "account": ACCOUNT,
            "due_at": None,
            "started_at": NOW - 3600 + number,
            "finished_at": NOW - 3540 + number,
            "deadline_at": None,
            "outcome": "succeeded",
            "error": None,
            "records": 1200,
            "batches": 3,
            "tokens": 1,
            "cursor": '"2027-01-14"',
            "owner": "someone else",
            **row,
        }
        for number, row in enumerate(rows)
    ]
    async with runtime.database.write() as connection:
        await connection.execute(insert(RunRow), whole)


class TestJobs:
    async def test_what_each_does_and_did(self, person: Visitor, runtime: Runtime) -> None:
        await write(runtime, {}, {"outcome": "failed", "error": "it answered 500", "records": 0})
        page = (await person.get("/jobs")).text
        assert rows_of(page) == [
            (
                "pull acme/* acme/ads: it answered 500 | Failed 59 min 59 s ago"
                " | Every 15 min next in 15 min | 1,200 rows in 30 days 1,200 | Run now Pause"
            ),
            "other beta/* | Never ran | Only when asked | 0 rows in 30 days 0 | Run now",
        ]
        assert page.count('class="spark"') == 2

    async def test_a_declared_pull_that_follows_another_job(
        self, person: Visitor, runtime: Runtime, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        follower = replace(
            runtime.settings.jobs["pull"],
            name="ads",
            accounts=parse_glob("**"),
            schedule=None,
            after="pull",
            run="",
            request=load_pull({"url": "me/ads"}, {}, source="config.toml", job="ads"),
        )
        monkeypatch.setitem(runtime.settings.jobs, "ads", follower)
        page = (await person.get("/jobs/ads")).text
        shown = text_of(page)
        assert "After pull, for all accounts" in shown
        assert "State After another job" in shown
        assert "Asks for GET me/ads" in shown
        assert "Calls" not in shown
        assert 'action="/jobs/ads/pause"' in page

    async def test_one_in_whole(self, person: Visitor, bench: Workbench, runtime: Runtime) -> None:
        await bench.connect(runtime, "acme/ended")
        await change(runtime, "acme/ended", state="consent_required", reason="over")
        await write(
            runtime,
            {"outcome": "failed", "error": "it answered 500", "started_at": NOW - 2 * DAY},
            {},
        )
        page = (await person.get("/jobs/pull")).text
        rows = rows_of(page.partition("Accounts of pull")[2])
        assert rows == [
            "acme/ads | Succeeded | 59 min 59 s ago | 1,200 | 2027-01-14 | Run now",
            f"acme/ended Needs consent | Never ran | {DASH} | {DASH} | {DASH} | ",
        ]
        assert "1 active of 2" in text_of(page)
        assert "2,400 rows on 2 of 30 days" in page
        assert "15 Jan: 1,200 rows" in page
        assert "12 Jan: no run" in page
        (failure,) = rows_of(page.partition("Last failures")[2].partition("</table>")[0])
        assert "it answered 500 | acme/ads | Failed | 1,200 | " in failure

    async def test_what_is_under_way_stands_before_the_failures(
        self, person: Visitor, runtime: Runtime
    ) -> None:
        place = '{"done": 0.37, "text": "page 3 of 8", "rate": 20.0, "left": 83.0}'
        await write(
            runtime,
            {"outcome": "failed", "error": "it answered 500", "place": None},
            {"outcome": "running", "finished_at": None, "records": 7, "place": place},
        )
        page = (await person.get("/jobs/pull")).text
        first, _, rest = page.partition("Under way")[2].partition("</table>")
        (row,) = rows_of(first)
        assert row.startswith("acme/ads | 59 min 59 s ago | 7 | 37 % page 3 of 8")
        assert "Last failures" in rest
        assert 'href="/runs?job=pull&amp;state=running"' in page

    async def test_one_that_is_not_there(self, person: Visitor) -> None:
        for path in ("/jobs/none", "/runs/none", "/runs/%00"):
            answer = await person.get(path)
            assert answer.status_code == 404
            assert "There is no such" in answer.text
        for what in ("run", "pause", "resume"):
            assert (await person.send(f"/jobs/none/{what}")).status_code == 404

    async def test_paused_and_resumed(self, person: Visitor, runtime: Runtime) -> None:
        told = await person.told(await person.send("/jobs/pull/pause"))
        assert told == "pull is paused: it does not run on its schedule until it is resumed."
        assert await runtime.runs.paused() == {"pull"}
        row, _ = rows_of((await person.get("/jobs")).text)
        assert "| Paused | Every 15 min |" in row
        assert row.endswith("Run now Resume")
        assert "It is paused." in (await person.get("/jobs/pull")).text
        told = await person.told(await person.send("/jobs/pull/resume"))
        assert told == "pull runs on its schedule again."
        assert await runtime.runs.paused() == frozenset()

    async def test_run_now_leads_to_the_run(
        self, person: Visitor, runtime: Runtime, jobs: Jobs
    ) -> None:
        jobs.write(ONE)
        answer = await person.send("/jobs/pull/run")
        assert answer.headers["location"].startswith("/runs/")
        run = answer.headers["location"].rpartition("/")[2]
        assert await ended(runtime, run) == "succeeded"
        page = text_of((await person.get(f"/runs/{run}")).text)
        assert f"pull for {ACCOUNT}" in page
        assert "State Succeeded Rows written 1 " in page
        assert "Asked for by a person" in page
        assert "A run for acme/ads has begun." in page

    async def test_what_a_run_said_stands_on_its_page(
        self, person: Visitor, runtime: Runtime, jobs: Jobs
    ) -> None:
        jobs.write("""
            def pull(api, context):
                context.logger.warning("careful: <b>odd</b>")
                return []
        """)
        answer = await person.send("/jobs/pull/run")
        run = answer.headers["location"].rpartition("/")[2]
        assert await ended(runtime, run) == "succeeded"
        page = (await person.get(f"/runs/{run}")).text
        assert "warning  careful: &lt;b&gt;odd&lt;/b&gt;" in page

    async def test_run_now_for_all_or_for_one(
        self, person: Visitor, bench: Workbench, runtime: Runtime, jobs: Jobs
    ) -> None:
        jobs.write(ONE)
        await bench.connect(runtime, "acme/two", person="grace")
        answer = await person.send("/jobs/pull/run")
        assert await person.told(answer) == "Runs: 2 have begun."
        for run in await runtime.runs.history("pull", limit=9):
            await ended(runtime, run.id)
        answer = await person.send("/jobs/pull/run", account="acme/two")
        run_id = answer.headers["location"].rpartition("/")[2]
        await ended(runtime, run_id)
        runs = {one.id: one.account for one in await runtime.runs.history("pull", limit=9)}
        assert runs[run_id] == "acme/two"
        assert sorted(runs.values()) == [ACCOUNT, "acme/two", "acme/two"]

    async def test_what_cannot_run(self, person: Visitor, runtime: Runtime) -> None:
        told = await person.told(await person.send("/jobs/other/run"))
        assert told == "No account of this job is active: connect one first."
        told = await person.told(await person.send("/jobs/pull/run", account="beta/x"))
        assert told == "beta/x is not active, or not of this job."
        assert await runtime.runs.history(None, limit=1) == []

    async def test_one_that_is_under_way_is_shown_as_it_goes_on(
        self, person: Visitor, jobs: Jobs, starter: RunStarter
    ) -> None:
        jobs.write(ENDLESS)
        answer = await person.send("/jobs/pull/run")
        path = answer.headers["location"]
        await started(jobs)
        async with asyncio.timeout(20):
            # polls, as the page does
            while "1 rows in 1 batch are" not in (await person.get(path)).text:  # noqa: ASYNC110
                await asyncio.sleep(0.02)
        page = (await person.get(path)).text
        assert "Under way since" in page
        assert "data-live" in page
        assert "Succeeded" not in page
        told = await person.told(await person.send("/jobs/pull/run"))
        assert told == "It runs already."
        (row,) = rows_of((await person.get("/runs?state=running")).text)
        assert row.endswith("| acme/ads | Running | 1 | under way")
        await starter.queue.aclose()
        page = (await person.get(path)).text
        assert "In the queue since" in page
        assert "The process was stopped" in page

    async def test_one_that_waits_for_its_moment_says_which(
        self, person: Visitor, runtime: Runtime
    ) -> None:
        waiting = {"outcome": "queued", "finished_at": None, "error": "put off"}
        await write(runtime, waiting | {"queued_at": NOW + 120})
        page = (await person.get(f"/runs/{0:016x}")).text
        assert "It waits until 15 Jan 2027, 08:02 UTC." in page
        assert "In the queue since" not in page


class TestRuns:
    async def test_chosen_by_job_account_and_state(self, person: Visitor, runtime: Runtime) -> None:
        await write(
            runtime,
            {},
            {"job": "other", "account": "beta/x"},
            {"outcome": "interrupted", "error": "its process is gone"},
        )
        for query, found in (
            ("", 3),
            ("?job=other", 1),
            (f"?account={ACCOUNT}", 2),
            ("?state=failed", 1),
            (f"?state=failed&job=other&account={ACCOUNT}", 0),
            ("?state=nonsense", 3),
        ):
            page = (await person.get(f"/runs{query}")).text
            assert len(rows_of(page)) == found, query
        assert "No run is like that" in (await person.get("/runs?job=none")).text

    async def test_pages_lead_forth_and_back(
        self, person: Visitor, runtime: Runtime, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr("connector.web.dashboard.runs.PAGE_SIZE", 2)
        rows: list[dict[str, object]] = [{"records": number} for number in range(5)]
        await write(runtime, *rows)
        path, page, seen = "/runs?job=pull", "", []
        while path:
            page = (await person.get(path)).text
            seen += [row.split(" | ")[3] for row in rows_of(page)]
            older = page.partition('rel="next" href="')[2].partition('"')[0]
            path = older.replace("&amp;", "&")
        assert seen == ["4", "3", "2", "1", "0"]
        newer = page.partition('rel="prev" href="')[2].partition('"')[0].replace("&amp;", "&")
        back = rows_of((await person.get(newer)).text)
        assert [row.split(" | ")[3] for row in back] == ["2", "1"]

    async def test_nothing_yet(self, person: Visitor) -> None:
        assert "No runs yet" in (await person.get("/runs")).text

    async def test_one_of_another_process(self, person: Visitor, runtime: Runtime) -> None:
        await write(
            runtime,
            {"outcome": "running", "finished_at": None, "deadline_at": NOW + 60, "due_at": NOW},
        )
        page = text_of((await person.get(f"/runs/{0:016x}")).text)
        assert "Another process runs it" in page
        assert "by its schedule, for 15 Jan 2027, 08:00 UTC" in page
        assert "Is killed in 1 min" in page

    async def test_words_of_a_function_are_shown_as_text(
        self, person: Visitor, runtime: Runtime
    ) -> None:
        await write(runtime, {"outcome": "failed", "error": ATTACK, "cursor": f'"{ATTACK[2:]}"'})
        for path in ("/jobs", "/jobs/pull", "/runs", f"/runs/{0:016x}", f"/accounts/{ACCOUNT}"):
            page = (await person.get(path)).text
            assert "<img" not in page
            assert page.count("<script") == 1
            assert "onerror" in page


class TestWithoutASession:
    @pytest.mark.parametrize("path", ["/jobs", "/jobs/pull", "/runs", "/runs/x", "/audit"])
    async def test_pages_lead_to_the_login(self, visitor: Visitor, path: str) -> None:
        answer = await visitor.get(path)
        assert answer.status_code == 303
        assert answer.headers["location"].startswith("/login")

    @pytest.mark.parametrize("what", ["run", "pause", "resume"])
    async def test_a_form_without_its_token_does_nothing(
        self, person: Visitor, runtime: Runtime, what: str
    ) -> None:
        answer = await person.client.post(
            f"/jobs/pull/{what}",
            data={"csrf_token": "x"},
            headers={"Sec-Fetch-Site": "same-origin"},
        )
        assert answer.status_code == 403
        assert await runtime.runs.paused() == frozenset()
        assert await runtime.runs.history(None, limit=1) == []


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("every 90s", "Every 1 min 30 s"),
        ("30 6 * * *", "Every day at 06:30 (UTC)"),
        ("0 6,18 * * 1-5", "Monday to Friday at 06:00 and 18:00 (UTC)"),
        ("5 * * * *", "Every day hourly, 05 min past (UTC)"),
        ("0 0 * * 0,3", "Sunday and Wednesday at 00:00 (UTC)"),
        ("0 4 1,15 * *", "Each month on day 1 and 15 at 04:00 (UTC)"),
        ("*/7 * * * *", "cron */7 * * * * (UTC)"),
        ("0 0 1 1 *", "cron 0 0 1 1 * (UTC)"),
        ("0 0 1 * 1", "cron 0 0 1 * 1 (UTC)"),
    ],
)
def test_schedules_in_words(text: str, words: str) -> None:
    assert schedule_words(parse_schedule(text)) == words
