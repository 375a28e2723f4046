"""Client authentication, codes and the token endpoint's errors (RFC 6749 §2.3, §4.1.3, §5.2)."""

import base64
from dataclasses import replace

import httpx2
import pytest

from connector.simulator.clock import Clock
from connector.simulator.person import Person
from connector.simulator.simulator import Simulator

from .relying_party import RelyingParty, Values, basic, json_of


def test_the_first_answer(party: RelyingParty, ada: Person) -> None:
    response = party.redeem(party.code(ada))
    assert response.status_code == 200
    assert response.headers["cache-control"] == "no-store"
    assert response.headers["pragma"] == "no-cache"
    body = json_of(response)
    assert set(body) == {"access_token", "token_type", "expires_in", "refresh_token", "scope"}
    assert body["token_type"] == "Bearer"
    assert body["expires_in"] == 3600
    assert body["scope"] == "ads_read"
    assert party.is_valid(body["access_token"])


def test_a_request_without_scope_gets_the_default(party: RelyingParty, ada: Person) -> None:
    assert party.tokens(ada, {"scope": None})["scope"] == "ads_read"


# Client authentication

ODD_SECRET = "s:e%c+r&é t/~"


@pytest.mark.parametrize("secret", [ODD_SECRET, "simple-secret_1.2"])
def test_basic_credentials_are_form_urlencoded(
    party: RelyingParty, simulator: Simulator, ada: Person, secret: str
) -> None:
    simulator.change({"client_id": "odd:client é", "client_secret": secret})
    assert party.redeem(party.code(ada)).status_code == 200


def _raw_basic(pair: str) -> dict[str, str]:
    return {"Authorization": f"Basic {base64.b64encode(pair.encode()).decode()}"}


@pytest.mark.parametrize("secret", ["a:b", "a%zz", "a é", "a b", "a%b", "a+b"])
def test_basic_credentials_that_are_not_encoded_are_refused(
    party: RelyingParty, simulator: Simulator, http: httpx2.Client, secret: str
) -> None:
    simulator.change({"client_secret": secret})
    form = {"grant_type": "refresh_token", "refresh_token": "x"}
    headers = _raw_basic(f"{simulator.client.client_id}:{secret}")
    response = http.post(f"{simulator.issuer}/token", data=form, headers=headers)
    assert party.error(response, 401) == "invalid_client"
    challenge = response.headers["www-authenticate"]
    assert challenge.startswith('Basic realm="simulator"')


@pytest.mark.parametrize(
    "header",
    [
        "Basic",
        "Basic !!!",
        "Basic bm9jb2xvbg==",
        "Basic é".encode().decode("latin-1"),
        "Bearer abc",
        "Basic Y29ubmVjdG9yLWRlbW86JWZm",
    ],
)
def test_authorization_headers_that_are_no_credentials(
    party: RelyingParty, simulator: Simulator, http: httpx2.Client, header: str
) -> None:
    form = {"grant_type": "client_credentials"}
    headers = [(b"Authorization", header.encode("latin-1"))]
    response = http.post(f"{simulator.issuer}/token", data=form, headers=headers)
    assert party.error(response, 401) == "invalid_client"


def test_credentials_in_the_body_work_too(
    party: RelyingParty, simulator: Simulator, http: httpx2.Client
) -> None:
    form = {
        "grant_type": "client_credentials",
        "client_id": simulator.client.client_id,
        "client_secret": simulator.client.client_secret,
    }
    response = http.post(f"{simulator.issuer}/token", data=form)
    assert set(json_of(response)) == {"access_token", "token_type", "expires_in", "scope"}
    form["client_secret"] = "wrong"
    response = http.post(f"{simulator.issuer}/token", data=form)
    assert party.error(response, 401) == "invalid_client"


def test_methods_can_be_limited(party: RelyingParty, simulator: Simulator) -> None:
    simulator.change({"token_endpoint_auth_methods": ["client_secret_post"]})
    response = party.post("token", {"grant_type": "client_credentials"})
    assert party.error(response, 401) == "invalid_client"


@pytest.mark.parametrize(
    ("form", "error", "status"),
    [
        ({"client_secret": "simulator-client-secret"}, "invalid_request", 400),
        ({"client_id": "connector-public"}, "invalid_request", 400),
        ({"client_id": "connector-demo"}, "unsupported_grant_type", 400),
    ],
)
def test_basic_does_not_mix(
    party: RelyingParty, form: dict[str, str], error: str, status: int
) -> None:
    response = party.post("token", {"grant_type": "magic", **form})
    assert party.error(response, status) == error


