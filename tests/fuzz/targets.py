"""What is fuzzed: a function of bytes for each parser, which raises where a promise is broken.

The ciphertext's tag and the journal's digest would stop every guess at the door. So the first byte
of an input says whether the rest is taken as it is, or put behind a tag or digest that fits.
"""

import hashlib
import io
import json
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from connector.account import SealedTokens, Terms
from connector.journal import _HEAD, _MAGIC, Record, _read
from connector.oauth.strict_json import DEEPEST_ANSWER, parse_json_object
from connector.secret import Secret
from connector.store.pending_write import PendingWrite
from connector.vault.age import unlock
from connector.vault.age_header import (
    VERSION_LINE,
    AgeError,
    Stanza,
    encode_base64,
    read_header,
    write_header,
)
from connector.vault.age_keys import Passphrase, X25519Identity
from connector.vault.envelope import NotOpened, Place, key_id_of, seal, unseal

RAW: Final = b"\0"
FRAMED: Final = b"\1"
_KEY: Final = AESGCM(bytes(range(32)))
_PLACE: Final = Place(table="account", row="0a1b", field="refresh_token", generation=3)
_WRITE: Final = PendingWrite(
    account_id="0a1b",
    generation=3,
    bound_to="acme f1",
    terms=Terms(
        token_type="Bearer",
        scope=("read",),
        minted_at=1.5,
        expires_at=2.5,
        lifetime=1.0,
        consented_at=0.5,
        consent_ends_at=None,
    ),
    sealed=SealedTokens(access_token=b"a", refresh_token=b"r", extra=None),
)
#: Its secret key is that of the age specification's example.
_IDENTITY: Final = X25519Identity(
    Secret("AGE-SECRET-KEY-1GFPYYSJZGFPYYSJZGFPYYSJZGFPYYSJZGFPYYSJZGFPYYSJZGFPQ4EGAEX")
)
_FILE_KEY: Final = bytes(range(16))
_LAST: Final = Record(account_id="last", generation=1, payload=b"last")


