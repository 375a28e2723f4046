"""Graph calls: who may make them, what they say of people, and how tokens die."""

import json

import httpx2
import pytest

from connector.simulator.clock import Clock
from connector.simulator.facebook.viewer import proof_of
from connector.simulator.ledger import Selection
from connector.simulator.people import PEOPLE
from connector.simulator.person import Person
from connector.simulator.simulator import Simulator

from .relying_party import FacebookApp, bearer, json_of

ADA = PEOPLE["ada"].id


@pytest.fixture
def token(app: FacebookApp, ada: Person) -> str:
    return app.long_token(ada)


# Tokens and proofs


def test_the_token_may_be_in_the_query_or_in_the_header(
    app: FacebookApp, simulator: Simulator, http: httpx2.Client, token: str
) -> None:
    expected = {"id": ADA, "name": "Ada Lovelace"}
    assert json_of(app.graph("me", token)) == expected
    url = f"{simulator.graph_url}/v26.0/me"
    assert json_of(http.get(url, headers=bearer(token))) == expected
    oauth = {"Authorization": f"OAuth {token}"}
    assert json_of(http.get(url, headers=oauth)) == expected


def test_no_token_and_junk(
    app: FacebookApp, simulator: Simulator, http: httpx2.Client, token: str
) -> None:
    assert app.code_of(app.graph("me", None)) == (104, None)
    url = f"{simulator.graph_url}/v26.0/me"
    basic = {"Authorization": "Basic x"}
    assert app.code_of(http.get(url, headers=basic)) == (104, None)
    assert app.code_of(http.get(url, headers={"Authorization": "Bearer"})) == (104, None)
    error = app.error(app.graph("me", "junk"))
    assert error["code"] == 190
    assert error["message"] == "Invalid OAuth access token - Cannot parse access token"
    twice = f"{url}?access_token={token}&access_token={token}"
    assert app.code_of(http.get(twice)) == (100, None)
    assert app.code_of(http.get(f"{url}?x")) == (100, None)


def test_a_proof_is_checked_even_if_it_is_not_required(
    app: FacebookApp, simulator: Simulator, token: str
) -> None:
    right = proof_of(token, simulator.app.app_secret)
    assert app.graph("me", token, {"appsecret_proof": right}).status_code == 200
    for wrong in ("0" * 64, right.upper(), "é"):
        error = app.error(app.graph("me", token, {"appsecret_proof": wrong}))
        assert error["code"] == 100
        assert error["message"] == "Invalid appsecret_proof provided in the API argument"


def test_a_proof_can_be_required_and_belongs_to_its_token(
    app: FacebookApp, simulator: Simulator, ada: Person, token: str
) -> None:
    simulator.change({"require_appsecret_proof": True})
    error = app.error(app.graph("me", token))
    assert error["code"] == 100
    assert error["message"] == ("API calls from the server require an appsecret_proof argument")
    proof = proof_of(token, simulator.app.app_secret)
    assert app.graph("me", token, {"appsecret_proof": proof}).status_code == 200
    other = app.short_token(ada)
    assert app.code_of(app.graph("me", other, {"appsecret_proof": proof})) == (100, None)


def test_the_proof_is_the_hmac_of_the_token_under_the_app_secret() -> None:
    # RFC 4231 §4.3
    assert proof_of("what do ya want for nothing?", "Jefe") == (
        "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843"
    )


# How tokens die


def test_an_expired_token(app: FacebookApp, simulator: Simulator, token: str) -> None:
    assert simulator.facebook.expire_tokens("ada") == 2
    error = app.error(app.graph("me", token))
    assert (error["code"], error["error_subcode"]) == (190, 463)
    assert error["message"] == (
        "Error validating access token: Session has expired on "
        "Friday, 15-Jan-27 00:00:00 PST. The current time is Friday, 15-Jan-27 00:00:00 PST."
    )


@pytest.mark.parametrize(
    ("knob", "subcode", "words"),
    [
        ("change_password", 460, "because the user changed their password or Facebook has"),
        ("log_out", 467, "The session is invalid because the user logged out."),
        ("remove_app", 458, f"User {ADA} has not authorized application 1234567890123456."),
    ],
)
def test_a_token_that_was_ended(
    app: FacebookApp, simulator: Simulator, ada: Person, knob: str, subcode: int, words: str
) -> None:
    token = app.short_token(ada)
    turn = {
        "change_password": simulator.facebook.change_password,
        "log_out": simulator.facebook.log_out,
        "remove_app": simulator.facebook.remove_app,
    }
    assert turn[knob]("ada") == 1
    response = app.graph("me/adaccounts", token)
    error = app.error(response)
    assert (error["code"], error["error_subcode"]) == (190, subcode)
    assert words in str(error["message"])
    assert error["type"] == "OAuthException"
    assert simulator.ledger.records()[-1].outcome == f"190/{subcode}"
    # a new login works again
    assert app.graph("me/adaccounts", app.short_token(ada)).status_code == 200


