"""Who consented: from an ID token or from the provider's call (75, 93, 94)."""

import dataclasses
import hashlib
import hmac
import json

import pytest
from joserfc import jws
from joserfc.jwk import ECKey

from connector.oauth.authorization_server import AuthorizationServer
from connector.oauth.id_token import IdTokenRejected
from connector.oauth.registration import ClientRegistration
from connector.oauth.token import TokenSet
from connector.oauth.token_endpoint import TokenEndpoint
from connector.oauth.wire import Wire
from connector.providers.client import ProviderClient
from connector.providers.identity import IdentityUnknown, Person, check_refreshed, identify
from connector.providers.provider import Api, Identity, Provider
from connector.secret import Secret
from tests.unit.raw_server import RawServer, Script, answer, hang_up

NOW = 1_800_000_000.0
CANARY = "canary-1d"
KEY = ECKey.generate_key("P-256", {"kid": "1"})
NONCE = Secret("n" * 43)
TOKENS = TokenSet(access_token=Secret(CANARY), token_type="Bearer", sent_at=NOW)


def client(
    wire: Wire,
    server: RawServer,
    *,
    api: Api | None = None,
    identity: Identity | None = None,
    changes: dict[str, object] | None = None,
) -> ProviderClient:
    known: dict[str, object] = {
        "authorization_endpoint": f"{server.origin}/authorize",
        "token_endpoint": f"{server.origin}/token",
        "issuer": "https://id.example",
        "jwks_uri": f"{server.origin}/jwks",
        "id_token_signing_alg_values_supported": ("ES256",),
    }
    authorization_server = AuthorizationServer(**(known | (changes or {})))  # type: ignore[arg-type]
    registration = ClientRegistration(
        client_id="c", auth_method="client_secret_post", client_secret=Secret("app secret")
    )
    return ProviderClient(
        provider=Provider(
            name="acme",
            title="Acme",
            server=authorization_server,
            redirect_uri="http://127.0.0.1/callback/acme",
            api=api or Api(),
            identity=identity,
        ),
        server=authorization_server,
        registration=registration,
        endpoint=TokenEndpoint(authorization_server, registration, wire, now=lambda: NOW),
        wire=wire,
        fingerprint="f",
    )


def id_token(**changes: object) -> Secret:
    claims = {
        "iss": "https://id.example",
        "sub": "person-1",
        "aud": "c",
        "exp": NOW + 300,
        "iat": NOW,
        "nonce": NONCE.reveal(),
        **changes,
    }
    claims = {name: value for name, value in claims.items() if value is not None}
    header = {"alg": "ES256", "kid": "1"}
    return Secret(jws.serialize_compact(header, json.dumps(claims), KEY))


JWKS = answer(200, {"keys": [KEY.as_dict(private=False)]})


# --- an ID token


@pytest.mark.parametrize(
    ("claims", "name"),
    [
        ({}, None),
        ({"name": "Ada\x1b[2J"}, "Ada [2J"),
        ({"preferred_username": "ada", "email": "a@example"}, "ada"),
        ({"email": "a@example", "email_verified": False}, "a@example"),
        ({"name": 5}, None),
    ],
)
async def test_the_subject_of_an_id_token(
    wire: Wire, server: RawServer, claims: dict[str, object], name: str | None
) -> None:
    """94: names and addresses are for people; the subject is the key."""
    server.will(JWKS)
    tokens = dataclasses.replace(TOKENS, id_token=id_token(**claims))
    person = await identify(client(wire, server), tokens, nonce=NONCE, now=NOW)
    assert person == Person(subject="person-1", name=name)
    assert [request.target for request in server.received] == ["/jwks"]


