"""The resource server under /api (RFC 6750) and the figures that it gives."""

import httpx2
import pytest

from connector.simulator.clock import Clock
from connector.simulator.person import Person
from connector.simulator.simulator import Simulator

from .relying_party import Body, RelyingParty, bearer, json_of


@pytest.fixture
def token(party: RelyingParty, ada: Person) -> str:
    return party.tokens(ada)["access_token"]


def insights(
    simulator: Simulator, http: httpx2.Client, token: str, **parameters: str
) -> httpx2.Response:
    return http.get(f"{simulator.api_url}/insights", params=parameters, headers=bearer(token))


def pull(
    simulator: Simulator, http: httpx2.Client, token: str, **parameters: str
) -> tuple[list[object], int]:
    """All records over all pages, and the number of pages."""
    records: list[object] = []
    pages = 0
    after: dict[str, str] = {}
    while True:
        body = insights(simulator, http, token, **parameters, **after).json()
        pages += 1
        records += body["data"]
        if not body["paging"]:
            return records, pages
        after = {"after": body["paging"]["after"]}


def challenge(response: httpx2.Response, status: int) -> str:
    assert response.status_code == status, response.text
    header: str = response.headers["www-authenticate"]
    assert header.startswith('Bearer realm="simulator"')
    return header


def test_me(simulator: Simulator, http: httpx2.Client, token: str) -> None:
    body = json_of(http.get(f"{simulator.api_url}/me", headers=bearer(token)))
    assert body == {"id": "10200000000000101", "name": "Ada Lovelace", "scope": "ads_read"}


def test_a_client_may_be_there_for_itself(
    party: RelyingParty, simulator: Simulator, http: httpx2.Client
) -> None:
    token = json_of(party.post("token", {"grant_type": "client_credentials"}))["access_token"]
    body = json_of(http.get(f"{simulator.api_url}/me", headers=bearer(token)))
    assert body == {"id": "connector-demo", "name": None, "scope": "ads_read"}
    accounts = json_of(http.get(f"{simulator.api_url}/ad_accounts", headers=bearer(token)))
    assert accounts["data"] == []


def test_ad_accounts_are_the_person_s(
    simulator: Simulator, http: httpx2.Client, token: str
) -> None:
    body = http.get(f"{simulator.api_url}/ad_accounts", headers=bearer(token)).json()
    assert [account["id"] for account in body["data"]] == ["act_1001", "act_1002"]
    assert body["paging"] == {}


def test_no_credentials_get_a_challenge_without_an_error(
    simulator: Simulator, http: httpx2.Client
) -> None:
    url = f"{simulator.api_url}/me"
    assert "error" not in challenge(http.get(url), 401)
    basic = {"Authorization": "Basic Y29ubmVjdG9yOng="}
    assert "error" not in challenge(http.get(url, headers=basic), 401)


def test_the_token_goes_into_the_header(
    simulator: Simulator, http: httpx2.Client, token: str
) -> None:
    url = f"{simulator.api_url}/me"
    in_url = http.get(url, params={"access_token": token}, headers=bearer(token))
    assert 'error="invalid_request"' in challenge(in_url, 400)
    malformed = http.get(f"{url}?x", headers=bearer(token))
    assert 'error="invalid_request"' in challenge(malformed, 400)
    lower = {"Authorization": f"bearer {token}"}
    assert http.get(url, headers=lower).status_code == 200


def test_dead_tokens_are_told(
    party: RelyingParty, simulator: Simulator, http: httpx2.Client, clock: Clock, ada: Person
) -> None:
    url = f"{simulator.api_url}/me"
    assert 'error="invalid_token"' in challenge(http.get(url, headers=bearer("x")), 401)
    tokens = [party.tokens(ada)["access_token"] for _ in range(2)]
    assert simulator.state.expire_access_tokens("ada") == 2
    assert simulator.state.expire_access_tokens("ada") == 0
    for token in tokens:
        assert 'error="invalid_token"' in challenge(http.get(url, headers=bearer(token)), 401)
    token = party.tokens(ada)["access_token"]
    clock.advance(3599.9)
    assert party.is_valid(token)
    clock.advance(0.1)
    assert not party.is_valid(token)
    assert simulator.ledger.count("api_me", outcome="invalid_token", person="ada") == 3


