"""Insights: rows, levels, spans and pages."""

import base64
import json
from urllib.parse import parse_qs, urlsplit

import pytest

from connector.simulator.facebook.insights_rows import FIELDS
from connector.simulator.facebook.viewer import proof_of
from connector.simulator.person import Person
from connector.simulator.simulator import Simulator

from .relying_party import Body, FacebookApp, Values, json_of

WEEK = {"since": "2027-01-01", "until": "2027-01-07"}
ROW_FIELDS = (
    "account_id,account_name,campaign_id,campaign_name,adset_id,adset_name,ad_id,ad_name,"
    "impressions,clicks,spend,actions"
)
DAILY_ADS: Values = {
    "level": "ad",
    "time_increment": "1",
    "time_range": json.dumps(WEEK),
    "fields": ROW_FIELDS,
}
Rows = list[dict[str, str]]


@pytest.fixture
def token(app: FacebookApp, ada: Person) -> str:
    return app.long_token(ada)


def page(app: FacebookApp, token: str, changes: Values) -> Body:
    response = app.graph("act_1001/insights", token, {**DAILY_ADS, **changes})
    assert response.status_code == 200, response.text
    return json_of(response)


def rows_of(body: Body) -> Rows:
    data = body["data"]
    assert isinstance(data, list)
    return data


def paging_of(body: Body) -> dict[str, object]:
    paging = body["paging"]
    assert isinstance(paging, dict)
    return paging


def after_of(body: Body) -> str:
    cursors = paging_of(body)["cursors"]
    assert isinstance(cursors, dict)
    return str(cursors["after"])


def pull(app: FacebookApp, token: str, changes: Values) -> tuple[Rows, list[int]]:
    """All rows by following `after` for as long as there is a `next`, and the pages' lengths."""
    rows: Rows = []
    lengths = []
    after: str | None = None
    while True:
        body = page(app, token, {**changes, "after": after})
        rows += rows_of(body)
        lengths.append(len(rows_of(body)))
        paging = body.get("paging", {})
        assert isinstance(paging, dict)
        if "next" not in paging:
            return rows, lengths
        after = after_of(body)


def test_pages_bring_every_row_once(app: FacebookApp, simulator: Simulator, token: str) -> None:
    expected = simulator.ads.expected_rows("act_1001", **WEEK, form="graph")
    rows, lengths = pull(app, token, {})
    assert rows == expected
    assert lengths == [25, len(expected) - 25]
    assert pull(app, token, {"limit": "5000"}) == (expected, [len(expected)])
    assert pull(app, token, {"limit": str(len(expected))}) == (expected, [len(expected)])


def test_numbers_are_strings(app: FacebookApp, token: str) -> None:
    row = rows_of(page(app, token, {"fields": ",".join(FIELDS)}))[0]
    assert set(row) == set(FIELDS)
    for name, value in row.items():
        if name in {"actions", "action_values", "cost_per_action_type"}:
            assert all(isinstance(action["value"], str) for action in value)  # type: ignore[index]
        else:
            assert isinstance(value, str)
    assert float(row["cpc"]) == pytest.approx(float(row["spend"]) / int(row["clicks"]), abs=1e-6)
    assert float(row["ctr"]) == pytest.approx(
        100 * int(row["clicks"]) / int(row["impressions"]), abs=1e-6
    )
    assert float(row["cpm"]) == pytest.approx(
        1000 * float(row["spend"]) / int(row["impressions"]), abs=1e-6
    )


def test_the_cursor_is_there_on_the_last_page_but_next_is_not(app: FacebookApp, token: str) -> None:
    last = page(app, token, {"limit": "500"})
    assert after_of(last)
    assert "next" not in paging_of(last)
    beyond = page(app, token, {"after": after_of(last)})
    assert beyond == {"data": []}


def test_next_is_a_whole_url_with_the_token_in_it(
    app: FacebookApp, simulator: Simulator, token: str
) -> None:
    proof = proof_of(token, simulator.app.app_secret)
    first = page(app, token, {"appsecret_proof": proof})
    url = str(paging_of(first)["next"])
    assert url.startswith(f"{simulator.graph_url}/v26.0/act_1001/insights?access_token=")
    query = {name: values[0] for name, values in parse_qs(urlsplit(url).query).items()}
    assert query["access_token"] == token
    assert query["after"] == after_of(first)
    assert query["limit"] == "25"
    assert query["fields"] == ROW_FIELDS
    assert "appsecret_proof" not in query
    followed = json_of(app.http.get(url))
    assert followed == page(app, token, {"after": after_of(first)})


