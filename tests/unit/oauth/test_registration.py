"""How we authenticate (CHECKLIST 39, 81-83): against strict readings of the RFCs, not our own."""

import base64
import copy
import dataclasses
import hashlib
import hmac
import json
import pickle
import re
from typing import cast
from urllib.parse import parse_qsl

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from hypothesis import given
from hypothesis import strategies as st
from joserfc import jwt
from joserfc.jwk import ECKey, OctKey, OKPKey, RSAKey

from connector.oauth.authorization_server import AuthorizationServer, Revocation
from connector.oauth.registration import AuthMethod, ClientRegistration
from connector.secret import Secret

NOW = 1_800_000_000.5
CANARY = "canary-5ec2e7"
TOKEN_URL = "https://id.example/token?a=b"
BODY = "grant_type=refresh_token&refresh_token=r%2Bt"
FORM = {"Content-Type": "application/x-www-form-urlencoded"}
ISSUER = "https://id.example"
SERVER = AuthorizationServer(
    authorization_endpoint="https://id.example/authorize",
    token_endpoint=TOKEN_URL,
    issuer=ISSUER,
    revocation=Revocation(endpoint="https://id.example/revoke"),
)


def authenticate(
    registration: ClientRegistration, server: AuthorizationServer = SERVER
) -> tuple[str, dict[str, str], str]:
    return registration.authenticate(server, TOKEN_URL, dict(FORM), BODY, now=NOW)


def form_decode(text: str) -> str:
    """Decode by RFC 6749 appendix B alone: '+' is a space, %XX a byte of UTF-8, all else fails."""
    assert re.fullmatch(r"(?:[A-Za-z0-9*._~+-]|%[0-9A-F]{2})*", text), text
    raw = re.sub(
        rb"%([0-9A-F]{2})",
        lambda match: bytes([int(match[1], 16)]),
        text.replace("+", " ").encode("ascii"),
    )
    return raw.decode("utf-8")


def basic_credentials(headers: dict[str, str]) -> tuple[str, str]:
    """Read an Authorization header as a strict server does (RFC 7617 §2, RFC 6749 §2.3.1)."""
    scheme, _, encoded = headers["Authorization"].partition(" ")
    assert scheme == "Basic"
    client_id, colon, secret = (
        base64.b64decode(encoded, validate=True).decode("ascii").partition(":")
    )
    assert colon
    assert ":" not in secret
    return form_decode(client_id), form_decode(secret)


@pytest.mark.parametrize(
    "secret", [":", "%", "+", " ", "é", "a:b", "100%", "a+b c", "%2B", "日本", "~*"]
)
@pytest.mark.parametrize("client_id", ["client", "a:b", "ünï", "urn:x:%20"])
def test_basic_is_form_encoded_first(client_id: str, secret: str) -> None:
    """81: then a colon separates, and nothing else can."""
    registration = ClientRegistration(
        client_id=client_id, auth_method="client_secret_basic", client_secret=Secret(secret)
    )
    url, headers, body = authenticate(registration)
    assert basic_credentials(headers) == (client_id, secret)
    assert (url, body) == (TOKEN_URL, BODY)
    assert headers["Content-Type"] == FORM["Content-Type"]


TEXT = st.text(st.characters(codec="utf-8"), min_size=1)


@given(TEXT, TEXT)
def test_basic_round_trip(client_id: str, secret: str) -> None:
    registration = ClientRegistration(
        client_id=client_id, auth_method="client_secret_basic", client_secret=Secret(secret)
    )
    assert basic_credentials(authenticate(registration)[1]) == (client_id, secret)


@given(TEXT, TEXT)
def test_post_round_trip(client_id: str, secret: str) -> None:
    """39, 81: in the body, once, and in no header or URL."""
    registration = ClientRegistration(
        client_id=client_id, auth_method="client_secret_post", client_secret=Secret(secret)
    )
    url, headers, body = authenticate(registration)
    assert (url, headers) == (TOKEN_URL, FORM)
    assert [tuple(map(form_decode, pair.split("="))) for pair in body.split("&")] == [
        ("grant_type", "refresh_token"),
        ("refresh_token", "r+t"),
        ("client_id", client_id),
        ("client_secret", secret),
    ]


