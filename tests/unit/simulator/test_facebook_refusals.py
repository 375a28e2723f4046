"""Refusals that a test asks for, the usage headers that announce them, and the log of calls."""

import json
from collections import Counter

import httpx2
import pytest

from connector.simulator.clock import Clock
from connector.simulator.control import Control
from connector.simulator.control_link import ControlError
from connector.simulator.facebook.call_log import CallSelection
from connector.simulator.facebook.refusals import THROTTLES, Refusal, RefusalError
from connector.simulator.faults import Fault
from connector.simulator.person import Person
from connector.simulator.simulator import Simulator

from .conftest import NOW
from .relying_party import FacebookApp

WEEK = json.dumps({"since": "2027-01-01", "until": "2027-01-07"})


@pytest.fixture
def token(app: FacebookApp, ada: Person) -> str:
    return app.long_token(ada)


def usage(response: httpx2.Response, name: str) -> dict[str, object]:
    value = json.loads(response.headers[name])
    assert isinstance(value, dict)
    return value


def use_case(response: httpx2.Response, ad_account: str, kind: str) -> dict[str, object]:
    cases = usage(response, "x-business-use-case-usage")[ad_account]
    assert isinstance(cases, list)
    found = [each for each in cases if each["type"] == kind]
    assert len(found) == 1
    return dict(found[0])


# Throttles


@pytest.mark.parametrize(
    ("code", "path", "kind"),
    [(80000, "insights", "ads_insights"), (80004, "ads", "ads_management")],
)
def test_an_ad_account_is_throttled_after_so_many_calls_and_for_so_long(
    app: FacebookApp,
    simulator: Simulator,
    clock: Clock,
    token: str,
    code: int,
    path: str,
    kind: str,
) -> None:
    simulator.facebook.refusals.add(Refusal(code=code, ad_account="act_1001", after=4, minutes=10))
    shown = [
        use_case(app.graph(f"act_1001/{path}", token), "1001", kind)["call_count"] for _ in range(3)
    ]
    assert shown == [25, 50, 75]
    last = app.graph(f"act_1001/{path}", token)
    assert last.status_code == 200
    case = use_case(last, "1001", kind)
    assert (case["call_count"], case["estimated_time_to_regain_access"]) == (100, 10)
    clock.advance(61)
    refused = app.graph(f"act_1001/{path}", token)
    error = app.error(refused)
    assert (error["code"], error["error_subcode"]) == (code, 2446079)
    assert f"(#{code}) There have been too many calls" in str(error["message"])
    assert "retry-after" not in refused.headers
    case = use_case(refused, "1001", kind)
    # a call made meanwhile raises the count
    assert (case["call_count"], case["estimated_time_to_regain_access"]) == (101, 9)
    assert usage(refused, "x-ad-account-usage")["reset_time_duration"] == 540
    # other ad accounts and other use cases are not met
    assert app.graph(f"act_1002/{path}", token).status_code == 200
    other = "ads" if path == "insights" else "insights"
    assert app.graph(f"act_1001/{other}", token).status_code == 200
    clock.advance(600 - 61)
    assert app.graph(f"act_1001/{path}", token).status_code == 200
    assert simulator.facebook.refusals.waiting() == {}


def test_calls_made_meanwhile_may_put_the_end_off(
    app: FacebookApp, simulator: Simulator, clock: Clock, token: str
) -> None:
    simulator.facebook.refusals.add(Refusal(code=17, minutes=5, penalty_minutes=2))
    for _ in range(3):
        assert app.code_of(app.graph("me", token)) == (17, None)
    clock.advance(5 * 60)
    assert app.code_of(app.graph("me", token)) == (17, None)
    waiting = simulator.facebook.refusals.waiting()
    assert waiting == {1: {"code": 17, "passed": 0, "refused": 4, "ends_at": NOW + 11 * 60}}
    clock.advance(6 * 60)
    assert app.graph("me", token).status_code == 200


def test_the_app_s_limit_shows_in_the_app_s_header_and_meets_everybody(
    app: FacebookApp, simulator: Simulator, token: str, grace: Person
) -> None:
    other = app.long_token(grace)
    simulator.facebook.refusals.add(Refusal(code=4, after=2, minutes=30))
    assert usage(app.graph("me", token), "x-app-usage")["call_count"] == 50
    assert usage(app.graph("act_2001/insights", other), "x-app-usage")["call_count"] == 100
    refused = app.graph("me", other)
    assert app.code_of(refused, 403) == (4, None)
    assert usage(refused, "x-app-usage")["call_count"] == 101
    # tokens can still be exchanged
    assert app.exchange(token).status_code == 200


