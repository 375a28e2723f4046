"""Moments as APIs write them, and as they compare."""

from datetime import UTC, date, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from connector.pulls.days import add_months, day_start
from connector.pulls.moments import (
    Moment,
    MomentError,
    back,
    from_datetime,
    is_date,
    is_time,
    parse_start,
    read_moment,
    step,
    to_datetime,
    with_zone,
    write_moment,
)
from connector.pulls.spec import MomentFormat

#: Clocks that go back, forward over midnight, by half an hour, a day that was skipped, and an
#: hour that came twice across midnight.
ZONES = [
    "UTC",
    "Europe/Berlin",
    "America/Sao_Paulo",
    "Pacific/Apia",
    "Australia/Lord_Howe",
    "America/St_Johns",
    "America/Toronto",
    "Asia/Kolkata",
]
NOW = datetime(2026, 11, 26, 14, 0, 5, 250_000, tzinfo=UTC)
points = st.datetimes(datetime(1905, 1, 1), datetime(2090, 1, 1)).map(  # noqa: DTZ001 - made aware
    lambda point: point.replace(tzinfo=UTC)
)
zones = st.sampled_from(ZONES)


def dates(zone: str = "UTC") -> MomentFormat:
    return MomentFormat(kind="date", timezone=zone)


def times(zone: str = "UTC", kind: str = "datetime") -> MomentFormat:
    return MomentFormat(kind=kind, timezone=zone)


@pytest.mark.parametrize(
    ("kind", "zone", "value", "moment"),
    [
        ("iso", "UTC", "2026-11-26", "2026-11-26"),
        ("iso", "Europe/Berlin", "2026-11-26 14:05:00", "2026-11-26T13:05:00.000000Z"),
        ("date", "UTC", "2026-11-26", "2026-11-26"),
        ("date", "UTC", "2026-11-26T00:00:00Z", "2026-11-26"),
        ("datetime", "UTC", "2026-11-26T14:05:00Z", "2026-11-26T14:05:00.000000Z"),
        ("datetime", "UTC", "2026-11-26t14:05:00z", "2026-11-26T14:05:00.000000Z"),
        ("datetime", "UTC", "2026-11-26T14:05:00.1234567+02:00", "2026-11-26T12:05:00.123456Z"),
        ("datetime", "UTC", "2026-11-26 14:05:00.5-0330", "2026-11-26T17:35:00.500000Z"),
        ("datetime", "UTC", "2016-12-31T23:59:60Z", "2016-12-31T23:59:59.000000Z"),
        ("datetime", "Europe/Berlin", "2026-11-26T14:05:00", "2026-11-26T13:05:00.000000Z"),
        ("datetime", "Europe/Berlin", "2026-10-25T02:30:00", "2026-10-25T00:30:00.000000Z"),
        ("datetime", "Europe/Berlin", "2026-11-26T14:05:00Z", "2026-11-26T14:05:00.000000Z"),
        ("unix", "UTC", 1_700_000_000, "2023-11-14T22:13:20.000000Z"),
        ("unix", "UTC", "1700000000", "2023-11-14T22:13:20.000000Z"),
        ("unix", "UTC", 1_700_000_000.25, "2023-11-14T22:13:20.250000Z"),
        ("unix_ms", "UTC", 1_700_000_000_123, "2023-11-14T22:13:20.123000Z"),
        ("%Y%m%d", "UTC", "20261126", "2026-11-26"),
        ("%Y%m%d", "UTC", 20261126, "2026-11-26"),
        ("%d/%m/%Y %H:%M", "Europe/Berlin", "26/11/2026 14:05", "2026-11-26T13:05:00.000000Z"),
        ("number", "UTC", "9007199254740993", 9_007_199_254_740_993),
        ("number", "UTC", 12, 12),
        ("number", "UTC", 1.5, 1.5),
        ("text", "UTC", "abc", "abc"),
        ("text", "UTC", 5, "5"),
    ],
)
def test_a_moment_is_read(kind: str, zone: str, value: object, moment: Moment) -> None:
    assert read_moment(MomentFormat(kind=kind, timezone=zone), value) == moment


