"""Runs of jobs: a slot once, one run at a time, an end for what died, and the history."""

import asyncio

import pytest
from sqlalchemy import insert, update
from sqlmodel import col

from connector.store.history_tables import RunRow
from connector.store.owner import new_owner
from connector.store.runs import GRACE, Ending, Run, RunStore
from connector.testing import SOME_TIME, Stores

from .worker import Crew, Worker

DUE = SOME_TIME - 60


async def _claim(
    stores: Stores,
    job: str = "insights",
    account: str = "acme/one",
    due_at: float | None = DUE,
    *,
    now: float = SOME_TIME,
) -> Run:
    run = await stores.runs.claim(job, account, due_at, owner=new_owner(), now=now)
    assert run is not None
    return run


async def test_a_run_is_kept_from_its_claim_to_its_end(stores: Stores) -> None:
    run = await _claim(stores)
    (kept,) = await stores.runs.history("insights", limit=10)
    assert kept == run
    assert (run.outcome, run.finished_at, run.due_at) == ("running", None, DUE)
    ending = Ending(
        outcome="succeeded", records=5_000_000_000, batches=3, tokens=2, cursor={"date": "é\0"}
    )
    await stores.runs.finish(run, ending, now=SOME_TIME + 5)
    (kept,) = await stores.runs.history("insights", limit=10)
    assert (kept.outcome, kept.records, kept.batches, kept.tokens) == (
        "succeeded",
        5_000_000_000,
        3,
        2,
    )
    assert kept.cursor == '{"date": "\\u00e9\\u0000"}'
    assert (kept.finished_at, kept.error) == (SOME_TIME + 5, None)


async def test_an_odd_error_of_a_users_function_is_kept(stores: Stores) -> None:
    run = await _claim(stores)
    await stores.runs.finish(run, Ending(outcome="failed", error="a\0b\ud800"), now=SOME_TIME)
    (kept,) = await stores.runs.history(None, limit=1)
    assert (kept.outcome, kept.error) == ("failed", "a\N{REPLACEMENT CHARACTER}b?")


async def test_processes_that_claim_a_slot_at_once_leave_one_run(
    stores: Stores, workers: Crew, address: str
) -> None:
    order: dict[str, object] = {
        "url": address,
        "job": "insights",
        "account": "acme/one",
        "due_at": DUE,
    }
    claimed = [one for one in workers.run("claim", [order] * 6) if one is not None]
    assert [run.id for run in await stores.runs.history(None, limit=10)] == claimed
    assert len(claimed) == 1


async def test_processes_that_claim_different_slots_at_once_run_one_at_a_time(
    stores: Stores, workers: Crew, address: str
) -> None:
    orders: list[dict[str, object]] = [
        {"url": address, "job": "insights", "account": "acme/one", "due_at": due_at}
        for due_at in (DUE, DUE + 1, DUE + 2, DUE + 3, None, None)
    ]
    claimed = [one for one in workers.run("claim", orders) if one is not None]
    running = [
        run.id for run in await stores.runs.history(None, limit=10) if run.outcome == "running"
    ]
    assert len(running) == 1, "two runs of one job for one account are under way"
    assert running[0] in claimed, "the workers live, so that none is interrupted"


async def test_tasks_that_claim_at_once_run_one_at_a_time(stores: Stores) -> None:
    owner = new_owner()
    claims = (
        stores.runs.claim("insights", "acme/one", DUE + i, owner=owner, now=SOME_TIME)
        for i in range(12)
    )
    assert sum(run is not None for run in await asyncio.gather(*claims)) == 1


async def test_a_slot_is_not_run_twice_though_its_run_is_over(stores: Stores) -> None:
    run = await _claim(stores)
    await stores.runs.finish(run, Ending(outcome="succeeded"), now=SOME_TIME)
    again = await stores.runs.claim("insights", "acme/one", DUE, owner=new_owner(), now=SOME_TIME)
    assert again is None
    await _claim(stores, due_at=DUE + 60)


async def test_a_person_may_ask_as_often_as_they_like(stores: Stores) -> None:
    for _ in range(3):
        run = await _claim(stores, due_at=None)
        await stores.runs.finish(run, Ending(outcome="succeeded"), now=SOME_TIME)
    assert len(await stores.runs.history("insights", limit=10)) == 3


async def test_one_run_at_a_time_whoever_asks(stores: Stores) -> None:
    await _claim(stores, due_at=None)
    claim = stores.runs.claim
    assert await claim("insights", "acme/one", None, owner=new_owner(), now=SOME_TIME) is None
    assert await claim("insights", "acme/one", DUE, owner=new_owner(), now=SOME_TIME) is None
    await _claim(stores, account="acme/two", due_at=None)
    await _claim(stores, job="other", due_at=None)


async def test_what_a_dead_process_ran_is_interrupted(
    stores: Stores, worker: Worker, address: str
) -> None:
    worker.order("hold_run", url=address, job="insights", account="acme/one", due_at=DUE)
    worker.wait_until_ready()
    claim = stores.runs.claim
    assert await claim("insights", "acme/one", None, owner=new_owner(), now=SOME_TIME) is None
    worker.kill()
    run = await claim("insights", "acme/one", None, owner=new_owner(), now=SOME_TIME + 9)
    assert run is not None
    dead = next(one for one in await stores.runs.history(None, limit=5) if one.id != run.id)
    assert (dead.outcome, dead.finished_at) == ("interrupted", SOME_TIME + 9)
    assert dead.error


def _elsewhere() -> str:
    """Name an owner in another PID namespace of this host; its process cannot be looked for."""
    boot_id, namespace, _, start_time, number = new_owner().split(":")
    return f"{boot_id}:{namespace}0:1:{start_time}:{number}"


