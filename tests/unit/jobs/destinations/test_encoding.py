"""Many records are written as each of them is."""

import math
from datetime import date
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from connector.jobs.destinations.encoding import all_json_bytes, json_bytes
from connector.jobs.destinations.records import UnusableRecord

scalars = st.none() | st.booleans() | st.integers() | st.floats() | st.text() | st.just("null")
values = st.recursive(
    scalars, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner)
)
records = st.lists(st.dictionaries(st.text(), values, max_size=4), max_size=4)


def _each(found: list[dict[str, object]]) -> list[bytes] | None:
    try:
        return [json_bytes(one) for one in found]
    except UnusableRecord:
        return None


@given(records)
def test_as_each_of_them_or_not_at_all(found: list[dict[str, object]]) -> None:
    together = all_json_bytes(found)
    assert together is None or together == _each(found)


def test_usual_ones_are_written_together() -> None:
    found: list[dict[str, object]] = [{"id": "1", "day": date(2027, 1, 1), "n": None}, {"a": [1]}]
    assert all_json_bytes(found) == [b'{"id":"1","day":"2027-01-01","n":null}', b'{"a":[1]}']


@pytest.mark.parametrize(
    "odd",
    [
        {"n": math.nan},
        {"n": [math.inf]},
        {"n": None, "m": math.nan},
        {"n": {"a": None}},
        {"text": "null"},
        {"n": 2**70},
        {"half": "\ud83d"},
        {"n": {1j}},
        {},
        [1, 2],
    ],
)
def test_odd_ones_need_a_closer_look(odd: object) -> None:
    assert all_json_bytes([{"id": 1}, odd, {"n": Decimal("1.5")}]) is None
