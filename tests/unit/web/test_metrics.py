"""What the daemon tells a monitoring system, read back by the format's own parsers."""

import asyncio
import re
import time
from collections.abc import AsyncIterator
from pathlib import Path

import httpx2
import pytest
from prometheus_client.openmetrics.parser import (
    text_string_to_metric_families as parse_openmetrics,
)
from prometheus_client.parser import text_string_to_metric_families as parse_text
from sqlalchemy import text
from starlette.applications import Starlette

from connector.errors import TemporarilyUnavailable
from connector.runtime import Runtime, RuntimeCredentials
from connector.simulator.faults import Fault
from connector.store.audit_entry import Actor, acting_as
from connector.store.tables import ACCOUNT as ACCOUNTS
from connector.web.app import Lasting, make_app
from connector.web.connections import Connections
from connector.web.known_keys import KnownKeys
from connector.web.metrics import stored
from connector.web.run_starter import RunStarter
from connector.web.server import TrustedPeer
from tests.unit.jobs.bench import Jobs
from tests.unit.workbench import ACCOUNT, Workbench

from .test_job_runs import ONE

ROOT = Path(__file__).parents[3]
TOKEN = f"/v1/accounts/{ACCOUNT}/token"
OPENMETRICS = "application/openmetrics-text; version=1.0.0"
#: A sample: its name, and its labels in the order of their names.
Sample = tuple[str, *tuple[str, ...]]


@pytest.fixture(autouse=True)
def _patience(monkeypatch: pytest.MonkeyPatch) -> None:
    """A busy machine may take its time, but where a test is about that."""
    monkeypatch.setattr(stored, "PATIENCE", 30.0)


@pytest.fixture
async def app(runtime: Runtime, starter: RunStarter) -> AsyncIterator[Starlette]:
    """An application whose metrics watch what a daemon has."""
    keys = KnownKeys(runtime.api_keys, now=runtime.now)
    lasting = Lasting(runtime)
    lasting.metrics.start(
        {"tcp": Connections(8), "unix": Connections(8)}, starter.runner, starter.queue
    )
    yield make_app(runtime, starter, keys, lasting)
    await lasting.metrics.aclose()


async def scrape(unix: httpx2.AsyncClient) -> dict[Sample, float]:
    answer = await unix.get("/metrics")
    assert answer.status_code == 200
    assert answer.headers["content-type"].startswith("text/plain; version=")
    return {
        (sample.name, *(sample.labels[name] for name in sorted(sample.labels))): sample.value
        for family in parse_text(answer.text)
        for sample in family.samples
    }


async def test_both_formats_say_the_same(unix: httpx2.AsyncClient) -> None:
    await unix.get(TOKEN)
    plain = await unix.get("/metrics")
    answer = await unix.get("/metrics", headers={"Accept": OPENMETRICS})
    assert answer.headers["content-type"].startswith("application/openmetrics-text")
    assert answer.text.endswith("# EOF\n")
    families = parse_openmetrics(answer.text)  # type: ignore[no-untyped-call]
    names = {family.name for family in families}
    assert names == {family.name for family in parse_text(plain.text)}
    assert "connector_refreshes" in names


async def test_where_tokens_come_from(
    unix: httpx2.AsyncClient, runtime: Runtime, bench: Workbench
) -> None:
    def reads(found: dict[Sample, float], source: str, via: str = "http") -> float:
        return found["connector_token_reads_total", source, via]

    await runtime.tokens.check_store()
    await unix.get(TOKEN)
    first = await scrape(unix)
    await runtime.tokens.check_store()
    await unix.get(TOKEN)
    await unix.get(f"{TOKEN}?min_ttl=1")
    await unix.post(f"/v1/accounts/{ACCOUNT}/refresh")
    bench.clock.advance(1)
    runtime.tokens.forget(ACCOUNT)
    await unix.get(TOKEN)
    runtime.tokens.forget(ACCOUNT)
    job = Actor(kind="job", name="pull", through="run")
    with acting_as(job):
        await RuntimeCredentials(runtime).credential(ACCOUNT, None)
    second = await scrape(unix)
    assert reads(second, "memory") - reads(first, "memory") == 2
    assert reads(second, "refresh") - reads(first, "refresh") == 1
    assert reads(second, "store") - reads(first, "store") == 1
    assert reads(second, "store", "job") == 1
    assert bench.refreshes == 1


