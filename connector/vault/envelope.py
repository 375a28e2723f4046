"""One sealed value: AES-256-GCM under a data key, bound to the place where it is kept.

    version (1 byte) | key id (4 bytes, big-endian) | nonce (12 bytes) | ciphertext and tag

The associated data names store, table, row, field and generation, and what the value is bound to
besides: a token to its provider and client registration. So a ciphertext that was moved to another
place, back to an older generation, or said to belong to another provider does not open (CHECKLIST
109, 110). The key is chosen by its id alone, never by trial (AES-GCM does not commit to its key).
Nonces are random: 96 bits (NIST SP 800-38D §8.2.2); how many a key may have is counted, see
`store.seal_counts`.

Version 2 is written. Version 1 knew no binding besides the place; what was written so opens until
it is sealed anew. As the version is in the associated data, none passes for the other.
"""

import struct
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Final

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

VERSION: Final = 2
KEY_BYTES: Final = 32
NONCE_BYTES: Final = 12
TAG_BYTES: Final = 16
_UNBOUND: Final = 1
#: As the first byte of a value.
VERSIONS: Final = frozenset({bytes([_UNBOUND]), bytes([VERSION])})
_HEADER_BYTES: Final = 1 + 4
_NONCE_END: Final = _HEADER_BYTES + NONCE_BYTES
_SHORTEST: Final = _NONCE_END + TAG_BYTES
_HEADER: Final = struct.Struct(">BI").pack
_KEY_ID: Final = struct.Struct(">xI").unpack
_LENGTH: Final = struct.Struct(">I").pack
_GENERATION: Final = struct.Struct(">q").pack


class NotOpened(Exception):
    """The bytes are no envelope of ours, were changed, or belong to another place or key."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """Where a sealed value is kept.

    Attributes:
        table: the table's name.
        row: the row's immutable identifier.
        field: the column's name.
        generation: of the row, a 64-bit integer; rises with every write of its sealed values.
        bound_to: what the value is good for besides, such as provider and client registration.
    """

    table: str
    row: str
    field: str
    generation: int = 0
    bound_to: str = ""

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
    header = _HEADER(VERSION, key_id)
    nonce = token_bytes(NONCE_BYTES)
    return header + nonce + key.encrypt(nonce, plaintext, _associated_data(header, store_id, place))


def key_id_of(sealed: bytes) -> int:
    """Tell which data key a value was sealed with.

    Raises:
        NotOpened: it is no envelope of a version that is known here.
    """
    _check_form(sealed)
    return int.from_bytes(sealed[1:_HEADER_BYTES], "big")


def is_outdated(sealed: bytes) -> bool:
    """Tell whether a value is of an older version, which is not written any more."""
    return sealed[:1] != bytes([VERSION])


def unseal(sealed: bytes, *, keys: Mapping[int, AESGCM], store_id: str, place: Place) -> bytes:
    """Open one value.

    Args:
        sealed: what `seal` made.
        keys: the data keys that there are, by number; the one that the value names is used.
        store_id: of the store.
        place: where the value was kept.

    Raises:
        NotOpened: it is no envelope, was changed, or belongs to another place or key.
    """
    _check_form(sealed)
    header = sealed[:_HEADER_BYTES]
    key = keys.get(_KEY_ID(header)[0])
    if key is None:
        raise NotOpened(f"sealed with key {key_id_of(sealed)}, which is not here")
    try:
        if header[0] == VERSION:
            data = _associated_data(header, store_id, place)
        else:
            data = _unbound_data(header, store_id, place)
        return key.decrypt(sealed[_HEADER_BYTES:_NONCE_END], sealed[_NONCE_END:], data)
    except (InvalidTag, struct.error):  # SQLite can hold a text where the generation should be
        raise NotOpened("changed, or from another place") from None


def _check_form(sealed: bytes) -> None:
    if len(sealed) < _SHORTEST:
        raise NotOpened("too short")
    if sealed[0] != VERSION and sealed[0] != _UNBOUND:
        raise NotOpened("of an unknown version")


def _associated_data(header: bytes, store_id: str, place: Place) -> bytes:
    """Encode the place so that no two places give the same bytes.

    Every part but the last has its length before it, or a fixed one.
    """
    names = _names(store_id, place.table, place.field, place.bound_to)
    return header + names + _GENERATION(place.generation) + place.row.encode()


#: What comes with very many values: a store has a handful of columns and some providers.
@lru_cache(maxsize=1024)
def _names(*parts: str) -> bytes:
    return b"".join(_part(part) for part in parts)


def _unbound_data(header: bytes, store_id: str, place: Place) -> bytes:
    """Encode the place as version 1 did."""
    parts = (store_id, place.table, place.row, place.field, str(place.generation))
    return header + b"".join(_part(part) for part in parts)


def _part(text: str) -> bytes:
    encoded = text.encode()
    return _LENGTH(len(encoded)) + encoded
