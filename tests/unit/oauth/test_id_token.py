"""ID tokens: a corpus of forgeries, keys that are odd, claims at their boundaries (85-92)."""

import base64
import dataclasses
import hashlib
import hmac
import json
from collections.abc import Mapping
from typing import Final

import pytest
from cryptography.hazmat.primitives import serialization
from hypothesis import given
from hypothesis import strategies as st
from joserfc import jws
from joserfc.jwk import ECKey, Key, OKPKey, RSAKey

from connector.oauth.id_token import (
    CLOCK_SKEW,
    Expectation,
    IdTokenRejected,
    choose_algorithm,
    unverified_claims,
    validate,
)
from connector.secret import Secret

NOW: Final = 1_800_000_000.0
ISSUER: Final = "https://id.example"
ACCESS_TOKEN: Final = Secret("at-123")
RSA_KEY = RSAKey.generate_key(2048, {"kid": "r1"})
OTHER_RSA_KEY = RSAKey.generate_key(2048, {"kid": "r2"})
EC_KEY = ECKey.generate_key("P-256", {"kid": "e1"})
P384_KEY = ECKey.generate_key("P-384", {"kid": "e2"})
ED_KEY = OKPKey.generate_key("Ed25519", {"kid": "o1"})
EXPECTED = Expectation(
    issuer=ISSUER, client_id="our-client", algorithm="RS256", nonce=Secret("n-0S6_WzA2Mj")
)
CLAIMS: dict[str, object] = {
    "iss": ISSUER,
    "sub": "248289761001",
    "aud": "our-client",
    "exp": int(NOW) + 300,
    "iat": int(NOW) - 10,
    "nonce": "n-0S6_WzA2Mj",
}

pytestmark = pytest.mark.filterwarnings("ignore:EdDSA is deprecated")


def encoded(data: bytes | Mapping[str, object]) -> str:
    raw = data if isinstance(data, bytes) else json.dumps(data).encode()
    return base64.urlsafe_b64encode(raw).rstrip(b"=").decode()


def signed(
    claims: Mapping[str, object] | bytes = CLAIMS,
    key: Key = RSA_KEY,
    header: Mapping[str, object] | None = None,
) -> Secret:
    payload = claims if isinstance(claims, bytes) else json.dumps(claims).encode()
    protected: dict[str, object] = {"alg": "RS256", "kid": key.kid, **(header or {})}
    protected = {name: value for name, value in protected.items() if value is not None}
    registry = jws.JWSRegistry(algorithms=list(ALL_ALGORITHMS), strict_check_header=False)
    return Secret(jws.serialize_compact(protected, payload, key, registry=registry))


ALL_ALGORITHMS = ("RS256", "PS256", "RS512", "ES256", "ES384", "EdDSA", "Ed25519", "HS256")


def public(*keys: Key) -> dict[str, object]:
    return {"keys": [key.as_dict(private=False) for key in keys]}


KEYS = public(RSA_KEY, EC_KEY, ED_KEY)


def check(
    token: Secret, keys: Mapping[str, object] = KEYS, expected: Expectation = EXPECTED
) -> dict[str, object]:
    return validate(token, keys=keys, expected=expected, access_token=ACCESS_TOKEN, now=NOW)


# --- what is believed


@pytest.mark.parametrize(
    ("algorithm", "key"),
    [("RS256", RSA_KEY), ("PS256", RSA_KEY), ("RS512", RSA_KEY), ("ES256", EC_KEY),
     ("ES384", P384_KEY), ("EdDSA", ED_KEY), ("Ed25519", ED_KEY)],
)  # fmt: skip
def test_a_good_token(algorithm: str, key: Key) -> None:
    token = signed(key=key, header={"alg": algorithm})
    expected = dataclasses.replace(EXPECTED, algorithm=algorithm)
    assert check(token, public(key), expected) == CLAIMS


