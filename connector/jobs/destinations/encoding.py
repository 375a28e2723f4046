"""Records as JSON, quickly: orjson writes what it can, and what it refuses the standard library.

orjson refuses whole numbers beyond 64 bits, halves of surrogate pairs and names that are no text,
and writes NaN as null: such a record is written the slow way, or told to be unusable.
"""

import math
from collections.abc import Mapping, Sequence
from json.encoder import encode_basestring, encode_basestring_ascii
from typing import Final, cast

import orjson

from connector.jobs.destinations.records import Finite, UnusableRecord, json_default, json_text

_OPTIONS: Final = orjson.OPT_PASSTHROUGH_DATACLASS
_DICT: Final = frozenset({dict})
#: Of these types no value is NaN or infinite.
_WHOLE: Final = frozenset({str, int, bool, type(None)})


def json_bytes(value: object) -> bytes:
    """Write a value as compact JSON; half a surrogate pair becomes its escape.

    Raises:
        UnusableRecord: it cannot be written as JSON.
    """
    try:
        data = orjson.dumps(value, json_default, _OPTIONS)
    except (TypeError, ValueError, RecursionError):
        return json_text(value).encode("utf-8", "backslashreplace")
    nulls = data.count(b"null")
    # a record whose own values are null so often has no other; quicker than to look at each
    if (
        nulls
        and not (type(value) is dict and list(value.values()).count(None) == nulls)
        and has_no_number(value)
    ):
        raise UnusableRecord("a value cannot be written as JSON: it is not a finite number")
    return data


def all_json_bytes(values: Sequence[object]) -> list[bytes] | None:
    """Write many values that have fields, as `json_bytes` does; None: one needs a closer look."""
    if not _DICT.issuperset(map(type, values)) or not all(values):
        return None
    try:
        written = [orjson.dumps(value, json_default, _OPTIONS) for value in values]
    except (TypeError, ValueError, RecursionError):
        return None
    if isinstance(values, Finite):
        return written
    nulls = nones = 0
    for value, data in zip(cast("Sequence[dict[str, object]]", values), written, strict=True):
        if found := data.count(b"null"):
            nulls += found
            nones += list(value.values()).count(None)
    # each None is a null; a null more is one of NaN, one within, or a part of a text
    return written if nulls == nones else None


def has_no_number(value: object) -> bool:
    """Tell whether NaN or an infinity stands in a value."""
    if isinstance(value, float):
        return not math.isfinite(value)
    if isinstance(value, Mapping):
        value = value.values()
    elif not isinstance(value, (list, tuple, set, frozenset)):
        return False
    # most records have a null and come here: what is plain is not asked further
    return any(type(one) not in _WHOLE and has_no_number(one) for one in value)


def key_text(value: object) -> str:
    """Write a value of a key as JSON within JSON, as digests of keys are made of it."""
    if isinstance(value, str):
        return encode_basestring_ascii(encode_basestring(value))
    if type(value) is int:
        return f'"{value}"'
    return encode_basestring_ascii(json_text(value))
