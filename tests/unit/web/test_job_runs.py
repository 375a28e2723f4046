"""Jobs over HTTP: listed, run in the background, and what came of it."""

import asyncio
import contextlib
import sqlite3
from typing import Any

import httpx2
import pytest

from connector import errors
from connector.jobs.places import Limits
from connector.runtime import Runtime
from connector.store.queued_runs import QueuedRuns
from connector.web.run_starter import RunStarter
from tests.unit.jobs.bench import Jobs, is_running
from tests.unit.workbench import ACCOUNT, Workbench

ONE = "def pull(api, context): return [{'id': 1, 'cursor': context.cursor}]"
ENDLESS = """
import os, time
def pull(api, context):
    yield [{"id": os.getpid()}]
    time.sleep(600)
"""


def name_of(answer: httpx2.Response) -> tuple[int, str]:
    """Give the status and the name of a problem."""
    assert answer.headers["content-type"] == "application/problem+json"
    body = answer.json()
    assert body["status"] == answer.status_code
    return answer.status_code, body["type"].rpartition(":")[2]


async def begin(unix: httpx2.AsyncClient, **wish: object) -> dict[str, Any]:
    """Begin runs; give those that were begun."""
    answer = await unix.post("/v1/jobs/pull/runs", json=wish)
    assert answer.status_code == 202, answer.text
    body = answer.json()
    assert body["job"] == "pull"
    return {run["account"]: run for run in body["runs"]}


async def ended(runtime: Runtime, run: str) -> str:
    """Wait until a run has ended; give its outcome."""
    while True:
        for one in await runtime.runs.history("pull", limit=50):
            if one.id == run and one.outcome not in {"queued", "running"}:
                return one.outcome
        await asyncio.sleep(0.01)  # polls the store, as a caller polls the API


async def started(jobs: Jobs) -> int:
    """Wait until the endless function has begun; give its process."""
    while True:
        with contextlib.suppress(sqlite3.OperationalError):  # there is no table yet
            for row in jobs.rows("id"):
                return int(row[0])
        await asyncio.sleep(0.01)  # polls what another process writes


