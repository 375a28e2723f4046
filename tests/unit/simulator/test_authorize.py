"""The authorization endpoint, its pages, and pushed requests (RFC 6749, 7636, 9126, 9207)."""

from dataclasses import replace

import httpx2
import pytest

from connector.simulator.clock import Clock
from connector.simulator.interactions import INTERACTION_LIFETIME
from connector.simulator.oauth.authorization_response import WRONG_ISSUER
from connector.simulator.oauth.client import is_loopback_callback
from connector.simulator.person import Person, PersonError
from connector.simulator.simulator import Simulator

from .relying_party import REDIRECT_URI, RelyingParty, Values, json_of, query_of


def test_a_consent_ends_at_the_redirect_uri(
    party: RelyingParty, simulator: Simulator, ada: Person
) -> None:
    location = ada.consent(party.url())
    assert location.startswith(f"{REDIRECT_URI}?code=code_")
    answer = query_of(location)
    assert set(answer) == {"code", "state", "iss"}
    assert answer["state"] == "the-state"
    assert answer["iss"] == simulator.issuer
    outcomes = [(record.endpoint, record.outcome) for record in simulator.ledger.records()]
    assert outcomes == [
        ("authorize", "login"),
        ("login", "ok"),
        ("consent", "consent"),
        ("consent", "code"),
    ]
    assert simulator.ledger.records()[-1].person == "ada"


def test_denying_is_told_to_the_client(party: RelyingParty, ada: Person) -> None:
    answer = query_of(ada.consent(party.url(), decision="deny"))
    assert answer["error"] == "access_denied"
    assert answer["state"] == "the-state"
    assert "code" not in answer


def test_no_state_comes_back_where_none_was_sent(party: RelyingParty, ada: Person) -> None:
    assert "state" not in query_of(ada.consent(party.url({"state": None})))


def test_state_comes_back_as_it_was(party: RelyingParty, ada: Person) -> None:
    state = "a b&c=d/é%"
    assert query_of(ada.consent(party.url({"state": state})))["state"] == state


def test_a_redirect_uri_keeps_its_query(party: RelyingParty, ada: Person) -> None:
    uri = f"{REDIRECT_URI}?tenant=7"
    location = ada.consent(party.url({"redirect_uri": uri}))
    assert location.startswith(f"{uri}&code=")


def test_a_browser_that_is_logged_in_sees_the_consent_at_once(
    party: RelyingParty, simulator: Simulator, ada: Person
) -> None:
    ada.consent(party.url())
    mark = simulator.ledger.last_number
    ada.consent(party.url())
    names = [record.endpoint for record in simulator.ledger.records()[mark:]]
    assert names == ["authorize", "consent"]


@pytest.mark.parametrize("prompt", ["login", "select_account", "login consent"])
def test_prompt_login_asks_for_the_person_again(
    party: RelyingParty, simulator: Simulator, ada: Person, prompt: str
) -> None:
    ada.consent(party.url())
    mark = simulator.ledger.last_number
    ada.consent(party.url({"prompt": prompt}))
    assert simulator.ledger.records()[mark].outcome == "login"


def test_max_age_asks_again_for_an_old_login(
    party: RelyingParty, simulator: Simulator, clock: Clock, ada: Person
) -> None:
    ada.consent(party.url())
    clock.advance(61)
    ada.consent(party.url({"max_age": "120"}))
    mark = simulator.ledger.last_number
    ada.consent(party.url({"max_age": "60"}))
    assert simulator.ledger.records()[mark].outcome == "login"


def test_prompt_none_never_shows_a_page(party: RelyingParty, ada: Person) -> None:
    url = party.url({"prompt": "none"})
    assert query_of(ada.consent(url))["error"] == "login_required"
    ada.consent(party.url())
    assert query_of(ada.consent(url))["error"] == "consent_required"


def test_another_person_can_be_chosen_on_the_consent_page(
    party: RelyingParty, simulator: Simulator, ada: Person
) -> None:
    ada.consent(party.url())
    page = ada.browser.get(party.url())
    switch = page.text.split('id="switch-person" href="')[1].split('"')[0]
    ada.name = "grace"
    ada.consent(f"{simulator.url}{switch}")
    assert simulator.ledger.records()[-1].person == "grace"


@pytest.mark.parametrize(
    "changes",
    [
        {"client_id": "nobody"},
        {"client_id": None},
        {"redirect_uri": None},
        {"redirect_uri": "https://evil.example/callback/test"},
        {"redirect_uri": "http://127.0.0.1.evil.example/callback/test"},
        {"request_uri": "urn:ietf:params:oauth:request_uri:unknown"},
    ],
)
def test_without_a_known_client_and_redirect_uri_nothing_redirects(
    party: RelyingParty, http: httpx2.Client, changes: Values
) -> None:
    response = http.get(party.url(changes))
    assert response.status_code == 400
    assert "location" not in response.headers
    assert response.headers["content-type"] == "text/html; charset=utf-8"
    assert 'id="message"' in response.text


