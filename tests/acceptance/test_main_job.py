"""The main job: consent once, then scheduled pulls on tokens that run out all the time."""

import time
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from pathlib import Path

from connector.simulator import Selection, Settings, Simulator

from .installation import Installation

LIFETIME = 3.0
#: Ten minutes of pulls every fifteen seconds are forty runs; here they are a second apart.
RUNS = 40

PULLS = """
async def insights(api, context):
    until = context.options["until"]
    since = context.cursor or context.options["since"]
    params = {"ad_account": "act_1001", "since": since, "until": until, "limit": "20"}
    while True:
        body = (await api.get("insights", params=params)).raise_for_status().json()
        yield body["data"]
        if "after" not in body["paging"]:
            break
        params["after"] = body["paging"]["after"]
    context.cursor = until
"""


def job(since: str, until: str) -> str:
    return f"""
        [jobs.insights]
        provider = "ads"
        account = "acme/*"
        schedule = "every 1s"
        jitter = "0"
        run = "pulls:insights"
        options = {{ since = "{since}", until = "{until}" }}
        destination = {{ to = "sqlite:///ads.db", table = "insights", key = ["date", "ad_id"] }}
        """


def test_forty_pulls_on_tokens_of_three_seconds(tmp_path: Path) -> None:
    until = datetime.now(UTC).date() - timedelta(days=1)
    since = until - timedelta(days=9)
    settings = Settings(access_token_lifetime=LIFETIME, rotation="strict_family")
    with Simulator(settings) as simulator, Installation(tmp_path, simulator) as installation:
        installation.configure(job(str(since), str(until)))
        (tmp_path / "pulls.py").write_text(PULLS)
        installation.connect("ads", "acme/ads")
        daemon = installation.serve()
        ends_at = time.monotonic() + 150
        while time.monotonic() < ends_at:
            history = installation.rows(
                "SELECT outcome, count(*) FROM run GROUP BY outcome", database="vault.db"
            )
            if dict(history).get("succeeded", 0) >= RUNS:
                break
            time.sleep(0.5)  # polls what another process writes
        status, _, log = installation.stop(daemon)

        assert status == 0, log
        outcomes = dict(
            installation.rows(
                "SELECT outcome, count(*) FROM run GROUP BY outcome", database="vault.db"
            )
        )
        assert outcomes.pop("succeeded") >= RUNS
        assert set(outcomes) <= {"interrupted"}, "a run that the stop interrupted, nothing else"

        ledger = simulator.ledger
        ended_on_the_way = ledger.count("api_insights") - ledger.count("api_insights", outcome="ok")
        assert ended_on_the_way <= 2, (
            "on a busy machine; each was asked once more, and no run failed"
        )
        expected = simulator.ads.expected_rows("act_1001", str(since), str(until))
        found = installation.rows("SELECT date, ad_id, impressions FROM insights ORDER BY 1, 2")
        assert found == sorted((r["date"], r["ad_id"], r["impressions"]) for r in expected)

        assert_one_refresh_per_expiry(simulator)


def assert_one_refresh_per_expiry(simulator: Simulator) -> None:
    """Every refresh came when a token was about to end, and every token it gave was used."""
    ledger = simulator.ledger
    assert ledger.count("token", outcome="reuse_detected") == 0
    assert ledger.max_in_flight() == 1
    refreshes = ledger.records(Selection(endpoint="token", grant_type="refresh_token"))
    assert {record.outcome for record in refreshes} == {"issued"}
    consent = ledger.records(Selection(endpoint="token", grant_type="authorization_code"))[0]
    issued = [consent.time, *(record.time for record in refreshes)]
    for earlier, later in pairwise(issued):
        # early renewal may begin a fifth of the lifetime before the end, and no sooner
        assert later - earlier >= LIFETIME * 0.8 - 0.05
    calls = [record.time for record in ledger.records(Selection(endpoint="api_insights"))]
    for earlier, later in pairwise(issued[1:]):
        assert any(earlier <= call <= later for call in calls), "a token was minted and not used"
