"""The dialog and the tokens of the Graph-like provider."""

import httpx2
import pytest

from connector.simulator.clock import Clock
from connector.simulator.ledger import Selection
from connector.simulator.opaque import fingerprint
from connector.simulator.person import Person
from connector.simulator.simulator import Simulator

from .conftest import NOW
from .relying_party import FACEBOOK_REDIRECT_URI, FacebookApp, Values, json_of, query_of

LONG = 5183944


def permissions(simulator: Simulator) -> object:
    summary = simulator.facebook.summary()["ada"]
    assert isinstance(summary, dict)
    return summary["permissions"]


# The dialog


def test_a_login_ends_at_the_redirect_uri_with_the_odd_fragment(
    app: FacebookApp, ada: Person
) -> None:
    location = ada.consent(app.url())
    assert location.startswith(f"{FACEBOOK_REDIRECT_URI}?code=AQ")
    assert location.endswith("&state=the-state#_=_")
    assert "iss" not in query_of(location)


def test_cancelling_is_told_in_the_provider_s_own_words(app: FacebookApp, ada: Person) -> None:
    location = ada.consent(app.url(), decision="deny")
    assert "error_description=Permissions+error" in location
    assert query_of(location) == {
        "error": "access_denied",
        "error_reason": "user_denied",
        "error_code": "200",
        "error_description": "Permissions error",
        "state": "the-state",
    }


@pytest.mark.parametrize("scope", ["ads_read,email", "ads_read email", " ads_read, email,"])
def test_scopes_are_separated_by_commas_or_spaces(
    app: FacebookApp, simulator: Simulator, ada: Person, scope: str
) -> None:
    ada.consent(app.url({"scope": scope, "state": None}))
    assert permissions(simulator) == {"ads_read": "granted", "email": "granted"}


def test_a_declined_permission_is_asked_again_only_on_rerequest(
    app: FacebookApp, simulator: Simulator, ada: Person
) -> None:
    ada.consent(app.url(), declined=["ads_read"])
    assert permissions(simulator) == {"ads_read": "declined"}
    page = ada.browser.get(app.url()).text
    assert 'type="checkbox"' not in page.split("</style>")[1]
    assert "Declined before" in page
    ada.consent(app.url())
    assert permissions(simulator) == {"ads_read": "declined"}
    ada.consent(app.url({"auth_type": "rerequest"}))
    assert permissions(simulator) == {"ads_read": "granted"}
    ada.consent(app.url({"auth_type": "rerequest"}))
    assert permissions(simulator) == {"ads_read": "granted"}


def test_declined_permissions_can_be_offered_each_time(
    app: FacebookApp, simulator: Simulator, ada: Person
) -> None:
    simulator.change({"declined_asked_again": True})
    ada.consent(app.url(), declined=["ads_read"])
    ada.consent(app.url())
    assert permissions(simulator) == {"ads_read": "granted"}


@pytest.mark.parametrize("auth_type", ["reauthenticate", "reauthorize"])
def test_a_new_login_can_be_demanded(
    app: FacebookApp, simulator: Simulator, ada: Person, auth_type: str
) -> None:
    ada.consent(app.url())
    mark = simulator.ledger.last_number
    ada.consent(app.url({"auth_type": auth_type}))
    assert simulator.ledger.records(Selection(after=mark))[0].outcome == "login"


def test_the_login_page_can_be_seen_again(
    app: FacebookApp, simulator: Simulator, ada: Person
) -> None:
    ada.consent(app.url())
    page = ada.browser.get(app.url()).text
    switch = page.split('id="switch-person" href="')[1].split('"')[0]
    ada.name = "grace"
    ada.consent(f"{simulator.url}{switch}")
    assert simulator.ledger.records()[-1].person == "grace"


@pytest.mark.parametrize(
    ("changes", "text"),
    [
        ({"client_id": "42"}, "Invalid App ID"),
        ({"client_id": None}, "Invalid App ID"),
        ({"redirect_uri": None}, "URL blocked"),
        ({"redirect_uri": "http://[::1]:8470/callback/facebook"}, "URL blocked"),
        ({"redirect_uri": "https://localhost:8470/callback/facebook"}, "URL blocked"),
        ({"scope": "ads_read,magic"}, "Invalid scopes"),
        ({"response_type": "token"}, "Only response_type=code"),
    ],
)
def test_dialogs_that_cannot_be_opened(
    app: FacebookApp, http: httpx2.Client, changes: Values, text: str
) -> None:
    response = http.get(app.url(changes))
    assert response.status_code == 400
    assert text in response.text


