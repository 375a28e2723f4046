"""A consent ends at the provider while a job runs every second for the account, and comes back."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import pytest

from connector.simulator import Settings
from tests.unit.workbench import ACCOUNT, Workbench

from .installation import free_port
from .real_time import real_time_workbench
from .scheduled import Scheduled

OTHER: Final = "acme/other"
HOOK: Final = """
import sys
with open("told", "a") as file:
    file.write(sys.stdin.read())
"""
CONFIGURATION: Final = """
[daemon]
port = {port}
[notify]
command = ["python3", "hook.py"]
[jobs.pull]
account = "acme/*"
schedule = "every 1s"
jitter = "0s"
run = "pulls:pull"
destination = {{ to = "sqlite:///ads.db", table = "rows", key = ["id"] }}
"""
CODE: Final = """
def pull(api, context):
    api.get("me").raise_for_status()
    context.cursor = (context.cursor or 0) + 1
    yield [{"id": context.cursor}]
"""


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[Workbench]:
    more = CONFIGURATION.format(port=free_port())
    with real_time_workbench(tmp_path, Settings(access_token_lifetime=3600), more=more) as made:
        (tmp_path / "hook.py").write_text(HOOK)
        (tmp_path / "pulls.py").write_text(CODE)
        made.connect_apart(ACCOUNT)
        made.connect_apart(OTHER, person="grace")
        yield made


def told(bench: Workbench) -> list[dict[str, Any]]:
    path = bench.folder / "told"
    return list(map(json.loads, path.read_text().splitlines())) if path.exists() else []


def test_it_is_not_run_for_is_told_once_and_goes_on_with_the_next_consent(
    bench: Workbench,
) -> None:
    with Scheduled(bench) as daemon:

        def succeeded(account: str) -> list[dict[str, Any]]:
            return daemon.runs(f"account = '{account}' AND outcome = 'succeeded'")

        def ended() -> list[dict[str, Any]]:
            return daemon.runs(f"account = '{ACCOUNT}' AND outcome = 'consent_required'")

        daemon.wait_for(lambda: len(succeeded(ACCOUNT)) >= 2)
        assert bench.simulator.state.revoke("ada", reason="revoked") == 1
        daemon.wait_for(ended)
        before, others = len(succeeded(ACCOUNT)), len(succeeded(OTHER))
        daemon.wait_for(lambda: told(bench) and len(succeeded(OTHER)) >= others + 5)
        (run,) = ended()
        assert "connector connect acme --account acme/ads" in run["error"]
        assert [row["id"] for row in daemon.runs(f"account = '{ACCOUNT}'")][-1] == run["id"]
        asked = bench.refreshes

        bench.connect_apart(ACCOUNT)
        daemon.wait_for(lambda: len(told(bench)) > 1 and len(succeeded(ACCOUNT)) >= before + 2)
        daemon.stop()
    first, last = told(bench)
    assert (first["type"], first["kind"]) == ("notice.opened", "consent_required")
    assert first["account"] == ACCOUNT
    assert (last["type"], last["notice"]) == ("notice.resolved", first["notice"])
    assert len(ended()) == 1, "no run is begun in vain"
    assert (asked, bench.refreshes) == (1, 1)
    after = [one for one in succeeded(ACCOUNT) if one["due_at"] > run["due_at"]]
    assert [json.loads(one["cursor"]) for one in after] == [
        before + 1 + number for number in range(len(after))
    ], "it goes on at its cursor"
    assert after[0]["due_at"] >= run["due_at"] + 5, "what was due meanwhile is not run"