class PromiseBroken(Exception):
    """A parser did what its documentation excludes."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """One parser.

    Attributes:
        check: takes any bytes; raises where a promise is broken.
        seeds: inputs to begin with, which no fuzzer would guess.
    """

    check: Callable[[bytes], None]
    seeds: tuple[bytes, ...]


def sealed_by_us(plaintext: bytes) -> bytes:
    """Seal with a nonce that depends on the plaintext alone, so that a run can be repeated."""
    return seal(
        plaintext,
        key=_KEY,
        key_id=7,
        store_id="store",
        place=_PLACE,
        token_bytes=lambda length: hashlib.sha256(plaintext).digest()[:length],
    )


def check_envelope(data: bytes) -> None:
    """Any bytes are not opened; what was sealed is, and not with a byte changed."""
    kind, position, mask, rest = data[:1], data[1:3], data[3:4], data[4:]
    if kind == FRAMED:
        sealed = sealed_by_us(rest)
        if unseal(sealed, keys={7: _KEY}, store_id="store", place=_PLACE) != rest:
            raise PromiseBroken("what was sealed opens as something else")
        changed = bytearray(sealed)
        changed[int.from_bytes(position, "big") % len(sealed)] ^= (mask or b"\1")[0] or 1
        candidate = bytes(changed)
    else:
        candidate = data[1:]
    try:
        if not 0 <= key_id_of(candidate) < 2**32:
            raise PromiseBroken("a key id of more than four bytes")
        unseal(candidate, keys={7: _KEY}, store_id="store", place=_PLACE)
    except NotOpened:
        return
    raise PromiseBroken("something opens that was not sealed")


def check_journal(data: bytes) -> None:
    """Nothing is raised; nothing is read from behind a digest that does not fit, or torn."""
    if data[:1] != FRAMED:
        if any(True for _ in _read(data[1:])):
            raise PromiseBroken("a record was read that nobody kept")
        return
    last = b'{"account_id": "last", "generation": 1}\nlast'
    *found, end = _read(_MAGIC + framed(data[1:]) + framed(last))
    if end.record != _LAST or len(found) > 1:
        raise PromiseBroken("a record was lost, or read twice")
    for stored in found:
        record = stored.record
        if type(record.account_id) is not str or type(record.generation) is not int:
            raise PromiseBroken("a record of other kinds")


def framed(body: bytes) -> bytes:
    """Give a body of the journal with its length and digest, unless it is empty: that is an end."""
    return _HEAD.pack(len(body), b"K", hashlib.sha256(body).digest()) + body if body else b""


def check_pending_write(data: bytes) -> None:
    """It is refused with a ValueError, or dumped and loaded it is the same."""
    try:
        write = PendingWrite.load(data)
    except ValueError:
        return
    again = write.dump()
    if PendingWrite.load(again).dump() != again:  # bytes: NaN is not equal to itself
        raise PromiseBroken("it does not survive a dump")


def check_strict_json(data: bytes) -> None:
    """It is refused with a ValueError that quotes nothing, or is what the usual parser reads."""
    try:
        table = parse_json_object(data)
    except ValueError as error:
        if isinstance(error, json.JSONDecodeError | UnicodeError):
            raise PromiseBroken("the error holds the document") from None
        return
    if json.dumps(table) != json.dumps(json.loads(data)):
        raise PromiseBroken("read otherwise than by others")
    if depth_of(table) > DEEPEST_ANSWER:
        raise PromiseBroken("deeper than is allowed")


def check_age_header(data: bytes) -> None:
    """It is refused with an AgeError, or written again it is the same; its stanzas open nothing.

    Behind the first byte is a whole header, or stanzas alone that a MAC is put behind.
    """
    if data[:1] == FRAMED:
        data = RAW + VERSION_LINE + data[1:] + b"--- " + encode_base64(bytes(32)).encode() + b"\n"
    source = io.BytesIO(data[1:])
    try:
        header = read_header(source)
    except AgeError:
        return
    again = write_header(list(header.stanzas), _FILE_KEY)
    length = len(header.covered)
    if again[:length] != header.covered or source.tell() != len(again):
        raise PromiseBroken("a header has two forms")
    if any(stanza.arguments[0] == "scrypt" for stanza in header.stanzas):
        for stanza in header.stanzas:
            factor = stanza.arguments[-1]
            if factor.isdecimal() and 16 < int(factor[:10]) <= 22:
                return  # it would take its memory, which is what it is allowed
    try:
        unlock(source, [_IDENTITY, Passphrase(Secret("passphrase"))])
    except AgeError:
        return
    raise PromiseBroken("a header opens that nobody wrote")


def depth_of(value: object) -> int:
    """Count the levels of tables and lists."""
    if not isinstance(value, dict | list):
        return 0
    children = value.values() if isinstance(value, dict) else value
    return 1 + max(map(depth_of, children), default=0)


TARGETS: Final[dict[str, Target]] = {
    "age_header": Target(
        check=check_age_header,
        seeds=(
            RAW + write_header([Stanza(arguments=("kind", "a"), body=bytes(48))], _FILE_KEY),
            RAW + write_header([Stanza(arguments=("X25519", "a"), body=bytes(32))], _FILE_KEY)[:-1],
            FRAMED + b"-> scrypt " + encode_base64(bytes(16)).encode() + b" 4\n\n",
            FRAMED
            + b"-> X25519 "
            + encode_base64(bytes(range(32))).encode()
            + b"\n"
            + encode_base64(bytes(32)).encode()
            + b"\n",
        ),
    ),
    "envelope": Target(
        check=check_envelope,
        seeds=(
            RAW,
            RAW + b"\1\0\0\0\7" + bytes(40),
            RAW + sealed_by_us(b"token")[:-1],
            FRAMED + b"\0\5\1token",
        ),
    ),
    "journal": Target(
        check=check_journal,
        seeds=(
            RAW + _MAGIC,
            RAW + _MAGIC + framed(b"torn")[:-1],
            FRAMED + b'{"account_id": "a", "generation": 1}\npayload',
        ),
    ),
    "pending_write": Target(check=check_pending_write, seeds=(b"{}", _WRITE.dump())),
    "strict_json": Target(
        check=check_strict_json,
        seeds=(b'{"access_token": "a", "expires_in": 3600}', b'{"a": [1.5, {"b": null}]}'),
    ),
}
