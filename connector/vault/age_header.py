"""The header of an age file: who may have its key, in lines of text (age-encryption.org/v1).

    age-encryption.org/v1
    -> X25519 XEl0dJ6y3C7KZkgmgWUicg63EyXJiwBJW8PdYJ/cYBE
    qRS0AMjdjPvZ/WT08U2KL4G+PIooA3hy38SvLpvaC1E
    --- HK2NmOBN9Dpq0Gw6xMCuhFcQlQLvZ/wQUi/2scLG75s

It is read strictly: one header has one form, so that nothing of it can be changed unnoticed before
its MAC is known. Its size is limited, because everybody can write one.
"""

import base64
import binascii
import hmac
from dataclasses import dataclass
from typing import BinaryIO, Final

from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

FILE_KEY_BYTES: Final = 16
VERSION_LINE: Final = b"age-encryption.org/v1\n"
MAC_BYTES: Final = 32
#: Room for some six hundred recipients; a header is held in memory.
LARGEST_HEADER: Final = 64 * 1024
#: The longest argument that the specification knows of (ML-KEM) has some 1,500 characters.
LONGEST_LINE: Final = 8 * 1024

_STANZA: Final = b"-> "
_END: Final = b"---"
_COLUMNS: Final = 64


class AgeError(Exception):
    """The file is no age file, was changed or cut, or is not for this key; the message says so."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Stanza:
    """The file key, wrapped for one recipient.

    Attributes:
        arguments: the kind of recipient, and what it needs to unwrap.
        body: the wrapped file key.
    """

    arguments: tuple[str, ...]
    body: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class Header:
    """A header as it was read.

    Attributes:
        stanzas: one for each recipient.
        mac: as it stands in the file.
        covered: the bytes that the MAC is of.
    """

    stanzas: tuple[Stanza, ...]
    mac: bytes
    covered: bytes

    def check(self, file_key: bytes) -> None:
        """Compare the MAC.

        Raises:
            AgeError: the header was changed.
        """
        if not hmac.compare_digest(_mac(file_key, self.covered), self.mac):
            raise AgeError("its header was changed")


def write_header(stanzas: list[Stanza], file_key: bytes) -> bytes:
    """Give the bytes of a header, its MAC included."""
    lines = [VERSION_LINE]
    for stanza in stanzas:
        lines.append(_STANZA + " ".join(stanza.arguments).encode("ascii") + b"\n")
        body = encode_base64(stanza.body)
        # one more than full lines: a body ends with a line that is shorter, were it an empty one
        starts = range(0, len(body) + 1, _COLUMNS)
        lines.extend(body[start : start + _COLUMNS].encode("ascii") + b"\n" for start in starts)
    covered = b"".join(lines) + _END
    return covered + b" " + encode_base64(_mac(file_key, covered)).encode("ascii") + b"\n"


def read_header(source: BinaryIO) -> Header:
    """Read a header; the source stands at the payload afterwards.

    Raises:
        AgeError: it is none, or larger than one should be.
        OSError: it cannot be read.
    """
    lines = _Lines(source)
    if lines.next() != VERSION_LINE:
        raise AgeError("it is no age file of version 1")
    stanzas: list[Stanza] = []
    while True:
        covered = bytes(lines.read)
        line = lines.next()
        if line.startswith(_STANZA):
            stanzas.append(_read_stanza(line, lines))
        elif line.startswith(_END + b" "):
            break
        else:
            raise AgeError("its header is malformed")
    mac = decode_base64(_text(line[len(_END) + 1 : -1]))
    if not stanzas or len(mac) != MAC_BYTES:
        raise AgeError("its header is malformed")
    return Header(stanzas=tuple(stanzas), mac=mac, covered=covered + _END)


def encode_base64(data: bytes) -> str:
    """Write bytes as base64 without padding (RFC 4648 §4)."""
    return base64.b64encode(data).rstrip(b"=").decode("ascii")


def decode_base64(text: str) -> bytes:
    """Read base64 without padding, of which each value has one form alone.

    Raises:
        AgeError: it is none, or not in that form.
    """
    try:
        data = base64.b64decode(text + "=" * (-len(text) % 4), validate=True)
    except (binascii.Error, ValueError):
        raise AgeError("its header is malformed") from None
    if encode_base64(data) != text:
        raise AgeError("its header is malformed")
    return data


def derive(key: bytes, salt: bytes | None, purpose: bytes) -> bytes:
    """Derive a key of 32 bytes (HKDF-SHA-256)."""
    return HKDF(algorithm=SHA256(), length=32, salt=salt, info=purpose).derive(key)


class _Lines:
    """Reads lines, within the limits of a header.

    Args:
        source: stands at the beginning.

    Attributes:
        read: all bytes so far.
    """

    def __init__(self, source: BinaryIO) -> None:
        self._source = source
        self.read = bytearray()

    def next(self) -> bytes:
        """Give the next line with its end.

        Raises:
            AgeError: there is none, or it is too long.
        """
        line = self._source.readline(LONGEST_LINE)
        self.read += line
        if not line.endswith(b"\n"):
            is_long = len(line) == LONGEST_LINE
            raise AgeError("its header has too long a line" if is_long else "its header is cut off")
        if len(self.read) > LARGEST_HEADER:
            raise AgeError("its header is too large")
        return line


def _read_stanza(line: bytes, lines: _Lines) -> Stanza:
    arguments = _text(line[len(_STANZA) : -1]).split(" ")
    if not all(argument and argument.isprintable() for argument in arguments):
        raise AgeError("its header is malformed")
    body = []
    while True:
        part = _text(lines.next()[:-1])
        if len(part) > _COLUMNS:
            raise AgeError("its header is malformed")
        body.append(part)
        if len(part) < _COLUMNS:
            return Stanza(arguments=tuple(arguments), body=decode_base64("".join(body)))


def _text(line: bytes) -> str:
    try:
        return line.decode("ascii")
    except UnicodeDecodeError:
        raise AgeError("its header is malformed") from None


def _mac(file_key: bytes, covered: bytes) -> bytes:
    return hmac.digest(derive(file_key, None, b"header"), covered, "sha256")
