"""The vault: a root key behind a seal wraps data keys; each value is sealed under a data key.

An open vault holds its keys in memory and touches neither the seal nor the database again. Several
data keys may be live: values are sealed with the newest and opened with the one that they name; one
that another process makes meanwhile is added when a value names it (see `store.vault_keys`). A
wrong root key does not unwrap any data key: the vault stays sealed, nothing is written (CHECKLIST
112, 115). Python cannot wipe memory; docs/threat-model.md says what that means.
"""

import contextlib
import hashlib
import hmac
import itertools
import secrets
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Final

from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDFExpand

from connector.errors import VaultSealed
from connector.secret import Secret
from connector.vault.envelope import KEY_BYTES, NotOpened, Place, key_id_of, seal, unseal
from connector.vault.seal import Seal

FIRST_KEY_ID: Final = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class WrappedKey:
    """A data key wrapped by the root key.

    Attributes:
        key_id: its number in this store; the highest is used for new values.
        wrapped: the wrapped key.
    """

    key_id: int
    wrapped: bytes


class Vault:
    """An open vault; make one with `create_vault` or `open_vault`.

    Args:
        store_id: of the store whose values it seals.
        root_key: 32 bytes.
        data_keys: by key id; at least one.
        token_bytes: source of randomness for nonces.

    Attributes:
        store_id: as given.
        current_key_id: of the data key that seals new values.
        sealed: how many values this object has sealed (see `store.seal_counts`).
    """

    def __init__(
        self,
        store_id: str,
        root_key: bytes,
        data_keys: dict[int, bytes],
        *,
        token_bytes: Callable[[int], bytes] = secrets.token_bytes,
    ) -> None:
        self.store_id = store_id
        self.current_key_id = max(data_keys)
        self._root = AESGCM(root_key)
        self._keys = {key_id: AESGCM(key) for key_id, key in data_keys.items()}
        self._fingerprint_key = _derive(root_key, b"connector fingerprint v1")
        self._audit_key = _derive(root_key, b"connector audit v1")
        self._token_bytes = token_bytes
        self._numbers = itertools.count(1)
        self.sealed = 0

    def seal(self, plaintext: bytes, place: Place) -> bytes:
        """Seal a value for the place where it will be kept."""
        self.sealed = next(self._numbers)  # threads seal; a number is given once
        return seal(
            plaintext,
            key=self._keys[self.current_key_id],
            key_id=self.current_key_id,
            store_id=self.store_id,
            place=place,
            token_bytes=self._token_bytes,
        )

    def open(self, sealed: bytes, place: Place) -> bytes:
        """Open a value that was kept at a place.

        Raises:
            VaultSealed: it was changed, comes from another place, or its key is not here.
        """
        try:
            return unseal(sealed, keys=self._keys, store_id=self.store_id, place=place)
        except NotOpened as error:
            raise VaultSealed(
                f"the {place} does not open: {error}",
                "No other account is touched; restore it from a backup, or connect it again.",
            ) from None

    def seal_secret(self, secret: Secret, place: Place) -> bytes:
        """Seal a secret for the place where it will be kept."""
        return self.seal(_encode(secret), place)

    def open_secret(self, sealed: bytes, place: Place) -> Secret:
        """Open a secret that was kept at a place.

        Raises:
            VaultSealed: as `open`.
        """
        return Secret(self.open(sealed, place).decode(errors="surrogatepass"))

    def lacks_key(self, sealed: bytes) -> bool:
        """Tell whether a value names a data key that is not here."""
        try:
            return key_id_of(sealed) not in self._keys
        except NotOpened:
            return False

    def new_data_key(self) -> WrappedKey:
        """Make the next data key; it is used once it is stored and given to `add_keys`."""
        key_id = self.current_key_id + 1
        wrapped = _wrap(secrets.token_bytes(KEY_BYTES), self._root, self.store_id, key_id)
        return WrappedKey(key_id=key_id, wrapped=wrapped)

    def add_keys(self, data_keys: Iterable[WrappedKey]) -> None:
        """Take in data keys of this store; the newest is used for new values from now on.

        One that the root key does not unwrap is as good as none: what was sealed with it does not
        open, and the next start tells of it.
        """
        keys = dict(self._keys)
        for data_key in data_keys:
            if data_key.key_id not in keys:
                with contextlib.suppress(NotOpened):
                    keys[data_key.key_id] = AESGCM(_unwrap(data_key, self._root, self.store_id))
        self._keys = keys  # before its number: other threads seal and open
        self.current_key_id = max(keys)

    def fingerprint(self, secret: Secret) -> str:
        """Give a keyed digest by which a secret can be recognised and not found out."""
        digest = hmac.new(self._fingerprint_key, _encode(secret), hashlib.sha256)
        return digest.hexdigest()[:16]

    def chain(self, previous: bytes, row: bytes) -> bytes:
        """Give what ties a row of the audit trail to the one before it (see `store.audit_chain`).

        Args:
            previous: what this gave for the row before; of a fixed length.
            row: its canonical encoding.
        """
        return hmac.digest(self._audit_key, previous + row, "sha256")