@pytest.mark.parametrize(
    ("token", "changes", "message"),
    [
        (None, {}, "openid was asked for and no ID token came"),
        (id_token(), {"issuer": None}, "no issuer to compare with"),
        (id_token(), {"jwks_uri": None}, "no jwks_uri to verify it with"),
        (id_token(), {"id_token_signing_alg_values_supported": ("none",)}, "no algorithm"),
        (Secret("not.a-jws"), {}, "not a compact JWS"),
        (id_token(nonce="other"), {}, "nonce does not match"),
        (id_token(aud="other"), {}, "aud is not this client alone"),
        (id_token(iss="https://evil.example"), {}, "iss names another issuer"),
    ],
)
async def test_an_id_token_that_must_not_be_believed(
    wire: Wire,
    server: RawServer,
    token: Secret | None,
    changes: dict[str, object],
    message: str,
) -> None:
    server.will(JWKS)
    tokens = dataclasses.replace(TOKENS, id_token=token)
    with pytest.raises(IdTokenRejected, match=message):
        await identify(client(wire, server, changes=changes), tokens, nonce=NONCE, now=NOW)


async def test_keys_are_not_asked_for_in_vain(wire: Wire, server: RawServer) -> None:
    """35: nonsense in place of an ID token causes no request at all."""
    tokens = dataclasses.replace(TOKENS, id_token=Secret("x"))
    with pytest.raises(IdTokenRejected):
        await identify(client(wire, server), tokens, nonce=NONCE, now=NOW)
    assert server.connections == 0


async def test_an_unknown_kid_costs_one_request(wire: Wire, server: RawServer) -> None:
    """35: however many come, each consent asks once."""
    server.will(answer(200, {"keys": []}))
    tokens = dataclasses.replace(TOKENS, id_token=id_token())
    with pytest.raises(IdTokenRejected, match="no key of the server verifies it"):
        await identify(client(wire, server), tokens, nonce=NONCE, now=NOW)
    assert len(server.received) == 1


async def test_keys_that_cannot_be_had(wire: Wire, server: RawServer) -> None:
    server.will(hang_up)
    tokens = dataclasses.replace(TOKENS, id_token=id_token())
    with pytest.raises(IdentityUnknown, match="the keys of the server cannot be had"):
        await identify(client(wire, server), tokens, nonce=NONCE, now=NOW)


async def test_without_any_way_nobody_is_known(wire: Wire, server: RawServer) -> None:
    assert await identify(client(wire, server), TOKENS, nonce=None, now=NOW) is None
    assert server.connections == 0


# --- a call


def calling(wire: Wire, server: RawServer, **api: object) -> ProviderClient:
    return client(
        wire,
        server,
        api=Api(**api),  # type: ignore[arg-type]
        identity=Identity(url=f"{server.origin}/me?fields=id", id="data.id", name="data.name"),
    )


async def test_a_call_tells(wire: Wire, server: RawServer) -> None:
    """93: the token goes in the header."""
    server.will(answer(200, {"data": {"id": "1015", "name": "Ada\nLovelace"}}))
    made = calling(wire, server, headers={"Accept": "application/vnd.x"}, scheme="OAuth")
    person = await identify(made, TOKENS, nonce=None, now=NOW)
    assert person == Person(subject="1015", name="Ada Lovelace")
    (request,) = server.received
    assert (request.method, request.target) == ("GET", "/me?fields=id")
    assert request.header("Authorization") == f"OAuth {CANARY}"
    assert request.header("Accept") == "application/vnd.x"
    assert request.header("User-Agent") == "connector"


async def test_a_call_carries_the_proof(wire: Wire, server: RawServer) -> None:
    """Facebook with "Require App Secret" refuses /me without it, and no consent could succeed."""
    server.will(answer(200, {"data": {"id": 5}}))
    made = calling(wire, server, proof="appsecret_proof")
    assert await identify(made, TOKENS, nonce=None, now=NOW) == Person(subject="5")
    proof = hmac.new(b"app secret", CANARY.encode(), hashlib.sha256).hexdigest()
    assert server.received[0].target == f"/me?fields=id&appsecret_proof={proof}"