async def test_refreshes_by_what_was_answered(unix: httpx2.AsyncClient, bench: Workbench) -> None:
    refreshes = "connector_refreshes_total"
    await unix.post(f"/v1/accounts/{ACCOUNT}/refresh")
    bench.simulator.faults.add(Fault(endpoint="token", kind="status", status=503))
    assert (await unix.post(f"/v1/accounts/{ACCOUNT}/refresh")).status_code == 503
    found = await scrape(unix)
    assert found[refreshes, "", "granted", "acme"] == 1
    assert found[refreshes, "http_503", "unavailable", "acme"] == 1
    assert found["connector_refresh_seconds_count", "acme"] == 2
    assert found["connector_refresh_seconds_bucket", "+Inf", "acme"] == 2
    assert found["connector_accounts_failing", "acme"] == 1


async def test_requests_by_route_and_never_by_path(
    unix: httpx2.AsyncClient, tcp: httpx2.AsyncClient
) -> None:
    await unix.get("/v1/accounts")
    await unix.get("/v1/accounts/acme/nobody/token")
    await unix.get("/nowhere/acme/ads")
    await unix.request("BREW", "/v1/accounts")
    await tcp.get("/v1/accounts")
    found = await scrape(unix)
    token = "/v1/accounts/{account:path}/token"
    assert found["connector_http_requests_total", "GET", "/v1/accounts", "2xx"] == 1
    assert found["connector_http_requests_total", "GET", token, "4xx"] == 1
    assert found["connector_http_requests_total", "GET", "none", "4xx"] == 2
    assert found["connector_http_requests_total", "other", "/v1/accounts", "4xx"] == 1
    assert found["connector_http_request_seconds_count", token] == 1
    assert found["connector_requests_refused_total", "no_key"] == 1
    assert not any("nowhere" in part or "acme/" in part for sample in found for part in sample)


async def test_accounts_and_when_they_end(
    unix: httpx2.AsyncClient, runtime: Runtime, bench: Workbench
) -> None:
    await bench.connect(runtime, "beta/one", person="grace")
    await bench.connect(runtime, "beta/two", person="grace")
    now = runtime.now()
    async with runtime.database.write() as connection:
        for name, token, consent in (
            (ACCOUNT, now + 100, now + 3 * 86_400),
            ("beta/one", now - 1, now + 20 * 86_400),
        ):
            await connection.execute(
                ACCOUNTS.update()
                .where(ACCOUNTS.c.name == name)
                .values(expires_at=token, consent_ends_at=consent, due_at=now - 7)
            )
    await runtime.revoker.revoke("beta/two")
    found = await scrape(unix)
    assert found["connector_accounts", "acme", "active"] == 2
    assert found["connector_accounts", "acme", "consent_required"] == 1
    assert found["connector_accounts", "acme", "pending"] == 0
    ends = {within: found["connector_access_tokens_ending", "acme", within] for within in HORIZONS}
    assert ends == {"0s": 1, "5m": 2, "1h": 2, "24h": 2}
    ends = {days: found["connector_consents_ending", "acme", days] for days in CONSENT_DAYS}
    assert ends == {"0d": 0, "1d": 0, "7d": 1, "14d": 1, "30d": 2}
    assert found["connector_accounts_due",] == 2
    assert found["connector_refresher_lag_seconds",] == pytest.approx(7, abs=5)


HORIZONS = ("0s", "5m", "1h", "24h")
CONSENT_DAYS = ("0d", "1d", "7d", "14d", "30d")


