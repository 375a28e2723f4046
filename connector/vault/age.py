"""Files in the age format: encrypted to recipients, as a stream (age-encryption.org/v1).

A header that wraps a file key, 16 bytes of nonce, and the payload in chunks of 64 KiB under
ChaCha20-Poly1305, each bound to its number and the last one to being the last (STREAM): what was
changed, cut, repeated or put into another order does not open. Memory holds two chunks. Whoever
reads has what a chunk says before the end is known; nothing may be done on its word until then.
"""

import secrets
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import BinaryIO, Final

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import ChaCha20Poly1305

from connector.vault.age_header import (
    FILE_KEY_BYTES,
    AgeError,
    derive,
    read_header,
    write_header,
)
from connector.vault.age_keys import Identity, Recipient

CHUNK_BYTES: Final = 64 * 1024
TAG_BYTES: Final = 16
NONCE_BYTES: Final = 16
_SEALED_CHUNK: Final = CHUNK_BYTES + TAG_BYTES


class AgeWriter:
    """Encrypts what is written; nothing is complete before `finish`.

    Args:
        sink: takes the ciphertext, from its header on.
        recipients: who can open it; at least one.
        token_bytes: source of randomness for the file key and the nonce.

    Raises:
        OSError: the sink does not take it (so for every method here).
    """

    def __init__(
        self,
        sink: BinaryIO,
        recipients: Sequence[Recipient],
        *,
        token_bytes: Callable[[int], bytes] = secrets.token_bytes,
    ) -> None:
        file_key = token_bytes(FILE_KEY_BYTES)
        nonce = token_bytes(NONCE_BYTES)
        self._sink = sink
        self._chunks = _Chunks(file_key, nonce)
        self._buffer = bytearray()
        sink.write(write_header([recipient.wrap(file_key) for recipient in recipients], file_key))
        sink.write(nonce)

    def write(self, data: bytes) -> None:
        """Take plaintext."""
        self._buffer += data
        while len(self._buffer) > CHUNK_BYTES:  # one that is full may be the last
            self._sink.write(self._chunks.seal(bytes(self._buffer[:CHUNK_BYTES]), is_last=False))
            del self._buffer[:CHUNK_BYTES]

    def finish(self) -> None:
        """Write the last chunk."""
        self._sink.write(self._chunks.seal(bytes(self._buffer), is_last=True))
        self._buffer.clear()


@dataclass(frozen=True, slots=True, kw_only=True)
class Unlocked:
    """An age file whose key is known.

    Attributes:
        file_key: as a recipient's stanza had it.
        payload_at: where the payload begins in the file.
    """

    file_key: bytes = field(repr=False)
    payload_at: int


def unlock(source: BinaryIO, identities: Iterable[Identity]) -> Unlocked:
    """Read the header of an age file and unwrap its key.

    Args:
        source: the file, which can be sought in; it is read from its beginning.
        identities: who tries.

    Raises:
        AgeError: it is none, was changed, or is for others.
        OSError: it cannot be read.
    """
    source.seek(0)
    header = read_header(source)
    for identity in identities:
        file_key = identity.unwrap(header.stanzas)
        if file_key is not None:
            header.check(file_key)
            return Unlocked(file_key=file_key, payload_at=source.tell())
    raise AgeError("it is for another key or passphrase")


def plaintext(source: BinaryIO, unlocked: Unlocked) -> Iterator[bytes]:
    """Give the plaintext of an age file in chunks.

    Raises:
        AgeError: it was changed or cut; what was given before is not to be relied on.
        OSError: it cannot be read.
    """
    source.seek(unlocked.payload_at)
    nonce = _read_all(source, NONCE_BYTES)
    if len(nonce) < NONCE_BYTES:
        raise AgeError("it is cut off")
    chunks = _Chunks(unlocked.file_key, nonce)
    sealed = _read_all(source, _SEALED_CHUNK)
    while following := _read_all(source, _SEALED_CHUNK):
        yield chunks.open(sealed, is_last=False)
        sealed = following
    yield chunks.open(sealed, is_last=True)


class _Chunks:
    """Seals or opens the chunks of one payload, one after the other.

    Args:
        file_key: of the file.
        nonce: of the payload.
    """

    def __init__(self, file_key: bytes, nonce: bytes) -> None:
        self._cipher = ChaCha20Poly1305(derive(file_key, nonce, b"payload"))
        self._number = 0

    def seal(self, chunk: bytes, *, is_last: bool) -> bytes:
        return self._cipher.encrypt(self._next(is_last=is_last), chunk, None)

    def open(self, sealed: bytes, *, is_last: bool) -> bytes:
        is_first = self._number == 0
        try:
            chunk = self._cipher.decrypt(self._next(is_last=is_last), sealed, None)
        except InvalidTag:
            raise AgeError("it was changed, or is cut off") from None
        if not chunk and not is_first:
            raise AgeError("it ends with an empty chunk")
        return chunk

    def _next(self, *, is_last: bool) -> bytes:
        nonce = self._number.to_bytes(11, "big") + bytes([is_last])
        self._number += 1
        return nonce


def _read_all(source: BinaryIO, size: int) -> bytes:
    """Read so many bytes, or what there is up to the end."""
    found = bytearray()
    while len(found) < size and (part := source.read(size - len(found))):
        found += part
    return bytes(found)
