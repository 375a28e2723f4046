"""What all data APIs share: tokens and scopes, faults mid-pull, the ledger, the control routes."""

import json
import re
from dataclasses import fields, replace
from pathlib import Path

import httpx2
import pytest

from connector.simulator.apis.notion import DATABASE
from connector.simulator.apis.settings import (
    ANALYTICS_SCOPE,
    API_SCOPES,
    GITHUB_SCOPE,
    HUBSPOT_SCOPE,
    NOTION_SCOPE,
    SHAPES_SCOPE,
    ApiSettings,
)
from connector.simulator.control import Control
from connector.simulator.control_link import ControlError
from connector.simulator.faults import Fault, fault_from_json
from connector.simulator.ledger import Selection
from connector.simulator.setting import SettingsError
from connector.simulator.settings import Settings
from connector.simulator.simulator import Simulator

from .api_client import ApiClient
from .relying_party import RelyingParty, bearer

ENDPOINTS = [
    ("GET", "github/repos/octocat/hello-world/issues", GITHUB_SCOPE),
    ("POST", "hubspot/crm/v3/objects/contacts/search", HUBSPOT_SCOPE),
    ("POST", f"notion/v1/databases/{DATABASE}/query", NOTION_SCOPE),
    ("POST", "analytics/v1beta/properties/123456789:runReport", ANALYTICS_SCOPE),
    ("GET", "shapes/pages", SHAPES_SCOPE),
    ("GET", "shapes/window?from=1&to=2", SHAPES_SCOPE),
]
SHAPES = [
    "pages",
    "offset",
    "offset_without_total",
    "cursor",
    "nested",
    "header",
    "links",
    "relative_links",
    "array",
    "window",
]
# What a caller of each fault on the page sees: a status, or an error.
SHOWN: dict[str, int | type[Exception]] = {
    "the token dies mid-pull": 401,
    "the scope is not enough any more": 403,
    "the server is down for a while": 502,
    "too many calls, for now": 429,
    "the connection is reset in a body": httpx2.ReadError,
    "JSON that breaks off": ValueError,
    "a page of a proxy": ValueError,
    "a slow answer": 200,
    "an error that comes with 200": 200,
}
APIS = ["github", "hubspot", "notion", "analytics", "shapes"]


# Access


@pytest.mark.parametrize(("method", "path", "scope"), ENDPOINTS)
def test_each_needs_a_token_with_its_scope(
    simulator: Simulator, http: httpx2.Client, method: str, path: str, scope: str
) -> None:
    url = f"{simulator.url}/{path}"
    assert http.request(method, url).status_code == 401
    others = " ".join(each for each in API_SCOPES if each != scope)
    for granted, status in ((others, 403), (scope, (200, 400))):
        token = simulator.grant("ada", scope=granted)["access_token"]
        response = http.request(method, url, headers=bearer(token))
        assert response.status_code in (status if isinstance(status, tuple) else (status,))
        if status == 403:
            challenge = response.headers["www-authenticate"]
            assert 'error="insufficient_scope"' in challenge
            assert f'scope="{scope}"' in challenge
        else:
            assert "www-authenticate" not in response.headers, "refused at most for its body"
    token = simulator.grant("ada", scope=scope)["access_token"]
    simulator.state.expire_access_tokens("ada")
    dead = http.request(method, url, headers=bearer(token))
    assert dead.status_code == 401
    assert 'error="invalid_token"' in dead.headers["www-authenticate"]


def test_limits_are_a_person_s_and_an_api_s(
    simulator: Simulator, http: httpx2.Client, api: ApiClient
) -> None:
    simulator.change({"apis_rate_limit": 1})
    assert api.get("shapes/array").status_code == 200
    assert api.get("shapes/array").status_code == 429
    assert api.get("github/repos/octocat/hello-world/issues").status_code == 200
    token = simulator.grant("grace", scope=SHAPES_SCOPE)["access_token"]
    assert http.get(f"{simulator.url}/shapes/array", headers=bearer(token)).status_code == 200


# Faults mid-pull


def test_a_token_dies_in_the_middle_of_a_pull(
    simulator: Simulator, api: ApiClient, party: RelyingParty
) -> None:
    simulator.faults.add(Fault(endpoint="shapes_*", kind="expire_token", skip=2))
    answers = [api.get("shapes/cursor") for _ in range(4)]
    assert [answer.status_code for answer in answers] == [200, 200, 401, 401]
    assert 'error="invalid_token"' in answers[2].headers["www-authenticate"]
    api.grant = party.refreshed(api.grant["refresh_token"])
    assert api.get("shapes/cursor").status_code == 200
    assert simulator.ledger.count("shapes_cursor", fault="expire_token") == 1


def test_an_error_may_come_with_200(simulator: Simulator, api: ApiClient) -> None:
    body = '{"error":{"code":"internal","message":"try again"}}'
    simulator.faults.add(Fault(endpoint="shapes_array", kind="falsify", body=body))
    answer = api.get("shapes/array")
    assert (answer.status_code, answer.text) == (200, body)


# The ledger


def test_the_ledger_says_what_was_asked(simulator: Simulator, api: ApiClient) -> None:
    api.get("shapes/pages", page=2, per_page=10)
    api.get("shapes/pages", page="x")
    body = {"limit": 5, "after": "10"}
    api.post("hubspot/crm/v3/objects/contacts/search", body)
    simulator.faults.add(Fault(endpoint="shapes_array", kind="status"))
    api.get("shapes/array")
    calls = [
        (record.method, record.target, record.body, record.status, record.outcome)
        for record in simulator.ledger.records()
    ]
    search = "/hubspot/crm/v3/objects/contacts/search"
    assert calls == [
        ("GET", "/shapes/pages?page=2&per_page=10", None, 200, "ok"),
        ("GET", "/shapes/pages?page=x", None, 400, "invalid_request"),
        ("POST", search, '{"limit":5,"after":"10"}', 200, "ok"),
        ("GET", "/shapes/array", None, None, "fault:status"),
    ]