@pytest.mark.parametrize("name", ["client_id", "redirect_uri"])
def test_a_repeated_client_or_redirect_uri_does_not_redirect(
    party: RelyingParty, http: httpx2.Client, name: str
) -> None:
    value = party.parameters()[name]
    response = http.get(party.url(), params=[*party.parameters().items(), (name, value)])
    assert response.status_code == 400


@pytest.mark.parametrize(
    ("uri", "is_allowed"),
    [
        ("http://127.0.0.1/callback/x", True),
        ("http://127.0.0.1:1/callback/x?y=z", True),
        ("http://[::1]:65535/callback/a/b", True),
        ("http://localhost:8470/callback/x", True),
        ("https://127.0.0.1/callback/x", False),
        ("http://127.0.0.2/callback/x", False),
        ("http://127.0.0.1/callback/", False),
        ("http://127.0.0.1/other/x", False),
        ("http://127.0.0.1/callback/../x", False),
        ("http://user@127.0.0.1/callback/x", False),
        ("http://127.0.0.1/callback/x#fragment", False),
        ("http://127.0.0.1:0/callback/x", False),
        ("http://127.0.0.1:99999/callback/x", False),
        ("http://127.0.0.1:x/callback/x", False),
        ("http://127.0.0.1/callback/x\r\nSet-Cookie: a", False),
        ("http://127.0.0.1/callback/é", False),
        ("http://[::1/callback/x", False),
        ("/callback/x", False),
    ],
)
def test_loopback_redirect_uris(uri: str, is_allowed: bool) -> None:  # noqa: FBT001 - a table
    assert is_loopback_callback(uri) is is_allowed


def test_a_registered_redirect_uri_is_compared_exactly(
    party: RelyingParty, simulator: Simulator, http: httpx2.Client, ada: Person
) -> None:
    uri = "https://client.example/back"
    simulator.change({"redirect_uris": [uri]})
    assert ada.consent(party.url({"redirect_uri": uri})).startswith(f"{uri}?code=")
    assert http.get(party.url({"redirect_uri": f"{uri}/"})).status_code == 400


@pytest.mark.parametrize(
    ("changes", "error"),
    [
        ({"response_type": None}, "invalid_request"),
        ({"response_type": "token"}, "unsupported_response_type"),
        ({"response_type": "code id_token"}, "unsupported_response_type"),
        ({"response_mode": "form_post"}, "invalid_request"),
        ({"scope": "ads_read unknown"}, "invalid_scope"),
        ({"scope": "ads_read  openid"}, "invalid_scope"),
        ({"scope": 'ads_"read'}, "invalid_scope"),
        ({"code_challenge": None}, "invalid_request"),
        ({"code_challenge_method": "plain"}, "invalid_request"),
        ({"code_challenge_method": None}, "invalid_request"),
        ({"code_challenge": "short"}, "invalid_request"),
        ({"code_challenge": "+" * 43}, "invalid_request"),
        ({"prompt": "none login"}, "invalid_request"),
        ({"prompt": "dance"}, "invalid_request"),
        ({"max_age": "-1"}, "invalid_request"),
        ({"max_age": "soon"}, "invalid_request"),
        ({"request": "e30."}, "request_not_supported"),
        ({"registration": "{}"}, "registration_not_supported"),
    ],
)
def test_everything_else_is_told_to_the_client(
    party: RelyingParty, simulator: Simulator, http: httpx2.Client, changes: Values, error: str
) -> None:
    response = http.get(party.url(changes))
    assert response.status_code == 303
    assert response.headers["location"].startswith(f"{REDIRECT_URI}?")
    answer = query_of(response.headers["location"])
    assert answer["error"] == error
    assert answer["state"] == "the-state"
    assert answer["iss"] == simulator.issuer


def test_a_repeated_parameter_is_told_to_the_client(
    party: RelyingParty, http: httpx2.Client
) -> None:
    response = http.get(f"{party.url()}&scope=openid")
    assert query_of(response.headers["location"])["error"] == "invalid_request"
    repeated_state = http.get(f"{party.url()}&state=other")
    assert "state" not in query_of(repeated_state.headers["location"])


def test_authorization_requests_may_be_posted(party: RelyingParty, http: httpx2.Client) -> None:
    url = f"{party.simulator.issuer}/authorize"
    response = http.post(url, data=party.parameters())
    assert response.status_code == 200
    assert 'id="login"' in response.text