@pytest.mark.parametrize(
    "change",
    [
        {"aud": ["our-client"]},
        {"azp": "our-client"},
        {"exp": NOW - CLOCK_SKEW + 0.5},
        {"iat": NOW + CLOCK_SKEW},
        {"exp": NOW + 0.5, "iat": NOW - 0.5},
        {"extra": {"nested": True}, "email": "a@b"},
        {"auth_time": 5},
    ],
    ids=["aud-list", "azp", "just-expired", "just-issued", "fractions", "extra", "auth_time"],
)
def test_claims_that_are_good(change: dict[str, object]) -> None:
    """87, 88."""
    claims = CLAIMS | change
    assert check(signed(claims)) == claims


@pytest.mark.parametrize("header", [{"typ": "JWT"}, {"x5t": "abc"}, {"unknown": "x"}, {"cty": "x"}])
def test_further_headers_are_harmless(header: dict[str, object]) -> None:
    assert check(signed(header=header))


def test_at_hash() -> None:
    """90: the left half of the hash of the access token."""
    half = hashlib.sha256(b"at-123").digest()[:16]
    assert check(signed(CLAIMS | {"at_hash": encoded(half)}))


# --- claims that are not


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"iss": "https://evil.example"}, "iss names another issuer"),
        ({"iss": ISSUER + "/"}, "iss names another issuer"),
        ({"iss": ISSUER + ".evil.example"}, "iss names another issuer"),
        ({"iss": "https://id.exampl"}, "iss names another issuer"),
        ({"iss": [ISSUER]}, "iss names another issuer"),
        ({"iss": None}, "iss names another issuer"),
        ({"aud": "other"}, "aud is not this client alone"),
        ({"aud": "our-client2"}, "aud is not this client alone"),
        ({"aud": ["our-client", "other"]}, "aud is not this client alone"),
        ({"aud": ["other"]}, "aud is not this client alone"),
        ({"aud": []}, "aud is not this client alone"),
        ({"aud": {"our-client": 1}}, "aud is not this client alone"),
        ({"aud": None}, "aud is not this client alone"),
        ({"azp": "other"}, "azp names another client"),
        ({"azp": ["our-client"]}, "azp names another client"),
        ({"sub": None}, "sub is missing"),
        ({"sub": ""}, "sub is missing"),
        ({"sub": 248289761001}, "sub is missing"),
        ({"sub": "a\x00b"}, "sub is missing or unusable"),
        ({"sub": "a\ud800"}, "sub is missing or unusable"),
        ({"exp": None}, "exp or iat is missing"),
        ({"exp": "1900000000"}, "exp or iat is missing"),
        ({"exp": True}, "exp or iat is missing"),
        ({"iat": None}, "exp or iat is missing"),
        ({"iat": "now"}, "exp or iat is missing"),
        ({"exp": NOW - CLOCK_SKEW}, "it has expired"),
        ({"exp": NOW - 301}, "it has expired"),
        ({"exp": 0}, "it has expired"),
        ({"exp": -(10**400)}, "it has expired"),
        ({"iat": NOW + CLOCK_SKEW + 1}, "it was issued in the future"),
        ({"nonce": None}, "nonce does not match"),
        ({"nonce": ""}, "nonce does not match"),
        ({"nonce": "other"}, "nonce does not match"),
        ({"nonce": ["n-0S6_WzA2Mj"]}, "nonce does not match"),
        ({"nonce": "\ud800"}, "nonce does not match"),
        ({"at_hash": "x"}, "at_hash does not match"),
        ({"at_hash": ""}, "at_hash does not match"),
        ({"at_hash": 5}, "at_hash cannot be checked"),
        ({"at_hash": "\ud800é"}, "at_hash cannot be checked"),
    ],
)
def test_claims_that_must_not_be_believed(change: dict[str, object], message: str) -> None:
    """86 to 90, as the OIDF modules break them."""
    claims = {name: value for name, value in (CLAIMS | change).items() if value is not None}
    with pytest.raises(IdTokenRejected, match=message):
        check(signed(claims))


