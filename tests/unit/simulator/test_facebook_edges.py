"""Ad accounts, campaigns, ad sets and ads: their fields, their ids and their pages."""

import json
import re
from urllib.parse import parse_qs, urlsplit

import pytest

from connector.simulator.clock import Clock
from connector.simulator.person import Person
from connector.simulator.simulator import Simulator

from .conftest import NOW
from .relying_party import Body, FacebookApp, Values, json_of


@pytest.fixture
def token(app: FacebookApp, ada: Person) -> str:
    return app.long_token(ada)


def things(app: FacebookApp, token: str, path: str, values: Values | None = None) -> list[Body]:
    """Everything on an edge, by its pages, and that each thing came once."""
    found: list[Body] = []
    after: str | None = None
    for _ in range(1000):
        response = app.graph(path, token, {**(values or {}), "after": after})
        assert response.status_code == 200, response.text
        body = response.json()
        found += body["data"]
        if "next" not in body.get("paging", {}):
            assert len({str(each["id"]) for each in found}) == len(found)
            return found
        after = str(body["paging"]["cursors"]["after"])
    raise AssertionError("the pages have no end")


def ids(found: list[Body]) -> list[str]:
    return [str(each["id"]) for each in found]


# Nodes and edges


def test_the_edges_hold_what_the_insights_name(
    app: FacebookApp, simulator: Simulator, token: str
) -> None:
    rows = simulator.ads.expected_rows("act_1001", "2027-01-01", "2027-01-14", form="graph")
    fields = "name,account_id,campaign_id,adset_id"
    ads = things(app, token, "act_1001/ads", {"fields": fields})
    keys = ("ad_id", "ad_name", "account_id", "campaign_id", "adset_id")
    assert {tuple(row[key] for key in keys) for row in rows} == {
        (ad["id"], ad["name"], ad["account_id"], ad["campaign_id"], ad["adset_id"]) for ad in ads
    }
    assert {ad["campaign_id"] for ad in ads} == set(ids(things(app, token, "act_1001/campaigns")))
    assert {ad["adset_id"] for ad in ads} == set(ids(things(app, token, "act_1001/adsets")))


def test_a_campaign_and_an_ad_set_have_edges_too(app: FacebookApp, token: str) -> None:
    campaign = ids(things(app, token, "act_1001/campaigns"))[1]
    every = things(app, token, "act_1001/ads", {"fields": "campaign_id,adset_id"})
    mine = [str(ad["id"]) for ad in every if ad["campaign_id"] == campaign]
    assert ids(things(app, token, f"{campaign}/ads")) == mine
    ad_sets = ids(things(app, token, f"{campaign}/adsets"))
    assert [ad for each in ad_sets for ad in ids(things(app, token, f"{each}/ads"))] == mine
    assert app.code_of(app.graph(f"{mine[0]}/ads", token)) == (2500, None)
    assert app.code_of(app.graph(f"{campaign}/campaigns", token)) == (2500, None)


def test_only_the_fields_asked_for_come_and_the_id(app: FacebookApp, token: str) -> None:
    assert things(app, token, "act_1001/campaigns") == [{"id": "21001001"}, {"id": "21001002"}]
    fields = "id,name,account_id,objective,status,effective_status,daily_budget"
    assert json_of(app.graph("21001002", token, {"fields": fields})) == {
        "id": "21001002",
        "name": "Campaign 2",
        "account_id": "1001",
        "objective": "OUTCOME_SALES",
        "status": "ACTIVE",
        "effective_status": "ACTIVE",
        "daily_budget": "2000",
    }
    assert json_of(app.graph("act_1001", token, {"fields": "timezone_name"})) == {
        "timezone_name": "America/Phoenix",
        "id": "act_1001",
    }
    for path in ("act_1001", "act_1001/ads", "21001002"):
        assert app.code_of(app.graph(path, token, {"fields": "id,shoe_size"})) == (100, None)


def test_other_people_s_are_not_there(app: FacebookApp, simulator: Simulator, token: str) -> None:
    for path in ("act_2001", "act_2001/ads", "22001001", "22001001/ads", "act_1003", "21001009"):
        assert app.code_of(app.graph(path, token)) == (100, 33)
    simulator.facebook.decline("ada", "ads_read")
    for path in ("act_1001", "act_1001/ads", "21001001"):
        assert app.code_of(app.graph(path, token), 403) == (200, None)


