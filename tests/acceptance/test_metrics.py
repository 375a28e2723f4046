"""A real daemon's metrics, read over TCP as Prometheus reads them."""

import signal
import time
from collections.abc import Iterator

import httpx2
import pytest
from prometheus_client.parser import text_string_to_metric_families

from .installation import Installation

TOKEN = "/v1/accounts/acme/ads/token"


@pytest.fixture
def tcp(installation: Installation) -> Iterator[httpx2.Client]:
    base = f"http://127.0.0.1:{installation.port}"
    with httpx2.Client(base_url=base, trust_env=False) as client:
        yield client


def key(installation: Installation, name: str, scope: str) -> dict[str, str]:
    made = installation.run("keys", "create", name, "--accounts", "**", "--scope", scope)
    return {"Authorization": f"Bearer {made.stdout.strip()}"}


def scrape(tcp: httpx2.Client, headers: dict[str, str]) -> dict[tuple[str, ...], float]:
    answer = tcp.get("/metrics", headers=headers)
    assert answer.status_code == 200, answer.text
    return {
        (sample.name, *sample.labels.values()): sample.value
        for family in text_string_to_metric_families(answer.text)
        for sample in family.samples
    }


def test_a_daemon_is_scraped(installation: Installation, tcp: httpx2.Client) -> None:
    installation.connect("ads", "acme/ads")
    reader = key(installation, "prometheus", "metrics:read")
    program = key(installation, "program", "token:read")
    process = installation.serve()
    assert tcp.get("/metrics").status_code == 401
    assert tcp.get("/metrics", headers=program).status_code == 200
    assert tcp.get(TOKEN, headers=reader).status_code == 403
    token = tcp.get(TOKEN, headers=program).json()["access_token"]
    found = scrape(tcp, reader)
    assert found["connector_accounts", "ads", "active"] == 1
    assert found["connector_connections", "tcp"] == 1
    assert found["connector_connections_limit", "unix"] > 16
    assert found["connector_api_keys",] == 2
    assert found["connector_requests_refused_total", "lacks_scope"] == 1
    assert found["process_open_fds",] > 5
    reads = sum(found["connector_token_reads_total", source, "http"] for source in SOURCES)
    assert reads == 1
    process.send_signal(signal.SIGHUP)  # counters go on from where they are
    ends_at = time.monotonic() + 10
    while scrape(tcp, reader)["connector_http_requests_total", "GET", "/metrics", "2xx"] < 5:
        assert time.monotonic() < ends_at
    tcp.get(TOKEN, headers=program)
    found = scrape(tcp, reader)
    assert sum(found["connector_token_reads_total", one, "http"] for one in SOURCES) == 2
    told = tcp.get("/metrics", headers=reader).text
    for secret in (token, reader["Authorization"][7:], "acme/ads"):
        assert secret not in told
    status, _, err = installation.stop(process)
    assert status == 0, err


SOURCES = ("memory", "store", "refresh")
