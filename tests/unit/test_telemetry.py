"""Spans as a collector on loopback takes them, and what becomes of a daemon without one."""

import asyncio
import dataclasses
import logging
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from opentelemetry.proto.trace.v1.trace_pb2 import Span, Status

from connector.errors import ConfigurationError
from connector.jobs.run import RunEnding
from connector.secret import SecretReference
from connector.settings import Settings, load_settings
from connector.store.runs import Run
from connector.telemetry import Served, Telemetry, open_telemetry
from connector.telemetry.otlp import EXPORT_TIME
from connector.token_source.outcomes import RefreshOutcome
from tests.collector import Collector, attributes

TRACE, PARENT = "0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331"
SERVED = Served(
    method="GET",
    route="/v1/accounts/{account:path}/token",
    status=200,
    began_at=1_000.0,
    seconds=0.5,
    traceparent=None,
)
REFRESH = RefreshOutcome(
    account="acme/ads",
    account_id="1",
    provider="ads",
    sent_at=1_000.0,
    seconds=2.0,
    outcome="granted",
)
RUN = Run(
    id="r1",
    job="pull",
    account="acme/ads",
    due_at=None,
    started_at=1_000.0,
    deadline_at=None,
    finished_at=None,
    outcome="running",
    error=None,
    records=0,
    batches=0,
    tokens=0,
    cursor=None,
    owner="me",
)