@pytest.mark.parametrize(("algorithm", "key"), [("EdDSA", ED_KEY), ("Ed25519", ED_KEY)])
def test_a_hash_that_nobody_has_named_fails_closed(algorithm: str, key: Key) -> None:
    """90: Authlib once said yes to what it did not know (CVE-2026-28498)."""
    token = signed(CLAIMS | {"at_hash": "x"}, key, {"alg": algorithm})
    with pytest.raises(IdTokenRejected, match="at_hash cannot be checked"):
        check(token, public(key), dataclasses.replace(EXPECTED, algorithm=algorithm))


@pytest.mark.parametrize(
    "payload", [b"", b"[]", b"null", b'"x"', b"{", b'{"a": 1, "a": 2}', b"\xff", b"{}x"]
)
def test_a_signed_payload_that_is_no_object(payload: bytes) -> None:
    with pytest.raises(IdTokenRejected):
        check(signed(payload))


# --- forgeries


def hmac_over(secret: bytes, header: Mapping[str, object]) -> Secret:
    """What an attacker makes who takes a public key for a secret."""
    content = f"{encoded(header)}.{encoded(CLAIMS)}"
    return Secret(f"{content}.{encoded(hmac.digest(secret, content.encode(), 'sha256'))}")


PUBLIC_PEM = RSA_KEY.as_pem(private=False)
PUBLIC_DER = serialization.load_pem_public_key(PUBLIC_PEM).public_bytes(
    serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo
)


@pytest.mark.parametrize(
    "algorithm", ["none", "None", "nOnE", "NONE", "", None, "HS256", "RS384", 5]
)
def test_the_algorithm_is_not_the_token_s_choice(algorithm: object) -> None:
    """85: none in every spelling, and any other than what was agreed."""
    header = {"kid": "r1"} | ({} if algorithm is None else {"alg": algorithm})
    for signature in ("", "AAAA", signed().reveal().rpartition(".")[2]):
        token = Secret(f"{encoded(header)}.{encoded(CLAIMS)}.{signature}")
        with pytest.raises(IdTokenRejected, match="another algorithm than agreed"):
            check(token)


@pytest.mark.parametrize(
    "secret",
    [PUBLIC_PEM, PUBLIC_PEM.strip(), PUBLIC_DER, b"r1", b""],
    ids=["pem", "pem-stripped", "der", "kid", "empty"],
)
def test_a_public_key_is_no_secret(secret: bytes) -> None:
    """85: HMAC under the public key, with the header saying so or lying about it."""
    honest = hmac_over(secret, {"alg": "HS256", "kid": "r1"})
    with pytest.raises(IdTokenRejected, match="another algorithm than agreed"):
        check(honest)
    liar = hmac_over(secret, {"alg": "RS256", "kid": "r1"})
    with pytest.raises(IdTokenRejected, match="no key of the server verifies it"):
        check(liar)


@pytest.mark.parametrize(
    "keys",
    [
        {"keys": [{"kty": "oct", "k": encoded(b"secret"), "kid": "r1"}]},
        {"keys": [{"kty": "oct", "k": "", "kid": "r1", "alg": "RS256"}]},
    ],
)
def test_an_hmac_key_in_a_key_set_is_never_used(keys: dict[str, object]) -> None:
    """36, 85: not even where the registration were to say HS256."""
    token = hmac_over(b"secret", {"alg": "HS256", "kid": "r1"})
    with pytest.raises(IdTokenRejected):
        check(token, keys)
    with pytest.raises((IdTokenRejected, KeyError)):
        check(token, keys, dataclasses.replace(EXPECTED, algorithm="HS256"))


@pytest.mark.parametrize("place", [0, 1, 2])
def test_one_changed_byte_spoils_it(place: int) -> None:
    parts = signed().reveal().split(".")
    part = parts[place]
    parts[place] = part[:9] + ("A" if part[9] != "A" else "B") + part[10:]
    with pytest.raises(IdTokenRejected):
        check(Secret(".".join(parts)))


def test_another_server_s_signature() -> None:
    forged = signed(key=OTHER_RSA_KEY, header={"kid": "r1"})
    with pytest.raises(IdTokenRejected, match="no key of the server verifies it"):
        check(forged)


