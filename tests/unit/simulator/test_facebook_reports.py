"""Report runs: how they go, how they end, and their rows; and calls made in a batch."""

import json
import time

import httpx2
import pytest

from connector.simulator.clock import Clock
from connector.simulator.control import Control
from connector.simulator.control_link import ControlError
from connector.simulator.facebook.call_log import CallSelection
from connector.simulator.facebook.refusals import Refusal
from connector.simulator.facebook.report_runs import ReportOutcomeError
from connector.simulator.ledger import Selection
from connector.simulator.person import Person
from connector.simulator.simulator import Simulator

from .conftest import NOW
from .relying_party import Body, FacebookApp, Values, json_of
from .test_facebook_insights import DAILY_ADS, WEEK, rows_of

DAY = 86400.0


@pytest.fixture
def token(app: FacebookApp, ada: Person) -> str:
    return app.long_token(ada)


def start(app: FacebookApp, token: str, values: Values = DAILY_ADS) -> str:
    body = json_of(app.graph("act_1001/insights", token, values, "POST"))
    assert set(body) == {"report_run_id"}, body
    return str(body["report_run_id"])


def poll(app: FacebookApp, token: str, run: str) -> tuple[object, object]:
    body = json_of(app.graph(run, token))
    return body["async_status"], body["async_percent_completion"]


def pull(app: FacebookApp, token: str, run: str) -> list[Body]:
    found: list[Body] = []
    after: str | None = None
    for _ in range(100):
        body = app.graph(f"{run}/insights", token, {"limit": "10", "after": after}).json()
        found += body["data"]
        if "next" not in body["paging"]:
            return found
        after = body["paging"]["cursors"]["after"]
    raise AssertionError("the pages have no end")


def test_a_run_is_started_asked_after_and_fetched(
    app: FacebookApp, simulator: Simulator, token: str
) -> None:
    simulator.change({"report_polls": 4})
    run = start(app, token)
    assert app.code_of(app.graph(f"{run}/insights", token)) == (2601, 1815107)
    assert [poll(app, token, run) for _ in range(4)] == [
        ("Job Not Started", 0),
        ("Job Started", 25),
        ("Job Running", 50),
        ("Job Running", 75),
    ]
    assert json_of(app.graph(run, token)) == {
        "id": run,
        "account_id": "1001",
        "time_ref": int(NOW),
        "time_completed": int(NOW),
        "async_status": "Job Completed",
        "async_percent_completion": 100,
        "is_running": False,
        "date_start": "2027-01-01",
        "date_stop": "2027-01-07",
    }
    expected = simulator.ads.expected_rows("act_1001", **WEEK, form="graph")
    assert pull(app, token, run) == expected
    assert json_of(app.graph(run, token, {"fields": "async_status"})) == {
        "async_status": "Job Completed",
        "id": run,
    }
    assert app.code_of(app.graph(run, token, {"fields": "colour"})) == (100, None)


def test_the_parameters_may_be_in_the_body(
    app: FacebookApp, simulator: Simulator, http: httpx2.Client, token: str
) -> None:
    simulator.change({"report_polls": 0})
    url = f"{simulator.graph_url}/v26.0/act_1001/insights"
    run = http.post(url, data={**DAILY_ADS, "access_token": token}).json()["report_run_id"]
    assert poll(app, token, run) == ("Job Completed", 100)
    assert pull(app, token, run) == simulator.ads.expected_rows("act_1001", **WEEK, form="graph")


def test_a_run_takes_time_on_the_simulator_s_clock(
    app: FacebookApp, simulator: Simulator, clock: Clock, token: str
) -> None:
    simulator.change({"report_polls": 0, "report_seconds": 100})
    run = start(app, token)
    clock.advance(50)
    assert poll(app, token, run) == ("Job Not Started", 0)
    assert poll(app, token, run) == ("Job Started", 50)
    clock.advance(50)
    assert poll(app, token, run) == ("Job Completed", 100)


def test_a_hundred_percent_may_still_be_running(
    app: FacebookApp, simulator: Simulator, token: str
) -> None:
    simulator.change({"report_polls": 0, "report_lingering_polls": 2})
    run = start(app, token)
    for _ in range(2):
        assert poll(app, token, run) == ("Job Running", 100)
        assert app.code_of(app.graph(f"{run}/insights", token)) == (2601, 1815107)
    assert poll(app, token, run) == ("Job Completed", 100)
    assert app.graph(f"{run}/insights", token).status_code == 200


def test_a_run_may_be_stuck(app: FacebookApp, simulator: Simulator, token: str) -> None:
    simulator.change({"report_polls": 0, "report_outcome": "stuck"})
    run = start(app, token)
    polls = [poll(app, token, run) for _ in range(9)]
    assert {percent for _, percent in polls} == {0}
    assert polls[-1] == ("Job Running", 0)