def test_a_missing_scope_is_told(
    party: RelyingParty, simulator: Simulator, http: httpx2.Client, ada: Person
) -> None:
    token = party.tokens(ada, {"scope": "email"})["access_token"]
    for path in ("ad_accounts", "insights?ad_account=act_1001"):
        header = challenge(http.get(f"{simulator.api_url}/{path}", headers=bearer(token)), 403)
        assert 'error="insufficient_scope"' in header
        assert 'scope="ads_read"' in header


def test_pages_bring_every_record_once(
    simulator: Simulator, http: httpx2.Client, token: str
) -> None:
    expected = simulator.ads.expected_rows("act_1001", "2027-01-01", "2027-01-07")
    whole = {"ad_account": "act_1001", "since": "2027-01-01", "until": "2027-01-07"}
    assert len(expected) > 40
    assert pull(simulator, http, token, **whole) == (expected, 1)
    assert pull(simulator, http, token, **whole, limit="7") == (expected, -(-len(expected) // 7))
    simulator.change({"api_page_size": len(expected)})
    assert pull(simulator, http, token, **whole) == (expected, 1)
    counted = simulator.ledger.records()[-1]
    assert (counted.person, counted.ad_account) == ("ada", "act_1001")


def test_the_last_thirty_days_are_the_default(
    simulator: Simulator, http: httpx2.Client, token: str
) -> None:
    records, _ = pull(simulator, http, token, ad_account="act_1002")
    assert records == simulator.ads.expected_rows("act_1002", "2026-12-17", "2027-01-15")


def test_the_future_has_no_records(simulator: Simulator, http: httpx2.Client, token: str) -> None:
    future = {"ad_account": "act_1001", "since": "2027-02-01", "until": "2027-02-02"}
    assert pull(simulator, http, token, **future) == ([], 1)


@pytest.mark.parametrize(
    ("parameters", "status"),
    [
        ({}, 404),
        ({"ad_account": "act_9"}, 404),
        ({"ad_account": "act_2001"}, 404),
        ({"ad_account": "act_1001", "since": "yesterday"}, 400),
        ({"ad_account": "act_1001", "since": "2027-02-30"}, 400),
        ({"ad_account": "act_1001", "until": "0001-01-01"}, 400),
        ({"ad_account": "act_1001", "since": "2027-01-02", "until": "2027-01-01"}, 400),
        ({"ad_account": "act_1001", "limit": "0"}, 400),
        ({"ad_account": "act_1001", "limit": "501"}, 400),
        ({"ad_account": "act_1001", "limit": "many"}, 400),
        ({"ad_account": "act_1001", "after": "!"}, 400),
        ({"ad_account": "act_1001", "after": "A"}, 400),
        ({"ad_account": "act_1001", "after": "YWJj"}, 400),
        ({"ad_account": "act_1001", "color": "red"}, 400),
    ],
)
def test_requests_that_make_no_sense(
    simulator: Simulator,
    http: httpx2.Client,
    token: str,
    parameters: dict[str, str],
    status: int,
) -> None:
    response = insights(simulator, http, token, **parameters)
    assert response.status_code == status
    body: Body = json_of(response)
    assert set(body) == {"error", "error_description"}


def test_a_repeated_parameter_is_refused(
    simulator: Simulator, http: httpx2.Client, token: str
) -> None:
    url = f"{simulator.api_url}/insights?ad_account=act_1001&ad_account=act_1001"
    assert http.get(url, headers=bearer(token)).status_code == 400