def create_vault(seal: Seal, store_id: str) -> tuple[Vault, bytes, WrappedKey]:
    """Make the keys of a new store.

    Returns:
        The open vault, the wrapped root key and the first wrapped data key, to be stored.

    Raises:
        VaultSealed: the seal cannot make or keep its key; nothing was made.
    """
    seal.prepare(store_id)
    root_key = secrets.token_bytes(KEY_BYTES)
    wrapped_root = seal.wrap(root_key, store_id)
    if seal.unwrap(wrapped_root, store_id) != root_key:  # better told now than at the next start
        raise VaultSealed(f"{seal.description} does not give back what it was given")
    data_key = secrets.token_bytes(KEY_BYTES)
    wrapped = _wrap(data_key, AESGCM(root_key), store_id, FIRST_KEY_ID)
    vault = Vault(store_id, root_key, {FIRST_KEY_ID: data_key})
    return vault, wrapped_root, WrappedKey(key_id=FIRST_KEY_ID, wrapped=wrapped)


def open_vault(
    seal: Seal, store_id: str, wrapped_root: bytes, data_keys: Iterable[WrappedKey]
) -> Vault:
    """Open the vault of a store.

    Args:
        seal: what protects the root key.
        store_id: of the store.
        wrapped_root: the root key as the seal wrapped it.
        data_keys: all data keys of the store.

    Raises:
        VaultSealed: the key is missing or wrong; nothing was written.
    """
    return open_with_root(seal.unwrap(wrapped_root, store_id), store_id, data_keys)


def open_with_root(root_key: bytes, store_id: str, data_keys: Iterable[WrappedKey]) -> Vault:
    """Open the vault of a store whose root key is at hand.

    Raises:
        VaultSealed: a data key does not open with it, or there is none.
    """
    keys: dict[int, bytes] = {}
    for data_key in data_keys:
        try:
            keys[data_key.key_id] = _unwrap(data_key, AESGCM(root_key), store_id)
        except NotOpened:
            raise VaultSealed(
                f"data key {data_key.key_id} does not open with the root key",
                "The database was changed by hand or mixed from two backups; restore one whole.",
            ) from None
    if not keys:
        raise VaultSealed("the database has no data key", "Restore it from a backup.")
    return Vault(store_id, root_key, keys)


def _encode(secret: Secret) -> bytes:
    """Encode any text: a lone surrogate, which JSON may hold, must not cost us a token."""
    return secret.reveal().encode(errors="surrogatepass")


def _wrap(data_key: bytes, root_key: AESGCM, store_id: str, key_id: int) -> bytes:
    return seal(
        data_key,
        key=root_key,
        key_id=key_id,
        store_id=store_id,
        place=_key_place(key_id),
        token_bytes=secrets.token_bytes,
    )


def _unwrap(data_key: WrappedKey, root_key: AESGCM, store_id: str) -> bytes:
    place = _key_place(data_key.key_id)
    return unseal(
        data_key.wrapped, keys={data_key.key_id: root_key}, store_id=store_id, place=place
    )


def _key_place(key_id: int) -> Place:
    return Place(table="vault_key", row=str(key_id), field="wrapped")


def _derive(root_key: bytes, purpose: bytes) -> bytes:
    return HKDFExpand(algorithm=SHA256(), length=KEY_BYTES, info=purpose).derive(root_key)
