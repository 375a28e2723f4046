"""What protects the vault's root key: OS keyring, file, credential, passphrase, another program.

A local seal keeps a key-encryption key of 32 bytes somewhere outside the database and wraps the
root key with it (AES-256-GCM, bound to the store). It never makes a new key over an old one, and a
host without a keyring gets a choice, never plaintext (CHECKLIST 115, 124 to 131).
"""

import base64
import secrets
from pathlib import Path
from typing import Final, Protocol

from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from connector.errors import VaultSealed
from connector.seal_kinds import PASSPHRASE, load_factory
from connector.vault.envelope import KEY_BYTES, NotOpened, Place, seal, unseal
from connector.vault.key_source import (
    CHOICES,
    KeySource,
    credential_source,
    environment_source,
    file_source,
)
from connector.vault.keyring_source import keyring_source

_ROOT: Final = Place(table="vault_seal", row="root", field="root_key")


class Seal(Protocol):
    """Keeps a key-encryption key, and wraps the root key of a store with it.

    `testing.SealConformance` tells whether a seal of your own keeps this contract.
    """

    @property
    def description(self) -> str:
        """Where the key is kept, for people; holds no secret."""
        ...

    def prepare(self, store_id: str) -> None:
        """Make the key-encryption key where there is none; leave one that is there as it is.

        Raises:
            VaultSealed: it cannot be made or kept here; says what to do.
        """
        ...

    def wrap(self, root_key: bytes, store_id: str) -> bytes:
        """Wrap a root key.

        Raises:
            VaultSealed: the key-encryption key cannot be had.
        """
        ...

    def unwrap(self, wrapped: bytes, store_id: str) -> bytes:
        """Give the root key back.

        Raises:
            VaultSealed: the key-encryption key cannot be had, or is another one.
        """
        ...


class LocalSeal:
    """A seal whose key-encryption key can be read as text on this host.

    Args:
        source: where it is kept.
    """

    def __init__(self, source: KeySource) -> None:
        self._source = source

    @property
    def description(self) -> str:
        """Where the key is kept, for people."""
        return self._source.description

    def prepare(self, store_id: str) -> None:
        """Make the key where there is none; see `Seal.prepare`."""
        if self._source.read(store_id) is None:
            if self._source.write is None:
                raise self._no_key()
            text = base64.urlsafe_b64encode(secrets.token_bytes(KEY_BYTES)).decode()
            self._source.write(store_id, text)
            if self._source.read(store_id) is None:
                raise VaultSealed(f"{self.description} did not keep the key", CHOICES)
        self._key(store_id)

    def wrap(self, root_key: bytes, store_id: str) -> bytes:
        """Wrap a root key; see `Seal.wrap`."""
        return seal(
            root_key,
            key=self._key(store_id),
            key_id=0,
            store_id=store_id,
            place=_ROOT,
            token_bytes=secrets.token_bytes,
        )

    def unwrap(self, wrapped: bytes, store_id: str) -> bytes:
        """Give the root key back; see `Seal.unwrap`."""
        try:
            return unseal(wrapped, keys={0: self._key(store_id)}, store_id=store_id, place=_ROOT)
        except NotOpened:
            raise VaultSealed(
                f"the key in {self.description} is not the one that this vault was sealed with",
                "Put the right key back; nothing was changed.",
                lacks_key=True,
            ) from None

    def _key(self, store_id: str) -> AESGCM:
        text = self._source.read(store_id)
        if text is None:
            raise self._no_key()
        return AESGCM(_decode_key(text, self.description))

    def _no_key(self) -> VaultSealed:
        reason = f"there is no key in {self.description}"
        return VaultSealed(reason, self._source.missing, lacks_key=True)


def open_seal(kind: str, name: str, folder: Path) -> Seal:
    """Make a seal from the configuration's words.

    Args:
        kind: the word before the colon: one of ours, or of an installed package.
        name: what follows it, such as a variable, path or credential; may be empty.
        folder: what a relative path is relative to.

    Raises:
        VaultSealed: there is no such seal.
        NotASeal: its name means nothing to it.
    """
    if kind == "env":
        return LocalSeal(environment_source(name))
    if kind == "file":
        return LocalSeal(file_source(folder / Path(name).expanduser()))
    if kind == "credential":
        return LocalSeal(credential_source(name))
    if kind == "keyring":
        return LocalSeal(keyring_source())
    if kind == PASSPHRASE:
        from connector.vault.passphrase_seal import PassphraseSeal, passphrase_source

        return PassphraseSeal(passphrase_source(name, folder))
    factory = load_factory(kind)
    if factory is None:
        raise VaultSealed(f"there is no seal {kind!r}", CHOICES)
    made: Seal = factory(name, folder)  # type: ignore[assignment]  # its package's promise
    return made


def _decode_key(text: str, description: str) -> bytes:
    """Read 32 bytes written as base64, base64url or hexadecimal digits.

    Raises:
        VaultSealed: it is something else.
    """
    compact = text.strip()
    try:
        if len(compact) == 2 * KEY_BYTES:
            key = bytes.fromhex(compact)
        else:
            digits = compact.rstrip("=").replace("-", "+").replace("_", "/")
            key = base64.b64decode(digits + "=" * (-len(digits) % 4), validate=True)
    except ValueError:
        key = b""
    if len(key) != KEY_BYTES:
        raise VaultSealed(
            f"{description} does not hold a key",
            f"It must be {KEY_BYTES} random bytes in base64 or hexadecimal.",
        )
    return key