def test_a_public_client_names_itself() -> None:
    registration = ClientRegistration(client_id="c", auth_method="none")
    url, headers, body = authenticate(registration)
    assert (url, headers) == (TOKEN_URL, FORM)
    assert parse_qsl(body)[-1] == ("client_id", "c")
    assert "client_secret" not in body


def pem(key: rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey | ed25519.Ed25519PrivateKey) -> Secret:
    return Secret(
        key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        ).decode()
    )


RSA = rsa.generate_private_key(public_exponent=65537, key_size=2048)
P256 = ec.generate_private_key(ec.SECP256R1())
P384 = ec.generate_private_key(ec.SECP384R1())
ED25519 = ed25519.Ed25519PrivateKey.generate()


def public_pem(
    key: rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey | ed25519.Ed25519PrivateKey,
) -> bytes:
    return key.public_key().public_bytes(
        serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
    )


def key_registration(key: Secret, algorithm: str) -> ClientRegistration:
    return ClientRegistration(
        client_id="our-client",
        auth_method="private_key_jwt",
        private_key=key,
        signing_algorithm=algorithm,
    )


def assertion_of(body: str) -> str:
    fields = dict(parse_qsl(body))
    assert (
        fields["client_assertion_type"] == "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"
    )
    assert not {"client_id", "client_secret"} & fields.keys()
    return fields["client_assertion"]


@pytest.mark.parametrize(
    ("algorithm", "secret", "key"),
    [
        ("RS256", pem(RSA), RSAKey.import_key(public_pem(RSA))),
        ("PS256", pem(RSA), RSAKey.import_key(public_pem(RSA))),
        ("ES256", pem(P256), ECKey.import_key(public_pem(P256))),
        ("EdDSA", pem(ED25519), OKPKey.import_key(public_pem(ED25519))),
        ("Ed25519", pem(ED25519), OKPKey.import_key(public_pem(ED25519))),
    ],
    ids=["RS256", "PS256", "ES256", "EdDSA", "Ed25519"],
)
@pytest.mark.filterwarnings("ignore:EdDSA is deprecated")  # the servers of today still say it
def test_private_key_jwt(algorithm: str, secret: Secret, key: RSAKey | ECKey | OKPKey) -> None:
    """83: iss = sub = client_id, aud = issuer as one string, a jti of its own, five minutes."""
    registration = key_registration(secret, algorithm)
    tokens = []
    for _ in range(2):
        url, headers, body = authenticate(registration)
        assert (url, headers) == (TOKEN_URL, FORM)
        token = jwt.decode(assertion_of(body), key, algorithms=[algorithm])
        assert token.header == {"alg": algorithm, "typ": "JWT"}
        tokens.append(token.claims)
    identifiers = {claims.pop("jti") for claims in tokens}
    assert len(identifiers) == 2
    assert all(len(identifier) >= 16 for identifier in identifiers)
    now = int(NOW)
    expected = {
        "iss": "our-client",
        "sub": "our-client",
        "aud": ISSUER,
        "iat": now,
        "exp": now + 300,
    }
    assert tokens == [expected, expected]


def test_client_secret_jwt() -> None:
    secret = "a secret of at least thirty-two bytes"
    registration = ClientRegistration(
        client_id="c", auth_method="client_secret_jwt", client_secret=Secret(secret)
    )
    _, _, body = authenticate(registration)
    token = jwt.decode(assertion_of(body), OctKey.import_key(secret), algorithms=["HS256"])
    assert token.claims["aud"] == ISSUER
    assert token.claims["exp"] - token.claims["iat"] == 300
    assert secret not in body
    registration.check(SERVER)


def test_without_an_issuer_the_audience_is_where_it_is_sent() -> None:
    server = dataclasses.replace(SERVER, issuer=None)
    _, _, body = authenticate(key_registration(pem(P256), "ES256"), server)
    token = jwt.decode(assertion_of(body), ECKey.import_key(public_pem(P256)), algorithms=["ES256"])
    assert token.claims["aud"] == TOKEN_URL