def test_empty_pages_may_have_a_next(app: FacebookApp, simulator: Simulator, token: str) -> None:
    simulator.change({"insights_empty_pages": 2})
    expected = simulator.ads.expected_rows("act_1001", **WEEK, form="graph")
    rows, lengths = pull(app, token, {})
    assert rows == expected
    assert lengths == [0, 0, 25, len(expected) - 25]


def test_days_without_delivery_have_no_row(app: FacebookApp, token: str) -> None:
    rows, _ = pull(app, token, {"limit": "500"})
    assert len(rows) < 7 * 8
    future = json.dumps({"since": "2028-01-01", "until": "2028-01-02"})
    assert page(app, token, {"time_range": future}) == {"data": []}


@pytest.mark.parametrize(
    ("level", "key"),
    [("campaign", "campaign_id"), ("adset", "adset_id"), ("account", "account_id")],
)
def test_levels_add_up(
    app: FacebookApp, simulator: Simulator, token: str, level: str, key: str
) -> None:
    rows, _ = pull(app, token, {"level": level, "time_increment": "all_days"})
    ads = simulator.ads.expected_rows("act_1001", **WEEK, form="graph")
    assert {row[key] for row in rows} == {row[key] for row in ads}
    for row in rows:
        assert (row["date_start"], row["date_stop"]) == ("2027-01-01", "2027-01-07")
        mine = [ad for ad in ads if ad[key] == row[key]]
        assert int(row["impressions"]) == sum(int(str(ad["impressions"])) for ad in mine)
        assert float(row["spend"]) == pytest.approx(sum(float(str(ad["spend"])) for ad in mine))
        assert ("ad_id" in row) is False
        assert ("adset_id" in row) is (level == "adset")


@pytest.mark.parametrize(
    ("increment", "spans"),
    [
        (None, [("2026-12-30", "2027-01-05")]),
        ("monthly", [("2026-12-30", "2026-12-31"), ("2027-01-01", "2027-01-05")]),
        (
            "3",
            [
                ("2026-12-30", "2027-01-01"),
                ("2027-01-02", "2027-01-04"),
                ("2027-01-05", "2027-01-05"),
            ],
        ),
    ],
)
def test_spans(
    app: FacebookApp, token: str, increment: str | None, spans: list[tuple[str, str]]
) -> None:
    days = json.dumps({"since": "2026-12-30", "until": "2027-01-05"})
    rows, _ = pull(app, token, {"level": None, "time_increment": increment, "time_range": days})
    assert [(row["date_start"], row["date_stop"]) for row in rows] == spans


@pytest.mark.parametrize(
    ("preset", "since", "until"),
    [
        ("today", "2027-01-15", "2027-01-15"),
        ("yesterday", "2027-01-14", "2027-01-14"),
        ("last_7d", "2027-01-08", "2027-01-14"),
        ("this_month", "2027-01-01", "2027-01-15"),
        ("last_month", "2026-12-01", "2026-12-31"),
        ("maximum", "2023-12-01", "2027-01-15"),
        ("data_maximum", "2023-12-01", "2027-01-15"),
        ("last_90d", "2026-10-17", "2027-01-14"),
        ("this_week_mon_today", "2027-01-11", "2027-01-15"),
        ("this_week_sun_today", "2027-01-10", "2027-01-15"),
        ("last_week_mon_sun", "2027-01-04", "2027-01-10"),
        ("last_week_sun_sat", "2027-01-03", "2027-01-09"),
        ("this_quarter", "2027-01-01", "2027-01-15"),
        ("last_quarter", "2026-10-01", "2026-12-31"),
        ("this_year", "2027-01-01", "2027-01-15"),
        ("last_year", "2026-01-01", "2026-12-31"),
        (None, "2026-12-16", "2027-01-14"),
    ],
)
def test_presets(app: FacebookApp, token: str, preset: str | None, since: str, until: str) -> None:
    changes: Values = {
        "date_preset": preset,
        "time_range": None,
        "level": "account",
        "time_increment": "all_days",
        "fields": None,
    }
    row = rows_of(page(app, token, changes))[0]
    assert set(row) == {"impressions", "spend", "date_start", "date_stop"}
    assert (row["date_start"], row["date_stop"]) == (since, until)


def test_fields_may_be_json(app: FacebookApp, token: str) -> None:
    row = rows_of(page(app, token, {"fields": '["ad_id","clicks"]'}))[0]
    assert set(row) == {"ad_id", "clicks", "date_start", "date_stop"}
    row = rows_of(page(app, token, {"fields": "[]"}))[0]
    assert set(row) == {"impressions", "spend", "date_start", "date_stop"}


