"""Lengths of time as people write them."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from connector.duration import LONGEST, SECONDS_PER_UNIT, format_duration, parse_duration


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("0", 0.0),
        ("0s", 0.0),
        ("90s", 90.0),
        ("250ms", 0.25),
        ("15m", 900.0),
        ("1.5h", 5400.0),
        ("30d", 2_592_000.0),
        ("2w", 1_209_600.0),
        ("  12 h ", 43_200.0),
        ("36500d", LONGEST),
    ],
)
def test_a_duration_is_seconds(text: str, seconds: float) -> None:
    assert parse_duration(text) == seconds


@pytest.mark.parametrize(
    "text",
    ["", " ", "5", "1.5", "s", "-5s", "+5s", "5 S", "5M", "1h30m", "1,5h", "1e3s", "0x5s", "inf",
     "nan", "5s5", "٣s", ".5s", "5.s", "1 year", "36501d"],
)  # fmt: skip
def test_what_is_no_duration_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"is not a duration such as 90s|longer than a hundred"):
        parse_duration(text)


@given(st.integers(0, 10_000), st.sampled_from(sorted(SECONDS_PER_UNIT)))
def test_number_times_unit(number: int, unit: str) -> None:
    if number * SECONDS_PER_UNIT[unit] <= LONGEST:
        assert parse_duration(f"{number}{unit}") == number * SECONDS_PER_UNIT[unit]


@given(st.text())
def test_any_text_is_a_duration_or_refused_by_name(text: str) -> None:
    try:
        assert 0 <= parse_duration(text) <= LONGEST
    except ValueError as error:
        assert repr(text) in str(error)  # noqa: PT017 - either outcome is right


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0, "0 s"),
        (0.04, "0.0 s"),
        (0.5, "0.5 s"),
        (2, "2 s"),
        (9.96, "10.0 s"),
        (10.9, "10 s"),
        (59.9, "59 s"),
        (60, "1 min"),
        (61, "1 min 1 s"),
        (240, "4 min"),
        (3600, "1 h"),
        (3661, "1 h 1 min"),
        (86_400, "1 d"),
        (86_460, "1 d"),
        (5_180_400, "59 d 23 h"),
        (-90, "-1 min 30 s"),
    ],
)
def test_how_a_duration_is_said(seconds: float, text: str) -> None:
    assert format_duration(seconds) == text


@given(st.floats(0, LONGEST))
def test_what_is_said_is_never_more_and_little_less(seconds: float) -> None:
    """At most two units, and nothing is rounded up: a token is not said to live longer."""
    words = format_duration(seconds).split()
    sizes = {"d": 86_400, "h": 3600, "min": 60, "s": 1}
    said = sum(
        float(number) * sizes[unit] for number, unit in zip(words[::2], words[1::2], strict=True)
    )
    smallest = min(sizes[unit] for unit in words[1::2])
    assert len(words) <= 4
    assert said <= seconds + 0.05
    larger = [size for size in sizes.values() if size > smallest]
    assert seconds - said < (min(larger) if len(words) == 2 and larger else smallest)
    assert not math.isnan(said)