@pytest.mark.parametrize(
    ("outcome", "status", "error"),
    [
        ("fails", "Job Failed", (-2, 2490547)),
        ("too_large", "Job Failed", (-3, 1504045)),
        ("skipped", "Job Skipped", (None, None)),
    ],
)
def test_a_run_may_end_badly_and_the_next_one_well(
    app: FacebookApp,
    simulator: Simulator,
    token: str,
    outcome: str,
    status: str,
    error: tuple[object, object],
) -> None:
    simulator.change({"report_polls": 0})
    simulator.facebook.reports.plan(outcome)
    run, other = start(app, token), start(app, token)
    body = json_of(app.graph(run, token))
    assert body["async_status"] == status
    assert body["async_percent_completion"] != 100
    assert (body.get("error_code"), body.get("error_subcode")) == error
    assert app.code_of(app.graph(f"{run}/insights", token)) == (2601, 1815107)
    assert poll(app, token, other) == ("Job Completed", 100)


def test_a_report_may_be_too_large_until_its_range_is_split(
    app: FacebookApp, simulator: Simulator, token: str
) -> None:
    simulator.change({"report_polls": 0, "largest_report": 30})
    assert json_of(app.graph(start(app, token), token))["error_subcode"] == 1504045
    rows: list[Body] = []
    for half in ({**WEEK, "until": "2027-01-03"}, {**WEEK, "since": "2027-01-04"}):
        run = start(app, token, {**DAILY_ADS, "time_range": json.dumps(half)})
        assert poll(app, token, run) == ("Job Completed", 100)
        rows += pull(app, token, run)
    assert rows == simulator.ads.expected_rows("act_1001", **WEEK, form="graph")


def test_a_long_range_may_be_asked_for_by_a_report(
    app: FacebookApp, simulator: Simulator, token: str
) -> None:
    simulator.change({"longest_sync_days": 1})
    assert app.code_of(app.graph("act_1001/insights", token, DAILY_ADS), 500) == (2, 1504038)
    assert start(app, token)


def test_the_rows_are_those_of_the_moment_of_completion(
    app: FacebookApp, simulator: Simulator, token: str
) -> None:
    simulator.change({"report_polls": 1})
    run = start(app, token)
    simulator.ads.restate("act_1001", **WEEK)
    expected = simulator.ads.expected_rows("act_1001", **WEEK, form="graph")
    poll(app, token, run)
    poll(app, token, run)
    simulator.ads.restate("act_1001", **WEEK)
    assert pull(app, token, run) == expected


def test_a_run_is_forgotten_after_30_days(
    app: FacebookApp, simulator: Simulator, clock: Clock, token: str
) -> None:
    simulator.change({"report_polls": 0})
    run = start(app, token)
    assert poll(app, token, run) == ("Job Completed", 100)
    clock.advance(30 * DAY - 1)
    assert app.graph(f"{run}/insights", token).status_code == 200
    clock.advance(1)
    assert app.code_of(app.graph(run, token)) == (100, 33)
    assert app.code_of(app.graph(f"{run}/insights", token)) == (100, 33)


def test_a_run_is_its_person_s_alone(app: FacebookApp, token: str, grace: Person) -> None:
    run, other = start(app, token), app.long_token(grace)
    assert app.code_of(app.graph(run, other)) == (100, 33)
    assert app.code_of(app.graph(f"{run}/insights", other)) == (100, 33)
    refused = app.graph("act_2001/insights", token, DAILY_ADS, "POST")
    assert app.code_of(refused) == (100, 33)
    refused = app.graph("act_1001/insights", token, {"level": "galaxy"}, "POST")
    assert app.code_of(refused) == (100, None)


def test_calls_to_a_run_count_towards_its_ad_account(
    app: FacebookApp, simulator: Simulator, token: str
) -> None:
    simulator.change({"report_polls": 0})
    run = start(app, token)
    poll(app, token, run)
    simulator.facebook.refusals.add(Refusal(code=80000, ad_account="act_1001", times=3))
    assert app.code_of(app.graph(run, token)) == (80000, 2446079)
    assert app.code_of(app.graph(f"{run}/insights", token)) == (80000, 2446079)
    refused = app.graph("act_1001/insights", token, DAILY_ADS, "POST")
    assert app.code_of(refused) == (80000, 2446079)
    calls = simulator.facebook.calls.calls(CallSelection(code=80000))
    assert [(call.edge, call.method) for call in calls] == [
        ("report", "GET"),
        ("report_insights", "GET"),
        ("report_start", "POST"),
    ]


def test_outcomes_from_another_process(app: FacebookApp, control: Control, token: str) -> None:
    control.change({"report_polls": 0})
    control.plan_reports("skipped", "completes")
    statuses = [poll(app, token, start(app, token))[0] for _ in range(2)]
    assert statuses == ["Job Skipped", "Job Completed"]
    assert [(run["outcome"], run["polls"], run["is_completed"]) for run in control.reports()] == [
        ("skipped", 1, False),
        ("completes", 1, True),
    ]
    with pytest.raises(ControlError, match="no outcome 'melts'; there are completes, fails"):
        control.plan_reports("melts")
    with pytest.raises(ControlError, match="outcomes must be a list of strings"):
        control.post("facebook/plan_reports", {"outcomes": "fails"})