def test_one_person_s_limit_meets_that_person_alone(
    app: FacebookApp, simulator: Simulator, token: str, grace: Person
) -> None:
    other = app.long_token(grace)
    simulator.facebook.refusals.add(Refusal(code=17, person="ada", minutes=30))
    assert app.code_of(app.graph("act_1001/insights", token)) == (17, None)
    assert app.graph("act_2001/insights", other).status_code == 200


@pytest.mark.parametrize("code", sorted(THROTTLES))
def test_every_throttle_can_be_had(
    app: FacebookApp, simulator: Simulator, token: str, code: int
) -> None:
    simulator.facebook.refusals.add(Refusal(code=code, edge="insights"))
    response = app.graph("act_1001/insights", token)
    error = app.error(response, 403 if code == 4 else 400)
    assert error["code"] == code
    assert str(error["message"]).startswith(f"(#{code}) ")
    assert simulator.facebook.refusals.lift() == 1
    assert app.graph("act_1001/insights", token).status_code == 200


def test_an_hour_s_quota_can_be_enforced(
    app: FacebookApp, simulator: Simulator, clock: Clock, token: str
) -> None:
    simulator.change({"enforce_quotas": True, "insights_calls_per_hour": 4})
    for _ in range(2):
        assert app.graph("act_1001/insights", token).status_code == 200
    clock.advance(20 * 60)
    for _ in range(2):
        assert app.graph("act_1001/insights", token).status_code == 200
    simulator.change({"usage_headers_after": 0})
    refused = app.graph("act_1001/insights", token)
    assert app.code_of(refused) == (80000, 2446079)
    case = use_case(refused, "1001", "ads_insights")
    assert (case["call_count"], case["estimated_time_to_regain_access"]) == (125, 40)
    # other use cases and other ad accounts have quotas of their own
    assert app.graph("act_1001/ads", token).status_code == 200
    assert app.graph("act_1002/insights", token).status_code == 200
    clock.advance(40 * 60)
    assert app.graph("act_1001/insights", token).status_code == 200
    # whoever goes on calling is let in later: the refused calls count
    for _ in range(9):
        assert app.code_of(app.graph("act_1001/insights", token)) == (80000, 2446079)
    clock.advance(20 * 60)
    assert app.code_of(app.graph("act_1001/insights", token)) == (80000, 2446079)
    simulator.change({"management_calls_per_hour": 1})
    assert app.graph("act_1001/ads", token).status_code == 200
    assert app.code_of(app.graph("act_1001/ads", token)) == (80004, 2446079)


def test_a_fault_may_meet_one_ad_account_alone(
    app: FacebookApp, simulator: Simulator, token: str
) -> None:
    fault = Fault(endpoint="graph_*", kind="status", ad_account="act_1002", times=None)
    simulator.faults.add(fault)
    assert app.graph("act_1001/insights", token).status_code == 200
    assert app.graph("act_1002/insights", token).status_code == 503
    assert app.graph("21002001", token).status_code == 503
    assert app.graph("me", token).status_code == 200


# Other errors


def test_an_error_that_passes(app: FacebookApp, simulator: Simulator, token: str) -> None:
    simulator.facebook.refusals.add(Refusal(code=2, edge="insights", after=1, times=2))
    statuses = [app.graph("act_1001/insights", token).status_code for _ in range(4)]
    assert statuses == [200, 500, 500, 200]
    simulator.facebook.refusals.add(Refusal(code=1, subcode=99, times=1))
    error = app.error(app.graph("me", token), 500)
    assert (error["code"], error["error_subcode"], error["is_transient"]) == (1, 99, True)


def test_an_error_may_come_with_200_or_in_bare_words(
    app: FacebookApp, simulator: Simulator, token: str
) -> None:
    simulator.facebook.refusals.add(Refusal(code=2, status=200, times=1))
    error = app.error(app.graph("act_1001/insights", token), 200)
    assert error["code"] == 2
    simulator.facebook.refusals.add(Refusal(code=2, body="service_unavailable", times=1))
    response = app.graph("act_1001/insights", token)
    assert (response.status_code, response.text.strip()) == (200, "Service Unavailable")
    assert simulator.ledger.records()[-1].outcome == "service_unavailable"
    assert [call.is_refused for call in simulator.facebook.calls.calls()[-2:]] == [True, True]
    assert simulator.facebook.calls.pages(CallSelection(edge="insights")) == {}