@pytest.mark.parametrize(
    ("kind", "value", "told"),
    [
        ("iso", "2026-W48-4", "not a date .* or a date and time"),
        ("iso", "26.11.2026", "not a date .* or a date and time"),
        ("iso", 20261126, "not a date .* or a date and time"),
        ("date", "26.11.2026", r"not a date \(2026-11-26\)"),
        ("date", "2026-02-30", "not a date"),
        ("date", 20261126, "not a date"),
        ("datetime", "yesterday", r"'yesterday', which is not a date and time \(RFC 3339\)"),
        ("datetime", "2026-11-26", "not a date and time"),
        ("datetime", "2026-13-01T00:00:00Z", "not a date and time"),
        ("datetime", 1_700_000_000, "not a date and time"),
        ("datetime", ["2026-11-26T00:00:00Z"], "not a date and time"),
        ("unix", "soon", "not a number of seconds"),
        ("unix", True, "not a number of seconds"),
        ("unix", 10**30, "not a number of seconds"),
        ("unix", float("nan"), "not a number of seconds"),
        ("unix_ms", None, "not a number of milliseconds"),
        ("number", "", "not a number"),
        ("number", "1_000", "not a number"),
        ("text", {"a": 1}, "not text"),
        ("%Y%m%d", "2026-11-26", "written as %Y%m%d"),
    ],
)
def test_what_is_no_moment_is_told_with_its_field(kind: str, value: object, told: str) -> None:
    with pytest.raises(MomentError, match=r"the field 'updated\.at' holds .*" + told):
        read_moment(MomentFormat(kind=kind), value, "updated.at")


def test_a_long_value_is_cut() -> None:
    with pytest.raises(MomentError) as caught:
        read_moment(times(), "x" * 5000, "at")
    assert len(str(caught.value)) < 130


@pytest.mark.parametrize(
    ("kind", "zone", "written"),
    [
        ("iso", "UTC", "2026-11-26T14:00:05.250Z"),
        ("datetime", "UTC", "2026-11-26T14:00:05.250Z"),
        ("datetime", "Europe/Berlin", "2026-11-26T15:00:05.250+01:00"),
        ("unix", "UTC", 1_795_701_605),
        ("unix_ms", "UTC", 1_795_701_605_250),
        ("%Y-%m-%dT%H:%M:%SZ", "UTC", "2026-11-26T14:00:05Z"),
        ("%Y%m%d", "Pacific/Apia", "20261127"),
        ("date", "Pacific/Apia", "2026-11-27"),
    ],
)
def test_a_moment_is_written(kind: str, zone: str, written: object) -> None:
    format_ = MomentFormat(kind=kind, timezone=zone)
    assert write_moment(format_, from_datetime(format_, NOW)) == written


@given(
    point=points,
    zone=zones,
    kind=st.sampled_from(["datetime", "unix", "unix_ms", "%Y-%m-%dT%H:%M:%S.%f%z"]),
)
def test_what_is_written_is_read_again(point: datetime, zone: str, kind: str) -> None:
    format_ = times(zone, kind)
    size = step(format_)
    point -= (point - datetime(1970, 1, 1, tzinfo=UTC)) % size
    if "%z" in kind:
        whole = point.astimezone(ZoneInfo(zone)).utcoffset() or timedelta()
        if whole % timedelta(minutes=1):
            return  # local mean times, which no offset in minutes can write
    moment = from_datetime(format_, point)
    assert read_moment(format_, write_moment(format_, moment)) == moment
    assert to_datetime(format_, moment) == point


@given(one=points, other=points, zone=zones)
def test_moments_compare_as_time_goes(one: datetime, other: datetime, zone: str) -> None:
    first, second = (str(from_datetime(times(zone), point)) for point in (one, other))
    assert (first < second) == (one < other)
    days = [str(from_datetime(dates(zone), point)) for point in (one, other)]
    assert one >= other or days[0] <= days[1] or zone == "America/St_Johns"


@given(day=st.dates(date(1905, 1, 1), date(2090, 1, 1)), zone=zones)
def test_a_day_begins_where_its_date_is_first_shown(day: date, zone: str) -> None:
    clock = ZoneInfo(zone)
    start = day_start(day, clock)
    assert start.astimezone(clock).date() >= day
    assert (start - timedelta(microseconds=1)).astimezone(clock).date() < day


@pytest.mark.parametrize(
    ("zone", "day", "start"),
    [
        ("Europe/Berlin", "2026-03-29", "2026-03-28T23:00:00+00:00"),
        ("America/Sao_Paulo", "2018-11-04", "2018-11-04T03:00:00+00:00"),
        ("Pacific/Apia", "2011-12-30", "2011-12-30T10:00:00+00:00"),
        ("Pacific/Apia", "2011-12-31", "2011-12-30T10:00:00+00:00"),
        ("America/Toronto", "1919-03-31", "1919-03-31T04:30:00+00:00"),
    ],
)
def test_known_days_begin_where_they_did(zone: str, day: str, start: str) -> None:
    assert day_start(date.fromisoformat(day), ZoneInfo(zone)).isoformat() == start


