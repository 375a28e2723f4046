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
        if name == "actions":
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