def test_pkce_may_be_made_optional(
    party: RelyingParty, simulator: Simulator, http: httpx2.Client, ada: Person
) -> None:
    simulator.settings = replace(simulator.settings, require_pkce=False)
    without: Values = {"code_challenge": None, "code_challenge_method": None}
    code = party.code(ada, without)
    assert party.redeem(code, {"code_verifier": None}).status_code == 200
    method_alone = http.get(party.url({"code_challenge": None}))
    assert query_of(method_alone.headers["location"])["error"] == "invalid_request"


@pytest.mark.parametrize(("setting", "iss"), [("absent", None), ("wrong", WRONG_ISSUER)])
def test_iss_can_be_left_out_or_wrong(
    party: RelyingParty, simulator: Simulator, ada: Person, setting: str, iss: str | None
) -> None:
    simulator.change({"iss_parameter": setting})
    assert query_of(ada.consent(party.url())).get("iss") == iss


# The pages


def test_pages_load_nothing_and_are_not_kept(party: RelyingParty, http: httpx2.Client) -> None:
    response = http.get(party.url())
    assert response.headers["cache-control"] == "no-store"
    assert response.headers["referrer-policy"] == "no-referrer"
    policy = response.headers["content-security-policy"]
    assert "default-src 'none'" in policy
    assert "form-action" not in policy
    assert "simulator" in response.text.lower()
    for word in ("<script", "src=", "@import", "url(", "http://", "https://"):
        assert word not in response.text


def test_the_consent_page_lists_what_will_be_granted(
    party: RelyingParty, simulator: Simulator, ada: Person
) -> None:
    simulator.change({"withheld_scopes": ["email"]})
    ada.consent(party.url())
    page = ada.browser.get(party.url({"scope": "openid email ads_read"})).text
    listed = page.split('id="scopes"')[1].split("</ul>")[0]
    assert "<code>openid</code>" in listed
    assert "<code>ads_read</code>" in listed
    assert "email" not in listed


def test_what_a_client_sends_is_escaped(
    party: RelyingParty, simulator: Simulator, http: httpx2.Client
) -> None:
    simulator.change({"client_id": "<script>alert(1)</script>"})
    page = http.get(party.url())
    assert page.status_code == 200
    assert "<script>" not in page.text
    assert "&lt;script&gt;" in page.text


def test_a_decided_page_cannot_be_decided_again(
    party: RelyingParty, simulator: Simulator, ada: Person
) -> None:
    ada.consent(party.url())
    page = ada.browser.get(party.url()).text
    interaction = page.split('name="interaction" value="')[1].split('"')[0]
    form = {"interaction": interaction, "decision": "allow"}
    url = f"{simulator.issuer}/consent"
    assert ada.browser.post(url, data=form).status_code == 303
    again = ada.browser.post(url, data=form)
    assert again.status_code == 400
    assert "no longer open" in again.text


def test_a_page_waits_for_half_an_hour(
    party: RelyingParty, simulator: Simulator, clock: Clock, ada: Person
) -> None:
    page = ada.browser.get(party.url()).text
    form = {"interaction": page.split('value="')[1].split('"')[0], "person": "ada"}
    clock.advance(INTERACTION_LIFETIME + 1)
    ada.consent(party.url())  # sweeps what nobody came back to
    late = ada.browser.post(f"{simulator.issuer}/login", data=form)
    assert late.status_code == 400
    page = ada.browser.get(party.url()).text
    form = {"interaction": page.split('name="interaction" value="')[1].split('"')[0]}
    clock.advance(INTERACTION_LIFETIME + 1)
    assert ada.browser.get(f"{simulator.issuer}/consent", params=form).status_code == 400


def test_a_decision_counts_only_in_its_own_session(
    party: RelyingParty, simulator: Simulator, ada: Person, grace: Person
) -> None:
    ada.consent(party.url())
    grace.consent(party.url())
    page = ada.browser.get(party.url()).text
    interaction = page.split('name="interaction" value="')[1].split('"')[0]
    form = {"interaction": interaction, "decision": "allow"}
    response = grace.browser.post(f"{simulator.issuer}/consent", data=form)
    assert response.status_code == 403
    with Person("ada") as stranger:
        response = stranger.browser.post(f"{simulator.issuer}/consent", data=form)
        assert response.status_code == 403
        page = stranger.browser.get(f"{simulator.issuer}/consent", params=form).text
        assert 'id="login"' in page