async def test_jobs(unix: httpx2.AsyncClient, runtime: Runtime, jobs: Jobs) -> None:
    jobs.write(ONE)
    await unix.post("/v1/jobs/pull/runs")
    async with asyncio.timeout(30):
        while (await scrape(unix))["connector_job_runs_under_way", "pull"]:  # noqa: ASYNC110
            await asyncio.sleep(0.05)  # it runs in a process of its own
    await runtime.runs.pause("other", now=runtime.now())
    last = ("connector_job_last_success_timestamp_seconds", "pull")
    async with asyncio.timeout(30):
        while last not in (found := await fresh_scrape(unix)):
            pass  # what a busy machine has not counted yet comes with the next scrape
    assert found["connector_job_runs_total", "pull", "succeeded"] == 1
    assert found["connector_job_records_total", "pull"] == 1
    assert found["connector_job_run_seconds_count", "pull"] == 1
    assert found["connector_job_last_success_timestamp_seconds", "pull"] > 0
    assert found["connector_job_next_due_timestamp_seconds", "pull"] > runtime.now()
    assert found["connector_job_paused", "other"] == 1
    assert ("connector_job_next_due_timestamp_seconds", "other") not in found


async def fresh_scrape(unix: httpx2.AsyncClient) -> dict[Sample, float]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(stored, "MOST_AGE", 0.0)
        return await scrape(unix)


async def test_a_provider_that_rejects_the_registration(
    unix: httpx2.AsyncClient, bench: Workbench
) -> None:
    body = '{"error": "invalid_client"}'
    fault = Fault(endpoint="token", kind="status", status=401, body=body)
    bench.simulator.faults.add(fault)
    await unix.post(f"/v1/accounts/{ACCOUNT}/refresh")
    found = await scrape(unix)
    assert found["connector_provider_halted", "acme"] == 1
    assert found["connector_provider_registration_rejected", "acme"] == 1


