"""A record on its way to a destination: checked, copied, and its values made fit to be stored."""

import json
from collections.abc import Mapping
from datetime import date, datetime, time
from decimal import Decimal
from enum import Enum
from typing import Final
from uuid import UUID

import orjson

#: The column that tells accounts apart in a shared table; part of every key. It is the account's
#: name when the record was written: who is renamed writes under the new name from then on, and what
#: stands under the old one stays, as does what a forgotten account has left.
ACCOUNT_FIELD: Final = "_account"
#: SQLite's integers have 64 bits; larger ones are kept as text.
_LARGEST_INTEGER: Final = 2**63 - 1

#: Values of these types cannot be changed.
_UNCHANGING: Final = frozenset(
    {type(None), bool, int, float, str, bytes, datetime, date, time, Decimal, UUID}
)

Stored = str | int | float | bytes | None


class Finite(list[object]):
    """Records in which nobody has to look for NaN or an infinity: what has parsed them has none.

    It need not be said: who is not told looks.
    """


class UnusableRecord(ValueError):
    """A record cannot be written; says which field, never its value."""


def fault_of(record: object, key: tuple[str, ...]) -> str | None:
    """Say what keeps a record from being written anywhere: which field, never a value.

    Args:
        record: what the function or the API gave.
        key: the fields that identify it.
    """
    if not isinstance(record, Mapping):
        return f"is {type(record).__name__}, not a mapping"
    for name in record:
        if not isinstance(name, str) or not name:
            return "has a field whose name is not text"
        if "\0" in name:
            return "has a field whose name holds a NUL"
    if ACCOUNT_FIELD in record:
        return f"has the field {ACCOUNT_FIELD}, which is ours"
    missing = [name for name in key if _is_missing(record.get(name))]
    if missing:
        return f"lacks {', '.join(missing)}, part of its key"
    return None


def take_record(record: object, key: tuple[str, ...]) -> Mapping[str, object]:
    """Copy a record that is a mapping with text keys and has the fields of its key.

    The function may go on to change what it yielded: the record is what it was at that moment.

    Args:
        record: what the function yielded.
        key: the fields that identify it.

    Raises:
        UnusableRecord: says what is wrong.
    """
    fault = fault_of(record, key)
    if fault is not None or not isinstance(record, Mapping):
        raise UnusableRecord(fault or "is no mapping")
    if _UNCHANGING.issuperset(map(type, record.values())):
        return dict(record)
    try:
        return {name: _copied(value) for name, value in record.items()}
    except RecursionError:
        raise UnusableRecord("is nested too deeply, or holds itself") from None


def stored_value(value: object) -> Stored:
    """Make a value fit for a database column: nested ones as JSON, dates as ISO 8601.

    Raises:
        UnusableRecord: it is of a type that has no such form.
    """
    if isinstance(value, str):
        return storable_text(value)
    if value is None or isinstance(value, (float, bytes)):
        return value
    if isinstance(value, bool):
        return int(value)
    if isinstance(value, int):
        return value if -_LARGEST_INTEGER <= value <= _LARGEST_INTEGER else str(value)
    if isinstance(value, (datetime, date, time)):
        return value.isoformat()
    if isinstance(value, (Decimal, UUID)):
        return str(value)
    return nested_text(value)


def nested_text(value: object) -> str:
    """Write what is nested as JSON, quickly where it can be; halves of pairs are replaced.

    Raises:
        UnusableRecord: it cannot be written as JSON.
    """
    try:
        data = orjson.dumps(value, json_default, orjson.OPT_PASSTHROUGH_DATACLASS)
    except (TypeError, ValueError, RecursionError):
        return storable_text(json_text(value))
    # orjson writes NaN as null; the standard library tells of it
    return storable_text(json_text(value)) if b"null" in data else data.decode()


def storable_text(text: str) -> str:
    """Replace what is no Unicode text: half of a surrogate pair, as cut JSON strings have it."""
    return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")


def json_text(value: object) -> str:
    """Write a value as compact JSON.

    Raises:
        UnusableRecord: it cannot be written as JSON.
    """
    try:
        return json.dumps(
            value,
            ensure_ascii=False,
            allow_nan=False,
            separators=(",", ":"),
            default=json_default,
        )
    except (TypeError, ValueError) as error:
        raise UnusableRecord(f"a value cannot be written as JSON: {error}") from None
    except RecursionError:
        raise UnusableRecord("a value is nested too deeply") from None


def json_default(value: object) -> object:
    """Give what a value that JSON does not know is written as.

    Raises:
        TypeError: it has no such form.
    """
    if isinstance(value, (datetime, date, time)):
        return value.isoformat()
    if isinstance(value, (Decimal, UUID)):
        return str(value)
    if isinstance(value, Enum):
        return value.value
    if isinstance(value, Mapping):
        return dict(value)
    if isinstance(value, (set, frozenset)):
        return sorted(value, key=json_text)  # in one order, so that a repeat is the same
    raise TypeError(f"{type(value).__name__} has no JSON form")


def _copied(value: object) -> object:
    """Copy a value with all that can be changed within it; what has no JSON form is told later."""
    if type(value) in _UNCHANGING:
        return value
    if isinstance(value, (list, tuple)):
        return [_copied(one) for one in value]
    if isinstance(value, Mapping):
        return {name: _copied(one) for name, one in value.items()}
    if isinstance(value, (set, frozenset)):
        return frozenset(value)  # its members cannot be changed: they have hashes
    return value


def _is_missing(value: object) -> bool:
    return value is None or value != value  # noqa: PLR0124 - NaN, which SQLite stores as NULL