def test_tokens_end_for_one_person_only(
    app: FacebookApp, simulator: Simulator, token: str, grace: Person
) -> None:
    other = app.short_token(grace)
    simulator.facebook.log_out("ada")
    assert app.graph("me", token).status_code == 400
    assert app.graph("me", other).status_code == 200


# Permissions


def test_without_ads_read_ads_cannot_be_read(app: FacebookApp, ada: Person) -> None:
    token = app.short_token(ada, {"scope": "email"})
    assert app.graph("me", token).status_code == 200
    error = app.error(app.graph("me/adaccounts", token), 403)
    assert error["message"] == "(#10) Application does not have permission for this action"
    error = app.error(app.graph("act_1001/insights", token), 403)
    assert error["code"] == 200
    assert str(error["message"]).startswith("(#200) ")


def test_a_permission_withdrawn_is_withdrawn_from_every_token(
    app: FacebookApp, simulator: Simulator, token: str
) -> None:
    simulator.facebook.decline("ada", "ads_read")
    assert app.code_of(app.graph("act_1001/insights", token), 403) == (200, None)


def test_data_access_ends_before_the_token(
    app: FacebookApp, simulator: Simulator, clock: Clock, ada: Person
) -> None:
    simulator.change({"data_access_lifetime": 1000})
    token = app.long_token(ada)
    clock.advance(1000)
    assert app.graph("me", token).status_code == 200
    for path in ("me/adaccounts", "act_1001/insights"):
        assert app.code_of(app.graph(path, token), 403) == (10, None)
    app.exchange(token)
    assert app.code_of(app.graph("me/adaccounts", token), 403) == (10, None)
    ada.consent(app.url())
    assert app.graph("me/adaccounts", token).status_code == 200


def test_permissions_are_listed(app: FacebookApp, ada: Person) -> None:
    code = app.code(ada, {"scope": "ads_read,email"})
    token = str(json_of(app.redeem(code))["access_token"])
    for path in ("me/permissions", f"{ADA}/permissions"):
        assert json_of(app.graph(path, token))["data"] == [
            {"permission": "ads_read", "status": "granted"},
            {"permission": "email", "status": "granted"},
            {"permission": "public_profile", "status": "granted"},
        ]
    other = PEOPLE["grace"].id
    assert app.code_of(app.graph(f"{other}/permissions", token)) == (100, 33)
    assert app.code_of(app.graph("nobody/permissions", token)) == (100, 33)


def test_one_permission_can_be_withdrawn(app: FacebookApp, token: str) -> None:
    response = app.graph(f"{ADA}/permissions/ads_read", token, method="DELETE")
    assert json_of(response) == {"success": True}
    assert app.code_of(app.graph("me/adaccounts", token), 403) == (10, None)
    assert app.graph("me", token).status_code == 200
    unknown = app.graph("me/permissions/email", token, method="DELETE")
    assert app.code_of(unknown) == (100, None)


def test_the_app_can_be_removed_by_the_person_s_token(
    app: FacebookApp, simulator: Simulator, token: str
) -> None:
    response = app.graph(f"{ADA}/permissions", token, method="DELETE")
    assert json_of(response) == {"success": True}
    assert app.code_of(app.graph("me", token)) == (190, 458)
    assert simulator.ledger.count("graph_withdraw", outcome="withdrawn", person="ada") == 1


def test_the_app_can_remove_itself(app: FacebookApp, simulator: Simulator, token: str) -> None:
    caller = f"{simulator.app.app_id}|{simulator.app.app_secret}"
    nobody = app.graph("me/permissions", caller, method="DELETE")
    assert app.code_of(nobody) == (100, 33)
    assert app.graph(f"{ADA}/permissions", caller, method="DELETE").status_code == 200
    assert app.code_of(app.graph("me", token)) == (190, 458)


# People and ad accounts


