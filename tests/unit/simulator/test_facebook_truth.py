"""The truth, apart from the pages; and figures that change while time goes on."""

import json
from datetime import date, timedelta

import pytest

from connector.simulator.ads_data import AdsError
from connector.simulator.clock import Clock
from connector.simulator.control import Control
from connector.simulator.control_link import ControlError
from connector.simulator.simulator import Simulator

from .relying_party import FacebookApp, Values
from .test_facebook_insights import ROW_FIELDS, Rows

RANGE = ("2026-12-20", "2027-01-15")
DAY = 86400.0


@pytest.fixture
def token(simulator: Simulator) -> str:
    return str(simulator.facebook.grant("ada")["access_token"])


def pull(app: FacebookApp, token: str, values: Values) -> Rows:
    """Every row by its pages, in the order of the truth."""
    found: Rows = []
    after: str | None = None
    for _ in range(1000):
        response = app.graph("act_1002/insights", token, {**values, "after": after})
        assert response.status_code == 200, response.text
        body = response.json()
        found += body["data"]
        if "next" not in body.get("paging", {}):
            return sorted(found, key=lambda row: (row["date_start"], *identity(row)))
        after = body["paging"]["cursors"]["after"]
    raise AssertionError("the pages have no end")


def identity(row: dict[str, str]) -> tuple[str, ...]:
    return tuple(row.get(name, "") for name in ("campaign_id", "adset_id", "ad_id"))


def asked(level: str, increment: str | int) -> Values:
    days = json.dumps({"since": RANGE[0], "until": RANGE[1]})
    values = {"level": level, "time_increment": str(increment), "time_range": days, "limit": "20"}
    return {**values, "fields": ROW_FIELDS}


@pytest.mark.parametrize("increment", [1, 7, 90, "monthly", "all_days"])
@pytest.mark.parametrize("level", ["account", "campaign", "adset", "ad"])
def test_a_complete_pull_has_the_truth(
    app: FacebookApp, simulator: Simulator, token: str, level: str, increment: str | int
) -> None:
    simulator.change({"empty_page_every": 3, "short_page_every": 4, "trailing_page": True})
    truth = simulator.truth.rows("act_1002", *RANGE, level=level, increment=increment)
    assert truth
    assert pull(app, token, asked(level, increment)) == truth


def test_the_truth_from_another_process(control: Control, simulator: Simulator) -> None:
    assert control.truth("act_1001", *RANGE) == simulator.truth.rows("act_1001", *RANGE)
    assert control.truth(
        "act_1001", *RANGE, level="campaign", increment="monthly"
    ) == simulator.truth.rows("act_1001", *RANGE, level="campaign", increment="monthly")
    with pytest.raises(ControlError, match="no ad account 'act_9'"):
        control.truth("act_9", *RANGE)


@pytest.mark.parametrize(
    ("values", "problem"),
    [
        ({"level": "galaxy"}, "no level 'galaxy'"),
        ({"increment": 0}, "increment must be 1 to 90"),
        ({"increment": "91"}, "increment must be 1 to 90"),
        ({"increment": "daily"}, "increment must be 1 to 90"),
        ({"since": "soon"}, "'soon' is not a date"),
        ({"ad_account": "act_9"}, "no ad account"),
    ],
)
def test_questions_that_make_no_sense(
    simulator: Simulator, values: dict[str, object], problem: str
) -> None:
    whole: dict[str, object] = {"ad_account": "act_1001", "since": RANGE[0], "until": RANGE[1]}
    with pytest.raises(AdsError, match=problem):
        simulator.truth.rows(**{**whole, **values})  # type: ignore[arg-type]


# Late restatement


def test_the_figures_of_28_days_change_at_each_midnight(
    app: FacebookApp, simulator: Simulator, clock: Clock, token: str
) -> None:
    simulator.change({"restatement_days": 28})
    before = simulator.truth.rows("act_1002", "2026-12-01", "2027-01-15")
    # 08:00 UTC is 09:00 in Lagos: no midnight for another fifteen hours
    clock.advance(15 * 3600 - 1)
    assert simulator.truth.rows("act_1002", "2026-12-01", "2027-01-15") == before
    clock.advance(1)
    after = simulator.truth.rows("act_1002", "2026-12-01", "2027-01-15")
    changed = set()
    for old, new in zip(before, after, strict=True):
        assert (old["date_start"], old["ad_id"]) == (new["date_start"], new["ad_id"])
        is_same = [old[name] == new[name] for name in ("impressions", "clicks", "spend")]
        assert all(is_same) or not any(is_same)
        if not any(is_same):
            changed.add(str(old["date_start"]))
    assert (min(changed), max(changed), len(changed)) == ("2026-12-19", "2027-01-15", 28)
    assert pull(app, token, asked("ad", 1)) == simulator.truth.rows("act_1002", *RANGE)


def test_without_a_lookback_a_pull_is_wrong_and_with_one_it_is_right(
    app: FacebookApp, simulator: Simulator, clock: Clock, token: str
) -> None:
    simulator.change({"restatement_days": 28})
    first = date(2027, 1, 14)
    kept: dict[int, dict[tuple[str, str], dict[str, str]]] = {1: {}, 28: {}}
    for today in (first + timedelta(days=1 + each) for each in range(20)):
        for lookback, rows in kept.items():
            since = max(first, today - timedelta(days=lookback))
            days = json.dumps({"since": since.isoformat(), "until": today.isoformat()})
            changes: Values = {"time_range": days, "limit": "500"}
            for row in pull(app, token, {**asked("ad", 1), **changes}):
                rows[row["date_start"], row["ad_id"]] = row
        clock.advance(DAY)
    # as they were at the last pull
    clock_of_pull = Clock(source=lambda: clock.now() - DAY)
    then = Simulator(simulator.settings, clock=clock_of_pull).truth.rows("act_1002", first, today)
    keys = {(str(row["date_start"]), str(row["ad_id"])): row for row in then}
    assert kept[28] == keys
    assert set(kept[1]) == set(keys)
    right = {day for day, ad in keys if kept[1][day, ad] == keys[day, ad]}
    assert right == {today.isoformat(), (today - timedelta(days=1)).isoformat()}


def test_two_simulators_with_one_seed_agree_at_one_time(clock: Clock) -> None:
    first, second = (Simulator(clock=clock) for _ in range(2))
    for each in (first, second):
        each.change({"restatement_days": 28, "ads_seed": 11})
    clock.advance(3 * DAY)
    assert first.truth.rows("act_2001", *RANGE) == second.truth.rows("act_2001", *RANGE)
    other = Simulator(clock=clock)
    other.change({"restatement_days": 28})
    assert other.truth.rows("act_2001", *RANGE) != first.truth.rows("act_2001", *RANGE)