@pytest.mark.parametrize(
    ("format_", "text", "moment"),
    [
        (dates(), "-28d", "2026-10-29"),
        (MomentFormat(), "-28d", "2026-10-29"),
        (MomentFormat(), "-1h", "2026-11-26T13:00:05.250000Z"),
        (MomentFormat(), "2026-01-05", "2026-01-05"),
        (MomentFormat(), "2026-01-05T01:00:00Z", "2026-01-05T01:00:00.000000Z"),
        (dates(), "-37mo", "2023-10-26"),
        (dates(), "2026-01-05", "2026-01-05"),
        (dates("Pacific/Apia"), "-0d", "2026-11-27"),
        (times(), "-2w", "2026-11-12T00:00:00.000000Z"),
        (times("Europe/Berlin"), "-1d", "2026-11-24T23:00:00.000000Z"),
        (times(), "-90m", "2026-11-26T12:30:05.250000Z"),
        (times(kind="unix"), "-1y", "2025-11-26T00:00:00.000000Z"),
        (times(kind="unix"), "2026-01-05", "2026-01-05T00:00:00.000000Z"),
        (times(kind="unix"), "2026-01-05T10:00:00+01:00", "2026-01-05T09:00:00.000000Z"),
        (times(kind="unix"), "1700000000", "2023-11-14T22:13:20.000000Z"),
        (times("Europe/Berlin"), "2026-01-05", "2026-01-04T23:00:00.000000Z"),
        (MomentFormat(kind="number"), "-28", -28),
        (MomentFormat(kind="text"), "-28d", "-28d"),
    ],
)
def test_a_start_is_a_moment_or_so_long_before_now(
    format_: MomentFormat, text: str, moment: Moment
) -> None:
    assert parse_start(format_, text, NOW) == moment


@pytest.mark.parametrize("text", ["-28", "28d", "-5000y", "soon", "-1q"])
def test_a_start_that_is_none_is_told(text: str) -> None:
    with pytest.raises(MomentError):
        parse_start(dates(), text, NOW)


def test_months_go_to_the_last_day_of_a_shorter_one() -> None:
    assert add_months(date(2026, 3, 31), -1) == date(2026, 2, 28)
    assert add_months(date(2023, 11, 30), 3) == date(2024, 2, 29)
    assert add_months(date(2026, 1, 1), -1) == date(2025, 12, 1)


def test_going_back_in_dates_counts_days_begun() -> None:
    assert back(dates(), "2026-11-26", 86_400 * 28) == "2026-10-29"
    assert back(dates(), "2026-11-26", 1) == "2026-11-25"
    assert back(dates(), "2026-11-26", 0) == "2026-11-26"
    assert back(times(), "2026-11-26T00:00:00.000000Z", 0.5) == "2026-11-25T23:59:59.500000Z"
    with pytest.raises(MomentError, match="no calendar"):
        back(dates(), "0001-01-02", 86_400 * 5)


@pytest.mark.parametrize(
    ("kind", "seconds"),
    [
        ("date", 86_400),
        ("unix", 1),
        ("unix_ms", 0.001),
        ("datetime", 0.000001),
        ("%Y-%m-%d %H:%M", 60),
        ("%Y-%m-%d %I%p", 3600),
        ("%Y%m%d", 86_400),
        ("%Y-%m", 86_400),
        ("%s", 1),
    ],
)
def test_the_smallest_step_is_what_the_format_can_write(kind: str, seconds: float) -> None:
    assert step(MomentFormat(kind=kind)).total_seconds() == seconds


def test_a_date_stays_one_where_either_may_be() -> None:
    format_ = MomentFormat(timezone="Pacific/Apia")
    assert write_moment(format_, "2026-11-26") == "2026-11-26"
    assert to_datetime(format_, "2026-11-26") == datetime(2026, 11, 25, 11, tzinfo=UTC)
    assert back(format_, "2026-11-26", 86_400) == "2026-11-25"


def test_a_pattern_with_no_time_of_day_is_of_days() -> None:
    assert is_date(MomentFormat(kind="%Y%m%d"))
    assert is_time(MomentFormat(kind="%Y%m%d%H"))
    assert not is_time(MomentFormat(kind="number"))
    assert not is_date(MomentFormat(kind="number"))


def test_the_zone_may_be_the_parts_own() -> None:
    format_ = dates("{timezone}")
    assert with_zone(format_, {"timezone": "Asia/Tokyo"}).timezone == "Asia/Tokyo"
    for values in ({"timezone": "Mars/Base"}, {}, {"timezone": 5}, {"timezone": "../etc"}):
        with pytest.raises(MomentError, match="there is no time zone"):
            with_zone(format_, values)