@pytest.mark.parametrize(
    ("algorithm", "secret"),
    [
        ("ES256", Secret(CANARY)),
        ("ES256", Secret("")),
        ("ES256", pem(RSA)),
        ("ES256", pem(P384)),
        ("ES256", Secret(public_pem(P256).decode())),
        ("RS256", pem(P256)),
        ("EdDSA", pem(P256)),
        ("ES256", Secret(f"-----BEGIN PRIVATE KEY-----\n{CANARY}\n-----END PRIVATE KEY-----\n")),
    ],
    ids=["no-pem", "empty", "rsa-for-ec", "p384", "public", "ec-for-rsa", "ec-for-okp", "broken"],
)
def test_a_key_that_does_not_fit_is_found_before_it_is_needed(
    algorithm: str, secret: Secret
) -> None:
    """165: told without quoting the key."""
    with pytest.raises(ValueError, match=f"holds no PEM private key for {algorithm}") as raised:
        key_registration(secret, algorithm).check(SERVER)
    assert CANARY not in str(raised.value)


def test_an_empty_secret_cannot_sign() -> None:
    registration = ClientRegistration(client_id="c", auth_method="client_secret_jwt")
    with pytest.raises(ValueError, match="holds no secret that can sign"):
        registration.check(SERVER)


@pytest.mark.parametrize("method", ["client_secret_basic", "client_secret_post", "none"])
def test_methods_without_a_signature_have_nothing_to_check(method: AuthMethod) -> None:
    ClientRegistration(client_id="c", auth_method=method, client_secret=Secret("")).check(SERVER)


# --- the fingerprint


@pytest.mark.parametrize(
    "change",
    [
        {"client_id": "other"},
        {"issuer": "https://other.example"},
        {"issuer": None},
        {"authorization_endpoint": "https://id.example/other"},
        {"token_endpoint": "https://evil.example/token"},
        {"revocation": Revocation(endpoint="https://evil.example/revoke")},
        {"revocation": None},
    ],
    ids=lambda change: next(iter(change)),
)
def test_tokens_are_bound_to_client_issuer_and_endpoints(change: dict[str, object]) -> None:
    """32, 76: another fingerprint means that the tokens are not sent."""
    registration = ClientRegistration(client_id="c", auth_method="none")
    before = registration.fingerprint(SERVER)
    server = SERVER
    if "client_id" in change:
        registration = dataclasses.replace(registration, client_id=cast("str", change["client_id"]))
    else:
        server = dataclasses.replace(SERVER, **change)  # type: ignore[arg-type]
    assert registration.fingerprint(server) != before


@pytest.mark.parametrize(
    "change",
    [
        {"client_secret": Secret("renewed")},
        {"auth_method": "client_secret_post"},
        {"signing_algorithm": "RS256"},
    ],
    ids=lambda change: next(iter(change)),
)
def test_a_secret_may_be_renewed(change: dict[str, object]) -> None:
    registration = ClientRegistration(
        client_id="c", auth_method="client_secret_basic", client_secret=Secret("old")
    )
    renewed = dataclasses.replace(registration, **change)  # type: ignore[arg-type]
    assert renewed.fingerprint(SERVER) == registration.fingerprint(SERVER)


def test_parts_of_a_fingerprint_do_not_run_together() -> None:
    one = ClientRegistration(client_id="a", auth_method="none")
    server = dataclasses.replace(SERVER, issuer="b")
    other = ClientRegistration(client_id="ab", auth_method="none")
    assert one.fingerprint(server) != other.fingerprint(dataclasses.replace(SERVER, issuer=""))


# --- proof and secrets


def test_a_proof_is_the_hmac_of_the_token_under_the_secret() -> None:
    """Facebook's appsecret_proof, by its own words: hash_hmac('sha256', token, app_secret)."""
    registration = ClientRegistration(
        client_id="c", auth_method="client_secret_post", client_secret=Secret("app secret é")
    )
    expected = hmac.new("app secret é".encode(), b"EAAtoken", hashlib.sha256).hexdigest()
    assert registration.prove(Secret("EAAtoken")) == expected
    assert ClientRegistration(client_id="c", auth_method="none").prove(Secret("x")) is None


def test_a_registration_shows_and_dumps_no_secret() -> None:
    registration = ClientRegistration(
        client_id="c",
        auth_method="client_secret_basic",
        client_secret=Secret(CANARY),
        private_key=Secret(CANARY),
    )
    fields = dataclasses.asdict(registration)
    shown = [repr(registration), str(registration), repr(fields), repr(copy.deepcopy(registration))]
    assert CANARY not in "".join(shown)
    assert CANARY not in registration.fingerprint(SERVER)
    with pytest.raises(TypeError):
        pickle.dumps(registration)
    with pytest.raises(TypeError):
        json.dumps(fields)