@pytest.mark.parametrize(
    ("path", "form", "text"),
    [
        ("login", {"person": "bob"}, "Nobody of that name"),
        ("login", {}, "Nobody of that name"),
        ("consent", {"decision": "perhaps"}, "No decision"),
    ],
)
def test_forms_that_make_no_sense_are_refused(
    party: RelyingParty,
    simulator: Simulator,
    ada: Person,
    path: str,
    form: dict[str, str],
    text: str,
) -> None:
    ada.consent(party.url())
    page = ada.browser.get(party.url()).text
    interaction = page.split('name="interaction" value="')[1].split('"')[0]
    response = ada.browser.post(
        f"{simulator.issuer}/{path}", data={"interaction": interaction, **form}
    )
    assert response.status_code == 400
    assert text in response.text


def test_malformed_requests_get_a_page(simulator: Simulator, http: httpx2.Client) -> None:
    for path in ("authorize?a", "login?%ff=1", "consent?b", "device?c"):
        assert http.get(f"{simulator.issuer}/{path}").status_code == 400
    for path in ("authorize", "login", "consent"):
        response = http.post(f"{simulator.issuer}/{path}", content=b"{}")
        assert response.status_code == 400
        assert "application/x-www-form-urlencoded" in response.text


def test_session_cookies_are_for_the_server_alone(party: RelyingParty, ada: Person) -> None:
    page = ada.browser.get(party.url()).text
    interaction = page.split('name="interaction" value="')[1].split('"')[0]
    form = {"interaction": interaction, "person": "ada"}
    response = ada.browser.post(f"{party.simulator.issuer}/login", data=form)
    cookie = response.headers["set-cookie"]
    assert "HttpOnly" in cookie
    assert "Path=/oauth" in cookie
    assert "SameSite=lax" in cookie


# Pushed authorization requests


def test_a_pushed_request_is_used_once(
    party: RelyingParty, simulator: Simulator, ada: Person
) -> None:
    response = party.post("par", party.parameters())
    assert response.status_code == 201
    assert response.headers["cache-control"] == "no-store"
    pushed = json_of(response)
    assert pushed["expires_in"] == 60
    short: dict[str, str] = {
        "client_id": simulator.client.client_id,
        "request_uri": str(pushed["request_uri"]),
    }
    url = f"{simulator.issuer}/authorize"
    location = ada.consent(str(httpx2.URL(url, params=short)))
    assert query_of(location)["state"] == "the-state"
    assert party.redeem(query_of(location)["code"]).status_code == 200
    with pytest.raises(PersonError, match="unknown or over"):
        ada.consent(str(httpx2.URL(url, params=short)))


def test_a_pushed_request_ends_in_time(
    party: RelyingParty, simulator: Simulator, clock: Clock, http: httpx2.Client
) -> None:
    request_uri = str(json_of(party.post("par", party.parameters()))["request_uri"])
    clock.advance(60)
    short = {"client_id": simulator.client.client_id, "request_uri": request_uri}
    assert http.get(f"{simulator.issuer}/authorize", params=short).status_code == 400


def test_a_pushed_request_is_for_its_client(
    party: RelyingParty, simulator: Simulator, http: httpx2.Client
) -> None:
    request_uri = str(json_of(party.post("par", party.parameters()))["request_uri"])
    short = {"client_id": "connector-public", "request_uri": request_uri}
    response = http.get(f"{simulator.issuer}/authorize", params=short)
    assert response.status_code == 400
    assert "another client" in response.text


def test_only_pushed_requests_may_be_demanded(
    party: RelyingParty, simulator: Simulator, http: httpx2.Client
) -> None:
    simulator.change({"require_pushed_authorization_requests": True})
    response = http.get(party.url())
    assert query_of(response.headers["location"])["error"] == "invalid_request"
    assert party.post("par", party.parameters()).status_code == 201


@pytest.mark.parametrize(
    ("changes", "error"),
    [
        ({"redirect_uri": None}, "invalid_request"),
        ({"redirect_uri": "https://evil.example/"}, "invalid_request"),
        ({"request_uri": "urn:x"}, "invalid_request"),
        ({"scope": "unknown"}, "invalid_scope"),
        ({"code_challenge_method": "plain"}, "invalid_request"),
        ({"response_type": "token"}, "unsupported_response_type"),
    ],
)
def test_requests_that_cannot_be_granted_cannot_be_pushed(
    party: RelyingParty, changes: Values, error: str
) -> None:
    assert party.error(party.post("par", party.parameters(changes))) == error


def test_pushing_needs_client_authentication(party: RelyingParty) -> None:
    response = party.post("par", party.parameters(), is_public=True)
    assert party.error(response, 401) == "invalid_client"
    public = party.parameters({"client_id": "connector-public"})
    assert party.post("par", public, is_public=True).status_code == 201