@pytest.fixture(autouse=True)
def _soon(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setenv("OTEL_BSP_SCHEDULE_DELAY", "20")
    yield
    logging.getLogger("opentelemetry").setLevel(logging.WARNING)


@pytest.fixture
def collector() -> Iterator[Collector]:
    with Collector() as running:
        yield running


def settings(folder: Path, endpoint: str, more: str = "") -> Settings:
    (folder / "config.toml").write_text(f'[telemetry]\notlp_endpoint = "{endpoint}"\n{more}')
    return load_settings(folder / "config.toml")


def opened(folder: Path, endpoint: str, more: str = "") -> Telemetry:
    telemetry = open_telemetry(settings(folder, endpoint, more))
    assert telemetry is not None
    return telemetry


async def spans_of(folder: Path, collector: Collector, *told: Served) -> list[Span]:
    telemetry = opened(folder, collector.url)
    for one in told:
        telemetry.note_request(one)
    await telemetry.aclose()
    return collector.spans()


async def test_a_request_is_a_span(tmp_path: Path, collector: Collector) -> None:
    (span,) = await spans_of(tmp_path, collector, SERVED)
    assert span.name == "GET /v1/accounts/{account:path}/token"
    assert span.kind == Span.SPAN_KIND_SERVER
    assert attributes(span) == {
        "http.request.method": "GET",
        "http.route": "/v1/accounts/{account:path}/token",
        "http.response.status_code": 200,
    }
    assert (span.start_time_unix_nano, span.end_time_unix_nano) == (1000 * 10**9, 1000_500_000_000)
    assert span.parent_span_id == b""
    assert span.status.code == Status.STATUS_CODE_UNSET
    assert collector.services() == {"connector"}


async def test_a_request_without_a_route_or_with_a_bug(
    tmp_path: Path, collector: Collector
) -> None:
    made_up = dataclasses.replace(SERVED, method=None, route=None, status=500)
    (span,) = await spans_of(tmp_path, collector, made_up)
    assert span.name == "HTTP"
    assert attributes(span) == {
        "http.request.method": "_OTHER",
        "http.response.status_code": 500,
        "error.type": "500",
    }
    assert span.status.code == Status.STATUS_CODE_ERROR


async def test_a_request_is_a_part_of_its_callers_trace(
    tmp_path: Path, collector: Collector
) -> None:
    callers = dataclasses.replace(SERVED, traceparent=f"00-{TRACE}-{PARENT}-01")
    unsampled = dataclasses.replace(SERVED, traceparent=f"00-{TRACE}-{PARENT}-00")
    broken = [
        dataclasses.replace(SERVED, traceparent=text)
        for text in ("", "x" * 55, f"00-{'0' * 32}-{PARENT}-01", f"ff-{TRACE}-{PARENT}-01")
    ]
    first, *others = await spans_of(tmp_path, collector, callers, unsampled, *broken)
    assert (first.trace_id.hex(), first.parent_span_id.hex()) == (TRACE, PARENT)
    assert len(others) == len(broken), "what its caller does not sample is left out"
    assert {span.parent_span_id for span in others} == {b""}
    assert len({span.trace_id for span in others} - {first.trace_id}) == len(broken)


async def test_refreshes_and_runs_are_spans(tmp_path: Path, collector: Collector) -> None:
    telemetry = opened(tmp_path, collector.url, 'service_name = "mine"')
    refused = dataclasses.replace(REFRESH, outcome="refused", error="invalid_grant")
    telemetry.note_refresh(REFRESH)
    telemetry.note_refresh(refused)
    telemetry.note_run(RUN, RunEnding(outcome="succeeded", records=7), 3.0)
    telemetry.note_run(RUN, RunEnding(outcome="failed", error="at_canary", kind="Odd"), 3.0)
    await telemetry.aclose()
    good, bad, run, failed = collector.spans()
    assert (good.name, good.kind) == ("refresh", Span.SPAN_KIND_CLIENT)
    assert good.end_time_unix_nano - good.start_time_unix_nano == 2 * 10**9
    assert attributes(good) == {
        "connector.account": "acme/ads",
        "connector.provider": "ads",
        "connector.outcome": "granted",
    }
    assert attributes(bad)["error.type"] == "invalid_grant"
    assert bad.status.code == failed.status.code == Status.STATUS_CODE_ERROR
    assert (run.name, attributes(run)["connector.records"]) == ("job pull", 7)
    assert attributes(failed)["error.type"] == "failed"
    assert collector.services() == {"mine"}
    assert not any(b"canary" in body for body in collector.bodies)


async def test_headers_are_sent_and_shown_to_nobody(
    tmp_path: Path,
    collector: Collector,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.DEBUG)
    monkeypatch.setenv("HEADERS", "api-key=can%61ry%20one, x-team = a")
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_HEADERS", "canary of no form,x-env=canary")
    telemetry = opened(tmp_path, collector.url, 'headers = "env:HEADERS"')
    telemetry.note_request(SERVED)
    await telemetry.aclose()
    (headers,) = collector.headers
    assert (headers["api-key"], headers["x-team"]) == ("canary one", "a")
    assert headers["x-env"] == "canary"
    assert "canary" not in caplog.text


@pytest.mark.parametrize("text", ["canary", "a=b,=canary", "a=can%0Aary", "x,canary=1"])
def test_headers_of_no_form_are_told_without_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, text: str
) -> None:
    monkeypatch.setenv("HEADERS", text)
    with pytest.raises(ConfigurationError, match=r"telemetry\.headers") as raised:
        opened(tmp_path, "http://127.0.0.1:1", 'headers = "env:HEADERS"')
    assert "can" not in str(raised.value)


def test_headers_that_are_not_there_are_told(tmp_path: Path) -> None:
    reference = SecretReference(
        kind="env", name="NOT_THERE", source="c", key="telemetry.headers", folder=tmp_path
    )
    found = settings(tmp_path, "http://127.0.0.1:1")
    telemetry = dataclasses.replace(found.telemetry, headers=reference)
    with pytest.raises(ConfigurationError, match="NOT_THERE"):
        open_telemetry(dataclasses.replace(found, telemetry=telemetry))