async def test_while_the_database_hangs_a_scrape_tells_what_is_in_memory(
    unix: httpx2.AsyncClient, runtime: Runtime, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert (await scrape(unix))["connector_store_up",] == 1
    for failure in (None, TemporarilyUnavailable("the database is away")):

        async def fail(_now: float, failure: Exception | None = failure) -> object:
            if failure is not None:
                raise failure
            return await asyncio.Event().wait()

        monkeypatch.setattr(runtime.statistics, "read", fail)
        monkeypatch.setattr(stored, "MOST_AGE", 0.0)
        monkeypatch.setattr(stored, "PATIENCE", 0.75)
        monkeypatch.setattr(stored, "CONTACT_AGE", -1.0)  # nor does it answer anybody else
        began = time.monotonic()
        found = await scrape(unix)
        assert time.monotonic() - began < 1.5  # and the rest of it takes some milliseconds
        assert found["connector_store_up",] == 0
        assert ("connector_token_reads_total", "memory", "http") in found
        assert ("connector_accounts", "acme", "active") not in found


async def test_a_database_that_is_slow_to_count_is_not_away(
    unix: httpx2.AsyncClient, runtime: Runtime, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What was counted before is told, though not for ever."""
    assert (await scrape(unix))["connector_accounts", "acme", "active"] == 1

    async def hang(_now: float) -> object:
        return await asyncio.Event().wait()

    monkeypatch.setattr(runtime.statistics, "read", hang)
    monkeypatch.setattr(stored, "MOST_AGE", 0.0)
    monkeypatch.setattr(stored, "PATIENCE", 0.01)
    found = await scrape(unix)
    assert found["connector_store_up",] == 1
    assert found["connector_accounts", "acme", "active"] == 1
    monkeypatch.setattr(stored, "MOST_STALE", 0.0)
    found = await scrape(unix)
    assert found["connector_store_up",] == 1
    assert ("connector_accounts", "acme", "active") not in found


async def test_the_store_is_asked_once_for_all_who_scrape(
    unix: httpx2.AsyncClient, runtime: Runtime, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = 0
    original = runtime.statistics.read

    async def count(now: float) -> object:
        nonlocal asked
        asked += 1
        return await original(now)

    monkeypatch.setattr(runtime.statistics, "read", count)
    await asyncio.gather(*(scrape(unix) for _ in range(5)))
    await scrape(unix)
    assert asked == 1


async def test_ten_thousand_accounts(unix: httpx2.AsyncClient, runtime: Runtime) -> None:
    """A scrape costs the event loop less than a tenth of a second, traced as the tests are."""
    columns = [one.name for one in ACCOUNTS.columns if one.name not in {"id", "name"}]
    others = ", ".join(columns)
    series = "WITH RECURSIVE n(i) AS (SELECT 0 UNION ALL SELECT i + 1 FROM n WHERE i < 9999)"
    copy = f"SELECT 'copy-' || i, 'many/account-' || i, {others} FROM account, n"  # noqa: S608 - ours
    insert = f"{series} INSERT INTO account (id, name, {others}) {copy} WHERE name = :one"
    async with runtime.database.write() as connection:
        await connection.execute(text(insert), {"one": ACCOUNT})
    found = await fresh_scrape(unix)
    assert found["connector_accounts", "acme", "active"] == 10_001
    assert min([await fresh_cost(unix) for _ in range(5)]) < 0.1
    assert len(found) < 400  # and no series for each account


async def fresh_cost(unix: httpx2.AsyncClient) -> float:
    """Give for how many seconds this thread worked for a scrape, the client's part included."""
    began = time.thread_time()
    await fresh_scrape(unix)
    return time.thread_time() - began


def documented() -> dict[str, str]:
    """Give the page's metrics, each with its type."""
    page = (ROOT / "docs" / "reference" / "metrics.md").read_text()
    return dict(re.findall(r"^\| `(connector_\w+)` \| (\w+) \|", page, re.MULTILINE))


async def test_every_metric_is_documented_and_nothing_else(unix: httpx2.AsyncClient) -> None:
    answer = await unix.get("/metrics")
    families = list(parse_text(answer.text))
    served = {
        f"{one.name}_total" if one.type == "counter" else one.name: one.type
        for one in families
        if one.name.startswith("connector_")
    }
    assert documented() == served
    for family in families:
        assert family.documentation, family.name


def test_nothing_below_knows_the_library() -> None:
    """And a command that is no daemon does not load it."""
    modules = (ROOT / "connector").rglob("*.py")
    users = {str(one.parent) for one in modules if "prometheus_client" in one.read_text()}
    assert users == {str(ROOT / "connector" / "web" / "metrics")}


async def test_names_are_as_prometheus_wants_them(unix: httpx2.AsyncClient) -> None:
    await unix.get(TOKEN)
    for family in parse_text((await unix.get("/metrics")).text):
        if not family.name.startswith("connector_"):
            continue
        assert re.fullmatch(r"[a-z][a-z_]+[a-z]", family.name)
        assert not re.search(r"_(count|sum|bucket|minutes|milliseconds|ms)$", family.name)
        if "seconds" in family.name:
            assert family.name.endswith("_seconds")
        for sample in family.samples:
            assert all(re.fullmatch(r"[a-z]+", name) for name in sample.labels)


async def test_no_account_and_no_secret_is_told(unix: httpx2.AsyncClient, bench: Workbench) -> None:
    token = (await unix.get(TOKEN)).json()["access_token"]
    await unix.post(f"/v1/accounts/{ACCOUNT}/refresh")
    told = (await unix.get("/metrics")).text
    assert token not in told
    assert ACCOUNT not in told
    assert bench.simulator.client.client_secret not in told


async def test_the_unix_socket_needs_no_key(app: Starlette, tcp: httpx2.AsyncClient) -> None:
    assert (await tcp.get("/metrics")).status_code == 401
    transport = httpx2.ASGITransport(app=TrustedPeer(app))
    async with httpx2.AsyncClient(transport=transport, base_url="http://connector") as client:
        assert (await client.get("/metrics")).status_code == 200
