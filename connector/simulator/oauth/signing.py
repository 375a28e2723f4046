"""Signing keys, the JWKS, and ID tokens: good ones, and forgeries that a client must refuse.

RS256 only (OpenID Connect Core §15.1). A key is made when it is first needed: that takes a tenth
of a second which most tests can do without.
"""

import base64
import hashlib
import hmac
import json
import secrets
from collections.abc import Mapping

from joserfc import jwt
from joserfc.jwk import RSAKey

from connector.simulator.settings import IdTokenSignature

# The least that RFC 7518 §3.3 allows, and the fastest to make.
KEY_BITS = 2048


class SigningKeys:
    """The keys of one authorization server."""

    def __init__(self) -> None:
        self._keys: list[RSAKey] = []

    def jwks(self) -> dict[str, object]:
        """The public keys, the current one first (RFC 7517 §5)."""
        self._current()
        return {"keys": [key.as_dict(private=False) for key in self._keys]}

    def rotate(self, *, is_old_published: bool) -> str:
        """Make a new current key; returns its `kid`."""
        if not is_old_published:
            self._keys.clear()
        kid = secrets.token_hex(8)
        self._keys.insert(0, _new_key(kid))
        return kid

    def sign(self, claims: Mapping[str, object], signature: IdTokenSignature) -> str:
        """A compact JWS over the claims, signed as asked: only `good` deserves trust."""
        key = self._current()
        if signature == "good":
            return _signed(claims, key)
        if signature == "bad":
            # by a key that claims to be the published one
            return _signed(claims, _new_key(key.kid or ""))
        if signature == "none":
            return f"{_part({'alg': 'none'})}.{_part(claims)}."
        # the public key taken for an HMAC secret, which is no secret at all (RFC 8725 §2.1)
        signed = f"{_part({'alg': 'HS256', 'kid': key.kid})}.{_part(claims)}"
        digest = hmac.new(key.as_pem(private=False), signed.encode(), hashlib.sha256).digest()
        return f"{signed}.{_base64url(digest)}"

    def _current(self) -> RSAKey:
        if not self._keys:
            self._keys.append(_new_key(secrets.token_hex(8)))
        return self._keys[0]


def access_token_hash(access_token: str) -> str:
    """`at_hash` of an ID token (OpenID Connect Core §3.1.3.6): the left half of the digest."""
    return _base64url(hashlib.sha256(access_token.encode()).digest()[:16])


def _new_key(kid: str) -> RSAKey:
    return RSAKey.generate_key(KEY_BITS, {"kid": kid, "use": "sig", "alg": "RS256"})


def _signed(claims: Mapping[str, object], key: RSAKey) -> str:
    return jwt.encode({"alg": "RS256", "kid": key.kid}, dict(claims), key)


def _part(value: Mapping[str, object]) -> str:
    return _base64url(json.dumps(dict(value)).encode())


def _base64url(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()