async def test_a_collector_that_is_away_is_told_once_and_its_return_too(
    tmp_path: Path, collector: Collector, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    telemetry = opened(tmp_path, collector.url)
    collector.status = 400  # not tried again
    for count in (1, 2, 3):
        telemetry.note_request(SERVED)
        collector.wait_for_refusals(count)
    collector.status = 200
    telemetry.note_refresh(REFRESH)
    collector.wait_for("refresh")
    await telemetry.aclose()
    told = [(record.levelname, getattr(record, "action", None)) for record in caplog.records]
    assert [one for one in told if one[0] != "DEBUG"] == [
        ("WARNING", "telemetry.away"),
        ("INFO", "telemetry.back"),
    ]


async def test_what_cannot_be_sent_at_the_end_is_given_up(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setenv("OTEL_BSP_SCHEDULE_DELAY", "60000")
    monkeypatch.setattr("connector.telemetry.otlp.FLUSH_TIME", 0.05)
    telemetry = opened(tmp_path, "http://127.0.0.1:1")  # refused, and tried again for seconds
    telemetry.note_request(SERVED)
    await telemetry.aclose()
    actions = [getattr(record, "action", None) for record in caplog.records]
    assert actions == ["telemetry.away"]


async def test_a_collector_that_does_not_answer_holds_up_no_end(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr("connector.telemetry.otlp.FLUSH_TIME", 0.1)
    with socket.create_server(("127.0.0.1", 0)) as silent:
        telemetry = opened(tmp_path, f"http://127.0.0.1:{silent.getsockname()[1]}")
        telemetry.note_request(SERVED)
        connection, _ = await asyncio.to_thread(silent.accept)  # an export is under way
        began = time.monotonic()
        await telemetry.aclose()
        assert time.monotonic() - began < EXPORT_TIME
        connection.close()
    actions = [getattr(record, "action", None) for record in caplog.records]
    assert actions == ["telemetry.away"]


async def test_a_bug_harms_nothing(
    tmp_path: Path, collector: Collector, caplog: pytest.LogCaptureFixture
) -> None:
    telemetry = opened(tmp_path, collector.url)
    telemetry.note_request(dataclasses.replace(SERVED, began_at=float("nan")))
    telemetry.note_request(SERVED)
    await telemetry.aclose()
    assert len(collector.spans()) == 1
    assert [getattr(record, "action", None) for record in caplog.records] == ["telemetry.bug"]


@pytest.mark.parametrize("package", ["opentelemetry", "opentelemetry.exporter", "requests"])
def test_a_missing_extra_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, package: str
) -> None:
    for name in [one for one in sys.modules if one.startswith(("opentelemetry", "requests"))]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.delitem(sys.modules, "connector.telemetry.otlp", raising=False)
    monkeypatch.setitem(sys.modules, package, None)
    with pytest.raises(ConfigurationError) as raised:
        opened(tmp_path, "http://127.0.0.1:1")
    (problem,) = raised.value.problems
    assert problem.key == "telemetry.otlp_endpoint"
    assert "pip install 'connector[opentelemetry]'" in problem.remedy


def test_nothing_of_the_sdk_is_imported_unless_it_is_configured(tmp_path: Path) -> None:
    (tmp_path / "config.toml").write_text("")
    code = (
        "import sys, connector.daemon.daemon\n"
        "from connector.settings import load_settings\n"
        "from connector.telemetry import open_telemetry\n"
        "assert open_telemetry(load_settings('config.toml')) is None\n"
        "assert not [one for one in sys.modules if one.startswith('opentelemetry')]\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=tmp_path, capture_output=True, check=False, timeout=60
    )
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("https://t.example/v1/traces", "http://proxy.example"),
        ("http://[::1]:4318/v1/traces", None),
    ],
)
def test_exports_go_by_our_proxy_and_by_no_other(
    monkeypatch: pytest.MonkeyPatch, url: str, expected: str | None
) -> None:
    from connector.telemetry.otlp import _session

    monkeypatch.setenv("HTTPS_PROXY", "http://other.example")
    monkeypatch.setenv("HTTP_PROXY", "http://other.example")
    with _session(url, "http://proxy.example") as session:
        merged = session.merge_environment_settings(url, {}, None, None, None)
        assert dict(merged["proxies"]).get(url.partition(":")[0]) == expected
