"""Paths and conditions in a provider's answers."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from connector.oauth.authorization_server import ErrorRule, at_path, meets

ANYTHING = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
)


@pytest.mark.parametrize(
    ("answer", "path", "found"),
    [
        ({"a": 1}, "a", 1),
        ({"a": {"b": {"c": "x"}}}, "a.b.c", "x"),
        ({"a": {"b": 1}}, "a.c", None),
        ({"a": 1}, "a.b", None),
        ({"a": [{"b": 1}]}, "a.b", None),
        ({"a.b": 1}, "a.b", None),
        ({}, "a", None),
        (None, "a", None),
        ("a", "a", None),
        ([], "0", None),
        ({"": {"": 1}}, ".", 1),
    ],
)
def test_what_stands_at_a_path(answer: object, path: str, found: object) -> None:
    assert at_path(answer, path) == found


@pytest.mark.parametrize(
    ("answer", "conditions", "expected"),
    [
        ({"code": 190}, {"code": (190, 102)}, True),
        ({"code": 102}, {"code": (190, 102)}, True),
        ({"code": 19}, {"code": (190,)}, False),
        ({"code": "190"}, {"code": (190,)}, False),
        ({"code": True}, {"code": (1,)}, False),
        ({"ok": 1}, {"ok": (True,)}, False),
        ({"ok": True}, {"ok": (True,)}, True),
        ({"ok": 0}, {"ok": (False,)}, False),
        ({"error": "invalid_grant: x"}, {"error": ("invalid_grant",)}, False),
        ({"a": 1, "b": 2}, {"a": (1,), "b": (2,)}, True),
        ({"a": 1}, {"a": (1,), "b": (2,)}, False),
        ({}, {}, True),
        (None, {"a": (1,)}, False),
    ],
)
def test_conditions_compare_whole_values(
    *, answer: object, conditions: dict[str, tuple[object, ...]], expected: bool
) -> None:
    """47: never by substring; true is not 1."""
    assert meets(answer, conditions) is expected
    if isinstance(answer, dict):
        assert ErrorRule(when=conditions, means="invalid_grant").matches(answer) is expected


@given(ANYTHING, st.text())
def test_any_path_in_anything(answer: object, path: str) -> None:
    at_path(answer, path)
    assert meets(answer, {path: (object(),)}) is False
