"""The disk of the vault is full while jobs run: they stop cleanly, tokens are given, all go on.

The disk is really full, or (where nobody may mount one) the vault's files may not grow.
"""

import sqlite3
import time
from collections.abc import Iterator
from contextlib import ExitStack, closing
from pathlib import Path
from typing import Any, Final, cast

import httpx2
import pytest

from connector.simulator import Settings
from tests.unit.workbench import ACCOUNT, Workbench

from .installation import PATIENCE, free_port
from .real_time import real_time_workbench
from .scheduled import Scheduled
from .test_store_away import Full, Limited, Store, disk

CONFIGURATION: Final = """
[daemon]
port = {port}
heartbeat = "1s"
[jobs.pull]
account = "acme/*"
schedule = "every 1s"
jitter = "0s"
run = "pulls:pull"
options = {{ hold = "{elsewhere}/hold" }}
destination = {{ to = "sqlite:///{elsewhere}/ads.db", table = "rows", key = ["id"] }}
"""
CODE: Final = """
import pathlib, time
def pull(api, context):
    yield [{"id": context.run_id}]
    while pathlib.Path(context.options["hold"]).exists():
        time.sleep(0.02)
"""


@pytest.fixture
def elsewhere(tmp_path: Path) -> Path:
    """A folder that is not on the vault's disk: of what holds a run, and of its records."""
    folder = tmp_path / "elsewhere"
    folder.mkdir()
    return folder


@pytest.fixture(params=["full", "limited"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Store]:
    folder = tmp_path / "vault"
    folder.mkdir()
    with ExitStack() as stack:
        if request.param == "limited":
            yield Limited(folder)
        else:
            yield Full(stack.enter_context(disk(folder, "8m")))


@pytest.fixture
def bench(store: Store, elsewhere: Path) -> Iterator[Workbench]:
    more = CONFIGURATION.format(port=free_port(), elsewhere=elsewhere)
    settings = Settings(access_token_lifetime=3600)
    with real_time_workbench(store.folder, settings, more=more) as made:
        (store.folder / "pulls.py").write_text(CODE)
        made.connect_apart(ACCOUNT)
        yield made


def token(bench: Workbench) -> httpx2.Response:
    """Ask the daemon for a token."""
    transport = httpx2.HTTPTransport(uds=str(bench.folder / "connector.sock"))
    with httpx2.Client(transport=transport, base_url="http://connector", timeout=PATIENCE) as api:
        return api.get(f"/v1/accounts/{ACCOUNT}/token")


def records(elsewhere: Path) -> set[str]:
    with closing(sqlite3.connect(elsewhere / "ads.db", timeout=PATIENCE)) as connection:
        return {row[0] for row in connection.execute("SELECT id FROM rows")}


def test_jobs_stop_cleanly_and_tokens_are_given(
    store: Store, bench: Workbench, elsewhere: Path
) -> None:
    with Scheduled(bench) as daemon:
        daemon.wait_for(lambda: daemon.runs("outcome = 'succeeded'"))
        given = token(bench)
        assert given.status_code == 200

        (elsewhere / "hold").touch()
        held: list[dict[str, Any]] = []

        def is_held() -> bool:
            held[:] = daemon.runs("outcome = 'running'")
            return bool(held) and held[0]["id"] in records(elsewhere)

        daemon.wait_for(is_held)
        store.users = [cast("Any", daemon.process)]
        store.take()
        try:
            (elsewhere / "hold").unlink()  # it comes to its end, which cannot be written
            daemon.wait_for(lambda: daemon.count("run.not_noted"))
            begun, kept = daemon.count("run.started"), records(elsewhere)
            daemon.wait_for(lambda: daemon.count("job.not_started") >= 3)
            again = token(bench)
            assert again.status_code == 200, again.text
            assert again.json()["access_token"] == given.json()["access_token"]
            assert daemon.count("run.started") == begun, "none is begun"
            assert records(elsewhere) == kept
        finally:
            store.give_back()
        back_at = time.time()
        daemon.wait_for(
            lambda: len(daemon.runs(f"outcome = 'succeeded' AND due_at > {back_at}")) >= 2
        )
        assert token(bench).json()["access_token"] == given.json()["access_token"]
        daemon.stop()
    log = daemon.log()
    assert "bug" not in log
    assert "Traceback" not in log
    (run,) = daemon.runs(f"id = '{held[0]['id']}'")
    assert (run["outcome"], run["attempt"], run["records"]) == ("succeeded", 1, 1)
    outcomes = {one["outcome"] for one in daemon.runs()}
    assert outcomes <= {"succeeded", "queued"}, "those that the stop sent back wait"
    assert bench.refreshes == 0
