"""Metadata, keys, ID tokens and userinfo (RFC 8414, OpenID Connect Discovery and Core)."""

import base64
import hmac
from typing import cast

import httpx2
import pytest
from joserfc import jwt
from joserfc.errors import BadSignatureError, UnsupportedAlgorithmError
from joserfc.jwk import KeySet, KeySetSerialization, RSAKey

from connector.simulator.clock import Clock
from connector.simulator.oauth.signing import access_token_hash
from connector.simulator.person import Person
from connector.simulator.simulator import Simulator

from .conftest import NOW
from .relying_party import Body, RelyingParty, bearer, json_of


def metadata(simulator: Simulator, http: httpx2.Client) -> Body:
    return json_of(http.get(f"{simulator.url}/.well-known/oauth-authorization-server/oauth"))


def openid_configuration(simulator: Simulator, http: httpx2.Client) -> Body:
    return json_of(http.get(f"{simulator.issuer}/.well-known/openid-configuration"))


def key_set(simulator: Simulator, http: httpx2.Client) -> KeySet:
    document = http.get(f"{simulator.issuer}/jwks").json()
    return KeySet.import_key_set(cast("KeySetSerialization", document))


def claims_of(simulator: Simulator, http: httpx2.Client, id_token: str) -> Body:
    token = jwt.decode(id_token, key_set(simulator, http), algorithms=["RS256"])
    return dict(token.claims)


def test_both_documents_name_the_issuer_and_the_endpoints(
    simulator: Simulator, http: httpx2.Client
) -> None:
    oauth, openid = metadata(simulator, http), openid_configuration(simulator, http)
    assert oauth["issuer"] == simulator.issuer == f"{simulator.url}/oauth"
    assert oauth["authorization_endpoint"] == f"{simulator.issuer}/authorize"
    assert oauth["token_endpoint"] == f"{simulator.issuer}/token"
    assert oauth["code_challenge_methods_supported"] == ["S256"]
    assert oauth["authorization_response_iss_parameter_supported"] is True
    assert oauth["require_pushed_authorization_requests"] is False
    assert oauth.items() <= openid.items()
    assert openid["userinfo_endpoint"] == f"{simulator.issuer}/userinfo"
    assert openid["id_token_signing_alg_values_supported"] == ["RS256"]


def test_metadata_can_lie(simulator: Simulator, http: httpx2.Client) -> None:
    lies: Body = {
        "issuer": "https://other.example",
        "token_endpoint": "https://evil.example/token",
        "revocation_endpoint": None,
    }
    simulator.change({"metadata_overrides": lies})
    for document in (metadata(simulator, http), openid_configuration(simulator, http)):
        assert document["issuer"] == "https://other.example"
        assert document["token_endpoint"] == "https://evil.example/token"
        assert "revocation_endpoint" not in document


def test_an_id_token_comes_with_openid_only(party: RelyingParty, ada: Person) -> None:
    assert "id_token" not in party.tokens(ada)


def test_an_id_token_can_be_verified(
    party: RelyingParty, simulator: Simulator, http: httpx2.Client, clock: Clock, ada: Person
) -> None:
    ada.consent(party.url())
    clock.advance(100)
    tokens = party.tokens(ada, {"scope": "openid", "nonce": "the-nonce"})
    assert claims_of(simulator, http, tokens["id_token"]) == {
        "iss": simulator.issuer,
        "sub": "10200000000000101",
        "aud": "connector-demo",
        "iat": int(NOW) + 100,
        "exp": int(NOW) + 3700,
        "auth_time": int(NOW),
        "nonce": "the-nonce",
        "at_hash": access_token_hash(tokens["access_token"]),
    }


def test_a_refreshed_id_token_has_the_same_subject_and_no_nonce(
    party: RelyingParty, simulator: Simulator, http: httpx2.Client, clock: Clock, ada: Person
) -> None:
    tokens = party.tokens(ada, {"scope": "openid", "nonce": "the-nonce"})
    clock.advance(50)
    claims = claims_of(simulator, http, party.refreshed(tokens["refresh_token"])["id_token"])
    assert claims["sub"] == "10200000000000101"
    assert claims["auth_time"] == int(NOW)
    assert claims["iat"] == int(NOW) + 50
    assert "nonce" not in claims


def test_claims_can_be_wrong(
    party: RelyingParty, simulator: Simulator, http: httpx2.Client, ada: Person
) -> None:
    simulator.change({"id_token_claims": {"iss": "https://other.example", "exp": None}})
    tokens = party.tokens(ada, {"scope": "openid"})
    claims = claims_of(simulator, http, tokens["id_token"])
    assert claims["iss"] == "https://other.example"
    assert "exp" not in claims
    assert "nonce" not in claims


