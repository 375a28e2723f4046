"""A real daemon's spans, as a collector takes them, and a daemon whose collector is away."""

import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import httpx2
import pytest

from connector.simulator import Settings, Simulator
from tests.collector import Collector, attributes

from .daemon_log import Served
from .installation import PATIENCE, Installation, free_port
from .test_canary import CLIENT_SECRET, found_in

pytestmark = pytest.mark.traced

TOKEN = "/v1/accounts/acme/ads/token"
TEMPLATE = "GET /v1/accounts/{account:path}/token"
TRACE, PARENT = "0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331"
CONTEXT = {"traceparent": f"00-{TRACE}-{PARENT}-01", "tracestate": "canary=canary"}
PULLS = """
async def pull(api, context):
    token = (await api.get("insights")).request.headers["authorization"]
    yield [{"id": 1}]
    raise RuntimeError(f"raised with {token}")
"""


@pytest.fixture
def simulator() -> Iterator[Simulator]:
    settings = Settings(client_secret=CLIENT_SECRET, access_token_lifetime=1.5)
    with Simulator(settings) as running:
        yield running


def configuration(url: str) -> str:
    return f"""
        [jobs.pull]
        account = "acme/*"
        run = "pulls:pull"
        destination = {{ to = "sqlite:///ads.db", table = "t", key = ["id"] }}
        [telemetry]
        otlp_endpoint = "{url}"
        headers = "env:COLLECTOR_HEADERS"
        """


@pytest.fixture
def traced(installation: Installation, tmp_path: Path) -> Iterator[tuple[Installation, Collector]]:
    (tmp_path / "pulls.py").write_text(PULLS)
    with Collector() as collector:
        installation.configure(configuration(collector.url))
        installation.environment["COLLECTOR_HEADERS"] = "api-key=canary-of-the-collector"
        installation.environment["OTEL_BSP_SCHEDULE_DELAY"] = "100"
        installation.connect("ads", "acme/ads")
        yield installation, collector


def test_requests_refreshes_and_runs_are_traced_without_a_secret(
    traced: tuple[Installation, Collector],
) -> None:
    installation, collector = traced
    made = installation.run(
        "keys", "create", "program", "--accounts", "**", "--scope", "token:read"
    )
    key = made.stdout.strip()
    served = Served(installation)
    base = f"http://127.0.0.1:{installation.port}"
    with httpx2.Client(base_url=base, trust_env=False, timeout=PATIENCE) as tcp:
        headers = {"Authorization": f"Bearer {key}"}
        assert tcp.get(TOKEN, headers=headers | CONTEXT).status_code == 200
        collector.wait_for("refresh")  # of a token that lives for 1.5 s
        tokens = [tcp.get(f"{TOKEN}?at_query", headers=headers).json()["access_token"]]
        tcp.get(f"/code_{'x' * 40}", headers=headers)
    with served.client() as unix:
        assert unix.post("/v1/jobs/pull/runs", json={"account": "acme/ads"}).status_code == 202
    collector.wait_for("job pull")
    assert served.stop() == 0, "".join(served.log.lines)

    request = collector.wait_for(TEMPLATE)
    assert (request.trace_id.hex(), request.parent_span_id.hex()) == (TRACE, PARENT)
    refresh = collector.wait_for("refresh")
    assert attributes(refresh) == {
        "connector.account": "acme/ads",
        "connector.provider": "ads",
        "connector.outcome": "granted",
    }
    assert refresh.end_time_unix_nano > refresh.start_time_unix_nano
    assert abs(refresh.start_time_unix_nano / 1e9 - time.time()) < 2 * PATIENCE
    assert attributes(collector.wait_for("job pull"))["connector.outcome"] == "failed"
    assert "GET" in {span.name for span in collector.spans()}, "of no route"
    assert {one["api-key"] for one in collector.headers} == {"canary-of-the-collector"}
    exported = b"\n".join(collector.bodies)
    assert found_in(exported) == {}
    for secret in (key, *tokens, "canary", "at_query", "x" * 40, "api-key"):
        assert secret.encode() not in exported
    log = "".join(served.log.lines)
    assert served.log.count("telemetry.") == 0, log
    assert "canary" not in log


def test_a_daemon_whose_collector_is_away_works_and_says_so_once(
    installation: Installation,
) -> None:
    installation.configure(f'[telemetry]\notlp_endpoint = "http://127.0.0.1:{free_port()}"')
    installation.environment["OTEL_BSP_SCHEDULE_DELAY"] = "100"
    installation.connect("ads", "acme/ads")
    served = Served(installation)
    with served.client() as unix:
        assert unix.get(TOKEN).status_code == 200
        served.log.wait_for(1, "telemetry.away")
        assert unix.get(TOKEN).status_code == 200
    assert served.stop() == 0
    log = "".join(served.log.lines)
    assert served.log.count("telemetry.") == 1, log
    assert "Traceback" not in log
    assert "opentelemetry" not in log


def test_a_reload_does_not_change_where_traces_go(
    traced: tuple[Installation, Collector],
) -> None:
    installation, collector = traced
    served = Served(installation)
    served.change(collector.url, "http://127.0.0.1:1")
    assert served.reload() == "reload.refused"
    assert served.log.count("telemetry.otlp_endpoint") == 1
    with served.client() as unix:
        assert unix.get(TOKEN).status_code == 200
    assert served.stop() == 0
    collector.wait_for(TEMPLATE)


def test_a_daemon_without_the_extra_says_what_to_install(installation: Installation) -> None:
    installation.configure('[telemetry]\notlp_endpoint = "http://127.0.0.1:4318"')
    code = (
        "import sys; sys.modules['opentelemetry'] = None; sys.argv[1:] = ['serve']\n"
        "from connector.cli import main; main()"
    )
    done = subprocess.run(
        [sys.executable, "-c", code],
        cwd=installation.folder,
        env=installation.environment,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=PATIENCE,
        check=False,
    )
    assert done.returncode == 2, done.stderr
    assert "pip install 'connector[opentelemetry]'" in done.stderr
    assert not (installation.folder / "vault.db").exists()
