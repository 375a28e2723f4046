"""The device authorization grant (RFC 8628)."""

import httpx2
import pytest

from connector.simulator.clock import Clock
from connector.simulator.person import Person, PersonError
from connector.simulator.simulator import Simulator

from .relying_party import Body, RelyingParty, json_of

GRANT = "urn:ietf:params:oauth:grant-type:device_code"


def start(party: RelyingParty, scope: str | None = "ads_read") -> Body:
    response = party.post("device_authorization", {"scope": scope})
    assert response.status_code == 200
    assert response.headers["cache-control"] == "no-store"
    return json_of(response)


def poll(party: RelyingParty, device: Body) -> httpx2.Response:
    return party.post("token", {"grant_type": GRANT, "device_code": str(device["device_code"])})


def test_a_device_is_connected(
    party: RelyingParty, simulator: Simulator, clock: Clock, ada: Person
) -> None:
    device = start(party, "openid ads_read")
    assert device["verification_uri"] == f"{simulator.issuer}/device"
    assert device["expires_in"] == 600
    assert device["interval"] == 5
    assert party.error(poll(party, device)) == "authorization_pending"
    page = ada.approve_device(str(device["verification_uri_complete"]))
    assert "The device is connected." in page
    clock.advance(5)
    body = json_of(poll(party, device))
    assert body["scope"] == "openid ads_read"
    assert party.is_valid(body["access_token"])
    assert party.refresh(body["refresh_token"]).status_code == 200
    assert party.error(poll(party, device)) == "invalid_grant"


def test_a_device_is_refused(party: RelyingParty, ada: Person) -> None:
    device = start(party)
    page = ada.approve_device(str(device["verification_uri_complete"]), "deny")
    assert "The device was refused." in page
    assert party.error(poll(party, device)) == "access_denied"


def test_polling_too_fast_makes_the_interval_longer(party: RelyingParty, clock: Clock) -> None:
    device = start(party)
    poll(party, device)
    clock.advance(4.9)
    assert party.error(poll(party, device)) == "slow_down"
    clock.advance(5)
    assert party.error(poll(party, device)) == "slow_down"
    clock.advance(15)
    assert party.error(poll(party, device)) == "authorization_pending"


def test_a_device_code_ends(
    party: RelyingParty, clock: Clock, ada: Person, http: httpx2.Client
) -> None:
    device = start(party)
    url = str(device["verification_uri_complete"])
    ada.consent(party.url())
    page = ada.browser.get(url).text
    clock.advance(600)
    assert party.error(poll(party, device)) == "expired_token"
    assert http.get(url).status_code == 400
    interaction = page.split('name="interaction" value="')[1].split('"')[0]
    form = {"interaction": interaction, "decision": "allow"}
    response = ada.browser.post(f"{party.simulator.issuer}/consent", data=form)
    assert response.status_code == 400
    assert "Too late" in response.text


def test_a_code_may_be_typed_carelessly(
    party: RelyingParty, simulator: Simulator, http: httpx2.Client
) -> None:
    url = f"{simulator.issuer}/device"
    assert 'id="device"' in http.get(url).text
    typed = str(start(party)["user_code"]).replace("-", " ").lower()
    assert 'id="login"' in http.get(url, params={"user_code": typed}).text


def test_a_code_is_decided_on_once(party: RelyingParty, ada: Person) -> None:
    url = str(start(party)["verification_uri_complete"])
    ada.approve_device(url)
    with pytest.raises(PersonError, match="unknown, was used already"):
        ada.approve_device(url)


def test_a_device_code_is_bound_to_its_client(party: RelyingParty) -> None:
    device = start(party)
    form = {
        "grant_type": GRANT,
        "device_code": str(device["device_code"]),
        "client_id": "connector-public",
    }
    assert party.error(party.post("token", form, is_public=True)) == "invalid_grant"


def test_a_device_request_is_checked(party: RelyingParty) -> None:
    bad_scope = party.post("device_authorization", {"scope": "magic"})
    assert party.error(bad_scope) == "invalid_scope"
    nobody = party.post("device_authorization", {}, is_public=True)
    assert party.error(nobody, 401) == "invalid_client"
    assert start(party, None)["user_code"]
