"""The Notion-like database: `start_cursor`, `has_more`, times in whole minutes."""

import pytest

from connector.simulator.apis.notion import DATABASE
from connector.simulator.simulator import Simulator

from .api_client import ApiClient, Record

PATH = f"notion/v1/databases/{DATABASE}/query"
VERSION = {"Notion-Version": "2022-06-28"}


def query(api: ApiClient, body: dict[str, object]) -> list[Record]:
    """All pages of a query."""
    found: list[Record] = []
    asked = dict(body)
    while True:
        answer = api.page(api.post(PATH, asked, VERSION))
        found += answer["results"]
        assert answer["has_more"] is (answer["next_cursor"] is not None)
        if not answer["has_more"]:
            return found
        asked["start_cursor"] = answer["next_cursor"]


def edited(condition: dict[str, str]) -> dict[str, object]:
    return {"filter": {"timestamp": "last_edited_time", "last_edited_time": condition}}


def test_pages_bring_every_record_once(simulator: Simulator, api: ApiClient) -> None:
    expected = simulator.apis.expected_records("notion")
    assert query(api, {}) == expected
    assert api.pages == 3
    assert query(api, {"page_size": 50}) == expected
    assert api.pages == 3 + 5
    assert len(api.post(PATH, None, VERSION).json()["results"]) == 100


def test_times_are_whole_minutes(simulator: Simulator, api: ApiClient) -> None:
    simulator.change({"apis_step": 20, "apis_records": 9})
    expected = simulator.apis.expected_records("notion")
    assert [record["last_edited_time"] for record in expected[2:4]] == [
        "2026-01-01T00:00:00.000Z",
        "2026-01-01T00:01:00.000Z",
    ]
    assert query(api, edited({"on_or_after": "2026-01-01T00:01:00Z"})) == expected[3:]
    assert query(api, edited({"on_or_after": "2026-01-01T00:01:01Z"})) == expected[6:]
    assert query(api, edited({"before": "2026-01-01T00:01:00Z"})) == expected[:3]


def test_records_come_in_the_order_asked_for(simulator: Simulator, api: ApiClient) -> None:
    simulator.apis.touch("notion", 5)
    sorts = [{"timestamp": "last_edited_time", "direction": "descending"}]
    assert query(api, {"sorts": sorts}) == simulator.apis.expected_records("notion")[::-1]
    by_birth = query(api, {"sorts": [{"timestamp": "created_time"}]})
    assert by_birth[4]["last_edited_time"] > by_birth[5]["last_edited_time"]


@pytest.mark.parametrize(
    "body",
    [
        {"page_size": 101},
        {"page_size": 0},
        {"start_cursor": "00000000-0000-0000-0000-000000000000"},
        {"start_cursor": 5},
        {"color": "red"},
        {"filter": []},
        {"filter": {"timestamp": "last_edited_time", "last_edited_time": {"after": "x"}}},
        edited({"on_or_after": "yesterday"}),
        {"sorts": [{"property": "Name"}]},
        {"sorts": [{"timestamp": "created_time", "direction": "up"}]},
    ],
)
def test_requests_that_make_no_sense(api: ApiClient, body: dict[str, object]) -> None:
    response = api.post(PATH, body, VERSION)
    assert response.status_code == 400
    assert response.json()["code"] == "validation_error"


def test_the_version_and_the_database_are_needed(api: ApiClient) -> None:
    assert api.post(PATH, {}).json()["code"] == "missing_version"
    other = "notion/v1/databases/00000000000000000000000000000000/query"
    assert api.post(other, {}, VERSION).json()["code"] == "object_not_found"
    without_dashes = PATH.replace(DATABASE, DATABASE.replace("-", ""))
    assert api.post(without_dashes, {}, VERSION).status_code == 200


def test_too_many_calls_are_refused(simulator: Simulator, api: ApiClient) -> None:
    simulator.change({"apis_rate_limit": 1, "apis_rate_window": 3})
    assert api.post(PATH, {}, VERSION).status_code == 200
    refused = api.post(PATH, {}, VERSION)
    assert refused.status_code == 429
    assert refused.headers["retry-after"] == "3"
    assert refused.json()["code"] == "rate_limited"
