"""Declared pulls in the processes that run them: a child, its parent, and an API on loopback."""

import asyncio
import dataclasses
import os
import re
import signal
import socket
import sys
import time
from collections.abc import AsyncIterator
from typing import Any

import pytest

from connector.errors import ConsentRequired
from connector.jobs import child_run, spawning
from connector.jobs.fork_server import ChildProcess
from connector.jobs.order import Result
from tests.unit.jobs.bench import Jobs
from tests.unit.jobs.pull.local_api import Answer, LocalApi, LocalCredentials
from tests.unit.raw_server import RawServer, Received

REQUEST = {
    "url": "items",
    "records": "data",
    "pagination": {"kind": "cursor", "next": "next", "param": "after"},
}

#: Follows whatever link stands in an answer, as a careless function does.
FOLLOWING = """
def pull(api, context):
    url = "items"
    while url:
        answer = api.get(url)
        answer.raise_for_status()
        yield answer.json()["data"]
        url = answer.json()["next"]
"""


@pytest.fixture
async def api() -> AsyncIterator[LocalApi]:
    made = LocalApi(pages=6)
    await made.server.start()
    yield made
    await made.server.stop()


@pytest.fixture
def pulls(jobs: Jobs, api: LocalApi) -> Jobs:
    jobs.runner.close()
    jobs.runner = jobs.make_runner(LocalCredentials(api))
    return jobs


async def run(jobs: Jobs, **changes: Any) -> Any:
    return await jobs.run(run="", request_table={**REQUEST, **changes})


async def test_a_declared_pull_runs_in_a_child(pulls: Jobs, api: LocalApi) -> None:
    ending = await run(pulls)
    assert (ending.outcome, ending.records, ending.error) == ("succeeded", 18, None)
    assert pulls.rows("id") == [(number,) for number in range(18)]
    assert api.asked == ["0", "1", "2", "3", "4", "5"]


@pytest.mark.parametrize(("status", "kind"), [(503, "Unusable"), (400, "Pull")])
async def test_an_api_that_is_away_is_told_from_one_that_refuses(
    pulls: Jobs, api: LocalApi, status: int, kind: str
) -> None:
    api.instead = lambda _request: (status, {"error": "not now"}, {})
    ending = await run(pulls, tries=1)
    assert (ending.outcome, ending.kind) == ("failed", kind)


async def test_killed_at_any_page_it_goes_on_there(
    pulls: Jobs, api: LocalApi, monkeypatch: pytest.MonkeyPatch
) -> None:
    processes: list[ChildProcess] = []
    start = spawning.start_process

    async def start_and_keep(*args: Any) -> tuple[ChildProcess, socket.socket]:
        process, channel = await start(*args)
        processes.append(process)
        return process, channel

    monkeypatch.setattr(child_run, "start_process", start_and_keep)
    job = pulls.job(run="", request_table=REQUEST)

    def kill(result: Result) -> None:
        if result.pages == 1 and len(processes) < 6:
            os.kill(processes[-1].pid, signal.SIGKILL)

    outcomes = []
    for _ in range(6):
        ending = await pulls.runner.run(job, "acme/ads", due_at=None, on_progress=kill)
        assert ending is not None
        outcomes.append(ending.kind)
    assert outcomes[:-1] == ["Killed"] * 5
    assert pulls.rows("id") == [(number,) for number in range(18)]
    assert len(api.asked) <= 6 + 5, "one page is asked for again by each that was killed"


