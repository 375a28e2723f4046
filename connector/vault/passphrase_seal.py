"""A seal whose key is derived from a passphrase by Argon2id (RFC 9106).

    version (1 byte, 'P') | memory in KiB (4) | iterations (4) | lanes (4) | salt (16) |
    nonce (12) | ciphertext and tag

All before the ciphertext is in its associated data, with the store's id. What it costs to derive
the key stands in the database, whose writer must neither weaken it nor keep us busy for ever:
costs are bounded on both sides before anything is derived.
"""

import secrets
import struct
from dataclasses import dataclass
from typing import Final

from cryptography.exceptions import InvalidTag, UnsupportedAlgorithm
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.kdf.argon2 import Argon2id

from connector.errors import VaultSealed
from connector.secret import Secret
from connector.vault.envelope import KEY_BYTES, NONCE_BYTES, TAG_BYTES
from connector.vault.passphrase_source import PassphraseSource, passphrase_source

__all__ = ["Cost", "PassphraseSeal", "passphrase_source"]

VERSION: Final = ord("P")
SALT_BYTES: Final = 16  # RFC 9106 §3.1
_HEADER: Final = struct.Struct(f">BIII{SALT_BYTES}s{NONCE_BYTES}s")
_PURPOSE: Final = b"connector root key v1"


@dataclass(frozen=True, slots=True, kw_only=True)
class Cost:
    """What it costs to derive a key: a third of a second by RFC 9106's second choice (§4).

    Attributes:
        memory: in KiB.
        iterations: passes over it.
        lanes: that may be computed at once.
    """

    memory: int = 64 * 1024
    iterations: int = 3
    lanes: int = 4


#: What is taken from a database: not less than is written, nor more than a small host can bear.
_LEAST: Final = Cost()
_MOST: Final = Cost(memory=1024 * 1024, iterations=16, lanes=16)


class PassphraseSeal:
    """A seal of a passphrase.

    Args:
        source: where it comes from; it is asked once.
        cost: of deriving the key for what is wrapped from now on.
    """

    def __init__(self, source: PassphraseSource, cost: Cost | None = None) -> None:
        self._source = source
        self._cost = cost or Cost()
        self._passphrase: Secret | None = None

    @property
    def description(self) -> str:
        """Where the passphrase comes from, for people."""
        return self._source.description

    def prepare(self, store_id: str) -> None:  # noqa: ARG002 - one passphrase serves any store
        """Have a new passphrase chosen; see `Seal.prepare`."""
        self._passphrase = self._source.choose()

    def wrap(self, root_key: bytes, store_id: str) -> bytes:
        """Wrap a root key; see `Seal.wrap`."""
        salt, nonce = secrets.token_bytes(SALT_BYTES), secrets.token_bytes(NONCE_BYTES)
        cost = self._cost
        header = _HEADER.pack(VERSION, cost.memory, cost.iterations, cost.lanes, salt, nonce)
        key = self._derive(cost, salt)
        return header + key.encrypt(nonce, root_key, _associated_data(header, store_id))

    def unwrap(self, wrapped: bytes, store_id: str) -> bytes:
        """Give the root key back; see `Seal.unwrap`."""
        cost, salt, nonce = self._parse(wrapped)
        header, sealed = wrapped[: _HEADER.size], wrapped[_HEADER.size :]
        try:
            return self._derive(cost, salt).decrypt(
                nonce, sealed, _associated_data(header, store_id)
            )
        except InvalidTag:
            subject = self.description.removeprefix("a ").removeprefix("the ")
            raise VaultSealed(
                f"the {subject} is not the one that this vault was sealed with",
                "Try again with the right one; nothing was changed.",
                lacks_key=True,
            ) from None

    def _parse(self, wrapped: bytes) -> tuple[Cost, bytes, bytes]:
        """Read what stands before the ciphertext; nobody is asked for what cannot be opened.

        Raises:
            VaultSealed: no passphrase sealed this, or its costs are out of bounds.
        """
        if len(wrapped) != _HEADER.size + KEY_BYTES + TAG_BYTES or wrapped[0] != VERSION:
            raise VaultSealed(
                "the stored root key was not sealed with a passphrase",
                "Name the seal that it was sealed with.",
                lacks_key=True,
            )
        _version, memory, iterations, lanes, salt, nonce = _HEADER.unpack_from(wrapped)
        if not (
            _LEAST.memory <= memory <= _MOST.memory
            and _LEAST.iterations <= iterations <= _MOST.iterations
            and _LEAST.lanes <= lanes <= _MOST.lanes
        ):
            raise VaultSealed(
                f"the costs stored beside the root key are out of bounds ({memory} KiB, "
                f"{iterations} iterations, {lanes} lanes)",
                "The database was changed by hand; restore it from a backup.",
            )
        return Cost(memory=memory, iterations=iterations, lanes=lanes), salt, nonce

    def _derive(self, cost: Cost, salt: bytes) -> AESGCM:
        if self._passphrase is None:
            self._passphrase = self._source.read()
        try:
            derivation = Argon2id(
                salt=salt,
                length=KEY_BYTES,
                iterations=cost.iterations,
                lanes=cost.lanes,
                memory_cost=cost.memory,
            )
            return AESGCM(derivation.derive(self._passphrase.reveal().encode()))
        except UnsupportedAlgorithm:
            raise VaultSealed(
                "the cryptography of this host has no Argon2id",
                "Install a cryptography with OpenSSL 3.2 or newer, or choose another seal.",
            ) from None
        except MemoryError:
            raise VaultSealed(
                f"there are not {cost.memory // 1024} MiB of memory for Argon2id",
                "Free some, or raise the limit of this process.",
            ) from None


def _associated_data(header: bytes, store_id: str) -> bytes:
    return _PURPOSE + header + store_id.encode()
