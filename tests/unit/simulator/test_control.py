"""Control from another process: the same knobs over HTTP."""

import threading
from concurrent.futures import ThreadPoolExecutor

import httpx2
import pytest

from connector.simulator.clock import Clock
from connector.simulator.control import Control
from connector.simulator.control_link import ControlError
from connector.simulator.faults import Fault
from connector.simulator.ledger import Selection
from connector.simulator.person import Person
from connector.simulator.settings import Settings
from connector.simulator.simulator import Simulator

from .conftest import NOW
from .relying_party import FacebookApp, RelyingParty, bearer, json_of


def test_settings_change_while_it_runs(control: Control, simulator: Simulator) -> None:
    assert control.settings()["rotation"] == "strict"
    answer = control.change({"rotation": "lazy", "omit": ["scope"]})
    assert answer["rotation"] == "lazy"
    assert answer["omit"] == ["scope"]
    assert simulator.settings.rotation == "lazy"
    assert "client_secret" not in answer
    with pytest.raises(ControlError, match="no setting 'rotaton', did you mean rotation"):
        control.change({"rotaton": "lazy"})


def test_the_clock_moves(control: Control, clock: Clock) -> None:
    assert control.advance(60) == NOW + 60 == clock.now()
    with pytest.raises(ControlError, match="only moves forward"):
        control.advance(-1)


def test_the_ledger_can_be_read(
    control: Control, simulator: Simulator, party: RelyingParty, ada: Person
) -> None:
    token = party.tokens(ada)["refresh_token"]
    party.refreshed(token)
    party.refresh(token)
    assert control.records() == simulator.ledger.records()
    refreshes = Selection(endpoint="token", grant_type="refresh_token")
    assert control.records(refreshes) == simulator.ledger.records(refreshes)
    mark = simulator.ledger.last_number - 1
    assert control.count("token", after=mark, outcome="reuse_detected", person="ada") == 1
    assert control.counters() == simulator.ledger.counters()
    family = control.records(refreshes)[0].family
    assert control.max_in_flight() == control.max_in_flight(family) == 1
    control.wait_for(2, refreshes)
    with pytest.raises(TimeoutError, match="does not have 3 records"):
        control.wait_for(3, refreshes, timeout=0.01)


def test_faults_and_gates(
    control: Control, simulator: Simulator, party: RelyingParty, ada: Person
) -> None:
    token = party.tokens(ada)["refresh_token"]
    number = control.add_fault(Fault(endpoint="token", kind="hold", gate="g"))
    assert simulator.faults.waiting() == {number: Fault(endpoint="token", kind="hold", gate="g")}
    with ThreadPoolExecutor() as threads:
        refreshing = threads.submit(party.refresh, token)
        control.wait_until_held("g")
        assert control.summary()["gates"] == {"g": 1}
        assert control.release("g", 1) == 1
        assert refreshing.result().status_code == 200
    assert control.release("g") == 0
    with pytest.raises(TimeoutError, match="0 of 1"):
        control.wait_until_held("g", timeout=0.01)
    control.add_fault(Fault(endpoint="token", kind="drop"))
    number = control.add_fault(Fault(endpoint="*", kind="status", headers={"X": "y"}))
    assert control.clear_faults(number) == 1
    assert control.clear_faults() == 1


def test_people_of_the_authorization_server(
    control: Control, party: RelyingParty, ada: Person
) -> None:
    tokens = party.tokens(ada)
    assert control.expire_access_tokens("ada") == 1
    assert not party.is_valid(tokens["access_token"])
    assert control.revoke("ada", reason="by an administrator") == 1
    assert party.error(party.refresh(tokens["refresh_token"])) == "invalid_grant"
    with pytest.raises(ControlError, match="no person 'bob'"):
        control.revoke("bob")
    with pytest.raises(ControlError, match="no person 'bob'"):
        control.expire_access_tokens("bob")


def test_grants_can_be_had_without_pages(
    control: Control, simulator: Simulator, party: RelyingParty
) -> None:
    for answer in (control.grant("ada"), simulator.grant("grace", scope="openid ads_read")):
        assert party.is_valid(answer["access_token"])
        assert party.refresh(answer["refresh_token"]).status_code == 200
    assert control.grant("ada", scope="email")["scope"] == "email"
    with pytest.raises(ControlError, match="no person 'bob'"):
        control.grant("bob")
    with pytest.raises(ControlError, match="unknown here"):
        control.grant("ada", scope="magic")


def test_signing_keys(control: Control, simulator: Simulator, http: httpx2.Client) -> None:
    http.get(f"{simulator.issuer}/jwks")
    kid = control.rotate_signing_key()
    keys = http.get(f"{simulator.issuer}/jwks").json()["keys"]
    assert [keys[0]["kid"], len(keys)] == [kid, 2]
    control.rotate_signing_key(is_old_published=False)
    assert len(http.get(f"{simulator.issuer}/jwks").json()["keys"]) == 1


def test_people_of_the_ads_provider(control: Control, app: FacebookApp, ada: Person) -> None:
    for turn, subcode in (
        (control.expire_tokens, 463),
        (control.change_password, 460),
        (control.log_out, 467),
        (control.remove_app, 458),
    ):
        token = app.short_token(ada)
        assert turn("ada") == 1
        assert turn("ada") == 0
        assert app.code_of(app.graph("me", token)) == (190, subcode)
    token = app.short_token(ada)
    control.expire_data_access("ada")
    assert app.code_of(app.graph("me/adaccounts", token), 403) == (10, None)
    control.decline("ada", "ads_read")
    assert app.code_of(app.graph("act_1001/insights", token), 403) == (200, None)
    for person, permission, problem in (
        ("bob", "ads_read", "no person 'bob'"),
        ("ada", "magic", "no permission 'magic'"),
    ):
        with pytest.raises(ControlError, match=problem):
            control.decline(person, permission)
    with pytest.raises(ControlError, match="no person 'bob'"):
        control.log_out("bob")