async def _silent(stores: Stores, run: Run, seconds: float) -> None:
    """Have the owner of a run been silent for so long."""
    async with stores.database.write() as connection:
        spoke_at = col(RunRow.heartbeat_at) - seconds
        row = update(RunRow).where(col(RunRow.id) == run.id).values(heartbeat_at=spoke_at)
        await connection.execute(row)


@pytest.mark.parametrize("is_this_host", [True, False])
async def test_what_nobody_can_look_at_is_interrupted_after_four_heartbeats(
    stores: Stores, *, is_this_host: bool
) -> None:
    claim = stores.runs.claim
    owner = _elsewhere() if is_this_host else "another:1:1:1:host"
    lost = await claim("insights", "acme/one", DUE, owner=owner, now=SOME_TIME, deadline=60)
    assert lost is not None
    if is_this_host or not stores.database.is_sqlite:  # one host alone has a SQLite file
        await _silent(stores, lost, 15)
        assert await claim("insights", "acme/one", None, owner=new_owner(), now=SOME_TIME) is None
    await _silent(stores, lost, 6)
    run = await claim("insights", "acme/one", None, owner=new_owner(), now=SOME_TIME + 1)
    assert run is not None
    kept = next(one for one in await stores.runs.history(None, limit=5) if one.id == lost.id)
    assert (kept.outcome, kept.finished_at) == ("interrupted", SOME_TIME + 1)
    assert kept.error


@pytest.mark.parametrize(("deadline", "limit"), [(60.0, 60.0), (None, 86_400.0)])
async def test_a_run_without_heartbeats_is_over_after_its_deadline(
    stores: Stores, deadline: float | None, limit: float
) -> None:
    """A program of an older version began it."""
    claim = stores.runs.claim
    owner = _elsewhere()
    old = await claim("insights", "acme/one", DUE, owner=owner, now=SOME_TIME, deadline=deadline)
    assert old is not None
    async with stores.database.write() as connection:
        await connection.execute(update(RunRow).values(heartbeat_at=None))
    for seconds, is_claimed in ((limit + GRACE, False), (limit + GRACE + 1, True)):
        run = await claim(
            "insights", "acme/one", None, owner=new_owner(), now=SOME_TIME + seconds, deadline=60
        )
        assert (run is not None) == is_claimed


async def test_the_history_is_newest_first_and_cut(stores: Stores) -> None:
    for seconds in range(5):
        run = await _claim(stores, due_at=None, now=SOME_TIME + seconds)
        await stores.runs.finish(run, Ending(outcome="succeeded"), now=SOME_TIME + seconds)
    other = await _claim(stores, job="other", account="acme/two", now=SOME_TIME + 2.5)
    history = await stores.runs.history(None, limit=4)
    assert [run.started_at - SOME_TIME for run in history] == [4, 3, 2.5, 2]
    assert await stores.runs.history(None, account="acme/two", limit=4) == [other]
    assert await stores.runs.history("insights", account="acme/two", limit=4) == []
    only = await stores.runs.history("other", limit=4)
    assert [run.job for run in only] == ["other"]


async def test_the_latest_run_of_each_job_however_long_ago(stores: Stores) -> None:
    assert await stores.runs.latest() == {}
    daily = await _claim(stores, job="daily", now=SOME_TIME - 86_400)
    often = [
        await _claim(stores, job="often", account=f"acme/{number}", now=SOME_TIME + number)
        for number in range(30)
    ]
    assert await stores.runs.latest() == {"daily": daily, "often": often[-1]}


async def test_the_latest_of_runs_that_began_together_is_one_of_them(stores: Stores) -> None:
    runs = [await _claim(stores, account=f"acme/{number}") for number in range(3)]
    latest = await stores.runs.latest()
    assert latest["insights"] == min(runs, key=lambda run: run.id)
    assert (await stores.runs.history(None, limit=1))[0] == latest["insights"]


async def test_the_latest_is_found_among_very_many(stores: Stores) -> None:
    """Thousands of runs of one job must not hide the last run of another one."""
    daily = await _claim(stores, job="daily", now=SOME_TIME - 86_400)
    row = {"job": "often", "outcome": "succeeded", "owner": "me"}
    numbers = dict.fromkeys(("records", "batches", "tokens"), 0)
    rows = [
        {**row, **numbers, "id": f"{i}", "account": f"acme/{i}", "started_at": SOME_TIME + i}
        for i in range(1500)
    ]
    async with stores.database.write() as connection:
        await connection.execute(insert(RunRow), rows)
    assert (await stores.runs.latest())["daily"] == daily


async def test_a_paused_job_stays_paused_until_it_is_resumed(stores: Stores) -> None:
    assert await stores.runs.paused() == frozenset()
    await stores.runs.pause("insights", now=SOME_TIME)
    await stores.runs.pause("insights", now=SOME_TIME + 1)
    await stores.runs.pause("other", now=SOME_TIME)
    assert await RunStore(stores.database).paused() == {"insights", "other"}
    await stores.runs.resume("insights", now=SOME_TIME)
    await stores.runs.resume("insights", now=SOME_TIME)
    assert await stores.runs.paused() == {"other"}


async def test_operators_who_pause_at_once_are_not_in_each_others_way(
    stores: Stores, workers: Crew, address: str
) -> None:
    results = workers.run("pause", [{"url": address, "job": "insights"}] * 6)
    assert results == [["insights"]] * 6
    assert await stores.runs.paused() == {"insights"}


async def test_a_name_that_nothing_can_have_has_no_runs(stores: Stores) -> None:
    """Whatever stands in a query, Postgres is not asked for it."""
    assert await stores.runs.history("a\0b", limit=9) == []
    assert await stores.runs.history(None, account="a\0b", limit=9) == []
