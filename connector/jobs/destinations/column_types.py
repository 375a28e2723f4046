"""The types of columns: found from values, widened without loss, or declared.

For destinations whose columns have types. A column is made when its first value comes and has the
type of that value; a value that does not fit widens it to the least type that holds both:

    bigint ─┐
    double ─┴→ numeric ─┐
    bool, date, timestamptz, jsonb ─┴→ text

Text stays text: a string that looks like a number or a date is one only where that is declared. A
declared column is never widened: a record that does not fit it is set aside. A whole number beyond
64 bits is numeric; a moment without a time zone is text, for nobody knows when it was; NaN and the
infinities are doubles; what is nested is jsonb.
"""

import math
from collections.abc import Callable, Mapping
from datetime import date, datetime, time
from decimal import Decimal, InvalidOperation
from typing import Final, Literal
from uuid import UUID

from connector.jobs.destinations.records import json_text, nested_text, storable_text

ColumnType = Literal["bool", "bigint", "double", "numeric", "date", "timestamptz", "jsonb", "text"]

_LEAST: Final = -(2**63)
_MOST: Final = 2**63 - 1
_NUMBERS: Final = frozenset({"bigint", "double", "numeric"})
#: Postgres' numeric holds no more digits before and after its point.
_MOST_DIGITS: Final = 131_072
_MOST_DECIMALS: Final = 16_383


class Unfit(ValueError):
    """A value does not fit a column; says of what type it is, never the value."""


def type_of(value: object) -> ColumnType | None:
    """Give the type of a column that a value needs; None: any will do.

    Raises:
        Unfit: no column takes it.
    """
    found = _TYPES.get(type(value), ...)
    if found is not ...:
        return found
    if isinstance(value, bool):
        return "bool"
    if isinstance(value, int):
        return "bigint" if _LEAST <= value <= _MOST else "numeric"
    if isinstance(value, datetime):
        return "text" if value.tzinfo is None else "timestamptz"
    for kind, name in _BASES:
        if isinstance(value, kind):
            return name
    raise Unfit(f"is {type(value).__name__}, which no column takes")


def widened(before: ColumnType, value: ColumnType) -> ColumnType:
    """Give the least type that holds what two types hold."""
    if before == value:
        return before
    if {before, value} <= _NUMBERS:
        return "numeric"
    return "text"


def fitted(value: object, kind: ColumnType) -> object:
    """Give a value as a column of a type takes it, or as the text that is read as one.

    Returns:
        None, bool, int, float, Decimal, date, datetime with a zone, or str: JSON for jsonb.

    Raises:
        Unfit: it cannot be one without losing something.
    """
    if value is None:
        return None
    return _FITTED[kind](value)


def _text(value: object) -> str:
    if isinstance(value, str):
        return storable_text(value)
    if isinstance(value, (datetime, date, time)):
        return value.isoformat()
    if isinstance(value, (Decimal, UUID)):
        return str(value)
    if isinstance(value, float) and not math.isfinite(value):
        return str(value)
    type_of(value)
    return storable_text(json_text(value))


def _bool(value: object) -> bool:
    if isinstance(value, bool):
        return value
    if isinstance(value, str) and value.lower() in {"true", "false"}:
        return value.lower() == "true"
    if isinstance(value, int) and value in {0, 1}:
        return bool(value)
    raise _unfit(value, "bool")


def _bigint(value: object) -> int:
    number = _numeric(value, "bigint")
    if number.is_finite() and number == number.to_integral_value() and _LEAST <= number <= _MOST:
        return int(number)
    raise Unfit(f"is no whole number of 64 bits ({type(value).__name__})")


def _double(value: object) -> float:
    """Give the nearest double of a decimal text or number; of a whole number only the same one."""
    if isinstance(value, float):
        return value
    number = _numeric(value, "double")
    if not number.is_finite():
        return float(number)
    near = float(number)
    if not math.isfinite(near) or (isinstance(value, int) and int(near) != value):
        raise Unfit(f"is beyond what a double holds ({type(value).__name__})")
    return near


def _numeric(value: object, kind: ColumnType = "numeric") -> Decimal:
    if isinstance(value, bool) or not isinstance(value, (int, float, Decimal, str)):
        raise _unfit(value, kind)
    try:
        number = Decimal(repr(value) if isinstance(value, float) else value)
    except InvalidOperation:
        raise _unfit(value, kind) from None
    if number.is_finite():
        exponent = int(number.as_tuple().exponent)
        if number.adjusted() >= _MOST_DIGITS or -exponent > _MOST_DECIMALS:
            raise Unfit(f"has more digits than a numeric holds ({type(value).__name__})")
    elif number.is_snan():
        raise _unfit(value, kind)
    return number


def _date(value: object) -> date:
    if isinstance(value, date) and not isinstance(value, datetime):
        return value
    if isinstance(value, str):
        try:
            return date.fromisoformat(value)
        except ValueError:
            pass
    raise _unfit(value, "date")


def _timestamptz(value: object) -> datetime:
    moment = value
    if isinstance(value, str):
        try:
            moment = datetime.fromisoformat(value)
        except ValueError:
            raise _unfit(value, "timestamptz") from None
    if not isinstance(moment, datetime):
        raise _unfit(value, "timestamptz")
    if moment.tzinfo is None:
        raise Unfit(f"is a time without a zone ({type(value).__name__})")
    return moment


def _jsonb(value: object) -> str:
    """Write JSON; a number beyond 64 bits or a date stands in it as other values have them."""
    if isinstance(value, float) and not math.isfinite(value):
        raise Unfit("is a number that JSON has no form for (float)")
    type_of(value)
    return nested_text(value)


def _unfit(value: object, kind: ColumnType) -> Unfit:
    return Unfit(f"is no {kind} ({type(value).__name__})")


_FITTED: Final[Mapping[ColumnType, Callable[[object], object]]] = {
    "bool": _bool,
    "bigint": _bigint,
    "double": _double,
    "numeric": _numeric,
    "date": _date,
    "timestamptz": _timestamptz,
    "jsonb": _jsonb,
    "text": _text,
}
#: What is told by its class alone; a whole number and a moment are looked at.
_TYPES: Final[Mapping[type, ColumnType | None]] = {
    type(None): None,
    bool: "bool",
    float: "double",
    Decimal: "numeric",
    str: "text",
    list: "jsonb",
    dict: "jsonb",
    date: "date",
}
_BASES: Final[tuple[tuple[type | tuple[type, ...], ColumnType], ...]] = (
    (float, "double"),
    (Decimal, "numeric"),
    (str, "text"),
    ((list, tuple, Mapping, set, frozenset), "jsonb"),
    (date, "date"),
    ((time, UUID), "text"),
)
