"""Runs as people look at them: by page, by day, the last of each; found by index."""

from typing import Any

import pytest
from sqlalchemy import Executable, insert

from connector.store.history_tables import RunRow
from connector.store.run_history import (
    RunChoice,
    RunHistory,
    add_up_days,
    find_last_of_accounts,
    find_runs,
)
from connector.testing import SOME_TIME, Stores

from .plans import explain

DAY = 86_400.0
TODAY = int(SOME_TIME // DAY)


@pytest.fixture
def history(stores: Stores) -> RunHistory:
    return RunHistory(stores.database)


def row(number: int, **values: object) -> dict[str, object]:
    return {
        "id": f"{number:016x}",
        "job": "insights",
        "account": "acme/one",
        "due_at": None,
        "started_at": SOME_TIME + number,
        "finished_at": SOME_TIME + number + 1,
        "outcome": "succeeded",
        "records": 10,
        "batches": 1,
        "tokens": 1,
        "owner": "me",
    } | values


async def write(stores: Stores, rows: list[dict[str, object]]) -> None:
    async with stores.database.write() as connection:
        await connection.execute(insert(RunRow), rows)


def numbers(runs: list[Any]) -> list[int]:
    return [int(run.id, 16) for run in runs]


async def test_pages_lead_forth_and_back(stores: Stores, history: RunHistory) -> None:
    """Runs that began at one moment are neither left out nor shown twice."""
    await write(stores, [row(number, started_at=SOME_TIME + number // 3) for number in range(8)])
    first = await history.page(RunChoice(), limit=3)
    assert (numbers(first.runs), first.newer) == ([7, 6, 5], "")
    second = await history.page(RunChoice(), limit=3, before=first.older)
    assert numbers(second.runs) == [4, 3, 2]
    third = await history.page(RunChoice(), limit=3, before=second.older)
    assert (numbers(third.runs), third.older) == ([1, 0], "")
    back = await history.page(RunChoice(), limit=3, after=third.newer)
    assert numbers(back.runs) == [4, 3, 2]
    assert back.older == second.older
    again = await history.page(RunChoice(), limit=3, after=back.newer)
    assert (numbers(again.runs), again.newer) == ([7, 6, 5], "")
    assert (await history.page(RunChoice(), limit=8)).older == ""


@pytest.mark.parametrize("key", ["x", "1-", "-1", "1e5-aa", "1-zz", "9" * 400 + "-aa", "1;--aa"])
async def test_a_key_that_is_none_is_the_first_page(
    stores: Stores, history: RunHistory, key: str
) -> None:
    await write(stores, [row(number) for number in range(3)])
    for keys in ({"before": key}, {"after": key}):
        page = await history.page(RunChoice(), limit=2, **keys)
        assert (numbers(page.runs), page.newer) == ([2, 1], "")


async def test_runs_are_chosen_by_job_account_and_state(
    stores: Stores, history: RunHistory
) -> None:
    await write(
        stores,
        [
            row(1),
            row(2, job="other"),
            row(3, account="acme/two", outcome="failed"),
            row(4, outcome="interrupted"),
            row(5, outcome="consent_required", job="other"),
            row(6, outcome="running", finished_at=None),
        ],
    )
    for choice, found in (
        (RunChoice(), [6, 5, 4, 3, 2, 1]),
        (RunChoice(job="other"), [5, 2]),
        (RunChoice(account="acme/two"), [3]),
        (RunChoice(state="failed"), [5, 4, 3]),
        (RunChoice(state="running"), [6]),
        (RunChoice(state="succeeded", job="insights"), [1]),
        (RunChoice(job="none"), []),
    ):
        page = await history.page(choice, limit=10)
        assert numbers(page.runs) == found, choice


async def test_one_run(stores: Stores, history: RunHistory) -> None:
    await write(stores, [row(1)])
    run = await history.get(f"{1:016x}")
    assert run is not None
    assert run.records == 10
    assert await history.get("none") is None


async def test_the_last_of_each(stores: Stores, history: RunHistory) -> None:
    await write(
        stores,
        [row(1), row(2), row(3, job="other"), row(4, account="acme/two"), row(5, job="gone")],
    )
    last = await history.last(["insights", "other", "never"])
    assert {job: int(run.id, 16) for job, run in last.items()} == {"insights": 4, "other": 3}
    each = await history.last_of_accounts("insights", ["acme/one", "acme/two", "acme/never"])
    assert {name: int(run.id, 16) for name, run in each.items()} == {"acme/one": 2, "acme/two": 4}
    assert await history.last_of_accounts("insights", []) == {}


async def test_what_each_day_brought(stores: Stores, history: RunHistory) -> None:
    midnight = TODAY * DAY
    await write(
        stores,
        [
            row(1, started_at=midnight),
            row(2, started_at=midnight - 1, outcome="failed", records=3),
            row(3, started_at=midnight - 1),
            row(4, started_at=midnight - 5 * DAY),
            row(5, started_at=midnight - 30 * DAY),
            row(6, started_at=midnight, job="other"),
        ],
    )
    for _ in range(2):
        days = await history.days("insights", today=TODAY, count=30)
        found = [(one.day - TODAY, one.runs, one.failed, one.records) for one in days]
        assert found == [(-5, 1, 0, 10), (-1, 2, 1, 13), (0, 1, 0, 10)]
    await write(stores, [row(7, started_at=midnight + 60), row(8, started_at=midnight - 60)])
    days = await history.days("insights", today=TODAY, count=30)
    assert [(one.day - TODAY, one.runs) for one in days] == [(-5, 1), (-1, 3), (0, 2)]
    days = await history.days("insights", today=TODAY + 26, count=30)
    assert [one.day - TODAY for one in days] == [-1, 0], "what is too long ago is forgotten"


async def test_days_that_are_over_are_added_up_once(stores: Stores, history: RunHistory) -> None:
    await write(stores, [row(1, started_at=SOME_TIME - 9 * DAY)])
    before = await history.days("insights", today=TODAY, count=30)
    async with stores.database.write() as connection:
        await connection.execute(RunRow.__table__.delete())  # type: ignore[attr-defined]
    assert await history.days("insights", today=TODAY, count=30) == before


@pytest.mark.parametrize(
    ("make", "index"),
    [
        (lambda _: find_runs(RunChoice(), limit=50), "ix_run_started"),
        (
            lambda _: find_runs(RunChoice(), limit=50, before=f"{SOME_TIME}-aa"),
            "ix_run_started",
        ),
        (lambda _: find_runs(RunChoice(job="job 3"), limit=50), "ix_run_of_job"),
        (lambda _: find_runs(RunChoice(account="acme/3"), limit=50), "ix_run_of_account"),
        (
            lambda _: find_runs(
                RunChoice(job="job 3", account="acme/3"),
                limit=50,
                after=f"{SOME_TIME - 9_000_000}-aa",
            ),
            "ix_run_of_both",
        ),
        (lambda _: find_runs(RunChoice(state="failed"), limit=50), "ix_run_failed"),
        (lambda _: find_runs(RunChoice(state="running"), limit=50), "ix_run_open"),
        (lambda _: find_last_of_accounts("job 3", ["acme/3", "acme/4"]), "ix_run_of_both"),
        (lambda is_sqlite: add_up_days("job 3", TODAY, is_sqlite=is_sqlite), "ix_run_of_job"),
    ],
    ids=["all", "page", "job", "account", "both", "failed", "running", "last of each", "days"],
)
async def test_they_are_found_by_index(stores: Stores, make: Any, index: str) -> None:
    """Of a million rows no more are read than are shown."""
    rows = [
        row(
            number,
            job=f"job {number % 7}",
            account=f"acme/{number % 97}",
            outcome="failed" if number % 200 == 0 else "succeeded",
            started_at=SOME_TIME - 600 * number,
        )
        for number in range(20_000)
    ]
    for first in range(0, len(rows), 5_000):
        await write(stores, rows[first : first + 5_000])
    query: Executable = make(stores.database.is_sqlite)
    plan = await explain(stores.database, query)
    assert index in plan, plan
    assert "Seq Scan" not in plan, plan
    assert "SCAN run\n" not in f"{plan}\n", plan
