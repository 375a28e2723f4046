"""One sealed value: AES-256-GCM under a data key, bound to the place where it is kept.

    version (1 byte) | key id (4 bytes, big-endian) | nonce (12 bytes) | ciphertext and tag

The associated data names store, table, row, field and generation, so that a ciphertext moved to
another place, or back to an older generation, does not open (CHECKLIST 109, 110). The key is chosen
by its id alone, never by trial (AES-GCM does not commit to its key). Nonces are random: 96 bits
(NIST SP 800-38D §8.2.2).
"""

import struct
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from typing import Final

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

VERSION: Final = 1
KEY_BYTES: Final = 32
NONCE_BYTES: Final = 12
TAG_BYTES: Final = 16
_HEADER_BYTES: Final = 1 + 4
_NONCE_END: Final = _HEADER_BYTES + NONCE_BYTES
_LENGTH: Final = struct.Struct(">I").pack


class NotOpened(Exception):
    """The bytes are no envelope of ours, were changed, or belong to another place or key."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """Where a sealed value is kept.

    Attributes:
        table: the table's name.
        row: the row's immutable identifier.
        field: the column's name.
        generation: of the row; rises with every write of its sealed values.
    """

    table: str
    row: str
    field: str
    generation: int = 0

    def __str__(self) -> str:
        return f"{self.field} of {self.table} {self.row}, generation {self.generation}"


def seal(
    plaintext: bytes,
    *,
    key: AESGCM,
    key_id: int,
    store_id: str,
    place: Place,
    token_bytes: Callable[[int], bytes],
) -> bytes:
    """Seal one value.

    Args:
        plaintext: what to seal.
        key: the data key.
        key_id: its number in this store.
        store_id: of the store.
        place: where the sealed value will be kept.
        token_bytes: source of randomness for the nonce.
    """
    header = bytes([VERSION]) + key_id.to_bytes(4, "big")
    nonce = token_bytes(NONCE_BYTES)
    return header + nonce + key.encrypt(nonce, plaintext, _associated_data(header, store_id, place))


def key_id_of(sealed: bytes) -> int:
    """Tell which data key a value was sealed with.

    Raises:
        NotOpened: it is no envelope of a version that is known here.
    """
    _check_form(sealed)
    return int.from_bytes(sealed[1:_HEADER_BYTES], "big")


def unseal(sealed: bytes, *, key: AESGCM, store_id: str, place: Place) -> bytes:
    """Open one value.

    Args:
        sealed: what `seal` made.
        key: the data key that `key_id_of` names.
        store_id: of the store.
        place: where the value was kept.

    Raises:
        NotOpened: it is no envelope, was changed, or belongs to another place or key.
    """
    _check_form(sealed)
    data = _associated_data(sealed[:_HEADER_BYTES], store_id, place)
    try:
        return key.decrypt(sealed[_HEADER_BYTES:_NONCE_END], sealed[_NONCE_END:], data)
    except InvalidTag:
        raise NotOpened("changed, or from another place") from None


def _check_form(sealed: bytes) -> None:
    if len(sealed) < _NONCE_END + TAG_BYTES:
        raise NotOpened("too short")
    if sealed[0] != VERSION:
        raise NotOpened("of an unknown version")


def _associated_data(header: bytes, store_id: str, place: Place) -> bytes:
    """Encode the place so that no two places give the same bytes: every part has its length."""
    return b"".join(
        (
            header,
            _name(store_id),
            _name(place.table),
            _part(place.row),
            _name(place.field),
            _part(str(place.generation)),
        )
    )


def _part(text: str) -> bytes:
    encoded = text.encode()
    return _LENGTH(len(encoded)) + encoded


#: A store has a handful of tables and columns: the names that come with every value.
_name: Final = lru_cache(maxsize=64)(_part)