@pytest.mark.parametrize(
    "header",
    [
        {"jwk": OTHER_RSA_KEY.as_dict(private=False), "kid": None},
        {"jku": "https://evil.example/jwks", "kid": None},
        {"x5u": "https://evil.example/x5", "kid": None},
        {"kid": "../../etc/passwd"},
        {"kid": "r1"},
    ],
)
def test_a_key_that_the_token_brings_is_not_used(header: dict[str, object]) -> None:
    """91."""
    forged = signed(key=OTHER_RSA_KEY, header=header)
    with pytest.raises(IdTokenRejected, match="no key of the server verifies it"):
        check(forged)


@pytest.mark.parametrize("crit", [["exp"], ["b64"], [], "b64", None, 5])
def test_critical_headers_are_not_understood(crit: object) -> None:
    """91."""
    header = encoded({"alg": "RS256", "kid": "r1", "crit": crit, "b64": False})
    _, payload, signature = signed().reveal().split(".")
    with pytest.raises(IdTokenRejected, match="critical header"):
        check(Secret(f"{header}.{payload}.{signature}"))


@pytest.mark.parametrize(
    ("token", "message"),
    [
        ("", "not a compact JWS"),
        ("a.b", "not a compact JWS"),
        ("a.b.c.d.e", "not a compact JWS"),
        (json.dumps({"payload": "", "signatures": []}), "not a compact JWS"),
        ('{"protected":".","payload":".","signature":""}', "header is malformed"),
        ("..", "header is malformed"),
        ("!!.e30.x", "header is malformed"),
        ("é.e30.x", "header is malformed"),
        (f"{encoded(b'[]')}.e30.x", "header is malformed"),
        ("\ud800.e30.x", "header is malformed"),
    ],
)
def test_what_is_no_compact_jws(token: str, message: str) -> None:
    """91: JSON serialisations are not taken."""
    with pytest.raises(IdTokenRejected, match=message):
        check(Secret(token))


@given(st.text(alphabet='eyJ.{}":=-_+/ é\ud800', max_size=60) | st.text(max_size=60))
def test_any_text_is_refused(text: str) -> None:
    for token in (text, f"{encoded({'alg': 'RS256'})}.{text}.{text}", f"{text}.e30.{text}"):
        with pytest.raises(IdTokenRejected):
            check(Secret(token))


# --- key sets

BAD_KEYS: list[object] = [
    None,
    5,
    "key",
    [],
    {},
    {"kty": "RSA"},
    {"kty": "RSA", "n": 5, "e": "AQAB"},
    {"kty": "RSA", "n": "", "e": ""},
    {"kty": "RSA", "n": "!!", "e": "AQAB"},
    {"kty": "RSA", "n": "é", "e": "AQAB"},
    {"kty": "RSA", "n": "AQAB", "e": "AQAB"},
    {"kty": "RSA", "n": "_" * 86, "e": "AQAB"},
    {"kty": "RSA", "n": "A" * 342, "e": "AA"},
    {"kty": "RSA", "n": ["x"], "e": None},
    {"kty": "EC", "crv": "P-256", "x": "AA", "y": "AA"},
    {"kty": "EC", "crv": "nope", "x": "AA", "y": "AA"},
    {"kty": "EC", "crv": ["P-256"], "x": "AA", "y": "AA"},
    {"kty": "OKP", "crv": "X25519", "x": "A" * 43},
    {"kty": "OKP", "crv": "Ed25519", "x": "AA"},
    {"kty": "oct", "k": ""},
    {"kty": "unknown"},
    {"kty": ["RSA"]},
    RSA_KEY.as_dict(private=False) | {"use": "enc"},
    RSA_KEY.as_dict(private=False) | {"use": 5},
    RSA_KEY.as_dict(private=False) | {"use": ["sig"]},
    RSA_KEY.as_dict(private=False) | {"alg": "RS512"},
    RSA_KEY.as_dict(private=False) | {"alg": {"RS256": 1}},
    RSA_KEY.as_dict(private=False) | {"key_ops": ["encrypt"]},
    RSA_KEY.as_dict(private=False) | {"key_ops": 5},
    P384_KEY.as_dict(private=False),
    OTHER_RSA_KEY.as_dict(private=False),
]


