import json
import math
import sqlite3
from collections import OrderedDict
from datetime import UTC, date, datetime
from decimal import Decimal
from types import MappingProxyType

import pytest
from hypothesis import given
from hypothesis import strategies as st

from connector.jobs.destinations.records import UnusableRecord, json_text, stored_value, take_record

JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=10,
)


class TestTake:
    def test_any_mapping_is_a_record(self) -> None:
        for record in ({"id": 1}, OrderedDict(id=1), MappingProxyType({"id": 1})):
            assert take_record(record, ("id",)) == {"id": 1}

    @pytest.mark.parametrize(
        ("record", "says"),
        [
            ([1], "^is list, not a mapping"),
            ("text", "^is str"),
            (None, "^is NoneType"),
            ({"id": 1, 2: 3}, "whose name is not text"),
            ({"id": 1, "": 3}, "whose name is not text"),
            ({"id": 1, "n\0ul": 3}, "whose name holds a NUL"),
            ({"id": 1, "_account": "x"}, "_account, which is ours"),
            ({}, "lacks id, day, part of its key"),
            ({"id": 0, "day": None}, "lacks day"),
            ({"id": math.nan, "day": ""}, "lacks id"),
        ],
    )
    def test_says_what_is_wrong_and_no_value(self, record: object, says: str) -> None:
        with pytest.raises(UnusableRecord, match=says):
            take_record(record, ("id", "day"))

    def test_a_key_may_be_zero_or_empty_or_false(self) -> None:
        take_record({"a": 0, "b": "", "c": False}, ("a", "b", "c"))

    def test_what_is_changed_later_is_another_record(self) -> None:
        members = {1}
        record: dict[str, object] = {
            "id": 1,
            "nested": {"list": [1, {"deep": [1]}], "pair": ([1],), "set": members},
        }
        taken = take_record(record, ("id",))
        before = json_text(taken)
        assert before == json_text(record)
        nested = record["nested"]
        assert isinstance(nested, dict)
        nested["list"][1]["deep"].append(2)
        nested["pair"][0].append(2)
        members.add(2)
        nested["new"] = 2
        record["new"] = 2
        assert json_text(taken) == before

    def test_a_record_that_holds_itself(self) -> None:
        record: dict[str, object] = {"id": 1}
        record["self"] = [record]
        with pytest.raises(UnusableRecord, match=r"^is nested too deeply, or holds itself"):
            take_record(record, ("id",))


class TestStored:
    @pytest.mark.parametrize(
        ("value", "stored"),
        [
            (None, None),
            ("é", "é"),
            (1.5, 1.5),
            (b"\0\xff", b"\0\xff"),
            (True, 1),
            (2**63 - 1, 2**63 - 1),
            (-(2**63) + 1, -(2**63) + 1),
            (2**63, "9223372036854775808"),
            (-(2**63) - 1, "-9223372036854775809"),
            (10**400, str(10**400)),
            (date(2027, 1, 15), "2027-01-15"),
            (datetime(2027, 1, 15, 8, tzinfo=UTC), "2027-01-15T08:00:00+00:00"),
            (Decimal("1.10"), "1.10"),
            ([], "[]"),
            ({"b": [1, None], "a": True}, '{"b":[1,null],"a":true}'),
            ((1, 2), "[1,2]"),
            ([date(2027, 1, 15), Decimal("0.1")], '["2027-01-15","0.1"]'),
            ({"x": MappingProxyType({"y": 1})}, '{"x":{"y":1}}'),
            ({"c", "a", "b"}, '["a","b","c"]'),
            (frozenset({3, 1, 2}), "[1,2,3]"),
            ("cut \ud83d", "cut \ufffd"),
            ("\ud83d\ude00", "\U0001f600"),
            (["cut \ude00"], '["cut \ufffd"]'),
        ],
        ids=lambda value: repr(sorted(value) if isinstance(value, set) else value)[:60],
    )
    def test_forms(self, value: object, stored: object) -> None:
        assert stored_value(value) == stored
        assert type(stored_value(value)) is type(stored)

    @pytest.mark.parametrize(
        ("value", "says"),
        [
            (object(), "object has no JSON form"),
            ([b"bytes"], "bytes has no JSON form"),
            ({(1, 2): 3}, "keys must be"),
            ([math.nan], "Out of range"),
            ([math.inf], "Out of range"),
        ],
    )
    def test_what_has_no_form(self, value: object, says: str) -> None:
        with pytest.raises(UnusableRecord, match=says):
            stored_value(value)

    def test_a_circle(self) -> None:
        circle: list[object] = []
        circle.append(circle)
        with pytest.raises(UnusableRecord, match="Circular"):
            stored_value(circle)

    @given(JSON)
    def test_sqlite_takes_whatever_json_holds(self, value: object) -> None:
        connection = sqlite3.connect(":memory:")
        (back,) = connection.execute("SELECT ?", (stored_value(value),)).fetchone()
        connection.close()
        if isinstance(value, (list, dict)):
            assert json.loads(back) == value
        elif isinstance(value, int) and abs(value) >= 2**63:
            assert int(back) == value
        else:
            assert back == value

    @given(JSON)
    def test_json_text_is_one_line_that_reads_back(self, value: object) -> None:
        text = json_text(value)
        assert "\n" not in text
        assert json.loads(text) == value
