"""Old runs are removed; the last one of each job and account, and its last success, never."""

from collections.abc import Mapping

import pytest
from sqlalchemy import insert

from connector.store import run_pruning
from connector.store.history_tables import RunRow
from connector.store.run_pruning import RunPruning
from connector.testing import SOME_TIME, Stores

DAY = 86_400.0
KEEP = 90 * DAY


async def _have(stores: Stores, *runs: Mapping[str, object]) -> None:
    """Have runs there, each by the days since it ended."""
    rows = []
    for number, run in enumerate(runs):
        values = {"job": "pull", "account": "acme/one", "outcome": "succeeded", "days": 0.0, **run}
        ended = SOME_TIME - float(str(values.pop("days"))) * DAY
        times = {"started_at": ended - 60, "finished_at": ended, "due_at": ended - 60 + number}
        rows.append({"id": f"run{number:05}", "owner": "me", **times, **values})
    async with stores.database.write() as connection:
        await connection.execute(insert(RunRow), rows)


async def _left(stores: Stores) -> set[str]:
    return {run.id for run in await stores.runs.history(None, limit=10_000)}


async def test_what_is_too_old_is_removed(stores: Stores) -> None:
    await _have(stores, {"days": 200}, {"days": 91}, {"days": 89}, {"days": 1})
    assert await RunPruning(stores.database).prune(KEEP, now=SOME_TIME) == 2
    assert await _left(stores) == {"run00002", "run00003"}
    assert await RunPruning(stores.database).prune(KEEP, now=SOME_TIME) == 0


async def test_nothing_is_removed_where_all_is_kept(stores: Stores) -> None:
    await _have(stores, {"days": 2000}, {"days": 1000}, {"days": 1})
    assert await RunPruning(stores.database).prune(0, now=SOME_TIME) == 0
    assert len(await _left(stores)) == 3


async def test_the_last_run_of_each_job_and_account_stays(stores: Stores) -> None:
    await _have(
        stores,
        {"days": 300, "account": "acme/one"},
        {"days": 299, "account": "acme/one"},
        {"days": 298, "account": "acme/two"},
        {"days": 297, "job": "other", "account": "acme/one"},
    )
    assert await RunPruning(stores.database).prune(KEEP, now=SOME_TIME) == 1
    assert await _left(stores) == {"run00001", "run00002", "run00003"}


async def test_the_last_success_stays_whatever_came_after_it(stores: Stores) -> None:
    await _have(
        stores,
        {"days": 300},
        {"days": 299},
        {"days": 298, "outcome": "failed"},
        {"days": 297, "outcome": "interrupted"},
        {"days": 296, "account": "acme/two"},  # of another account: it stands for nothing here
    )
    assert await RunPruning(stores.database).prune(KEEP, now=SOME_TIME) == 2
    assert await _left(stores) == {"run00001", "run00003", "run00004"}


@pytest.mark.parametrize("outcome", ["queued", "running"])
async def test_what_is_under_way_stays(stores: Stores, outcome: str) -> None:
    await _have(
        stores, {"days": 300, "outcome": outcome, "finished_at": None}, {"days": 299}, {"days": 298}
    )
    assert await RunPruning(stores.database).prune(KEEP, now=SOME_TIME) == 1
    assert await _left(stores) == {"run00000", "run00002"}


async def test_a_run_that_began_long_ago_and_ended_just_now_stays(stores: Stores) -> None:
    await _have(stores, {"days": 1, "started_at": SOME_TIME - 100 * DAY}, {"days": 0})
    assert await RunPruning(stores.database).prune(KEEP, now=SOME_TIME) == 0


async def test_however_many_there_are(stores: Stores, monkeypatch: pytest.MonkeyPatch) -> None:
    """Many that stay do not keep those after them from being looked at."""
    monkeypatch.setattr(run_pruning, "_AT_ONCE", 10)
    monkeypatch.setattr(run_pruning, "_REMOVED_AT_ONCE", 3)
    last: list[Mapping[str, object]] = [
        {"days": 500, "account": f"acme/a{number}"} for number in range(25)
    ]
    await _have(stores, *last, *[{"days": 400 - number} for number in range(40)])
    assert await RunPruning(stores.database).prune(KEEP, now=SOME_TIME) == 39
    assert await _left(stores) == {f"run{number:05}" for number in (*range(25), 64)}