@pytest.mark.parametrize(
    "form",
    [
        {},
        {"client_id": "nobody"},
        {"client_id": "connector-demo"},
        {"client_id": "connector-public", "client_secret": "x"},
    ],
)
def test_a_client_that_proves_nothing_is_refused(party: RelyingParty, form: dict[str, str]) -> None:
    response = party.post("token", {"grant_type": "client_credentials", **form}, is_public=True)
    assert party.error(response, 401) == "invalid_client"


def test_a_public_client_needs_no_secret_but_has_no_credentials(
    party: RelyingParty, ada: Person
) -> None:
    public: Values = {"client_id": "connector-public"}
    code = party.code(ada, public)
    assert party.redeem(code, public, is_public=True).status_code == 200
    response = party.post("token", {"grant_type": "client_credentials", **public}, is_public=True)
    assert party.error(response) == "unauthorized_client"


def test_a_changed_secret_is_invalid_client(party: RelyingParty, simulator: Simulator) -> None:
    headers = basic(simulator.client.client_id, simulator.client.client_secret)
    simulator.settings = replace(simulator.settings, client_secret="another")
    form = {"grant_type": "refresh_token", "refresh_token": "x"}
    response = party.http.post(f"{simulator.issuer}/token", data=form, headers=headers)
    assert party.error(response, 401) == "invalid_client"
    assert simulator.ledger.count("token", outcome="invalid_client") == 1


# The form of requests


@pytest.mark.parametrize(
    ("form", "error"),
    [
        ({}, "invalid_request"),
        ({"grant_type": "password"}, "unsupported_grant_type"),
        ({"grant_type": "authorization_code"}, "invalid_request"),
        ({"grant_type": "refresh_token"}, "invalid_request"),
        ({"grant_type": "urn:ietf:params:oauth:grant-type:device_code"}, "invalid_request"),
        ({"grant_type": "authorization_code", "code": "unknown"}, "invalid_grant"),
        ({"grant_type": "refresh_token", "refresh_token": "unknown"}, "invalid_grant"),
        ({"grant_type": "client_credentials", "scope": "unknown"}, "invalid_scope"),
    ],
)
def test_errors(party: RelyingParty, form: dict[str, str], error: str) -> None:
    assert party.error(party.post("token", form)) == error


def test_requests_that_are_no_form_are_refused(
    party: RelyingParty, simulator: Simulator, http: httpx2.Client
) -> None:
    url = f"{simulator.issuer}/token"
    headers = basic(simulator.client.client_id, simulator.client.client_secret)
    form = "application/x-www-form-urlencoded"
    for body, content_type in (
        (b'{"grant_type":"client_credentials"}', "application/json"),
        (b"grant_type=client_credentials", "text/plain"),
        (b"grant_type=client_credentials&grant_type=client_credentials", form),
        (b"grant_type", form),
        ("grant_type=é".encode(), form),
    ):
        sent = {**headers, "Content-Type": content_type}
        response = http.post(url, content=body, headers=sent)
        assert party.error(response) == "invalid_request"
    in_url = http.post(url, params={"grant_type": "client_credentials"}, headers=headers)
    assert party.error(in_url) == "invalid_request"


def test_charset_in_the_content_type_is_fine(simulator: Simulator, http: httpx2.Client) -> None:
    headers = {
        **basic(simulator.client.client_id, simulator.client.client_secret),
        "Content-Type": "application/x-www-form-urlencoded; charset=UTF-8",
    }
    response = http.post(
        f"{simulator.issuer}/token", content=b"grant_type=client_credentials", headers=headers
    )
    assert response.status_code == 200


def test_the_token_endpoint_is_for_post(simulator: Simulator, http: httpx2.Client) -> None:
    assert http.get(f"{simulator.issuer}/token").status_code == 405


# Codes


def test_a_code_used_twice_ends_what_it_gave(
    party: RelyingParty, simulator: Simulator, ada: Person
) -> None:
    code = party.code(ada)
    tokens = json_of(party.redeem(code))
    assert party.error(party.redeem(code)) == "invalid_grant"
    assert simulator.ledger.count("token", outcome="reuse_detected") == 1
    assert not party.is_valid(tokens["access_token"])
    assert party.error(party.refresh(tokens["refresh_token"])) == "invalid_grant"