def test_dialogs_of_other_versions_and_malformed_ones(
    app: FacebookApp, http: httpx2.Client
) -> None:
    assert http.get(app.url().replace("v26.0", "v1.0")).status_code == 404
    assert http.get(f"{app.url()}&state=again").status_code == 400
    assert http.get(f"{app.url()}&x").status_code == 400


def test_redirect_uris_outside_development_are_exact(
    app: FacebookApp, simulator: Simulator, http: httpx2.Client, ada: Person
) -> None:
    other: Values = {"redirect_uri": "http://127.0.0.1:50000/callback/facebook"}
    assert "code" in query_of(ada.consent(app.url(other)))
    simulator.change({"development_mode": False})
    assert http.get(app.url(other)).status_code == 400
    assert "code" in query_of(ada.consent(app.url()))


def test_only_what_was_asked_can_be_chosen(
    app: FacebookApp, simulator: Simulator, ada: Person
) -> None:
    ada.consent(app.url())
    page = ada.browser.get(app.url()).text
    interaction = page.split('name="interaction" value="')[1].split('"')[0]
    form = {
        "interaction": interaction,
        "decision": "allow",
        "permission": ["business_management"],
    }
    response = ada.browser.post(f"{simulator.dialog_url}/consent", data=form)
    assert response.status_code == 400


# Codes


def test_a_code_becomes_a_short_lived_token(app: FacebookApp, ada: Person) -> None:
    response = app.redeem(app.code(ada))
    assert response.headers["cache-control"] == "no-store"
    body = json_of(response)
    assert set(body) == {"access_token", "token_type", "expires_in"}
    assert str(body["access_token"]).startswith("EAA")
    assert body["token_type"] == "bearer"
    assert body["expires_in"] == 3600


def test_posting_works_too(app: FacebookApp, simulator: Simulator, ada: Person) -> None:
    form = {
        "client_id": simulator.app.app_id,
        "client_secret": simulator.app.app_secret,
        "code": app.code(ada),
        "redirect_uri": FACEBOOK_REDIRECT_URI,
    }
    url = f"{simulator.graph_url}/v26.0/oauth/access_token"
    assert app.http.post(url, data=form).status_code == 200


@pytest.mark.parametrize(
    ("changes", "code", "message"),
    [
        ({"client_id": None}, 101, "Missing client_id parameter."),
        ({"client_id": "42"}, 101, "Error validating application. Invalid application ID."),
        ({"client_secret": None}, 1, "Error validating client secret."),
        ({"client_secret": "é"}, 1, "Error validating client secret."),
        ({"code": None}, 100, "Invalid verification code format."),
        ({"code": "junk"}, 100, "Invalid verification code format."),
        ({"redirect_uri": None}, 100, "Error validating verification code."),
        ({"redirect_uri": f"{FACEBOOK_REDIRECT_URI}/"}, 100, "Error validating verification"),
        ({"grant_type": "password"}, 100, "Invalid grant_type"),
        ({"grant_type": "fb_exchange_token"}, 100, "(#100) The parameter fb_exchange_token"),
        ({"grant_type": "fb_exchange_token", "fb_exchange_token": "x"}, 190, "Invalid OAuth"),
    ],
)
def test_errors_are_objects_with_the_provider_s_codes(
    app: FacebookApp, ada: Person, changes: Values, code: int, message: str
) -> None:
    error = app.error(app.redeem(app.code(ada), changes))
    assert error["type"] == "OAuthException"
    assert error["code"] == code
    assert str(error["message"]).startswith(message)


def test_the_supported_grant_types_are_named(app: FacebookApp) -> None:
    error = app.error(app.token({"grant_type": "password"}))
    assert "Supported types: authorization_code, client_credentials" in str(error["message"])


def test_a_code_is_used_once_and_ends_in_time(app: FacebookApp, clock: Clock, ada: Person) -> None:
    code = app.code(ada)
    assert app.redeem(code).status_code == 200
    assert app.code_of(app.redeem(code)) == (100, 36009)
    late = app.code(ada)
    clock.advance(600)
    error = app.error(app.redeem(late))
    assert error["message"] == "This authorization code has expired."


def test_malformed_token_requests(app: FacebookApp, simulator: Simulator) -> None:
    url = f"{simulator.graph_url}/v26.0/oauth/access_token"
    for query in ("x", "client_id=1&client_id=2"):
        assert app.code_of(app.http.get(f"{url}?{query}")) == (100, None)


# Exchange


def test_a_short_token_becomes_a_long_one(
    app: FacebookApp, simulator: Simulator, ada: Person
) -> None:
    short = app.short_token(ada)
    body = json_of(app.exchange(short))
    assert body["expires_in"] == LONG
    assert body["access_token"] != short
    record = simulator.ledger.records()[-1]
    assert record.grant_type == "fb_exchange_token"
    assert record.refresh_token == fingerprint(short)
    assert (record.person, record.generation) == ("ada", 0)


