"""Two processes share a vault: what one of them is refused for, the other one stays away for."""

import time
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import pytest

from connector.jobs.shared_limits import LOOK_INTERVAL
from connector.simulator import Fault, Selection, Settings, Simulator
from connector.simulator.ledger import Record

from .forked import Nursery
from .installation import PATIENCE, Installation

ACCOUNT: Final = "acme/shapes"
#: Of pages that are given slowly, a run takes several times the interval between two looks.
PAGES: Final = 60
SIZE: Final = 5
SLOWLY: Final = 0.5
#: Seconds: what a look takes on a busy machine.
LATE: Final = 4.0
#: A run does not wait for as long, and says so at once.
RETRY_AFTER: Final = 14
#: The two jobs ask different endpoints, so that a fault meets one of them.
JOB: Final = """
    [jobs.{name}]
    account = "acme/*"
    destination = {{ to = "sqlite:///{name}.db", table = "items", key = ["id"] }}
    [jobs.{name}.request]
    url = "{url}"
    records = "items"
    pagination = {pagination}
    size = {{ value = 5, param = "{size}" }}
    limits = {{ longest_wait = "{longest_wait}" }}
    """


@pytest.fixture
def simulator() -> Iterator[Simulator]:
    with Simulator(Settings(apis_records=PAGES * SIZE)) as running:
        yield running


@pytest.fixture(params=["sqlite", "postgres"])
def installation(
    request: pytest.FixtureRequest, tmp_path: Path, simulator: Simulator, nursery: Nursery
) -> Iterator[Installation]:
    with Installation(tmp_path, simulator, nursery=nursery) as made:
        scopes = 'scopes = ["ads_read"]'
        assert scopes in made.providers()
        made.configure(
            JOB.format(
                name="refused",
                url=f"{simulator.url}/shapes/pages",
                pagination='{ kind = "page", total = "total_pages" }',
                size="per_page",
                longest_wait="1s",
            )
            + JOB.format(
                name="other",
                url=f"{simulator.url}/shapes/cursor",
                pagination='{ kind = "cursor", next = "next_cursor", param = "cursor" }',
                size="limit",
                longest_wait="1h",
            ),
            providers=made.providers().replace(scopes, 'scopes = ["shapes.read"]', 1),
        )
        if request.param == "postgres":
            url = request.getfixturevalue("postgres_url").replace("+psycopg", "")
            config = made.folder / "config.toml"
            config.write_text(config.read_text().replace("sqlite:///vault.db", url))
        made.connect("ads", ACCOUNT)
        yield made


def calls(simulator: Simulator, endpoint: str) -> list[Record]:
    return list(simulator.ledger.records(Selection(endpoint=endpoint)))


def refuse(installation: Installation) -> float:
    """Have one process refused, which ends; give when that was."""
    simulator = installation.simulator
    simulator.faults.add(
        Fault(endpoint="shapes_pages", kind="status", status=429, retry_after=f"{RETRY_AFTER}")
    )
    done = installation.run("jobs", "run", "refused")
    assert done.returncode == 4, done.stdout + done.stderr
    (refused,) = calls(simulator, "shapes_pages")
    assert refused.faults == ("status",)
    return refused.time


def assert_whole(installation: Installation) -> None:
    assert installation.rows("SELECT count(*) FROM items", database="other.db") == [(PAGES * SIZE,)]


def test_a_run_that_begins_does_not_send_until_it_may(installation: Installation) -> None:
    refused_at = refuse(installation)
    done = installation.run("jobs", "run", "other")
    assert done.returncode == 0, done.stdout + done.stderr
    sent = [call.time for call in calls(installation.simulator, "shapes_cursor")]
    assert min(sent) >= refused_at + RETRY_AFTER
    assert len(sent) == PAGES
    assert_whole(installation)


@pytest.mark.timeout(180)  # real time goes by
def test_a_run_that_is_under_way_stops_until_it_may(installation: Installation) -> None:
    simulator = installation.simulator
    simulator.faults.add(Fault(endpoint="shapes_cursor", kind="delay", delay=SLOWLY, times=None))
    process = installation.start("jobs", "run", "other")
    simulator.ledger.wait_for(2, Selection(endpoint="shapes_cursor"), timeout=PATIENCE)
    refused_at = refuse(installation)
    until = refused_at + RETRY_AFTER
    ends_at = time.monotonic() + PATIENCE
    while calls(simulator, "shapes_cursor")[-1].time < until:
        assert time.monotonic() < ends_at, "it does not go on"
        time.sleep(0.1)  # polls what another process does
    simulator.faults.clear()
    status, out, err = installation.finish(process)
    assert status == 0, out + err
    sent = [call.time for call in calls(simulator, "shapes_cursor")]
    assert [at for at in sent if refused_at + LOOK_INTERVAL + LATE < at < until] == []
    assert len(sent) == PAGES
    assert_whole(installation)