@pytest.mark.parametrize(
    "changes",
    [
        {"fields": "impressions,magic"},
        {"fields": "impressions,"},
        {"fields": '["magic"]'},
        {"fields": "[1]"},
        {"fields": "[[]]"},
        {"fields": "[{"},
        {"level": "galaxy"},
        {"time_increment": "0"},
        {"time_increment": "91"},
        {"time_increment": "daily"},
        {"limit": "0"},
        {"limit": "5001"},
        {"limit": "all"},
        {"after": "junk"},
        {"after": "é"},
        {"after": base64.urlsafe_b64encode(b"-1:0").decode()},
        {"time_range": "2027"},
        {"time_range": "{"},
        {"time_range": "[" * 100_000},
        {"time_range": '{"since":"2027-01-01"}'},
        {"time_range": '{"since":"2027-01-02","until":"2027-01-01"}'},
        {"time_range": '{"since":"2027-01-01","until":"2027-02-30"}'},
        {"time_range": '{"since":1,"until":2}'},
        {"time_range": None, "date_preset": "last_century"},
        {"breakdowns": "age"},
        {"time_ranges": "[]"},
        {"time_ranges": '{"since":"2027-01-01","until":"2027-01-02"}'},
        {"filtering": "{}"},
        {"filtering": '[{"field":"impressions"}]'},
        {"filtering": '[{"field":"magic","operator":"EQUAL","value":1}]'},
        {"filtering": '[{"field":"spend","operator":"LIKE","value":1}]'},
        {"filtering": '[{"field":"spend","operator":"IN_RANGE","value":[1]}]'},
        {"sort": "impressions"},
        {"sort": "magic_ascending"},
        {"sort": '["impressions_ascending","spend_ascending"]'},
        {"before": "x"},
    ],
)
def test_queries_that_make_no_sense(app: FacebookApp, token: str, changes: Values) -> None:
    if len(changes.get("time_range") or "") > 60_000:
        changes = {"time_range": "[" * 20_000}
    response = app.graph("act_1001/insights", token, {**DAILY_ADS, **changes})
    error = app.error(response)
    assert error["code"] == 100
    assert str(error["message"]).startswith("(#100) ")


@pytest.mark.parametrize("account", ["act_2001", "act_9", "act_x"])
def test_other_people_s_ad_accounts_do_not_exist(
    app: FacebookApp, token: str, account: str
) -> None:
    assert app.code_of(app.graph(f"{account}/insights", token)) == (100, 33)


def test_a_range_of_more_than_37_months_ago_is_refused(app: FacebookApp, token: str) -> None:
    for since, code in (("2023-12-01", None), ("2023-11-30", 3018)):
        days = json.dumps({"since": since, "until": "2023-12-05"})
        response = app.graph("act_1001/insights", token, {"time_range": days})
        if code is None:
            assert response.status_code == 200
        else:
            assert app.code_of(response) == (code, None)


def test_several_ranges_have_a_row_each(app: FacebookApp, token: str) -> None:
    ranges = [WEEK, {"since": "2026-12-01", "until": "2026-12-31"}]
    changes: Values = {"level": "account", "time_ranges": json.dumps(ranges)}
    rows, _ = pull(app, token, changes)
    assert [(row["date_start"], row["date_stop"]) for row in rows] == [
        ("2027-01-01", "2027-01-07"),
        ("2026-12-01", "2026-12-31"),
    ]


def test_what_is_in_an_ad_account_has_insights_of_its_own(app: FacebookApp, token: str) -> None:
    every, _ = pull(app, token, {"limit": "500"})
    for level, name in (("campaign", "campaign_id"), ("adset", "adset_id"), ("ad", "ad_id")):
        identity = every[-1][name]
        values: Values = {**DAILY_ADS, "limit": "500"}
        body = json_of(app.graph(f"{identity}/insights", token, values))
        assert rows_of(body) == [row for row in every if row[name] == identity]
        whole = {name: value for name, value in values.items() if name != "level"}
        own = rows_of(json_of(app.graph(f"{identity}/insights", token, whole)))
        assert {row[name] for row in own} == {identity}
        assert ("ad_id" in own[0]) is (level == "ad")
    refused = app.graph(f"{every[0]['ad_id']}/insights", token, {"level": "campaign"})
    assert app.code_of(refused) == (100, None)