class TestStart:
    async def test_it_goes_on_behind_the_answer(
        self, unix: httpx2.AsyncClient, runtime: Runtime, jobs: Jobs
    ) -> None:
        jobs.write(ONE)
        answer = await unix.post("/v1/jobs/pull/runs")
        assert answer.status_code == 202
        (begun,) = answer.json()["runs"]
        assert (begun["account"], begun["state"]) == (ACCOUNT, "begun")
        (shown,) = (await unix.get("/v1/runs")).json()
        assert (shown["run"], shown["outcome"]) == (begun["run"], "running")
        assert shown["due_at"] is None
        assert await ended(runtime, begun["run"]) == "succeeded"
        (shown,) = (await unix.get("/v1/runs")).json()
        assert (shown["outcome"], shown["records"], shown["error"]) == ("succeeded", 1, None)

    async def test_each_active_account(
        self, unix: httpx2.AsyncClient, bench: Workbench, runtime: Runtime, jobs: Jobs
    ) -> None:
        await bench.connect(runtime, "acme/other", person="grace")
        await runtime.consents.begin("acme", "acme/asked")
        jobs.write(ONE)
        begun = await begin(unix)
        assert sorted(begun) == [ACCOUNT, "acme/other"]
        for run in begun.values():
            assert await ended(runtime, run["run"]) == "succeeded"

    async def test_one_account_from_a_cursor(
        self, unix: httpx2.AsyncClient, bench: Workbench, runtime: Runtime, jobs: Jobs
    ) -> None:
        await bench.connect(runtime, "acme/other", person="grace")
        jobs.write(ONE)
        begun = await begin(unix, account=ACCOUNT, since="2027-01-01")
        assert list(begun) == [ACCOUNT]
        assert await ended(runtime, begun[ACCOUNT]["run"]) == "succeeded"
        assert jobs.rows("cursor") == [("2027-01-01",)]

    async def test_one_at_a_time(
        self, unix: httpx2.AsyncClient, bench: Workbench, runtime: Runtime, jobs: Jobs
    ) -> None:
        await bench.connect(runtime, "acme/other", person="grace")
        jobs.write(ENDLESS)
        await begin(unix, account=ACCOUNT)
        again = await unix.post("/v1/jobs/pull/runs", json={"account": ACCOUNT})
        assert name_of(again) == (409, "already-running")
        begun = await begin(unix)
        assert begun[ACCOUNT] == {"account": ACCOUNT, "run": None, "state": "already_running"}
        assert begun["acme/other"]["run"] is not None

    async def test_places(
        self,
        unix: httpx2.AsyncClient,
        bench: Workbench,
        runtime: Runtime,
        jobs: Jobs,
        starter: RunStarter,
    ) -> None:
        """A run that waits for a place is taken when it has one, and not asked for twice."""
        starter.queue.replace(runtime.settings.jobs, Limits(in_all=1, for_provider={"acme": 8}))
        await bench.connect(runtime, "acme/other", person="grace")
        jobs.write("def pull(api, context): return [{'id': context.account}]")
        begun = await begin(unix)
        assert (begun[ACCOUNT]["state"], begun["acme/other"]["state"]) == ("begun", "waiting")
        waiting = begun["acme/other"]["run"]
        outcomes = {run.id: run.outcome for run in await runtime.runs.history("pull", limit=9)}
        assert outcomes == {begun[ACCOUNT]["run"]: "running", waiting: "queued"}
        again = await unix.post("/v1/jobs/pull/runs", json={"account": "acme/other"})
        assert name_of(again) == (409, "already-running")
        starter.queue.start()
        assert await ended(runtime, waiting) == "succeeded"
        runs = await runtime.runs.history("pull", limit=9)
        assert {(run.account, run.outcome) for run in runs} == {
            (ACCOUNT, "succeeded"),
            ("acme/other", "succeeded"),
        }

    async def test_another_process_runs_it(
        self, unix: httpx2.AsyncClient, runtime: Runtime
    ) -> None:
        now = runtime.now()
        await runtime.runs.claim("pull", ACCOUNT, None, owner=runtime.owner, now=now)
        refused = await unix.post("/v1/jobs/pull/runs")
        assert name_of(refused) == (409, "already-running")

    async def test_the_daemon_stops(
        self, unix: httpx2.AsyncClient, runtime: Runtime, jobs: Jobs, starter: RunStarter
    ) -> None:
        jobs.write(ENDLESS)
        run = (await begin(unix))[ACCOUNT]["run"]
        pid = await started(jobs)
        await starter.queue.aclose()
        (stopped,) = await runtime.runs.history("pull", limit=9)
        assert (stopped.id, stopped.outcome, stopped.attempt) == (run, "queued", 1)
        assert stopped.error == "the process was stopped"
        assert not is_running(pid)
        refused = await unix.post("/v1/jobs/pull/runs")
        assert name_of(refused) == (503, "temporarily-unavailable")

    async def test_the_store_is_away(
        self, unix: httpx2.AsyncClient, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        async def fail(*_: object, **__: object) -> None:
            raise errors.TemporarilyUnavailable("the disk is full")

        monkeypatch.setattr(QueuedRuns, "put", fail)
        refused = await unix.post("/v1/jobs/pull/runs")
        assert name_of(refused) == (503, "temporarily-unavailable")
        assert "retry-after" in refused.headers

    async def test_a_bug_is_told_as_one(
        self,
        unix: httpx2.AsyncClient,
        monkeypatch: pytest.MonkeyPatch,
        caplog: pytest.LogCaptureFixture,
    ) -> None:
        async def fail(*_: object, **__: object) -> None:
            raise ZeroDivisionError

        monkeypatch.setattr(QueuedRuns, "put", fail)
        refused = await unix.post("/v1/jobs/pull/runs")
        assert name_of(refused) == (500, "internal-error")
        assert "ZeroDivisionError" in caplog.text

    @pytest.mark.parametrize(
        ("job", "body", "expected"),
        [
            ("none", {}, (404, "unknown-job")),
            ("pull", {"account": "acme/none"}, (404, "unknown-account")),
            ("pull", {"account": "beta/ads"}, (404, "unknown-account")),
            ("pull", {"account": "acme/asked"}, (409, "consent-required")),
            ("pull", {"account": 5}, (400, "bad-request")),
            ("pull", {"acount": ACCOUNT}, (400, "bad-request")),
            ("pull", [], (400, "bad-request")),
            ("other", {}, (409, "no-account")),
        ],
    )
    async def test_problems(
        self,
        unix: httpx2.AsyncClient,
        runtime: Runtime,
        job: str,
        body: object,
        expected: tuple[int, str],
    ) -> None:
        await runtime.consents.begin("acme", "acme/asked")
        assert name_of(await unix.post(f"/v1/jobs/{job}/runs", json=body)) == expected
        assert await runtime.runs.history(None, limit=1) == []

    @pytest.mark.parametrize(
        ("content", "kind", "expected"),
        [
            (b"{", "application/json", (400, "bad-request")),
            (b"[" * 60_000, "application/json", (400, "bad-request")),
            (b"{}", "text/plain", (415, "unsupported-media-type")),
            (b" " * 70_000, "application/json", (413, "content-too-large")),
        ],
    )
    async def test_junk(
        self, unix: httpx2.AsyncClient, content: bytes, kind: str, expected: tuple[int, str]
    ) -> None:
        headers = {"Content-Type": kind}
        for path in ("/v1/jobs/pull/runs", "/v1/consents"):
            answer = await unix.post(path, content=content, headers=headers)
            assert name_of(answer) == expected


class TestLists:
    async def test_jobs(self, unix: httpx2.AsyncClient, runtime: Runtime, jobs: Jobs) -> None:
        jobs.write(ONE)
        run = (await begin(unix))[ACCOUNT]["run"]
        await ended(runtime, run)
        pull, other = (await unix.get("/v1/jobs")).json()
        assert pull == {
            "job": "pull",
            "accounts": "acme/*",
            "provider": None,
            "schedule": "every 15 min",
            "paused": False,
            "next": "2027-01-15T08:15:00Z",
            "last_outcome": "succeeded",
            "records": 1,
            "last_error": None,
        }
        assert (other["job"], other["next"], other["last_outcome"]) == ("other", None, None)
        await runtime.runs.pause("pull", now=runtime.now())
        pull, _ = (await unix.get("/v1/jobs")).json()
        assert (pull["paused"], pull["next"]) == (True, None)

    async def test_runs_of_a_job_or_account(
        self, unix: httpx2.AsyncClient, runtime: Runtime
    ) -> None:
        for job, account in (("pull", "a"), ("pull", "b"), ("other", "a")):
            await runtime.runs.claim(job, account, None, owner=runtime.owner, now=1)

        async def found(**params: object) -> int:
            return len((await unix.get("/v1/runs", params=params)).json())  # type: ignore[arg-type]

        assert await found() == 3
        assert await found(limit=2) == 2
        assert await found(job="pull") == 2
        assert await found(account="a") == 2
        assert await found(job="pull", account="b") == 1
        assert await found(job="none") == 0

    @pytest.mark.parametrize("limit", ["0", "1001", "-1", "ten", "1e2", "9" * 5000, "", "²"])
    async def test_a_limit_that_is_none(self, unix: httpx2.AsyncClient, limit: str) -> None:
        answer = await unix.get("/v1/runs", params={"limit": limit})
        assert name_of(answer) == (400, "bad-request")


class TestLog:
    async def test_what_a_run_has_said_a_part_at_a_time(
        self, unix: httpx2.AsyncClient, runtime: Runtime, jobs: Jobs
    ) -> None:
        jobs.write("def pull(api, context):\n    [print(n) for n in range(5)]\n    return []")
        run = (await begin(unix, account=ACCOUNT))[ACCOUNT]["run"]
        assert await ended(runtime, run) == "succeeded"

        async def said(**query: int) -> list[tuple[int, str]]:
            answer = await unix.get(f"/v1/runs/{run}/log", params=query)
            assert answer.status_code == 200
            return [(line["number"], line["text"]) for line in answer.json()]

        everything = [(number + 1, str(number)) for number in range(5)]
        assert await said() == everything
        assert await said(limit=2) == everything[:2]
        assert await said(after=2, limit=2) == everything[2:4]
        assert await said(after=5) == []
        (line, *_) = (await unix.get(f"/v1/runs/{run}/log")).json()
        assert (line["kind"], line["at"][:10]) == ("stdout", "2027-01-15")

    @pytest.mark.parametrize("run", ["none", "%00", "..%2f", "a" * 5000])
    async def test_a_run_that_is_not_there(self, unix: httpx2.AsyncClient, run: str) -> None:
        answer = await unix.get(f"/v1/runs/{run}/log")
        assert answer.status_code == 404

    @pytest.mark.parametrize(
        "query", ["limit=0", "limit=1001", "after=-1", "after=x", f"after={2**53}", "limit=\u00b2"]
    )
    async def test_a_number_that_is_none(self, unix: httpx2.AsyncClient, query: str) -> None:
        answer = await unix.get(f"/v1/runs/none/log?{query}")
        assert name_of(answer) == (400, "bad-request")