def test_the_exchange_of_tokens_is_refused_only_where_it_is_named(
    app: FacebookApp, simulator: Simulator, token: str
) -> None:
    simulator.facebook.refusals.add(Refusal(code=2))
    assert app.exchange(token).status_code == 200
    simulator.facebook.refusals.add(Refusal(code=2, edge="access_token", times=1))
    assert app.code_of(app.exchange(token), 500) == (2, None)


@pytest.mark.parametrize(
    ("values", "problem"),
    [
        ({"body": "x"}, "body must be one of error, service_unavailable"),
        ({"after": -1}, "after must not be below 0"),
        ({"times": 0}, "times at least 1"),
        ({"minutes": 0}, "minutes must be above zero"),
        ({"penalty_minutes": -1.0}, "penalty_minutes not below"),
        ({"status": 100}, "status must be a final HTTP status"),
    ],
)
def test_refusals_that_make_no_sense(values: dict[str, object], problem: str) -> None:
    with pytest.raises(RefusalError, match=problem):
        Refusal(code=4, **values)  # type: ignore[arg-type]


def test_refusals_from_another_process(control: Control, app: FacebookApp, token: str) -> None:
    number = control.refuse(Refusal(code=80000, ad_account="act_1001", minutes=1.5))
    assert app.code_of(app.graph("act_1001/insights", token)) == (80000, 2446079)
    assert control.refusals() == {
        number: {"code": 80000, "passed": 0, "refused": 1, "ends_at": NOW + 90}
    }
    assert control.lift(number) == 1
    assert control.lift() == 0
    for values, problem in (
        ({}, "code is missing"),
        ({"code": "4"}, "code has the wrong type"),
        ({"code": 4, "color": "red"}, "no member 'color' in a refusal"),
    ):
        with pytest.raises(ControlError, match=problem):
            control.post("facebook/refuse", values)


# The log of calls


def test_the_log_says_what_was_asked_and_answered_and_no_token(
    app: FacebookApp, simulator: Simulator, control: Control, token: str
) -> None:
    mark = simulator.facebook.calls.last_number
    values = {"time_range": WEEK, "level": "ad", "limit": "3"}
    first = app.graph("act_1001/insights", token, values)
    after = first.json()["paging"]["cursors"]["after"]
    app.graph("act_1001/insights", token, {**values, "after": after})
    app.graph("act_1001/insights", token, {**values, "after": after})
    simulator.facebook.refusals.add(Refusal(code=80000, ad_account="act_1001"))
    app.graph("act_1001/insights", token, {**values, "after": after})
    app.graph("act_1001/insights", token, {"time_range": "{"})
    app.graph("me/adaccounts", "junk")
    newest = CallSelection(since_number=mark)
    calls = simulator.facebook.calls.calls(newest)
    assert [(each.edge, each.path, each.status, each.code, each.subcode) for each in calls] == [
        ("insights", "act_1001/insights", 200, None, None),
        ("insights", "act_1001/insights", 200, None, None),
        ("insights", "act_1001/insights", 200, None, None),
        ("insights", "act_1001/insights", 400, 80000, 2446079),
        ("insights", "act_1001/insights", 400, 80000, 2446079),
        ("ad_accounts", "me/adaccounts", 400, 190, None),
    ]
    assert [each.number - mark for each in calls] == [1, 2, 3, 4, 5, 6]
    second = calls[1]
    assert (second.person, second.ad_account, second.level) == ("ada", "act_1001", "ad")
    assert (second.since, second.until) == ("2027-01-01", "2027-01-07")
    assert (second.limit, second.after, second.time) == ("3", after, NOW)
    assert token not in repr(calls)
    pages = simulator.facebook.calls.pages(newest)
    assert pages == Counter(
        {
            ("act_1001/insights", None, "2027-01-01", "2027-01-07"): 1,
            ("act_1001/insights", after, "2027-01-01", "2027-01-07"): 2,
        }
    )
    throttled = CallSelection(ad_account="act_1001", code=80000)
    assert len(simulator.facebook.calls.calls(throttled)) == 2
    assert control.graph_calls(newest) == calls
    assert control.graph_calls(throttled) == calls[3:5]
    assert control.graph_pages(newest) == pages
    with pytest.raises(ControlError, match="calls are not selected by color"):
        control.get("facebook/calls", {"color": "red"})
