"""Single values of answers: nothing that a server sends makes them fail (CHECKLIST 44, 48, 158)."""

import math
from datetime import UTC, datetime
from email.utils import format_datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from connector.oauth.answer_fields import (
    LONGEST_LIFETIME,
    LONGEST_RETRY_AFTER,
    printable,
    read_retry_after,
    read_scope,
    read_seconds,
)

NOW = 1_800_000_000.0
ANYTHING = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
)


@pytest.mark.parametrize(
    ("value", "seconds"),
    [
        (3600, 3600.0),
        (3599.5, 3599.5),
        ("3600", 3600.0),
        (" 3600 ", 3600.0),
        (0, 0.0),
        ("0", 0.0),
        (-1, 0.0),
        ("-1", 0.0),
        (LONGEST_LIFETIME + 1, LONGEST_LIFETIME),
        (10**400, LONGEST_LIFETIME),
        (-(10**400), 0.0),
        (1e999, LONGEST_LIFETIME),
        ("1e999", LONGEST_LIFETIME),
        (float("nan"), None),
        ("NaN", None),
        ("", None),
        ("never", None),
        ("1 hour", None),
        (None, None),
        (True, None),
        (False, None),
        ([3600], None),
        ({"seconds": 3600}, None),
    ],
)
def test_seconds(value: object, seconds: float | None) -> None:
    """44: absent, a string, zero, negative, NaN or huge: never a crash."""
    assert read_seconds(value) == seconds


@given(ANYTHING)
def test_seconds_are_within_bounds_whatever_comes(value: object) -> None:
    seconds = read_seconds(value)
    assert seconds is None or 0 <= seconds <= LONGEST_LIFETIME


@pytest.mark.parametrize(
    ("value", "scope"),
    [
        ("read write", ("read", "write")),
        ("ads_read,business_management", ("ads_read", "business_management")),
        ("a, b", ("a", "b")),
        (" a  b ", ("a", "b")),
        ("", ()),
        (["a", "b"], ("a", "b")),
        ([], ()),
        (["a", ""], ("a",)),
        ("a \ud800 b\0", ("a",)),
        (["a\nb", "c"], ("c",)),
        (None, None),
        (5, None),
        (["a", 5], None),
        ({"a": "b"}, None),
    ],
)
def test_scope(value: object, scope: tuple[str, ...] | None) -> None:
    assert read_scope(value) == scope


@given(ANYTHING | st.lists(st.text()))
def test_scopes_can_be_stored_whatever_comes(value: object) -> None:
    """A database that chokes on an odd scope would lose the tokens that came with it."""
    for word in read_scope(value) or ():
        assert word.encode()
        assert "\0" not in word


@pytest.mark.parametrize(
    ("value", "seconds"),
    [
        ("120", 120.0),
        (" 120 ", 120.0),
        ("0", 0.0),
        ("0000000000120", 120.0),
        ("86401", LONGEST_RETRY_AFTER),
        ("9" * 50_000, LONGEST_RETRY_AFTER),
        ("Fri, 15 Jan 2027 08:02:00 GMT", 120.0),
        ("Fri, 15 Jan 2027 09:02:00 +0100", 120.0),
        ("Fri, 15 Jan 2027 08:02:00 -0000", 120.0),
        ("Friday, 15-Jan-27 08:02:00 GMT", 120.0),
        ("Fri, 15 Jan 2027 07:00:00 GMT", 0.0),
        ("Fri, 15 Jan 2029 08:00:00 GMT", LONGEST_RETRY_AFTER),
        ("", None),
        ("soon", None),
        ("-5", None),
        ("1.5", None),
        ("Fri, 99 Jan 2027 08:02:00 GMT", None),
        ("Fri, 15 Jan 99999 08:02:00 GMT", None),
        ("Fri, 15 Jan 2027 08:02:00 +9999", None),
    ],
)
def test_retry_after(value: str, seconds: float | None) -> None:
    """48: seconds or an HTTP date, clamped to a day."""
    assert read_retry_after({"retry-after": value}, NOW) == seconds


def test_no_retry_after() -> None:
    assert read_retry_after({}, NOW) is None


@given(st.datetimes(min_value=datetime(1, 1, 2), max_value=datetime(9999, 12, 30)))  # noqa: DTZ001
def test_any_http_date_is_a_pause_within_bounds(moment: datetime) -> None:
    text = format_datetime(moment.replace(microsecond=0, tzinfo=UTC), usegmt=True)
    pause = read_retry_after({"retry-after": text}, NOW)
    assert pause is not None
    assert 0 <= pause <= LONGEST_RETRY_AFTER


@given(st.text() | st.text(alphabet="0123456789 :+-,FriJanGMT"))
def test_any_retry_after_is_a_pause_or_nothing(text: str) -> None:
    pause = read_retry_after({"retry-after": text}, NOW)
    assert pause is None or 0 <= pause <= LONGEST_RETRY_AFTER
    assert pause is None or not math.isnan(pause)


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("Session has expired.", "Session has expired."),
        ("a\x1b[2Jb\r\nc\u202ed\0", "a [2Jb  c d "),
        ("x" * 301, "x" * 299 + "…"),
        ("x" * 300, "x" * 300),
        ("", None),
        (None, None),
        (5, None),
        (["x"], None),
    ],
)
def test_text_for_people(text: object, shown: str | None) -> None:
    """158: nothing that moves a cursor or hides what it says."""
    assert printable(text) == shown


@given(st.text(alphabet=st.characters(codec=None)), st.integers(1, 50))
def test_text_for_people_is_printable_and_short(text: str, longest: int) -> None:
    shown = printable(text, longest)
    assert shown is None or (shown.isprintable() and len(shown) <= longest)