def test_signatures_can_be_forged(
    party: RelyingParty, simulator: Simulator, http: httpx2.Client, ada: Person
) -> None:
    simulator.change({"id_token_signature": "bad"})
    bad = party.tokens(ada, {"scope": "openid"})["id_token"]
    with pytest.raises(BadSignatureError):
        claims_of(simulator, http, bad)
    simulator.change({"id_token_signature": "none"})
    unsigned = party.tokens(ada, {"scope": "openid"})["id_token"]
    assert unsigned.endswith(".")
    simulator.change({"id_token_signature": "hs256"})
    confused = party.tokens(ada, {"scope": "openid"})["id_token"]
    assert confused.count(".") == 2
    for forged in (unsigned, confused):
        with pytest.raises(UnsupportedAlgorithmError):
            claims_of(simulator, http, forged)
    # a verifier that takes the published key for a secret would accept it
    signed, _, signature = confused.rpartition(".")
    published = key_set(simulator, http).keys[0]
    assert isinstance(published, RSAKey)
    digest = hmac.digest(published.as_pem(private=False), signed.encode(), "sha256")
    assert base64.urlsafe_b64encode(digest).decode().rstrip("=") == signature


def test_signing_keys_rotate(
    party: RelyingParty, simulator: Simulator, http: httpx2.Client, ada: Person
) -> None:
    old = party.tokens(ada, {"scope": "openid"})["id_token"]
    kid = simulator.state.rotate_signing_key()
    new = party.tokens(ada, {"scope": "openid"})["id_token"]
    assert key_set(simulator, http).keys[0].kid == kid
    assert claims_of(simulator, http, old)
    assert claims_of(simulator, http, new)
    simulator.state.rotate_signing_key(is_old_published=False)
    assert len(key_set(simulator, http).keys) == 1


def test_userinfo_tells_what_the_scope_allows(
    party: RelyingParty, simulator: Simulator, http: httpx2.Client, ada: Person
) -> None:
    url = f"{simulator.issuer}/userinfo"
    bare = party.tokens(ada, {"scope": "openid"})["access_token"]
    assert json_of(http.get(url, headers=bearer(bare))) == {"sub": "10200000000000101"}
    full = party.tokens(ada, {"scope": "openid profile email"})["access_token"]
    assert json_of(http.post(url, headers=bearer(full))) == {
        "sub": "10200000000000101",
        "name": "Ada Lovelace",
        "email": "ada@people.example",
        "email_verified": True,
    }
    simulator.change({"userinfo_claims": {"sub": "someone-else", "name": None}})
    wrong = json_of(http.get(url, headers=bearer(full)))
    assert wrong["sub"] == "someone-else"
    assert "name" not in wrong


def test_userinfo_is_for_people_with_openid(
    party: RelyingParty, simulator: Simulator, http: httpx2.Client, ada: Person
) -> None:
    url = f"{simulator.issuer}/userinfo"
    without = party.tokens(ada)["access_token"]
    assert http.get(url, headers=bearer(without)).status_code == 403
    machine = json_of(party.post("token", {"grant_type": "client_credentials", "scope": "openid"}))
    assert "id_token" not in machine
    assert http.get(url, headers=bearer(machine["access_token"])).status_code == 403


# Revocation (RFC 7009)


def test_revoking_a_refresh_token_ends_the_family(
    party: RelyingParty, simulator: Simulator, ada: Person
) -> None:
    tokens = party.tokens(ada)
    second = party.refreshed(tokens["refresh_token"])
    response = party.post("revoke", {"token": tokens["refresh_token"]})
    assert response.status_code == 200
    assert response.content == b""
    assert not party.is_valid(second["access_token"])
    assert party.error(party.refresh(second["refresh_token"])) == "invalid_grant"
    assert simulator.ledger.count("revoke", outcome="revoked", person="ada") == 1


def test_revoking_an_access_token_ends_it_alone(party: RelyingParty, ada: Person) -> None:
    tokens = party.tokens(ada)
    hint = {"token": tokens["access_token"], "token_type_hint": "refresh_token"}
    assert party.post("revoke", hint).status_code == 200
    assert not party.is_valid(tokens["access_token"])
    assert party.refreshed(tokens["refresh_token"])


def test_an_unknown_token_is_as_good_as_revoked(party: RelyingParty, simulator: Simulator) -> None:
    assert party.post("revoke", {"token": "unknown"}).status_code == 200
    assert simulator.ledger.count("revoke", outcome="unknown_token") == 1


def test_revocation_is_for_the_tokens_of_the_client(party: RelyingParty, ada: Person) -> None:
    tokens = party.tokens(ada)
    for token in (tokens["access_token"], tokens["refresh_token"]):
        form = {"token": token, "client_id": "connector-public"}
        assert party.error(party.post("revoke", form, is_public=True)) == "invalid_grant"
    assert party.is_valid(tokens["access_token"])
    assert party.error(party.post("revoke", {})) == "invalid_request"
    assert party.error(party.post("revoke", {"token": "x"}, is_public=True), 401) == (
        "invalid_client"
    )
