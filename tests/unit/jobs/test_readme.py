"""The scheduled pull that README.md shows does what it says."""

import re
import sqlite3
from collections.abc import AsyncIterator
from contextlib import closing
from pathlib import Path

import pytest

from connector.pulls.spec import CursorPages
from connector.runtime import Runtime
from tests.unit.jobs.bench import Jobs
from tests.unit.settings.configuration import load
from tests.unit.workbench import FACEBOOK, Workbench, someone

README = (Path(__file__).parents[3] / "README.md").read_text()
SECTION = README.partition("### Scheduled pulls")[2].partition("\n### ")[0]
(CODE,) = re.findall(r"```python\n(.*?)```", SECTION, re.DOTALL)
TABLE, DECLARED = re.findall(r"```toml\n(.*?)```", SECTION, re.DOTALL)


@pytest.fixture
async def runtime(bench: Workbench) -> AsyncIterator[Runtime]:
    bench.configure(more=TABLE)
    async with bench.runtime() as opened:
        with someone() as ada:
            await bench.consent(opened, ada, FACEBOOK, provider="facebook")
        yield opened


async def test_it_pulls_what_its_key_names_and_goes_on_from_there(
    bench: Workbench, runtime: Runtime, jobs: Jobs
) -> None:
    jobs.write(CODE)
    job = runtime.settings.jobs["insights"]
    first = await jobs.runner.run(job, FACEBOOK, due_at=None)
    assert first is not None
    assert (first.outcome, first.error) == ("succeeded", None)
    assert first.records > 500, "more than a page"
    until = str(first.cursor)
    expected = bench.simulator.ads.expected_rows("act_1001", "2026-01-01", until, form="graph")
    with closing(sqlite3.connect(bench.folder / "ads.db")) as database:
        query = "SELECT date_start, ad_id, spend FROM insights ORDER BY 1, 2"
        found = database.execute(query).fetchall()
    assert found == sorted((row["date_start"], row["ad_id"], row["spend"]) for row in expected)
    again = await jobs.runner.run(job, FACEBOOK, due_at=None)
    assert again is not None
    assert again.outcome == "succeeded"
    assert 0 < again.records < 100, "from the cursor on"


def test_the_declared_pull_is_one(tmp_path: Path) -> None:
    registration = """
    [providers.hubspot]
    client_id = "1"
    client_secret = "env:HUBSPOT_SECRET"
    scopes = ["crm.objects.contacts.read"]
    """
    job = load(tmp_path, registration + DECLARED).jobs["contacts"]
    assert job.request is not None
    assert isinstance(job.request.pagination, CursorPages), "as the catalogue says"