@pytest.mark.parametrize(
    ("algorithm", "key"), [("RS256", RSA_KEY), ("ES256", EC_KEY), ("EdDSA", ED_KEY)]
)
@pytest.mark.parametrize("bad", BAD_KEYS, ids=[f"bad{i}" for i in range(len(BAD_KEYS))])
def test_one_bad_key_does_not_spoil_a_set(bad: object, algorithm: str, key: Key) -> None:
    """36, 92: before the good key and behind it, with the good key's kid and without any."""
    token = signed(key=key, header={"alg": algorithm, "kid": None})
    expected = dataclasses.replace(EXPECTED, algorithm=algorithm)
    good = key.as_dict(private=False)
    for keys in ([bad, good], [good, bad]):
        assert check(token, {"keys": keys}, expected) == CLAIMS
    with pytest.raises(IdTokenRejected, match="no key of the server verifies it"):
        check(token, {"keys": [bad]}, expected)


@pytest.mark.parametrize("keys", [{}, {"keys": None}, {"keys": {}}, {"keys": "x"}, {"keys": []}])
def test_a_key_set_without_keys(keys: dict[str, object]) -> None:
    with pytest.raises(IdTokenRejected, match="no key of the server verifies it"):
        check(signed(), keys)


@pytest.mark.parametrize(
    ("keys", "header", "is_good"),
    [
        ((RSA_KEY,), {"kid": None}, True),
        ((OTHER_RSA_KEY, RSA_KEY), {"kid": None}, True),
        ((OTHER_RSA_KEY, RSA_KEY), {"kid": "r1"}, True),
        ((OTHER_RSA_KEY, RSA_KEY), {"kid": "r2"}, False),
        ((RSA_KEY,), {"kid": "unknown"}, False),
        ((RSA_KEY,), {"kid": ""}, False),
        ((RSA_KEY,), {"kid": 1}, False),
    ],
)
def test_key_identifiers(
    *, keys: tuple[Key, ...], header: dict[str, object], is_good: bool
) -> None:
    """92: without a kid every key that fits is tried; with one only that."""
    parts = signed(header={"kid": None}).reveal().split(".")
    token = signed(header=header) if isinstance(header["kid"], str | None) else None
    if token is None:
        parts[0] = encoded({"alg": "RS256", **header})
        token = Secret(".".join(parts))
    if is_good:
        assert check(token, public(*keys))
    else:
        with pytest.raises(IdTokenRejected):
            check(token, public(*keys))


# --- the rest


@pytest.mark.parametrize(
    ("supported", "algorithm"),
    [
        (None, "RS256"),
        ((), "RS256"),
        (("ES256", "RS256"), "RS256"),
        (("none", "HS256", "ES256"), "ES256"),
        (("PS256",), "PS256"),
        (("EdDSA",), "EdDSA"),
    ],
)
def test_the_algorithm_is_fixed_by_metadata(
    supported: tuple[str, ...] | None, algorithm: str
) -> None:
    assert choose_algorithm(supported) == algorithm


@pytest.mark.parametrize("supported", [("none",), ("HS256",), ("none", "HS512", "RSA1_5")])
def test_no_algorithm_that_is_safe(supported: tuple[str, ...]) -> None:
    with pytest.raises(IdTokenRejected, match="no algorithm that is safe"):
        choose_algorithm(supported)


def test_claims_of_a_refresh_are_read_without_keys() -> None:
    assert unverified_claims(signed()) == CLAIMS
    for token in ("a.b", "e30.!!.x", "e30.W10.x"):
        with pytest.raises(IdTokenRejected):
            unverified_claims(Secret(token))


@pytest.mark.parametrize(
    "token",
    [signed(key=OTHER_RSA_KEY), signed(CLAIMS | {"sub": ""}), Secret("canary.canary.canary")],
)
def test_a_rejection_quotes_nothing(token: Secret) -> None:
    """165."""
    with pytest.raises(IdTokenRejected) as raised:
        check(token)
    assert all(part not in str(raised.value) for part in token.reveal().split("."))
    assert repr(EXPECTED.nonce.reveal()) not in repr(EXPECTED)