@pytest.mark.parametrize(
    ("changes", "error"),
    [
        ({"redirect_uri": None}, "invalid_request"),
        ({"redirect_uri": "http://127.0.0.1:49152/callback/test/"}, "invalid_grant"),
        ({"redirect_uri": "http://127.0.0.1:49153/callback/test"}, "invalid_grant"),
        ({"code_verifier": None}, "invalid_request"),
        ({"code_verifier": "short"}, "invalid_request"),
        ({"code_verifier": "x" * 129}, "invalid_request"),
        ({"code_verifier": "x" * 43}, "invalid_grant"),
    ],
)
def test_a_code_is_bound_to_its_request(
    party: RelyingParty, ada: Person, changes: Values, error: str
) -> None:
    code = party.code(ada)
    assert party.error(party.redeem(code, changes)) == error
    assert party.redeem(code).status_code == 200


def test_a_code_is_bound_to_its_client(party: RelyingParty, ada: Person) -> None:
    code = party.code(ada, {"client_id": "connector-public"})
    assert party.error(party.redeem(code)) == "invalid_grant"


def test_a_verifier_without_a_challenge_is_refused(
    party: RelyingParty, simulator: Simulator, ada: Person
) -> None:
    simulator.change({"require_pkce": False})
    code = party.code(ada, {"code_challenge": None, "code_challenge_method": None})
    assert party.error(party.redeem(code)) == "invalid_grant"


@pytest.mark.parametrize(("age", "is_good"), [(59.9, True), (60.0, False)])
def test_a_code_ends_in_time(
    party: RelyingParty,
    clock: Clock,
    ada: Person,
    age: float,
    is_good: bool,  # noqa: FBT001 - a table
) -> None:
    code = party.code(ada)
    clock.advance(age)
    assert (party.redeem(code).status_code == 200) is is_good


def test_old_codes_are_forgotten(party: RelyingParty, clock: Clock, ada: Person) -> None:
    code = party.code(ada)
    clock.advance(10_000)
    party.code(ada)
    assert party.error(party.redeem(code)) == "invalid_grant"


# Odd answers


@pytest.mark.parametrize(
    ("form", "value"),
    [
        ("number", 90),
        ("string", "90"),
        ("float", 90.0),
        ("zero", 0),
        ("negative", -90),
        ("huge", 10**12),
    ],
)
def test_expires_in_takes_many_forms(
    party: RelyingParty, simulator: Simulator, ada: Person, form: str, value: object
) -> None:
    simulator.change({"access_token_lifetime": 90.9, "expires_in_form": form})
    sent = json_of(party.redeem(party.code(ada)))["expires_in"]
    assert sent == value
    assert type(sent) is type(value)


def test_members_can_be_left_out_and_added(
    party: RelyingParty, simulator: Simulator, ada: Person
) -> None:
    simulator.change(
        {
            "omit": ["expires_in", "scope", "token_type"],
            "token_response_extra": {"instance_url": "https://x.example"},
            "token_padding": 70_000,
        }
    )
    body = json_of(party.redeem(party.code(ada)))
    assert set(body) == {"access_token", "refresh_token", "instance_url"}
    assert len(str(body["access_token"])) > 70_000
    refreshed = party.refresh(body["refresh_token"])
    assert refreshed.status_code == 200


def test_a_refresh_token_can_be_withheld(
    party: RelyingParty, simulator: Simulator, ada: Person
) -> None:
    simulator.change({"omit": ["refresh_token"]})
    assert "refresh_token" not in party.tokens(ada)
    simulator.change({"omit": [], "offline_access_required": True})
    assert "refresh_token" not in party.tokens(ada)
    assert "refresh_token" in party.tokens(ada, {"scope": "ads_read offline_access"})


def test_scopes_can_be_withheld(party: RelyingParty, simulator: Simulator, ada: Person) -> None:
    simulator.change({"withheld_scopes": ["ads_read"]})
    tokens = party.tokens(ada, {"scope": "ads_read openid"})
    assert tokens["scope"] == "openid"
    assert "scope" not in party.tokens(ada)


def test_the_end_of_a_refresh_token_can_be_announced(
    party: RelyingParty, simulator: Simulator, ada: Person
) -> None:
    simulator.change({"announce_refresh_token_lifetime": True})
    assert "refresh_token_expires_in" not in json_of(party.redeem(party.code(ada)))
    simulator.change({"refresh_token_lifetime": 86400})
    assert json_of(party.redeem(party.code(ada)))["refresh_token_expires_in"] == 86400


@pytest.mark.parametrize("status", [200, 401, 403])
def test_invalid_grant_can_come_with_a_wrong_status(
    party: RelyingParty, simulator: Simulator, status: int
) -> None:
    simulator.change({"invalid_grant_status": status})
    assert party.error(party.refresh("unknown"), status) == "invalid_grant"
    assert party.error(party.post("token", {})) == "invalid_request"
