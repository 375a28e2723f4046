"""The chain of the audit trail: each row is tied to all before it by a keyed digest.

    chain of a row = HMAC-SHA256(key, chain of the row before it | encoding of the row)

The key is derived from the vault's root key, so that whoever can write to the database and has not
that key can add, change, drop or exchange no row without a later one not fitting any more. Rows are
numbered without a gap. The encoding says of every column its type and its length: no two rows give
the same bytes.
"""

import json
import struct
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from connector.store.audit_entry import Actor, Entry, allowed, printable
from connector.vault.vault import Vault

_ROW: Final = "connector audit row 1"
_ANCHOR: Final = "connector audit anchor 1"
_LENGTH: Final = struct.Struct(">Q").pack
_FLOAT: Final = struct.Struct(">d").pack
CHAIN_BYTES: Final = 32

Value = str | int | float | None


class DoesNotFit(Exception):
    """A row, or the anchor, is not what was written."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Head:
    """A place in the chain.

    Attributes:
        number: of the row; 0: before the first one.
        chain: of that row.
    """

    number: int
    chain: bytes


BEGINNING: Final = Head(number=0, chain=bytes(CHAIN_BYTES))

#: The columns of a row in the order in which they are encoded; `chain` is what comes of them.
COLUMNS: Final = (
    "number",
    "at",
    "event",
    "account",
    "account_id",
    "actor",
    "through",
    "outcome",
    "fingerprint",
    "times",
    "detail",
)
_TYPES: Final[dict[str, type | tuple[type, ...]]] = {
    "number": int,
    "at": float,
    "times": int,
}


def make_row(
    vault: Vault, head: Head, entry: Entry, *, actor: Actor, at: float
) -> tuple[dict[str, object], Head]:
    """Make the row that comes after another one.

    Args:
        vault: has the key.
        head: the last row.
        entry: what happened.
        actor: who did it.
        at: when.

    Returns:
        Its columns, and the head that it is.
    """
    who = entry.actor or actor
    row: dict[str, Value] = {
        "number": head.number + 1,
        "at": float(at if entry.at is None else entry.at),
        "event": entry.event,
        "account": _text(entry.account),
        "account_id": entry.account_id,
        "actor": printable(str(who)),
        "through": _text(who.through),
        "outcome": _text(entry.outcome),
        "fingerprint": entry.fingerprint,
        "times": entry.count,
        "detail": json.dumps(allowed(entry.detail), sort_keys=True, separators=(",", ":")),
    }
    chain = vault.chain(head.chain, _encode(_ROW, vault.store_id, *row.values()))
    return {**row, "chain": chain}, Head(number=head.number + 1, chain=chain)


def check_row(vault: Vault, head: Head, values: Sequence[object]) -> Head:
    """See that a row comes after another one.

    Args:
        vault: has the key.
        head: the row before it.
        values: what the database holds: `COLUMNS`, then the chain, as the driver gives them.

    Returns:
        The head that it is.

    Raises:
        DoesNotFit: it was altered, is in the place of another one, or one before it is missing.
    """
    *columns, chain = values
    number = columns[0]
    if type(number) is not int:
        raise DoesNotFit(f"the row after number {head.number} has no number")
    if number > head.number + 1:
        raise DoesNotFit(f"{numbered(head.number + 1, number - 1)} missing")
    if number < head.number + 1:
        raise DoesNotFit(f"row {number} is one too many")
    try:
        encoded = _encode(_ROW, vault.store_id, *_checked(columns))
        expected = vault.chain(head.chain, encoded)
    except (TypeError, ValueError):  # a value of another type than was written
        expected = None
    if expected is None or not isinstance(chain, bytes | memoryview) or bytes(chain) != expected:
        raise DoesNotFit(f"row {number} was altered, or is in the place of another one")
    return Head(number=number, chain=expected)


def numbered(first: int, last: int) -> str:
    """Give the beginning of a sentence about some rows."""
    return f"row {first} is" if first == last else f"rows {first} to {last} are"


def prove_anchor(vault: Vault, head: Head) -> bytes:
    """Give what shows that a trail was cut at its beginning by who has the key."""
    return vault.chain(head.chain, _encode(_ANCHOR, vault.store_id, head.number))


def _checked(columns: Sequence[object]) -> list[Value]:
    """See that each column is of its type; SQLite would take any."""
    for name, value in zip(COLUMNS, columns, strict=True):
        if value is not None and type(value) is not _TYPES.get(name, str):
            raise TypeError(name)
    return list(columns)  # type: ignore[arg-type]


def _encode(*values: Value) -> bytes:
    return b"".join(map(_part, values))


def _part(value: Value) -> bytes:
    tag, body = b"n", b""
    if isinstance(value, str):
        tag, body = b"s", value.encode()
    elif isinstance(value, float):
        tag, body = b"f", _FLOAT(value)
    elif isinstance(value, int):
        tag, body = b"i", str(value).encode()
    return tag + _LENGTH(len(body)) + body


def _text(text: str | None) -> str | None:
    return printable(text) if text else None