def test_renewal_gives_a_new_token_and_new_time(
    app: FacebookApp, clock: Clock, ada: Person
) -> None:
    old = app.long_token(ada)
    clock.advance(86400)
    body = json_of(app.exchange(old))
    assert body["access_token"] != old
    assert body["expires_in"] == LONG
    assert app.graph("me", old).status_code == 200


def test_renewal_can_give_the_same_token(
    app: FacebookApp, simulator: Simulator, clock: Clock, ada: Person
) -> None:
    simulator.change({"renewal": "same_token"})
    old = app.long_token(ada)
    clock.advance(86400)
    body = json_of(app.exchange(old))
    assert body["access_token"] == old
    assert body["expires_in"] == LONG - 86400
    assert simulator.ledger.records()[-1].outcome == "same_token"


def test_renewal_can_give_a_new_token_without_new_time(
    app: FacebookApp, simulator: Simulator, clock: Clock, ada: Person
) -> None:
    simulator.change({"renewal": "same_expiry"})
    old = app.long_token(ada)
    clock.advance(86400)
    body = json_of(app.exchange(old))
    assert body["access_token"] != old
    assert body["expires_in"] == LONG - 86400
    assert simulator.ledger.records()[-1].generation == 1


def test_an_expired_token_cannot_be_exchanged(app: FacebookApp, clock: Clock, ada: Person) -> None:
    short = app.short_token(ada)
    clock.advance(3600)
    assert app.code_of(app.exchange(short)) == (190, 463)


def test_expires_in_can_be_left_out(app: FacebookApp, simulator: Simulator, ada: Person) -> None:
    simulator.change({"graph_omit_expires_in": True})
    assert set(json_of(app.redeem(app.code(ada)))) == {"access_token", "token_type"}


def test_an_app_token(app: FacebookApp, simulator: Simulator) -> None:
    body = json_of(app.token({"grant_type": "client_credentials"}))
    token = str(body["access_token"])
    assert token.startswith(f"{simulator.app.app_id}|")
    assert "expires_in" not in body
    assert app.code_of(app.exchange(token)) == (190, None)
    assert app.code_of(app.graph("me", token)) == (2500, None)


# debug_token


def debug(app: FacebookApp, token: str) -> dict[str, object]:
    registered = app.simulator.app
    caller = f"{registered.app_id}|{registered.app_secret}"
    body = json_of(app.graph("debug_token", caller, {"input_token": token}))
    data = body["data"]
    assert isinstance(data, dict)
    return data


def test_a_token_is_described(app: FacebookApp, ada: Person) -> None:
    short = app.short_token(ada, {"scope": "ads_read,email"})
    described = debug(app, short)
    assert described == {
        "app_id": "1234567890123456",
        "type": "USER",
        "application": "Connector Demo",
        "data_access_expires_at": int(NOW) + 7776000,
        "expires_at": int(NOW) + 3600,
        "is_valid": True,
        "scopes": ["ads_read", "email", "public_profile"],
        "granular_scopes": [{"scope": "ads_read", "target_ids": ["1001", "1002"]}],
        "user_id": "10200000000000101",
    }
    long = str(json_of(app.exchange(short))["access_token"])
    assert debug(app, long)["issued_at"] == int(NOW)


def test_dead_and_unknown_tokens_are_described_too(
    app: FacebookApp, simulator: Simulator, ada: Person
) -> None:
    token = app.short_token(ada)
    simulator.facebook.remove_app("ada")
    described = debug(app, token)
    assert described["is_valid"] is False
    assert described["scopes"] == []
    error = described["error"]
    assert isinstance(error, dict)
    assert (error["code"], error["subcode"]) == (190, 458)
    unknown = debug(app, "junk")
    assert unknown["is_valid"] is False
    assert "subcode" not in str(unknown)


def test_an_app_token_is_described(app: FacebookApp) -> None:
    token = str(json_of(app.token({"grant_type": "client_credentials"}))["access_token"])
    described = debug(app, token)
    assert (described["type"], described["expires_at"]) == ("APP", 0)


def test_describing_is_for_the_app(app: FacebookApp, simulator: Simulator, ada: Person) -> None:
    token = app.short_token(ada)
    assert app.code_of(app.graph("debug_token", token, {"input_token": token})) == (100, None)
    caller = f"{simulator.app.app_id}|{simulator.app.app_secret}"
    assert app.code_of(app.graph("debug_token", caller)) == (100, None)
