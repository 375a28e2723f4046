"""A patient client gets the whole truth through every trouble at once: none is a dead end."""

import json
from datetime import date, timedelta
from typing import cast

import httpx2
import pytest

from connector.simulator.clock import Clock
from connector.simulator.facebook.call_log import CallSelection
from connector.simulator.facebook.refusals import Refusal
from connector.simulator.simulator import Simulator

from .relying_party import FacebookApp, Values
from .test_facebook_insights import ROW_FIELDS, Rows

SINCE, UNTIL = date(2026, 11, 1), date(2027, 1, 15)
THROTTLED = 80000


class TooMuchError(Exception):
    """The range has to be split."""


class PatientClient:
    """Halves pages and ranges, waits where it is throttled, renews its token, asks for reports."""

    def __init__(self, app: FacebookApp, clock: Clock) -> None:
        self.app, self.clock = app, clock
        self.token = self.renewed()

    def renewed(self) -> str:
        return str(self.app.simulator.facebook.grant("ada")["access_token"])

    def call(self, path: str, values: Values, method: str = "GET") -> dict[str, object]:
        limit = 500
        for _ in range(60):
            sent = {"limit": str(limit), **values}
            response = self.app.graph(path, self.token, sent, method)
            if response.text.strip() == "Service Unavailable":
                continue
            body = cast("dict[str, object]", response.json())
            if "error" not in body:
                return body
            error = cast("dict[str, object]", body["error"])
            code, subcode = error["code"], error.get("error_subcode")
            if code == 190:
                self.token = self.renewed()
            elif code == THROTTLED:
                self.clock.advance(60.0 * self.minutes(response))
            elif str(error["message"]).startswith("Please reduce") and limit > 20:
                limit //= 2
            elif str(error["message"]).startswith("Please reduce") or subcode == 1504038:
                raise TooMuchError
            else:
                assert code in {1, 2}, error
        raise AssertionError("there is no end to it")

    def minutes(self, response: httpx2.Response) -> int:
        cases = json.loads(response.headers["x-business-use-case-usage"])["1001"]
        return max(int(case["estimated_time_to_regain_access"]) for case in cases)

    def pages(self, path: str, values: Values) -> Rows:
        rows: Rows = []
        after: str | None = None
        while True:
            given = {**values} if after is None else {**values, "after": after}
            body = self.call(path, given)
            rows += cast("Rows", body["data"])
            paging = cast("dict[str, object]", body.get("paging", {}))
            if "next" not in paging:
                return rows
            after = str(cast("dict[str, object]", paging["cursors"])["after"])

    def days(self, since: date, until: date, *, is_async: bool) -> Rows:
        values: Values = {
            "level": "ad",
            "time_increment": "1",
            "time_range": json.dumps({"since": since.isoformat(), "until": until.isoformat()}),
            "fields": ROW_FIELDS,
        }
        try:
            return self.report(values) if is_async else self.pages("act_1001/insights", values)
        except TooMuchError:
            middle = since + (until - since) // 2
            first = self.days(since, middle, is_async=is_async)
            return first + self.days(middle + timedelta(days=1), until, is_async=is_async)

    def report(self, values: Values) -> Rows:
        for _ in range(20):
            run = str(self.call("act_1001/insights", values, "POST")["report_run_id"])
            for _ in range(20):
                status = self.call(run, {})
                if status["async_status"] == "Job Completed":
                    return self.pages(f"{run}/insights", {})
                if status.get("error_subcode") == 1504045:
                    raise TooMuchError
                if status["async_status"] in {"Job Failed", "Job Skipped"}:
                    break
        raise AssertionError("no run ever ended well")


@pytest.mark.parametrize("edge", ["insights", "report_insights"])
def test_every_trouble_at_once_still_lets_the_truth_through(
    app: FacebookApp, simulator: Simulator, clock: Clock, edge: str
) -> None:
    simulator.change(
        {
            "empty_page_every": 4,
            "short_page_every": 3,
            "trailing_page": True,
            "largest_page": 40,
            "largest_query": 300,
            "longest_sync_days": 30,
            "largest_report": 300,
            "report_lingering_polls": 1,
            "restatement_days": 28,
        }
    )
    refusals = simulator.facebook.refusals
    refusals.add(Refusal(code=THROTTLED, ad_account="act_1001", after=5, minutes=10))
    refusals.add(Refusal(code=2, after=7, times=2, status=200))
    refusals.add(Refusal(code=1, after=9, times=1, body="service_unavailable"))
    simulator.facebook.reports.plan("completes", "fails", "skipped")
    client = PatientClient(app, clock)
    simulator.facebook.end_tokens("ada", "expired", after=11)
    rows = client.days(SINCE, UNTIL, is_async=(edge == "report_insights"))
    truth = simulator.truth.rows("act_1001", SINCE, UNTIL)
    assert len(truth) > 500
    assert rows == truth
    # all of it happened, and no page was fetched twice
    assert refusals.waiting() == {}
    log = simulator.facebook.calls
    assert {call.code for call in log.calls()} >= {1, 2, 190, THROTTLED}
    assert len(log.calls(CallSelection(code=THROTTLED))) == 1
    pages = log.pages(CallSelection(edge=edge))
    assert len(pages) > 10
    assert set(pages.values()) == {1}