def test_an_edit_moves_the_updated_time(
    app: FacebookApp, simulator: Simulator, clock: Clock, token: str
) -> None:
    values: Values = {"fields": "updated_time,created_time,status"}
    before = things(app, token, "act_1001/ads", values)
    assert all(re.fullmatch(r"20\d\d-.*T.*-0700", str(ad["updated_time"])) for ad in before)
    assert all(str(ad["created_time"]) <= str(ad["updated_time"]) for ad in before)
    clock.advance(60)
    simulator.ads.edit(ids(before)[3], "PAUSED")
    after = things(app, token, "act_1001/ads", values)
    changed = [new for old, new in zip(before, after, strict=True) if old != new]
    assert ids(changed) == ids(before)[3:4]
    assert changed[0]["status"] == "PAUSED"
    assert changed[0]["updated_time"] == "2027-01-15T01:01:00-0700"
    since = [{"field": "ad.updated_time", "operator": "GREATER_THAN", "value": int(NOW)}]
    filtered = things(app, token, "act_1001/ads", {"filtering": json.dumps(since)})
    assert ids(filtered) == ids(changed)
    assert ids(things(app, token, "act_1001/ads", {"updated_since": str(int(NOW))})) == ids(changed)
    paused = things(app, token, "act_1001/ads", {"effective_status": '["PAUSED"]'})
    assert ids(paused) == ids(changed)
    for changes in ({"updated_since": "x"}, {"effective_status": "{}"}):
        assert app.code_of(app.graph("act_1001/ads", token, changes)) == (100, None)


# Sizes


def test_how_much_there_is_can_be_chosen(
    app: FacebookApp, simulator: Simulator, token: str
) -> None:
    simulator.change(
        {
            "ad_accounts_per_person": 30,
            "campaigns_per_account": 3,
            "ad_sets_per_campaign": 4,
            "ads_per_ad_set": 11,
        }
    )
    accounts = things(app, token, "me/adaccounts", {"fields": "timezone_offset_hours_utc"})
    assert ids(accounts) == [f"act_{number}" for number in range(1001, 1031)]
    hours = [float(str(each["timezone_offset_hours_utc"])) for each in accounts]
    assert min(hours) < 0 < max(hours)
    assert len(things(app, token, "act_1030/ads")) == 3 * 4 * 11
    assert len(things(app, token, "act_1030/campaigns")) == 3
    assert len(things(app, token, "act_1030/adsets")) == 12
    rows = simulator.ads.expected_rows("act_1030", "2027-01-01", "2027-01-01")
    assert 100 < len(rows) < 132


def test_the_first_day_of_delivery_can_be_chosen(simulator: Simulator) -> None:
    simulator.change({"first_delivery": "2027-01-10"})
    rows = simulator.ads.expected_rows("act_1001", "2026-01-01", "2027-01-15")
    assert min(str(row["date"]) for row in rows) == "2027-01-10"


# Pages


def test_pages_may_be_short_or_empty_and_have_a_next(
    app: FacebookApp, simulator: Simulator, token: str
) -> None:
    every = ids(things(app, token, "act_1001/ads", {"limit": "500"}))
    simulator.change({"empty_page_every": 3, "short_page_every": 2, "trailing_page": True})
    lengths, found, after = [], [], None
    for _ in range(20):
        body = app.graph("act_1001/ads", token, {"limit": "2", "after": after}).json()
        lengths.append(len(body["data"]))
        found += ids(body["data"])
        if "next" not in body.get("paging", {}):
            break
        after = body["paging"]["cursors"]["after"]
    assert found == every
    assert lengths == [2, 1, 0, 1, 2, 0, 2, 0]


def test_another_page_size_goes_on_where_the_last_one_ended(app: FacebookApp, token: str) -> None:
    every = ids(things(app, token, "act_1001/ads"))
    first = app.graph("act_1001/ads", token, {"limit": "4"}).json()
    after = first["paging"]["cursors"]["after"]
    second = app.graph("act_1001/ads", token, {"limit": "2", "after": after}).json()
    assert ids(first["data"]) + ids(second["data"]) == every[:6]


def test_next_works_as_it_is(app: FacebookApp, token: str) -> None:
    body = app.graph("act_1001/ads", token, {"limit": "3", "fields": "name"}).json()
    url = body["paging"]["next"]
    assert parse_qs(urlsplit(url).query)["access_token"] == [token]
    followed = json_of(app.http.get(url))
    after = body["paging"]["cursors"]["after"]
    values: Values = {"limit": "3", "fields": "name", "after": after}
    assert followed == app.graph("act_1001/ads", token, values).json()


def test_a_cursor_is_for_its_own_query_and_dies(
    app: FacebookApp, simulator: Simulator, clock: Clock, token: str
) -> None:
    simulator.change({"cursor_lifetime": 600})
    values: Values = {"limit": "3", "fields": "name"}
    body = app.graph("act_1001/ads", token, values).json()
    after = body["paging"]["cursors"]["after"]
    foreign: tuple[tuple[str, Values], ...] = (
        ("act_1002/ads", values),
        ("act_1001/adsets", values),
        ("act_1001/ads", {**values, "fields": "status"}),
    )
    for path, other in foreign:
        response = app.graph(path, token, {**other, "after": after})
        error = app.error(response)
        assert (error["code"], error["message"]) == (100, "(#100) Invalid cursors values")
    clock.advance(600)
    assert app.graph("act_1001/ads", token, {**values, "after": after}).status_code == 200
    clock.advance(1)
    assert app.code_of(app.graph("act_1001/ads", token, {**values, "after": after})) == (100, None)