def test_figures(control: Control, simulator: Simulator) -> None:
    days = ("act_1001", "2027-01-01", "2027-01-03")
    before = control.expected_rows(*days)
    assert before == simulator.ads.expected_rows(*days)
    assert control.expected_rows(*days, form="graph") == simulator.ads.expected_rows(*days, "graph")
    control.restate(*days)
    assert control.expected_rows(*days) != before
    with pytest.raises(ControlError, match="no ad account 'act_9'"):
        control.restate("act_9", "2027-01-01", "2027-01-01")
    control.edit("21001001", "PAUSED")
    edited = simulator.ads.find_object("21001001")
    assert edited is not None
    assert (edited.status, edited.updated_time) == ("PAUSED", NOW)
    with pytest.raises(ControlError, match="no campaign, ad set or ad '2'"):
        control.edit("2", "PAUSED")
    with pytest.raises(ControlError, match="status must be one of ACTIVE"):
        control.edit("21001001", "GONE")  # type: ignore[arg-type]


def test_the_summary_holds_no_secret(
    control: Control, simulator: Simulator, party: RelyingParty, app: FacebookApp, ada: Person
) -> None:
    tokens, token = party.tokens(ada), app.short_token(ada)
    party.post("token", {"grant_type": "client_credentials"})
    control.add_fault(Fault(endpoint="token", kind="drop"))
    summary = control.summary()
    shown = repr(summary)
    for secret in (
        token,
        tokens["access_token"],
        tokens["refresh_token"],
        simulator.client.client_secret,
        simulator.app.app_secret,
        simulator.control_key,
    ):
        assert secret not in shown
    assert "'person': 'ada'" in shown
    assert "'valid_tokens': 1" in shown
    assert "'permissions': {'ads_read': 'granted'}" in shown


# Access


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"Authorization": "Bearer wrong"},
        {"Authorization": "Basic x"},
        {"Authorization": "Bearer"},
    ],
)
def test_the_key_is_needed_everywhere(
    simulator: Simulator, http: httpx2.Client, headers: dict[str, str]
) -> None:
    for method, path in (("GET", "state"), ("GET", "ledger"), ("POST", "settings")):
        response = http.request(method, f"{simulator.control_url}/{path}", headers=headers, json={})
        assert response.status_code == 401
        assert response.headers["www-authenticate"] == 'Bearer realm="control"'


def test_the_key_is_new_each_time_unless_it_is_set() -> None:
    assert Simulator().control_key != Simulator().control_key
    assert Simulator(Settings(control_key="fixed")).control_key == "fixed"


def test_only_json_is_written(simulator: Simulator, http: httpx2.Client) -> None:
    url = f"{simulator.control_url}/settings"
    headers = bearer(simulator.control_key)
    form = http.post(url, data={"rotation": "none"}, headers=headers)
    assert form.status_code == 415
    for body in (b"{", b"[]", b"null", b"\xff", b"[" * 100_000):
        response = http.post(
            url, content=body, headers={**headers, "Content-Type": "application/json"}
        )
        assert response.status_code == 400
        assert json_of(response) == {"error": "the body must be a JSON object"}


@pytest.mark.parametrize(
    ("path", "values", "problem"),
    [
        ("clock", {}, "advance must be a number"),
        ("clock", {"advance": True}, "advance must be a number"),
        ("clock", {"advance": "soon"}, "advance must be a number"),
        ("revoke", {}, "person is missing"),
        ("revoke", {"person": 5}, "person must be a string"),
        ("faults", {"endpoint": "token"}, "kind is missing"),
        ("faults/clear", {"number": "x"}, "number must be a number"),
        ("gates/release", {}, "gate is missing"),
        ("ads/restate", {"ad_account": "act_1001", "since": "x", "until": "y"}, "not a date"),
    ],
)
def test_writes_that_make_no_sense(
    simulator: Simulator,
    http: httpx2.Client,
    path: str,
    values: dict[str, object],
    problem: str,
) -> None:
    response = http.post(
        f"{simulator.control_url}/{path}", json=values, headers=bearer(simulator.control_key)
    )
    assert response.status_code == 400
    assert problem in str(json_of(response)["error"])


@pytest.mark.parametrize(
    ("path", "problem"),
    [
        ("ledger?color=red", "records are not selected by color"),
        ("ledger?after=x", "after must be a number"),
        ("ads/rows", "ad_account is missing"),
        ("ads/rows?ad_account=act_1001&since=2027-01-01&until=2027-01-01&form=x", "form must be"),
        ("gates/wait", "gate is missing"),
    ],
)
def test_reads_that_make_no_sense(
    simulator: Simulator, http: httpx2.Client, path: str, problem: str
) -> None:
    url = f"{simulator.control_url}/{path}"
    response = http.get(url, headers=bearer(simulator.control_key))
    assert response.status_code == 400
    assert problem in str(json_of(response)["error"])


def test_a_waiting_control_does_not_keep_the_simulator_from_stopping(
    control: Control, simulator: Simulator
) -> None:
    reached = threading.Event()

    def wait() -> None:
        reached.set()
        control.wait_for(1000, Selection(), timeout=60)

    with ThreadPoolExecutor() as threads:
        waiting = threads.submit(wait)
        reached.wait(10)
        simulator.stop()
        assert waiting.exception() is not None
