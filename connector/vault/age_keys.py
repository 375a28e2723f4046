"""For whom an age file is: recipients wrap its key, identities unwrap it (age-encryption.org/v1).

Two kinds, as the specification has them: a key pair (X25519) and a passphrase (scrypt). Stanzas of
other kinds are passed over. A passphrase stands alone in its file: who knows it may take the file
for one that only they could have made.
"""

import re
import secrets
from collections.abc import Callable, Sequence
from typing import Final, Protocol

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey
from cryptography.hazmat.primitives.ciphers.aead import ChaCha20Poly1305
from cryptography.hazmat.primitives.kdf.scrypt import Scrypt

from connector.secret import Secret
from connector.vault import bech32
from connector.vault.age_header import (
    FILE_KEY_BYTES,
    AgeError,
    Stanza,
    decode_base64,
    derive,
    encode_base64,
)

RECIPIENT_PREFIX: Final = "age"
IDENTITY_PREFIX: Final = "age-secret-key-"
#: Two to this power: 256 MiB of memory and about a second, as the age tool takes.
WORK_FACTOR: Final = 18
#: 4 GiB of memory: a file that wants more is meant to harm who opens it (RFC 7914 §2).
LARGEST_WORK_FACTOR: Final = 22

_X25519: Final = "X25519"
_SCRYPT: Final = "scrypt"
_KEY_BYTES: Final = 32
_SALT_BYTES: Final = 16
_WRAPPED_BYTES: Final = FILE_KEY_BYTES + 16
_X25519_INFO: Final = b"age-encryption.org/v1/X25519"
_SCRYPT_SALT: Final = b"age-encryption.org/v1/scrypt"
_NONCE: Final = bytes(12)  # each wrapping key is used once
_DECIMAL: Final = re.compile(r"[1-9][0-9]{0,9}")


class Recipient(Protocol):
    """For whom a file is."""

    def wrap(self, file_key: bytes) -> Stanza:
        """Wrap the file key."""
        ...


class Identity(Protocol):
    """Who can open a file."""

    def unwrap(self, stanzas: Sequence[Stanza]) -> bytes | None:
        """Give the file key, or None: the file is for others.

        Raises:
            AgeError: a stanza of this kind is malformed.
        """
        ...


class X25519Recipient:
    """A public key.

    Args:
        text: ``age1…``.
        new_key: makes the ephemeral key pair.

    Raises:
        ValueError: it is none.
    """

    def __init__(
        self, text: str, *, new_key: Callable[[], X25519PrivateKey] = X25519PrivateKey.generate
    ) -> None:
        self._public = _decode(text, RECIPIENT_PREFIX)
        self._new_key = new_key

    def wrap(self, file_key: bytes) -> Stanza:
        """Wrap the file key under a key that only the owner of the secret key can derive."""
        ephemeral = self._new_key()
        share = ephemeral.public_key().public_bytes_raw()
        shared = ephemeral.exchange(X25519PublicKey.from_public_bytes(self._public))
        return Stanza(
            arguments=(_X25519, encode_base64(share)),
            body=_wrap(file_key, derive(shared, share + self._public, _X25519_INFO)),
        )


class X25519Identity:
    """A secret key.

    Args:
        secret: ``AGE-SECRET-KEY-1…``.

    Raises:
        ValueError: it is none. The message does not hold it.
    """

    def __init__(self, secret: Secret) -> None:
        data = _decode(secret.reveal(), IDENTITY_PREFIX)
        self._private = X25519PrivateKey.from_private_bytes(data)
        self._public = self._private.public_key().public_bytes_raw()

    @property
    def recipient(self) -> str:
        """The public key that belongs to it."""
        return bech32.encode(RECIPIENT_PREFIX, self._public)

    def unwrap(self, stanzas: Sequence[Stanza]) -> bytes | None:
        """Give the file key, or None; see `Identity`."""
        for stanza in stanzas:
            if stanza.arguments[0] != _X25519:
                continue
            share = decode_base64(stanza.arguments[1]) if len(stanza.arguments) == 2 else b""
            if len(share) != _KEY_BYTES or len(stanza.body) != _WRAPPED_BYTES:
                raise AgeError("its header is malformed")
            try:
                shared = self._private.exchange(X25519PublicKey.from_public_bytes(share))
            except ValueError:  # all zero: anybody could have derived it
                raise AgeError("its header is malformed") from None
            file_key = _unwrap(stanza.body, derive(shared, share + self._public, _X25519_INFO))
            if file_key is not None:
                return file_key
        return None


class Passphrase:
    """A passphrase, as recipient and as identity.

    Args:
        passphrase: not empty.
        work_factor: two to this power is scrypt's cost for what is wrapped.
        token_bytes: source of randomness for the salt.
    """

    def __init__(
        self,
        passphrase: Secret,
        *,
        work_factor: int = WORK_FACTOR,
        token_bytes: Callable[[int], bytes] = secrets.token_bytes,
    ) -> None:
        self._passphrase = passphrase.reveal().encode()
        self._work_factor = work_factor
        self._token_bytes = token_bytes

    def wrap(self, file_key: bytes) -> Stanza:
        """Wrap the file key."""
        salt = self._token_bytes(_SALT_BYTES)
        return Stanza(
            arguments=(_SCRYPT, encode_base64(salt), str(self._work_factor)),
            body=_wrap(file_key, self._derive(salt, self._work_factor)),
        )

    def unwrap(self, stanzas: Sequence[Stanza]) -> bytes | None:
        """Give the file key, or None; see `Identity`."""
        if all(stanza.arguments[0] != _SCRYPT for stanza in stanzas):
            return None
        if len(stanzas) != 1:
            raise AgeError("its header has a passphrase and other recipients, which age forbids")
        stanza = stanzas[0]
        if len(stanza.arguments) != 3 or not _DECIMAL.fullmatch(stanza.arguments[2]):
            raise AgeError("its header is malformed")
        salt = decode_base64(stanza.arguments[1])
        if len(salt) != _SALT_BYTES or len(stanza.body) != _WRAPPED_BYTES:
            raise AgeError("its header is malformed")
        work_factor = int(stanza.arguments[2])
        if work_factor > LARGEST_WORK_FACTOR:
            raise AgeError(
                f"it asks for a work factor of {work_factor}; more than {LARGEST_WORK_FACTOR} is"
                " refused"
            )
        return _unwrap(stanza.body, self._derive(salt, work_factor))

    def _derive(self, salt: bytes, work_factor: int) -> bytes:
        """Derive the wrapping key.

        Raises:
            AgeError: there is not enough memory.
        """
        try:
            scrypt = Scrypt(
                salt=_SCRYPT_SALT + salt, length=_KEY_BYTES, n=1 << work_factor, r=8, p=1
            )
            return scrypt.derive(self._passphrase)
        except MemoryError:
            raise AgeError(
                f"a work factor of {work_factor} needs more memory than there is"
            ) from None


def _wrap(file_key: bytes, key: bytes) -> bytes:
    return ChaCha20Poly1305(key).encrypt(_NONCE, file_key, None)


def _unwrap(body: bytes, key: bytes) -> bytes | None:
    try:
        return ChaCha20Poly1305(key).decrypt(_NONCE, body, None)
    except InvalidTag:
        return None


def _decode(text: str, prefix: str) -> bytes:
    found, data = bech32.decode(text)
    if found != prefix or len(data) != _KEY_BYTES:
        raise ValueError("of another kind")
    return data