def test_no_token_stands_in_the_ledger(simulator: Simulator, api: ApiClient) -> None:
    api.get("shapes/cursor", access_token=api.token)
    api.get("shapes/cursor", cursor=api.token)
    api.post("hubspot/crm/v3/objects/contacts/search", {"query": api.token})
    records = simulator.ledger.records()
    assert api.token not in repr(records)
    assert [record.target for record in records[:2]] == [
        "/shapes/cursor?[token]",
        "/shapes/cursor?cursor=[token]",
    ]
    assert records[2].body == '{"query":"[token]"}'


# Control


def test_control_knows_what_a_pull_has_to_bring(
    control: Control, simulator: Simulator, api: ApiClient
) -> None:
    control.change({"apis_records": 30})
    for name in APIS:
        assert control.expected_records(name) == simulator.apis.expected_records(name)
    assert control.expected_records("shapes") == api.get("shapes/array").json()
    last = control.expected_records("shapes")[-1]["updated_at"]
    control.append("shapes", 2)
    control.append("shapes")
    control.touch("shapes", 4)
    changed = control.expected_records("shapes", str(last))
    assert [record["id"] for record in changed] == [30, 31, 32, 33, 4]
    assert len(control.expected_records("shapes", until=str(last))) == 28
    days = control.expected_records("analytics", "2026-01-02", "2026-01-02")
    assert len(days) == 12
    api.get("shapes/cursor", limit=3)
    selected = control.records(Selection(endpoint="shapes_cursor"))
    assert [record.target for record in selected] == ["/shapes/cursor?limit=3"]
    assert selected == simulator.ledger.records(Selection(endpoint="shapes_cursor"))


def test_control_refuses_what_makes_no_sense(control: Control) -> None:
    for problem, api, number in (
        ("no data API 'magic': github, hubspot", "magic", 1),
        ("no record 0", "shapes", 0),
        ("no record 251", "github", 251),
        ("no day 22", "analytics", 22),
    ):
        with pytest.raises(ControlError, match=problem):
            control.touch(api, number)
    for api in ("shapes", "analytics"):
        with pytest.raises(ControlError, match="are added 0 to"):
            control.append(api, -1)
    with pytest.raises(ControlError, match="'soon' is no moment"):
        control.expected_records("shapes", "soon")
    with pytest.raises(ControlError, match="no data API"):
        control.expected_records("magic")


# The page about them

SECTION = (
    (Path(__file__).parents[3] / "docs" / "reference" / "simulator.md")
    .read_text(encoding="utf-8")
    .partition("## Data APIs")[2]
)
FAULTS = re.findall(r"^\| ([^|]+) \| `(\{.+\})` \|$", SECTION, re.MULTILINE)


def test_every_option_and_shape_is_on_the_page() -> None:
    for field in fields(ApiSettings):
        assert f"--{field.name.replace('_', '-')}" in SECTION
    for shape in SHAPES:
        assert f"`/shapes/{shape}`" in SECTION
    for _, path, scope in ENDPOINTS[:4]:
        assert f"/{path}" in SECTION
        assert f"`{scope}`" in SECTION


@pytest.mark.parametrize(("name", "text"), FAULTS)
def test_every_fault_on_the_page_does_what_it_says(
    simulator: Simulator, api: ApiClient, name: str, text: str
) -> None:
    fault = fault_from_json(json.loads(text))
    shown = SHOWN[name]
    simulator.faults.add(replace(fault, delay=min(fault.delay, 0.01)))
    path = "github/repos/octocat/hello-world/issues" if "github" in text else "shapes/array"
    for _ in range(fault.skip):
        assert api.get(path).status_code == 200
    if not isinstance(shown, int):
        with pytest.raises(shown):
            api.get(path).json()
    else:
        assert api.get(path).status_code == shown
    assert simulator.ledger.records()[-1].faults == (fault.kind,)


def test_every_fault_on_the_page_is_tried() -> None:
    assert [name for name, _ in FAULTS] == list(SHOWN)


# Records


def test_records_follow_from_the_seed() -> None:
    first, same, other = (Simulator(Settings(apis_seed=seed)).apis for seed in (1, 1, 2))
    for name in APIS:
        assert first.expected_records(name) == same.expected_records(name)
        assert first.expected_records(name) != other.expected_records(name)


def test_the_number_of_records_is_a_setting(simulator: Simulator) -> None:
    simulator.change({"apis_records": 1000})
    assert len(simulator.apis.expected_records("github")) == 1000
    simulator.apis.touch("github", 1000)
    simulator.change({"apis_records": 0})
    assert [simulator.apis.expected_records(name) for name in APIS] == [[]] * 5


@pytest.mark.parametrize(
    ("changes", "problem"),
    [
        ({"github_limit": "often"}, "github_limit must be one of primary_403, primary_429"),
        ({"shapes_page_size": 0}, "shapes_page_size must be at least 1"),
        ({"shapes_largest_page": 0}, "shapes_largest_page must be at least 1"),
        ({"apis_records": -1}, "apis_records must be a finite number"),
        ({"apis_step": 0}, "apis_step must be at least 1"),
    ],
)
def test_settings_that_make_no_sense(
    simulator: Simulator, changes: dict[str, object], problem: str
) -> None:
    with pytest.raises(SettingsError, match=problem):
        simulator.change(changes)
    with pytest.raises(SettingsError, match=problem):
        Settings(**changes)  # type: ignore[arg-type]
