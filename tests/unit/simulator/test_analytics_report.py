"""The report like that of Google Analytics: `offset`, `limit`, values as strings."""

from collections.abc import Mapping

import pytest

from connector.simulator.simulator import Simulator

from .api_client import ApiClient, Record

PATH = "analytics/v1beta/properties/123456789:runReport"

WEEK = {
    "dateRanges": [{"startDate": "2026-01-01", "endDate": "2026-01-07"}],
    "dimensions": [{"name": "date"}, {"name": "country"}, {"name": "deviceCategory"}],
    "metrics": [{"name": "activeUsers"}, {"name": "sessions"}, {"name": "totalRevenue"}],
}
BY_DATE = {"dimensions": [{"name": "date"}], "metrics": [{"name": "sessions"}]}


def report(api: ApiClient, body: Mapping[str, object], limit: object) -> list[Record]:
    """All pages of a report."""
    found: list[Record] = []
    while True:
        answer = api.page(api.post(PATH, {**body, "offset": len(found), "limit": limit}))
        found += answer["rows"]
        if len(found) == answer["rowCount"]:
            return found


def test_offsets_bring_every_row_once(simulator: Simulator, api: ApiClient) -> None:
    expected = simulator.apis.expected_records("analytics", "2026-01-01", "2026-01-07")
    assert len(expected) == 7 * 12
    assert report(api, WEEK, 25) == expected
    assert api.pages == 4
    assert report(api, WEEK, "84") == expected
    assert api.pages == 5
    whole = api.post(PATH, WEEK).json()
    assert whole["rows"] == expected
    assert whole["dimensionHeaders"] == WEEK["dimensions"]
    assert whole["metricHeaders"][2] == {"name": "totalRevenue", "type": "TYPE_CURRENCY"}


def test_rows_are_summed_over_what_is_not_asked_for(api: ApiClient) -> None:
    rows = api.post(PATH, WEEK).json()["rows"]
    days = api.post(PATH, {**WEEK, **BY_DATE}).json()["rows"]
    assert len(days) == 7
    first = [row for row in rows if row["dimensionValues"][0]["value"] == "20260101"]
    total = sum(int(row["metricValues"][1]["value"]) for row in first)
    assert days[0] == {
        "dimensionValues": [{"value": "20260101"}],
        "metricValues": [{"value": str(total)}],
    }


def test_rows_come_in_the_order_asked_for(api: ApiClient) -> None:
    order = [
        {"dimension": {"dimensionName": "country"}, "desc": True},
        {"dimension": {"dimensionName": "date"}},
    ]
    body = {**WEEK, "orderBys": order}
    keys = [
        (row["dimensionValues"][1]["value"], row["dimensionValues"][0]["value"])
        for row in api.post(PATH, body).json()["rows"]
    ]
    assert keys == sorted(sorted(keys), key=lambda key: key[0], reverse=True)
    assert keys[0] == ("United States", "20260101")


def test_what_is_empty_is_left_out(api: ApiClient) -> None:
    past = {**WEEK, "dateRanges": [{"startDate": "2020-01-01", "endDate": "2020-01-02"}]}
    answer = api.post(PATH, past).json()
    assert "rows" not in answer
    assert "rowCount" not in answer
    beyond = api.post(PATH, {**WEEK, "offset": 84}).json()
    assert "rows" not in beyond
    assert beyond["rowCount"] == 84


def test_days_may_be_counted_from_today(simulator: Simulator, api: ApiClient) -> None:
    # a day before the frozen clock's 2027-01-15
    simulator.change({"apis_epoch": 1_800_000_000 - 86_400, "apis_records": 24})
    for start, end, days in (
        ("yesterday", "today", ["20270114", "20270115"]),
        ("1daysAgo", "yesterday", ["20270114"]),
        ("0daysAgo", "today", ["20270115"]),
    ):
        body = {**BY_DATE, "dateRanges": [{"startDate": start, "endDate": end}]}
        rows = api.post(PATH, body).json()["rows"]
        assert [row["dimensionValues"][0]["value"] for row in rows] == days


def test_days_are_restated_and_added(simulator: Simulator, api: ApiClient) -> None:
    before = simulator.apis.expected_records("analytics")
    assert len(before) == 252
    simulator.apis.touch("analytics", 2)
    simulator.apis.append("analytics")
    after = simulator.apis.expected_records("analytics")
    assert len(after) == 264
    changed = [old != new for old, new in zip(before, after, strict=False)]
    assert changed == [False] * 12 + [True] * 12 + [False] * 228
    assert report(api, WEEK, 100) == after[:84]
    simulator.apis.touch("analytics", 7)
    assert report(api, WEEK, 100) != after[:84], "asked again, it is found again"


@pytest.mark.parametrize(
    "change",
    [
        {"dateRanges": []},
        {"dateRanges": WEEK["dateRanges"] * 2},
        {"dateRanges": [{"startDate": "2026-01-07", "endDate": "2026-01-01"}]},
        {"dateRanges": [{"startDate": "soon", "endDate": "today"}]},
        {"dateRanges": [{"startDate": "2026-02-30", "endDate": "today"}]},
        {"dateRanges": "2026"},
        {"dimensions": [{"name": "colour"}]},
        {"dimensions": [{"name": "date"}] * 2},
        {"metrics": []},
        {"metrics": [{"name": "likes"}]},
        {"limit": 250_001},
        {"limit": 0},
        {"offset": -1},
        {"orderBys": [{"metric": {"metricName": "sessions"}}]},
        {"pageToken": "x"},
    ],
)
def test_requests_that_make_no_sense(api: ApiClient, change: dict[str, object]) -> None:
    response = api.post(PATH, {**WEEK, **change})
    assert response.status_code == 400
    assert response.json()["error"]["status"] == "INVALID_ARGUMENT"


def test_the_quota_may_be_exhausted(simulator: Simulator, api: ApiClient) -> None:
    simulator.change({"apis_rate_limit": 1})
    assert api.post(PATH, WEEK).status_code == 200
    refused = api.post(PATH, WEEK)
    assert refused.status_code == 429
    assert refused.json()["error"]["status"] == "RESOURCE_EXHAUSTED"


def test_there_is_one_property(api: ApiClient) -> None:
    refused = api.post(PATH.replace("123456789", "987"), WEEK)
    assert refused.status_code == 403
    assert refused.json()["error"]["status"] == "PERMISSION_DENIED"