async def test_killed_with_a_message_unread_it_is_told_to_be_killed(
    pulls: Jobs, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def start(*_: object) -> tuple[ChildProcess, socket.socket]:
        code = (
            "import os, select, sys; select.select([int(sys.argv[1])], [], []);"
            " os.kill(os.getpid(), 9)"
        )
        ours, theirs = socket.socketpair()
        with theirs:
            number = theirs.fileno()
            command = (sys.executable, "-c", code, str(number))
            process = await asyncio.create_subprocess_exec(
                *command, pass_fds=[number], start_new_session=True
            )
        return process, ours

    monkeypatch.setattr(child_run, "start_process", start)
    ending = await run(pulls)
    assert (ending.kind, ending.outcome) == ("Killed", "failed")
    assert ending.error == "the process ended without a result (killed by SIGKILL)"


async def test_a_token_that_dies_in_the_middle_is_replaced(pulls: Jobs, api: LocalApi) -> None:
    def rotate(_request: Any) -> None:
        if len(api.server.received) == 3:
            api.tokens = {"two"}

    api.instead = rotate
    ending = await run(pulls)
    assert (ending.outcome, ending.records, ending.tokens) == ("succeeded", 18, 2)
    assert api.asked == ["0", "1", "2", "2", "3", "4", "5"]


async def test_a_consent_that_ends_in_the_middle_is_gone_on_with(
    pulls: Jobs, api: LocalApi
) -> None:
    def end(_request: Any) -> None:
        if len(api.server.received) == 3:
            api.tokens = set()

    api.instead = end
    ending = await run(pulls)
    assert (ending.outcome, ending.records) == ("consent_required", 6)
    assert "the token is dead" in str(ending.error)
    assert "connector connect acme --account acme/ads" in str(ending.error)
    api.tokens = {"three"}
    api.instead = lambda _: None
    pulls.runner.close()
    credentials = LocalCredentials(api)
    credentials.values = ["three"]
    pulls.runner = pulls.make_runner(credentials)
    ending = await run(pulls)
    assert (ending.outcome, ending.records) == ("succeeded", 12)
    assert pulls.rows("id") == [(number,) for number in range(18)]


async def test_no_token_is_told(pulls: Jobs, api: LocalApi) -> None:
    api.instead = lambda request: (400, {"error": request.header("Authorization")}, {})
    ending = await run(pulls)
    assert ending.outcome == "failed"
    assert str(ending.error).startswith("GET items: HTTP 400: Bearer ")
    assert "one" not in str(ending.error).partition("Bearer")[2]


@pytest.fixture
async def hostile() -> AsyncIterator[RawServer]:
    made = RawServer()
    await made.start()
    yield made
    await made.stop()


#: Where an answer leads: the first two have the API's origin in them.
LEADS = {
    "another server": "{hostile}/v1/items",
    "the API as a user's name": "http://{api}@{there}/v1/items",
    "without a scheme": "//{there}/v1/items",
    "a backslash": "http://{api}\\@{there}/v1/items",
    "over TLS": "https://{there}/v1/items",
}


#: What the run's error says.
SAID = {
    "link": "is not sent to http|is no http URL, or has a user in it",
    "link_header": "is not sent to http|is no http URL, or has a user in it",
    "redirect": "GET items is redirected to another origin",
    "function": "is not sent to http|'500 Whatever'",
}


@pytest.mark.parametrize("lead", LEADS)
@pytest.mark.parametrize("how", ["link", "link_header", "redirect", "function"])
async def test_an_answer_that_leads_elsewhere_gets_no_token(
    pulls: Jobs, api: LocalApi, hostile: RawServer, how: str, lead: str
) -> None:
    """The run fails with a word of it; nobody else is even connected to."""
    there = hostile.origin.removeprefix("http://")
    ours = api.server.origin.removeprefix("http://")
    url = LEADS[lead].format(hostile=hostile.origin, there=there, api=ours)

    def mislead(_request: Received) -> Answer | None:
        if len(api.server.received) > 2:
            return 500, "it was asked again", {}  # by a URL that a library takes for the API's own
        if how == "redirect":
            return 302, {}, {"Location": url}
        return 200, {"data": [{"id": 1}], "next": url}, {"Link": f'<{url}>; rel="next"'}

    api.instead = mislead
    if how == "function":
        ending = await pulls.run(FOLLOWING)
    else:
        paged = {"kind": how, **({"next": "next"} if how == "link" else {})}
        ending = await run(pulls, **({} if how == "redirect" else {"pagination": paged}))
    assert ending.outcome == "failed"
    assert re.search(SAID[how], str(ending.error))
    is_kept = how == "function" or (how != "redirect" and "@" not in url)
    assert (pulls.rows("id") if ending.records else []) == [(1,)] * is_kept
    assert hostile.connections == 0


async def test_what_one_run_learns_of_a_limit_holds_for_the_others(
    pulls: Jobs, api: LocalApi
) -> None:
    asked_at: list[float] = []
    api.pages = 400

    def refuse_once(_request: Any) -> Any:
        asked_at.append(time.monotonic())
        if len(asked_at) == 40:
            return 429, {"error": "slow down"}, {"Retry-After": "3"}
        return None

    api.instead = refuse_once
    one = pulls.job(run="", request_table=REQUEST)
    destination = dataclasses.replace(one.destination, table="other")
    other = dataclasses.replace(one, name="other", destination=destination)
    endings = await asyncio.gather(
        *(pulls.runner.run(job, "acme/ads", due_at=None) for job in (one, other))
    )
    assert [ending and (ending.outcome, ending.records) for ending in endings] == [
        ("succeeded", 1200)
    ] * 2
    # a request or two of the other run are on their way when the refusal comes
    quiet = [moment for moment in asked_at if 0.5 < moment - asked_at[39] < 2.9]
    assert quiet == []
    assert len(asked_at) == 801


async def test_a_token_that_is_revoked_is_used_for_two_seconds_at_most(
    pulls: Jobs, api: LocalApi
) -> None:
    class Revocable(LocalCredentials):
        revoked_at: float | None = None

        async def credential(self, account: str, rejected: Any) -> Any:
            if self.revoked_at is not None:
                raise ConsentRequired(account, "it was revoked here", provider="acme")
            return await super().credential(account, rejected)

    credentials = Revocable(api)
    pulls.runner.close()
    pulls.runner = pulls.make_runner(credentials)
    api.pages = 1_000_000
    asked_at: list[float] = []

    def note(_request: Any) -> None:
        asked_at.append(time.monotonic())
        if len(asked_at) == 50:
            credentials.revoked_at = time.monotonic()

    api.instead = note
    ending = await run(pulls)
    assert (ending.outcome, ending.records > 0) == ("consent_required", True)
    assert credentials.revoked_at is not None
    assert asked_at[-1] - credentials.revoked_at < 2
    assert "it was revoked here" in str(ending.error)


async def test_a_function_in_the_place_of_a_declared_pull_begins_without_its_checkpoint(
    pulls: Jobs, api: LocalApi, caplog: pytest.LogCaptureFixture
) -> None:
    def fail(_request: Any) -> Any:
        return (400, {"error": "no"}, {}) if len(api.server.received) == 3 else None

    api.instead = fail
    assert (await run(pulls)).outcome == "failed"
    code = """
    def pull(api, context):
        yield [{"id": -number, "page": context.checkpoint} for number in (1, 2)]
    """
    assert (await pulls.run(code)).outcome == "succeeded"
    assert pulls.rows("page")[:2] == [(None,), (None,)]
    assert "it is a declared pull's" in caplog.text
    api.instead = lambda _: None
    assert (await run(pulls)).records == 18, "and it is gone"
