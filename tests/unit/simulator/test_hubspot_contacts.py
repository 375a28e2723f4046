"""The HubSpot-like search: a JSON body, `after`, filters in milliseconds."""

import pytest

from connector.simulator.simulator import Simulator

from .api_client import ApiClient

PATH = "hubspot/crm/v3/objects/contacts/search"
BY_TIME = {"sorts": [{"propertyName": "lastmodifieddate", "direction": "ASCENDING"}]}


def changed_since(milliseconds: object, operator: str = "GTE") -> dict[str, object]:
    each = {"propertyName": "lastmodifieddate", "operator": operator, "value": milliseconds}
    return {**BY_TIME, "filterGroups": [{"filters": [each]}]}


def test_pages_bring_every_contact_once(simulator: Simulator, api: ApiClient) -> None:
    expected = simulator.apis.expected_records("hubspot")
    assert len(expected) == 250
    assert api.contacts({**BY_TIME, "limit": 100}) == expected
    assert api.pages == 3
    assert api.contacts({**BY_TIME, "limit": 50}) == expected, "the last page is full, and the last"
    assert api.pages == 3 + 5
    assert len(api.post(PATH, {}).json()["results"]) == 10
    assert len(api.post(PATH).json()["results"]) == 10


def test_a_filter_is_in_milliseconds(simulator: Simulator, api: ApiClient) -> None:
    expected = simulator.apis.expected_records("hubspot")
    moment = 1_767_225_600_000 + 248 * 3_600_000
    assert api.contacts(changed_since(str(moment))) == expected[248:]
    assert api.contacts(changed_since(moment)) == expected[248:]
    assert api.contacts(changed_since(moment + 1)) == expected[249:]
    assert api.contacts(changed_since(moment, "GT")) == expected[249:]
    assert api.contacts({**changed_since(moment, "LT"), "limit": 200}) == expected[:248]
    assert api.contacts({**changed_since(moment, "LTE"), "limit": 200}) == expected[:249]
    assert api.contacts(changed_since(expected[248]["updatedAt"])) == expected[248:]
    simulator.apis.touch("hubspot", 1)
    again = api.contacts(changed_since(moment))
    assert [contact["id"] for contact in again] == ["249", "250", "1"]


def test_groups_are_or_ed_and_filters_and_ed(api: ApiClient) -> None:
    def each(operator: str, hour: int) -> dict[str, object]:
        value = 1_767_225_600_000 + hour * 3_600_000
        return {"propertyName": "createdate", "operator": operator, "value": value}

    groups = [
        {"filters": [each("GTE", 2), each("LT", 4)]},
        {"filters": [each("GTE", 248)]},
    ]
    found = api.contacts({"filterGroups": groups})
    assert [contact["id"] for contact in found] == ["3", "4", "249", "250"]
    downwards = [{"propertyName": "createdate", "direction": "DESCENDING"}]
    found = api.contacts({"filterGroups": groups, "sorts": downwards})
    assert [contact["id"] for contact in found] == ["250", "249", "4", "3"]


def test_properties_are_chosen(api: ApiClient) -> None:
    body = api.post(PATH, {"properties": ["email", "magic"], "limit": 1}).json()
    assert body["results"][0]["properties"] == {"email": "contact1@example.com"}


def test_a_search_ends_at_its_limit(simulator: Simulator, api: ApiClient) -> None:
    simulator.change({"hubspot_search_limit": 100})
    assert api.post(PATH, {"limit": 50, "after": "50"}).json()["paging"]["next"]["after"] == "100"
    refused = api.post(PATH, {"limit": 50, "after": "100"})
    assert refused.status_code == 400
    assert refused.json()["category"] == "VALIDATION_ERROR"


@pytest.mark.parametrize(
    "body",
    [
        [],
        {"limit": 201},
        {"limit": 0},
        {"limit": True},
        {"limit": "9" * 19},
        {"after": "-1"},
        {"colour": "red"},
        {"sorts": [{"propertyName": "email"}]},
        {"sorts": ["lastmodifieddate"]},
        {"sorts": BY_TIME["sorts"] * 2},
        {"properties": [1]},
        {"properties": "email"},
        {"filterGroups": {}},
        {"filterGroups": [{"filters": []}] * 6},
        changed_since("yesterday-ish"),
        changed_since(None, "HAS"),
    ],
)
def test_requests_that_make_no_sense(api: ApiClient, body: object) -> None:
    response = api.post(PATH, body)
    assert response.status_code == 400
    assert response.json()["status"] == "error"


def test_the_body_must_be_json(simulator: Simulator, api: ApiClient) -> None:
    url = f"{simulator.url}/{PATH}"
    headers = {"Authorization": f"Bearer {api.token}"}
    assert api.http.post(url, data={"limit": "1"}, headers=headers).status_code == 400
    headers["Content-Type"] = "application/json"
    assert api.http.post(url, content=b'{"limit":', headers=headers).status_code == 400
    assert api.http.post(url, content=b"[" * 100_000, headers=headers).status_code == 400


def test_too_many_calls_are_refused(simulator: Simulator, api: ApiClient) -> None:
    simulator.change({"apis_rate_limit": 1})
    assert api.post(PATH, {}).status_code == 200
    refused = api.post(PATH, {})
    assert refused.status_code == 429
    assert refused.json()["errorType"] == "RATE_LIMIT"
    assert "retry-after" not in refused.headers
