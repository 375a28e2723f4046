import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
import requests

from connector.connector import Connector
from connector.resource import AccountAuth
from connector.simulator.faults import Fault
from tests.unit.workbench import ACCOUNT, Workbench, workbench


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[Workbench]:
    with workbench(tmp_path) as made:
        yield made


@pytest.fixture
def connector(bench: Workbench) -> Iterator[Connector]:
    bench.connect_apart()
    with Connector.open(bench.config) as opened:
        yield opened


def test_the_one_liner(bench: Workbench, connector: Connector) -> None:
    bench.simulator.state.expire_access_tokens("ada")
    url = f"{bench.simulator.api_url}/me"
    answer = requests.get(url, auth=connector.auth(ACCOUNT), timeout=30)
    assert (answer.status_code, answer.json()["name"]) == (200, "Ada Lovelace")
    assert [one.status_code for one in answer.history] == [401]
    assert bench.refreshes == 1


def test_a_redirect_after_the_retry_goes_on_with_the_token_that_works(
    bench: Workbench, connector: Connector
) -> None:
    bench.simulator.change({"old_access_token": "dies_now"})
    url = f"{bench.simulator.api_url}/me"
    faults = bench.simulator.faults
    faults.add(Fault(endpoint="api_me", kind="status", status=401))
    faults.add(Fault(endpoint="api_me", kind="redirect", location=url))
    answer = requests.get(url, auth=connector.auth(ACCOUNT), timeout=30)
    assert answer.status_code == 200
    assert bench.simulator.ledger.count("api_me") == 3
    assert bench.refreshes == 1


def test_a_client_that_is_not_known_is_told_so(
    connector: Connector, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delitem(sys.modules, "httpx")
    auth = connector.auth(ACCOUNT)
    assert type(auth) is AccountAuth
    with (
        httpx.Client(auth=auth, trust_env=False) as client,
        pytest.raises(TypeError, match="import httpx before"),
    ):
        client.get("https://api.example/")


def test_no_client_is_loaded_by_us() -> None:
    code = (
        "import sys, connector.resource;"
        "sys.exit(bool({'requests', 'aiohttp', 'httpx'} & sys.modules.keys()))"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
