"""The types of columns: what a value needs, what widens to what, and what a declared one takes."""

import math
from datetime import UTC, date, datetime, time
from decimal import Decimal
from itertools import permutations
from typing import get_args
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from connector.jobs.destinations.column_types import ColumnType, Unfit, fitted, type_of, widened

TYPES: tuple[ColumnType, ...] = get_args(ColumnType)
MOMENT = datetime(2027, 1, 15, 8, tzinfo=UTC)


@pytest.mark.parametrize(
    ("value", "kind"),
    [
        (None, None),
        (True, "bool"),
        (0, "bigint"),
        (2**63 - 1, "bigint"),
        (2**63, "numeric"),
        (-(2**63), "bigint"),
        (-(2**63) - 1, "numeric"),
        (1.5, "double"),
        (math.nan, "double"),
        (Decimal("1.10"), "numeric"),
        ("12", "text"),
        ("2027-01-15", "text"),
        (date(2027, 1, 15), "date"),
        (MOMENT, "timestamptz"),
        (MOMENT.replace(tzinfo=None), "text"),
        (time(8), "text"),
        (UUID(int=1), "text"),
        ([], "jsonb"),
        ({"a": 1}, "jsonb"),
        ((1,), "jsonb"),
        ({1}, "jsonb"),
    ],
    ids=repr,
)
def test_what_a_value_needs(value: object, kind: str | None) -> None:
    assert type_of(value) == kind


@pytest.mark.parametrize("value", [b"bytes", object(), 1j])
def test_what_no_column_takes(value: object) -> None:
    with pytest.raises(Unfit, match=f"is {type(value).__name__}, which no column takes"):
        type_of(value)


def test_the_order_of_widening() -> None:
    """One least type for any two, whichever came first; text holds all."""
    assert widened("bigint", "double") == "numeric"
    assert widened("double", "numeric") == "numeric"
    for one in TYPES:
        assert widened(one, one) == one
        assert widened(one, "text") == "text"
    assert widened("bool", "bigint") == widened("date", "timestamptz") == "text"
    for a, b, c in permutations(TYPES, 3):
        assert widened(a, b) == widened(b, a)
        assert widened(widened(a, b), c) == widened(a, widened(b, c))


@pytest.mark.parametrize(
    ("kind", "value", "expected"),
    [
        ("bool", "true", True),
        ("bool", "False", False),
        ("bool", 1, True),
        ("bigint", "12", 12),
        ("bigint", 2.0, 2),
        ("bigint", Decimal(7), 7),
        ("double", "1.5", 1.5),
        ("double", 2**53, 2.0**53),
        ("double", "1e400", None),
        ("double", 2**53 + 1, None),
        ("numeric", "0.10", Decimal("0.10")),
        ("numeric", 0.1, Decimal("0.1")),
        ("numeric", 10**30, Decimal(10**30)),
        ("numeric", "1e200000", None),
        ("numeric", "", None),
        ("numeric", True, None),
        ("numeric", "sNaN", None),
        ("date", "2027-01-15", date(2027, 1, 15)),
        ("date", "2027-01-15T08:00:00Z", None),
        ("date", MOMENT, None),
        ("date", 20270115, None),
        ("timestamptz", "2027-01-15T08:00:00+0000", MOMENT),
        ("timestamptz", "2027-01-15T08:00:00", None),
        ("timestamptz", "2027-01-15", None),
        ("timestamptz", 1_800_000_000, None),
        ("jsonb", {"a": [1]}, '{"a":[1]}'),
        ("jsonb", "a", '"a"'),
        ("jsonb", math.nan, None),
        ("text", 1, "1"),
        ("text", False, "false"),
        ("text", ["a"], '["a"]'),
        ("text", date(2027, 1, 15), "2027-01-15"),
        ("bigint", "1.5", None),
        ("bigint", 2**63, None),
        ("bigint", "NaN", None),
        ("bool", "yes", None),
        ("bool", 2, None),
        ("text", b"x", None),
    ],
)
def test_what_a_declared_column_takes(kind: ColumnType, value: object, expected: object) -> None:
    """None: it does not fit, and the message has its type and never its value."""
    if expected is None:
        with pytest.raises(Unfit, match=type(value).__name__) as caught:
            fitted(value, kind)
        assert not value or str(value) not in str(caught.value).replace("64 bits", "")
        return
    found = fitted(value, kind)
    assert (found, type(found)) == (expected, type(expected))


@pytest.mark.parametrize("kind", TYPES)
def test_nothing_fits_everywhere(kind: ColumnType) -> None:
    assert fitted(None, kind) is None


@given(st.integers() | st.floats(allow_nan=False) | st.booleans() | st.dates())
def test_a_value_fits_the_type_that_it_needs_and_is_the_same(value: object) -> None:
    kind = type_of(value)
    assert kind is not None
    assert fitted(value, kind) == value


@given(st.floats(allow_nan=False, allow_infinity=False) | st.integers(-(2**63), 2**63 - 1))
def test_widening_numbers_loses_nothing(value: float) -> None:
    number = fitted(value, "numeric")
    assert isinstance(number, Decimal)
    assert type(value)(number) == value