@pytest.mark.parametrize("identity", ["2200100", "22001001", "32001001001", "21001003", "91001001"])
def test_what_there_is_not_or_is_another_person_s_has_no_insights(
    app: FacebookApp, token: str, identity: str
) -> None:
    assert app.code_of(app.graph(f"{identity}/insights", token)) == (100, 33)


def test_rows_can_be_filtered_and_sorted(app: FacebookApp, token: str) -> None:
    every, _ = pull(app, token, {"limit": "500"})
    ad = every[0]["ad_id"]
    conditions = (
        ({"field": "ad.id", "operator": "EQUAL", "value": ad}, lambda row: row["ad_id"] == ad),
        ({"field": "ad.id", "operator": "NOT_IN", "value": [ad]}, lambda row: row["ad_id"] != ad),
        (
            {"field": "impressions", "operator": "GREATER_THAN", "value": 2000},
            lambda row: int(row["impressions"]) > 2000,
        ),
        (
            {"field": "spend", "operator": "IN_RANGE", "value": [5, 20]},
            lambda row: 5 <= float(row["spend"]) <= 20,
        ),
        (
            {"field": "campaign.name", "operator": "CONTAIN", "value": "campaign 2"},
            lambda row: row["campaign_name"] == "Campaign 2",
        ),
        (
            {"field": "clicks", "operator": "LESS_THAN_OR_EQUAL", "value": every[0]["clicks"]},
            lambda row: int(row["clicks"]) <= int(every[0]["clicks"]),
        ),
    )
    for condition, is_meant in conditions:
        filtering = json.dumps([condition])
        rows, _ = pull(app, token, {"filtering": filtering, "limit": "500"})
        assert rows == [row for row in every if is_meant(row)]
        assert 0 < len(rows) < len(every)
    rows, _ = pull(app, token, {"sort": '["impressions_descending"]'})
    figures = [int(row["impressions"]) for row in rows]
    assert figures == sorted(figures, reverse=True)
    assert len(rows) == len(every)


# Too much at once


def test_a_page_too_large_is_refused_until_it_is_halved(
    app: FacebookApp, simulator: Simulator, token: str
) -> None:
    simulator.change({"largest_page": 20})
    assert app.code_of(app.graph("act_1001/insights", token, {"limit": "40"}), 500) == (1, None)
    assert app.graph("act_1001/insights", token, {"limit": "20"}).status_code == 200
    simulator.change({"too_much": "1487534"})
    for path in ("act_1001/insights", "act_1001/ads"):
        assert app.code_of(app.graph(path, token, {"limit": "40"})) == (100, 1487534)


def test_a_query_of_too_many_rows_is_refused_until_the_range_is_split(
    app: FacebookApp, simulator: Simulator, token: str
) -> None:
    simulator.change({"largest_query": 30})
    response = app.graph("act_1001/insights", token, DAILY_ADS)
    error = app.error(response, 500)
    assert error["message"] == (
        "Please reduce the amount of data you're asking for, then retry your request"
    )
    halves = ({**WEEK, "until": "2027-01-03"}, {**WEEK, "since": "2027-01-04"})
    rows = [row for half in halves for row in pull(app, token, {"time_range": json.dumps(half)})[0]]
    assert rows == simulator.ads.expected_rows("act_1001", **WEEK, form="graph")


def test_a_long_range_has_to_be_asked_for_by_a_report(
    app: FacebookApp, simulator: Simulator, token: str
) -> None:
    simulator.change({"longest_sync_days": 6})
    assert app.code_of(app.graph("act_1001/insights", token, DAILY_ADS), 500) == (2, 1504038)
    days = json.dumps({**WEEK, "until": "2027-01-06"})
    assert page(app, token, {"time_range": days})


def test_restated_figures_show(app: FacebookApp, simulator: Simulator, token: str) -> None:
    before, _ = pull(app, token, {"limit": "500"})
    simulator.ads.restate("act_1001", **WEEK)
    after, _ = pull(app, token, {"limit": "500"})
    assert [row["ad_id"] for row in before] == [row["ad_id"] for row in after]
    assert all(
        old["impressions"] != new["impressions"] for old, new in zip(before, after, strict=True)
    )
    assert after == simulator.ads.expected_rows("act_1001", **WEEK, form="graph")


def test_the_ledger_names_the_ad_account(
    app: FacebookApp, simulator: Simulator, token: str
) -> None:
    page(app, token, {})
    record = simulator.ledger.records()[-1]
    assert (record.endpoint, record.person, record.ad_account, record.outcome) == (
        "graph_insights",
        "ada",
        "act_1001",
        "ok",
    )
