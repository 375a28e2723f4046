"""Facebook's insights as the reference declares them, through the simulator's troubles."""

import dataclasses
import json
import sqlite3
import tomllib
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from connector.runtime import Runtime
from connector.simulator.facebook.call_log import CallSelection
from connector.simulator.facebook.refusals import Refusal
from tests.unit.jobs.bench import Jobs
from tests.unit.workbench import FACEBOOK, Workbench, someone

PAGE = Path(__file__).parents[4] / "docs" / "reference" / "pulls.md"
TROUBLES: dict[str, dict[str, object]] = {
    "none": {},
    "pages": {"empty_page_every": 4, "short_page_every": 3, "trailing_page": True},
    "too much": {"largest_page": 40, "largest_query": 60, "too_much": "reduce"},
    "reports": {"longest_sync_days": 3, "report_lingering_polls": 1, "largest_report": 80},
}


def declared() -> dict[str, Any]:
    """Give the request of the reference's example; a child's clock is behind the simulator's."""
    blocks = PAGE.read_text().split("```toml\n")
    text = next(block for block in blocks if "[jobs.insights]" in block).partition("```")[0]
    request: dict[str, Any] = tomllib.loads(text)["jobs"]["insights"]["request"]
    request["cursor"]["start"] = "-40d"
    request["report"]["interval"] = "0.1s"
    return request


def rows_of(bench: Workbench) -> list[tuple[Any, ...]]:
    with closing(sqlite3.connect(bench.folder / "ads.db")) as database:
        query = "SELECT account_id, date_start, ad_id, impressions FROM t ORDER BY 1, 2, 3"
        return database.execute(query).fetchall()


def truth_of(bench: Workbench) -> list[tuple[Any, ...]]:
    """Give what a whole pull brings: of each ad account up to the day that it is there."""
    rows: list[tuple[Any, ...]] = []
    for ad_account in ("act_1001", "act_1002"):
        found = bench.simulator.ads.find(ad_account)
        assert found is not None
        today = (datetime.now(UTC) + timedelta(hours=found.timezone_offset_hours)).date()
        rows.extend(
            (ad_account, row["date_start"], row["ad_id"], row["impressions"])
            for row in bench.simulator.truth.rows(ad_account, today - timedelta(days=40), today)
        )
    return sorted(rows)


async def consent(bench: Workbench, runtime: Runtime) -> None:
    with someone() as ada:
        await bench.consent(runtime, ada, FACEBOOK, provider="facebook")


@pytest.mark.parametrize("trouble", TROUBLES)
async def test_every_row_through_every_trouble(
    bench: Workbench, runtime: Runtime, jobs: Jobs, trouble: str
) -> None:
    await consent(bench, runtime)
    bench.simulator.change(TROUBLES[trouble])
    refusals = bench.simulator.facebook.refusals
    refusals.add(Refusal(code=2, after=4, times=2, status=200))
    refusals.add(Refusal(code=1, after=6, times=1, body="service_unavailable"))
    bench.simulator.facebook.reports.plan("completes", "fails", "skipped")
    job = jobs.job(run="", request_table=declared(), name="insights")
    destination = dataclasses.replace(job.destination, key=("date_start", "ad_id"))
    job = dataclasses.replace(job, destination=destination)
    bench.simulator.facebook.end_tokens("ada", "expired", after=9)
    first = await jobs.runner.run(job, FACEBOOK, due_at=None)
    assert first is not None
    assert (first.outcome, first.kind) == ("consent_required", "ConsentRequired")
    kept = len(rows_of(bench)) if first.records else 0
    await consent(bench, runtime)
    second = await jobs.runner.run(job, FACEBOOK, due_at=None)
    assert second is not None
    assert (second.outcome, second.error) == ("succeeded", None)
    assert kept < len(truth_of(bench))
    assert rows_of(bench) == truth_of(bench)
    assert refusals.waiting() == {}
    ordered = bench.simulator.facebook.calls.calls(CallSelection(edge="report_start"))
    assert bool(ordered) == (trouble == "reports")
    state = (bench.folder / "ads.db").read_bytes()
    assert b"access_token" not in state
    with closing(sqlite3.connect(bench.folder / "ads.db")) as database:
        query = "SELECT cursor, checkpoint FROM _connector_cursor WHERE job LIKE 'insights@%'"
        ((cursor, checkpoint),) = database.execute(query).fetchall()
    assert checkpoint == "null"
    assert set(json.loads(cursor)) == {"act_1001", "act_1002"}
