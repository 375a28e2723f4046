"""Validation of an ID token (OpenID Connect Core §3.1.3.7), with joserfc doing the cryptography.

The algorithm is fixed by the registration or the server's metadata, never by the token; ``none``
and HMAC are not reachable. Only a compact JWS is taken; keys that are malformed or of another kind
are skipped, so that one bad key does not spoil a set. Anything unknown fails closed
(CHECKLIST 85 to 92).
"""

import base64
import binascii
import hashlib
import hmac
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final, Literal

from connector.oauth.strict_json import parse_json_object
from connector.secret import Secret

#: Asymmetric algorithms and the key type each needs (RFC 7518 §3.1, RFC 8037 §3.1, RFC 9864 §2.2).
ALGORITHMS: Final[dict[str, Literal["RSA", "EC", "OKP"]]] = {
    "RS256": "RSA",
    "PS256": "RSA",
    "ES256": "EC",
    "ES384": "EC",
    "RS384": "RSA",
    "RS512": "RSA",
    "PS384": "RSA",
    "PS512": "RSA",
    "EdDSA": "OKP",
    "Ed25519": "OKP",
}
#: Clocks may differ by this many seconds.
CLOCK_SKEW: Final = 60.0
_HASHES: Final = {"256": hashlib.sha256, "384": hashlib.sha384, "512": hashlib.sha512}


class IdTokenRejected(ValueError):
    """The ID token must not be believed; says why, never quotes it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Expectation:
    """What an ID token must say.

    Attributes:
        issuer: compared whole.
        client_id: must be its audience.
        algorithm: that it must be signed with.
        nonce: of the authorization request.
    """

    issuer: str
    client_id: str
    algorithm: str
    nonce: Secret


def choose_algorithm(supported: tuple[str, ...] | None) -> str:
    """Choose the signing algorithm: RS256 by default (OpenID Connect Core §15.1).

    Args:
        supported: by the server's metadata, where known.

    Raises:
        IdTokenRejected: it supports none that is safe.
    """
    if not supported or "RS256" in supported:
        return "RS256"
    for algorithm in ALGORITHMS:
        if algorithm in supported:
            return algorithm
    raise IdTokenRejected("the server signs ID tokens with no algorithm that is safe")


def unverified_claims(id_token: Secret) -> dict[str, object]:
    """Read the claims of a compact JWS without verifying it.

    Raises:
        IdTokenRejected: it is malformed.
    """
    _header(id_token)
    try:
        return parse_json_object(_base64url(id_token.reveal().split(".")[1]))
    except (ValueError, binascii.Error):
        raise IdTokenRejected("its claims are malformed") from None


def validate(
    id_token: Secret,
    *,
    keys: Mapping[str, object],
    expected: Expectation,
    access_token: Secret,
    now: float,
) -> dict[str, object]:
    """Verify an ID token and give its claims.

    Args:
        id_token: a compact JWS.
        keys: the server's JSON Web Key Set (RFC 7517 §5).
        expected: what it must say.
        access_token: that came with it, for ``at_hash``.
        now: seconds since the epoch.

    Raises:
        IdTokenRejected: says why.
    """
    header = _header(id_token)
    if header.get("alg") != expected.algorithm:
        raise IdTokenRejected("it is signed with another algorithm than agreed")
    if "crit" in header:
        raise IdTokenRejected("it has a critical header that is not understood")
    claims = _verify(id_token, header, keys, expected.algorithm)
    _check_claims(claims, expected, now)
    _check_at_hash(claims.get("at_hash"), expected.algorithm, access_token)
    return claims


def _header(id_token: Secret) -> dict[str, object]:
    parts = id_token.reveal().split(".")
    if len(parts) != 3:
        raise IdTokenRejected("it is not a compact JWS")
    try:
        return parse_json_object(_base64url(parts[0]))
    except (ValueError, binascii.Error):
        raise IdTokenRejected("its header is malformed") from None


def _verify(
    id_token: Secret, header: Mapping[str, object], keys: Mapping[str, object], algorithm: str
) -> dict[str, object]:
    """Check the signature with every key that fits; only an asymmetric key fits."""
    from joserfc import jws
    from joserfc.errors import JoseError
    from joserfc.jwk import import_key

    key_type = ALGORITHMS[algorithm]
    # further header parameters are harmless: critical ones were refused before
    registry = jws.JWSRegistry(algorithms=[algorithm], strict_check_header=False)
    entries = keys.get("keys")
    for entry in entries if isinstance(entries, list) else []:
        if not _fits(entry, header.get("kid"), key_type, algorithm):
            continue
        try:
            signed = jws.deserialize_compact(
                id_token.reveal(), import_key(entry, key_type), registry=registry
            )
            return parse_json_object(signed.payload)
        except (JoseError, ValueError, TypeError, KeyError):
            continue
    raise IdTokenRejected("no key of the server verifies it")


def _fits(entry: object, kid: object, key_type: str, algorithm: str) -> bool:
    if not isinstance(entry, dict) or entry.get("kty") != key_type:
        return False
    # tuples, not sets: what stands there may be a list, which has no hash
    if entry.get("use") not in (None, "sig") or entry.get("alg") not in (None, algorithm):
        return False
    return kid is None or entry.get("kid") == kid


def _check_claims(claims: Mapping[str, object], expected: Expectation, now: float) -> None:
    if claims.get("iss") != expected.issuer:
        raise IdTokenRejected("iss names another issuer")
    audience = claims.get("aud")
    audiences = audience if isinstance(audience, list) else [audience]
    if audiences != [expected.client_id]:
        raise IdTokenRejected("aud is not this client alone")
    if claims.get("azp", expected.client_id) != expected.client_id:
        raise IdTokenRejected("azp names another client")
    subject = claims.get("sub")
    if not isinstance(subject, str) or not subject or not subject.isprintable():
        raise IdTokenRejected("sub is missing or unusable")
    _check_times(claims, now)
    nonce = claims.get("nonce")
    if not isinstance(nonce, str) or Secret(nonce) != expected.nonce:
        raise IdTokenRejected("nonce does not match")


def _check_times(claims: Mapping[str, object], now: float) -> None:
    expires_at, issued_at = claims.get("exp"), claims.get("iat")
    if not _is_number(expires_at) or not _is_number(issued_at):
        raise IdTokenRejected("exp or iat is missing")
    if float(str(expires_at)) <= now - CLOCK_SKEW:
        raise IdTokenRejected("it has expired")
    if float(str(issued_at)) > now + CLOCK_SKEW:
        raise IdTokenRejected("it was issued in the future")


def _check_at_hash(at_hash: object, algorithm: str, access_token: Secret) -> None:
    """Check ``at_hash`` where it is there (OpenID Connect Core §3.1.3.6)."""
    if at_hash is None:
        return
    digest = _HASHES.get(algorithm[-3:])
    if digest is None or not isinstance(at_hash, str) or not at_hash.isascii():
        raise IdTokenRejected("at_hash cannot be checked")
    half = digest(access_token.reveal().encode("ascii", "replace")).digest()
    expected = base64.urlsafe_b64encode(half[: len(half) // 2]).rstrip(b"=").decode()
    if not hmac.compare_digest(at_hash.encode(), expected.encode()):
        raise IdTokenRejected("at_hash does not match the access token")


def _is_number(value: object) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool)


def _base64url(text: str) -> bytes:
    return base64.b64decode(
        text.replace("-", "+").replace("_", "/") + "=" * (-len(text) % 4), validate=True
    )