def test_fields_of_a_person(app: FacebookApp, ada: Person) -> None:
    token = app.short_token(ada, {"scope": "ads_read"})
    assert json_of(app.graph("me", token, {"fields": "name,email"})) == {
        "name": "Ada Lovelace",
        "id": ADA,
    }
    ada.consent(app.url({"scope": "email"}))
    assert json_of(app.graph("me", token, {"fields": "email"})) == {
        "email": "ada@people.example",
        "id": ADA,
    }
    assert app.code_of(app.graph("me", token, {"fields": "id,shoe_size"})) == (100, None)


def test_ad_accounts(app: FacebookApp, token: str) -> None:
    body = app.graph("me/adaccounts", token).json()
    assert body["data"] == [
        {"account_id": "1001", "id": "act_1001"},
        {"account_id": "1002", "id": "act_1002"},
    ]
    assert set(body["paging"]) == {"cursors"}
    assert set(body["paging"]["cursors"]) == {"before", "after"}
    fields = "account_id,name,currency,timezone_name,timezone_offset_hours_utc,account_status"
    body = app.graph("me/adaccounts", token, {"fields": fields}).json()
    assert body["data"][0] == {
        "account_id": "1001",
        "name": "Analytical Engines",
        "currency": "USD",
        "timezone_name": "America/Phoenix",
        "timezone_offset_hours_utc": -7,
        "account_status": 1,
        "id": "act_1001",
    }
    assert app.code_of(app.graph("me/adaccounts", token, {"fields": "color"})) == (100, None)


# Versions


@pytest.mark.parametrize(
    ("path", "code"),
    [
        ("v26.0/nothing/here", 2500),
        ("v99.0/me", 2500),
        ("v1.0/me", 2635),
        ("v23.0/act_1001/insights", 2635),
        ("me", 2500),
        ("act_1001/insights", 2500),
        ("latest/me", 2500),
    ],
)
def test_paths_that_do_not_answer(
    app: FacebookApp, simulator: Simulator, http: httpx2.Client, token: str, path: str, code: int
) -> None:
    response = http.get(f"{simulator.graph_url}/{path}", headers=bearer(token))
    assert app.code_of(response) == (code, None)


def test_versions_can_be_chosen(app: FacebookApp, simulator: Simulator, token: str) -> None:
    simulator.change({"graph_versions": ["v27.0"]})
    error = app.error(app.graph("me", token))
    assert error["code"] == 2635
    assert "latest version: v27.0" in str(error["message"])
    simulator.change({"graph_versions": []})
    assert app.code_of(app.graph("me", token)) == (2500, None)


# Usage


def test_usage_headers_appear_after_some_calls(
    app: FacebookApp, simulator: Simulator, clock: Clock, token: str
) -> None:
    made = len(simulator.ledger.records(Selection(person="ada")))
    simulator.change({"usage_headers_after": made + 5, "app_daily_users": 0})
    headers = [app.graph("me", token).headers for _ in range(10)]
    is_shown = ["x-app-usage" in each for each in headers]
    assert is_shown == sorted(is_shown)
    assert any(is_shown)
    assert not all(is_shown)
    for _ in range(99):
        app.graph("act_1001/insights", token)
    response = app.graph("act_1001/insights", token)
    app_usage = json.loads(response.headers["x-app-usage"])
    assert set(app_usage) == {"call_count", "total_time", "total_cputime"}
    assert 50 <= app_usage["call_count"] <= 60
    account = json.loads(response.headers["x-ad-account-usage"])
    assert account["acc_id_util_pct"] == round(100 * 100 / 3800, 2)
    assert account["ads_api_access_tier"] == "standard_access"
    case = json.loads(response.headers["x-business-use-case-usage"])["1001"][0]
    assert case["type"] == "ads_insights"
    assert case["call_count"] == 2
    assert case["estimated_time_to_regain_access"] == 0
    throttle = json.loads(response.headers["x-fb-ads-insights-throttle"])
    assert throttle["acc_id_util_pct"] == account["acc_id_util_pct"]
    assert "x-ad-account-usage" not in app.graph("me", token).headers
    # the hour rolls on
    clock.advance(3600)
    usage = json.loads(app.graph("me", token).headers["x-app-usage"])
    assert usage["call_count"] == 0


def test_refusals_are_counted_too(app: FacebookApp, simulator: Simulator) -> None:
    simulator.change({"usage_headers_after": 0})
    assert "x-app-usage" in app.graph("me", "junk").headers