async def test_a_public_client_has_no_proof(wire: Wire, server: RawServer) -> None:
    server.will(answer(200, {"data": {"id": 5}}))
    made = calling(wire, server, proof="appsecret_proof")
    public = ClientRegistration(client_id="c", auth_method="none")
    await identify(dataclasses.replace(made, registration=public), TOKENS, nonce=None, now=NOW)
    assert server.received[0].target == "/me?fields=id"


@pytest.mark.parametrize(
    ("script", "message"),
    [
        (answer(401, b""), "HTTP 401"),
        (answer(302, b"", {"Location": "/login"}), "HTTP 302"),
        (answer(200, b"<html>"), "not JSON"),
        (answer(200, {"data": {}}), "the answer has no data.id"),
        (answer(200, {"data": {"id": ""}}), "the answer has no data.id"),
        (answer(200, {"data": {"id": True}}), "the answer has no data.id"),
        (answer(200, {"data": {"id": 1.5}}), "the answer has no data.id"),
        (answer(200, {"data": {"id": ["1"]}}), "the answer has no data.id"),
        (answer(200, {"data": {"id": "a\x00b"}}), "data.id is unusable"),
        (answer(200, {"data": {"id": "a\ud800"}}), "data.id is unusable"),
        (answer(200, {"data": {"id": "a\u202e"}}), "data.id is unusable"),
        (hang_up, "connection lost"),
    ],
)
async def test_a_call_that_does_not_tell(
    wire: Wire, server: RawServer, script: Script, message: str
) -> None:
    """94: an identifier that no table can hold, or that looks like another, is none."""
    server.will(script)
    with pytest.raises(IdentityUnknown, match=message) as raised:
        await identify(calling(wire, server), TOKENS, nonce=None, now=NOW)
    assert CANARY not in str(raised.value)


# --- the ID token of a refresh


@pytest.mark.parametrize("aud", ["c", ["c"], ["c", "other"]])
def test_a_refresh_of_the_same_person(wire: Wire, server: RawServer, aud: object) -> None:
    """75: no keys are fetched; a refresh does not depend on one more server."""
    tokens = dataclasses.replace(TOKENS, id_token=id_token(nonce=None, aud=aud))
    check_refreshed(client(wire, server), tokens, "person-1")
    assert server.connections == 0


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"sub": "person-2"}, "sub names another person"),
        ({"sub": None}, "sub names another person"),
        ({"iss": "https://evil.example"}, "iss names another issuer"),
        ({"iss": None}, "iss names another issuer"),
        ({"aud": "other"}, "aud is not this client"),
        ({"aud": None}, "aud is not this client"),
        ({"aud": []}, "aud is not this client"),
    ],
)
def test_a_refresh_of_somebody_else(
    wire: Wire, server: RawServer, changes: dict[str, object], message: str
) -> None:
    """75 (OpenID Connect Core §12.2)."""
    tokens = dataclasses.replace(TOKENS, id_token=id_token(**changes))
    with pytest.raises(IdTokenRejected, match=message):
        check_refreshed(client(wire, server), tokens, "person-1")


def test_a_refresh_with_a_malformed_id_token(wire: Wire, server: RawServer) -> None:
    tokens = dataclasses.replace(TOKENS, id_token=Secret("x.y"))
    with pytest.raises(IdTokenRejected, match="not a compact JWS"):
        check_refreshed(client(wire, server), tokens, "person-1")


@pytest.mark.parametrize(
    ("token", "issuer", "subject"),
    [
        (None, "https://id.example", "person-1"),
        (id_token(sub="person-2"), None, "person-1"),
        (id_token(sub="person-2"), "https://id.example", None),
    ],
    ids=["no ID token", "no issuer", "nobody known"],
)
def test_a_refresh_with_nothing_to_compare(
    wire: Wire, server: RawServer, token: Secret | None, issuer: str | None, subject: str | None
) -> None:
    tokens = dataclasses.replace(TOKENS, id_token=token)
    check_refreshed(client(wire, server, changes={"issuer": issuer}), tokens, subject)
    assert server.connections == 0
