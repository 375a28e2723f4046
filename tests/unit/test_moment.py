"""Moments are written in UTC with a Z, whatever they come as."""

from datetime import UTC, datetime, timedelta, timezone

import pytest

from connector.moment import Precision, rfc3339

SECONDS = 1_764_161_518.987654


@pytest.mark.parametrize(
    ("precision", "written"),
    [
        ("seconds", "2025-11-26T12:51:58Z"),
        ("milliseconds", "2025-11-26T12:51:58.987Z"),
        ("auto", "2025-11-26T12:51:58.987654Z"),
    ],
)
def test_what_is_finer_is_cut_off(precision: Precision, written: str) -> None:
    assert rfc3339(SECONDS, precision) == written
    moment = datetime.fromtimestamp(SECONDS, UTC)
    assert rfc3339(moment, precision) == written
    assert rfc3339(moment.astimezone(timezone(timedelta(hours=5.5))), precision) == written


def test_a_whole_second_has_no_fraction() -> None:
    assert rfc3339(0.0) == rfc3339(0.0, "auto") == "1970-01-01T00:00:00Z"


def test_no_moment_is_none() -> None:
    assert rfc3339(None) is None


@pytest.mark.parametrize("seconds", [float("nan"), float("inf"), 1e18, -1e18])
def test_what_no_calendar_shows(seconds: float) -> None:
    with pytest.raises((ValueError, OverflowError, OSError)):
        rfc3339(seconds)
