"""dlt's REST client and its declarative source take our auth as one of requests."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from dlt.sources.helpers.rest_client.client import RESTClient
from dlt.sources.helpers.rest_client.paginators import SinglePagePaginator
from dlt.sources.rest_api import rest_api_resources

from connector.connector import Connector
from connector.integrations.dlt import RestApiAuth
from connector.simulator.faults import Fault
from tests.unit.workbench import ACCOUNT, Workbench, workbench


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[Workbench]:
    with workbench(tmp_path) as made:
        yield made


@pytest.fixture(autouse=True)
def no_telemetry(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RUNTIME__DLTHUB_TELEMETRY", "false")


@pytest.fixture
def connector(bench: Workbench) -> Iterator[Connector]:
    bench.connect_apart()
    with Connector.open(bench.config) as opened:
        yield opened


def test_the_rest_client(bench: Workbench, connector: Connector) -> None:
    auth: Any = connector.auth(ACCOUNT)
    client = RESTClient(base_url=bench.simulator.api_url, auth=auth)
    bench.simulator.state.expire_access_tokens("ada")
    assert client.get("/me").json()["name"] == "Ada Lovelace"
    assert bench.refreshes == 1


def test_each_page_has_a_token_that_works(bench: Workbench, connector: Connector) -> None:
    auth: Any = connector.auth(ACCOUNT)
    client = RESTClient(base_url=bench.simulator.api_url, auth=auth)
    pages = list(client.paginate("/me", paginator=SinglePagePaginator()))
    assert [page[0]["name"] for page in pages] == ["Ada Lovelace"]


def test_the_declarative_source(bench: Workbench, connector: Connector) -> None:
    bench.simulator.faults.add(Fault(endpoint="api_me", kind="status", status=401))
    resources = rest_api_resources(
        {
            "client": {
                "base_url": bench.simulator.api_url,
                "auth": RestApiAuth(ACCOUNT, connector),
            },
            "resources": [{"name": "me", "endpoint": {"path": "me", "paginator": "single_page"}}],
        }
    )
    assert [row["name"] for row in resources[0]] == ["Ada Lovelace"]
    assert bench.refreshes == 1