def test_a_wrong_outcome_is_refused(simulator: Simulator) -> None:
    with pytest.raises(ReportOutcomeError, match="no outcome 'melts'"):
        simulator.facebook.reports.plan("fails", "melts")


# Batches


def send_batch(
    simulator: Simulator, http: httpx2.Client, calls: object, values: dict[str, str]
) -> httpx2.Response:
    form = {"batch": calls if isinstance(calls, str) else json.dumps(calls), **values}
    return http.post(f"{simulator.graph_url}/v26.0/", data=form)


def test_a_batch_asks_after_several_runs(
    app: FacebookApp, simulator: Simulator, http: httpx2.Client, token: str
) -> None:
    simulator.change({"report_polls": 0})
    simulator.facebook.reports.plan("completes", "fails")
    runs = [start(app, token) for _ in range(2)]
    calls: list[dict[str, str]] = [
        {"method": "GET", "relative_url": f"{runs[0]}?fields=async_status"},
        {"method": "GET", "relative_url": f"v26.0/{runs[1]}?fields=async_status"},
        {"method": "GET", "relative_url": "act_2001/insights"},
        {"method": "GET", "relative_url": "nothing/at/all"},
        {"method": "POST", "relative_url": "act_1001/insights", "body": "level=ad"},
        {"method": "BREW", "relative_url": "me"},
        {"relative_url": f"me?access_token={'x' * 9}"},
    ]
    mark = simulator.ledger.last_number
    response = send_batch(simulator, http, calls, {"access_token": token})
    assert response.status_code == 200
    answers = response.json()
    assert [answer["code"] for answer in answers] == [200, 200, 400, 400, 200, 400, 400]
    bodies = [json.loads(answer["body"]) for answer in answers]
    assert bodies[0] == {"async_status": "Job Completed", "id": runs[0]}
    assert bodies[1] == {"async_status": "Job Failed", "id": runs[1]}
    assert bodies[2]["error"]["error_subcode"] == 33
    assert bodies[3]["error"]["code"] == 2500
    assert set(bodies[4]) == {"report_run_id"}
    assert bodies[6]["error"]["code"] == 190
    assert {"name": "content-type", "value": "application/json"} in answers[0]["headers"]
    # each is counted by itself
    records = simulator.ledger.records(Selection(after=mark))
    assert [record.endpoint for record in records] == [
        "graph_batch",
        "graph_node",
        "graph_node",
        "graph_insights",
        "graph_report_start",
        "graph_me",
    ]
    edges = [call.edge for call in simulator.facebook.calls.calls()]
    assert edges[-6:] == ["report", "report", "insights", "report_start", "me", "batch"]
    assert all(token not in repr(answer["headers"]) for answer in answers)


def test_calls_of_a_batch_are_refused_one_by_one(
    app: FacebookApp, simulator: Simulator, http: httpx2.Client, token: str
) -> None:
    run = start(app, token)
    simulator.facebook.refusals.add(Refusal(code=80000, ad_account="act_1001", after=1, times=1))
    calls = [{"relative_url": run}] * 3
    values = {"access_token": token, "include_headers": "false"}
    answers = send_batch(simulator, http, calls, values).json()
    assert [answer["code"] for answer in answers] == [200, 400, 200]
    assert set(answers[0]) == {"code", "body"}


def test_batches_that_make_no_sense(
    app: FacebookApp, simulator: Simulator, http: httpx2.Client, token: str
) -> None:
    values = {"access_token": token}
    fifty = [{"relative_url": "me"}] * 50
    assert send_batch(simulator, http, fifty, values).status_code == 200
    wrong: tuple[object, ...] = ([*fifty, fifty[0]], [], {}, "[")
    for calls in wrong:
        assert app.code_of(send_batch(simulator, http, calls, values)) == (100, None)
    assert app.code_of(send_batch(simulator, http, fifty, {})) == (104, None)
    url = f"{simulator.graph_url}/v26.0"
    assert app.code_of(http.post(url, data=values)) == (100, None)
    answers = send_batch(
        simulator, http, ["me", {"relative_url": 5}, {"relative_url": "me?x"}], values
    ).json()
    assert [answer["code"] for answer in answers] == [400, 400, 400]


# Latency


def test_every_graph_call_may_take_its_time(
    app: FacebookApp, simulator: Simulator, token: str
) -> None:
    simulator.change({"graph_latency_ms": 150})
    begun = time.monotonic()
    assert rows_of(json_of(app.graph("act_1001/insights", token)))
    assert time.monotonic() - begun >= 0.15
