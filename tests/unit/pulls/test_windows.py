"""Windows leave nothing out and ask for nothing twice, whatever the clocks do."""

from datetime import UTC, date, datetime, timedelta
from itertools import pairwise
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from connector.pulls.days import day_start
from connector.pulls.moments import from_datetime, is_date, read_moment, step, to_datetime
from connector.pulls.spec import MomentFormat, WindowRule
from connector.pulls.windows import Window, completed, end_of_windows, split, windows, written

from .test_moments import ZONES

#: Around what the clocks of the zones did: a day that was skipped, an hour over midnight, halves.
MOMENTS = [
    datetime(2011, 12, 29, tzinfo=UTC),
    datetime(2018, 11, 3, tzinfo=UTC),
    datetime(2019, 2, 15, tzinfo=UTC),
    datetime(2026, 3, 28, tzinfo=UTC),
    datetime(2026, 10, 24, tzinfo=UTC),
    datetime(2026, 4, 4, tzinfo=UTC),
    datetime(1999, 10, 30, tzinfo=UTC),
    datetime(2026, 12, 30, tzinfo=UTC),
]
zones = st.sampled_from(ZONES)
starts = st.builds(
    lambda moment, seconds: moment + timedelta(seconds=seconds),
    st.sampled_from(MOMENTS),
    st.integers(-200_000, 400_000),
)
lengths = st.integers(0, 40 * 86_400).map(lambda seconds: timedelta(seconds=seconds))
kinds = st.sampled_from(["date", "datetime", "unix", "%Y%m%d"])
calendar_rules = st.builds(WindowRule, days=st.integers(1, 9)) | st.builds(
    WindowRule, months=st.integers(1, 3)
)
second_rules = st.builds(WindowRule, seconds=st.integers(3600, 300_000).map(float))
BERLIN = MomentFormat(kind="date", timezone="Europe/Berlin")


def dates(zone: str = "UTC") -> MomentFormat:
    return MomentFormat(kind="date", timezone=zone)


def times(zone: str = "UTC", kind: str = "datetime") -> MomentFormat:
    return MomentFormat(kind=kind, timezone=zone)


def at(text: str) -> datetime:
    return datetime.fromisoformat(text)


def check_they_tile(found: list[Window], start: object, end: object) -> None:
    """The first begins at the start, each next one where the last ended, the last at the end."""
    if str(start) >= str(end):
        assert found == []
        return
    assert [found[0].since, found[-1].until] == [start, end]
    for one, other in pairwise(found):
        assert one.until == other.since
    assert all(str(one.since) < str(one.until) for one in found)


@given(zone=zones, kind=kinds, start=starts, length=lengths, rule=calendar_rules | second_rules)
def test_windows_cover_everything_once_in_order(
    zone: str, kind: str, start: datetime, length: timedelta, rule: WindowRule
) -> None:
    format_ = times(zone, kind)
    since, until = from_datetime(format_, start), from_datetime(format_, start + length)
    check_they_tile(list(windows(rule, format_, since, until)), since, until)


@given(zone=zones, start=starts, length=lengths, rule=calendar_rules)
def test_windows_end_where_a_day_or_a_month_begins(
    zone: str, start: datetime, length: timedelta, rule: WindowRule
) -> None:
    format_, clock = times(zone), ZoneInfo(zone)
    since, until = from_datetime(format_, start), from_datetime(format_, start + length)
    for window in list(windows(rule, format_, since, until))[:-1]:
        end = to_datetime(format_, window.until)
        day = end.astimezone(clock).date()
        assert end == day_start(day, clock)
        assert rule.days or day.day == 1


@given(zone=zones, start=starts, length=lengths, days=st.integers(1, 9))
def test_windows_of_days_are_those_of_dates(
    zone: str, start: datetime, length: timedelta, days: int
) -> None:
    """A model: the dates between two dates, in groups of so many."""
    first = start.astimezone(ZoneInfo(zone)).date()
    count = length.days
    expected = []
    for index in range(0, count, days):
        one = first + timedelta(days=index)
        other = first + timedelta(days=min(count, index + days))
        expected.append(Window(one.isoformat(), other.isoformat()))
    end = (first + timedelta(days=count)).isoformat()
    found = windows(WindowRule(days=days), dates(zone), first.isoformat(), end)
    assert list(found) == expected


@given(
    zone=zones,
    kind=kinds,
    start=starts,
    length=lengths,
    rule=calendar_rules | second_rules,
    smallest=st.sampled_from([0.0, 1800.0, 86_400.0, 200_000.0]),
)
def test_the_halves_of_a_window_are_the_window(
    zone: str, kind: str, start: datetime, length: timedelta, rule: WindowRule, smallest: float
) -> None:
    format_ = times(zone, kind)
    rule = WindowRule(days=rule.days, months=rule.months, seconds=rule.seconds, smallest=smallest)
    window = Window(from_datetime(format_, start), from_datetime(format_, start + length))
    whole = [window] if str(window.since) < str(window.until) else []
    for _ in range(8):  # a window of 40 days is down to an hour or a day by then
        pieces: list[Window] = []
        for one in whole:
            halves = split(rule, format_, one)
            pieces.extend([one] if halves is None else halves)
        check_they_tile(pieces, window.since, window.until)
        whole = pieces
    if is_date(format_) and whole:
        days = max(1, -int(-smallest // 86_400))
        for one in whole:
            first, end = date.fromisoformat(str(one.since)), date.fromisoformat(str(one.until))
            assert (end - first).days >= min(days, (length.days or 1))


def test_a_day_is_split_no_further_and_a_day_of_hours_is_where_that_is_said() -> None:
    day = Window("2026-11-26", "2026-11-27")
    assert split(WindowRule(days=1), dates(), day) is None
    assert split(WindowRule(days=7), dates(), Window("2026-11-01", "2026-11-08")) == (
        Window("2026-11-01", "2026-11-04"),
        Window("2026-11-04", "2026-11-08"),
    )
    hours = Window("2026-11-26T00:00:00.000000Z", "2026-11-27T00:00:00.000000Z")
    assert split(WindowRule(days=1), times(), hours) is None
    halves = split(WindowRule(days=1, smallest=3600), times(), hours)
    assert halves is not None
    assert halves[0].until == "2026-11-26T12:00:00.000000Z"
    second = Window("2026-11-26T00:00:00.000000Z", "2026-11-26T00:00:01.000000Z")
    assert split(WindowRule(seconds=60), times(), second) is None


def test_days_of_23_and_25_hours_are_days() -> None:
    format_ = times("Europe/Berlin")
    for day, hours in (("2026-03-29", 23), ("2026-10-25", 25), ("2026-11-26", 24)):
        start = day_start(date.fromisoformat(day), ZoneInfo("Europe/Berlin"))
        since = from_datetime(format_, start)
        until = from_datetime(format_, start + timedelta(days=3))
        window = next(windows(WindowRule(days=1), format_, since, until))
        length = to_datetime(format_, window.until) - to_datetime(format_, window.since)
        assert length == timedelta(hours=hours)
        assert split(WindowRule(days=1), format_, window) is None


def test_a_skipped_day_makes_no_window_of_times() -> None:
    format_ = times("Pacific/Apia")
    since = from_datetime(format_, at("2011-12-29T10:00:00+00:00"))
    until = from_datetime(format_, at("2012-01-01T10:00:00+00:00"))
    found = list(windows(WindowRule(days=1), format_, since, until))
    assert len(found) == 3
    check_they_tile(found, since, until)


@pytest.mark.parametrize(
    ("format_", "is_inclusive", "expected"),
    [
        (dates(), False, ("2026-11-01", "2026-11-08")),
        (dates(), True, ("2026-11-01", "2026-11-07")),
        (times(kind="%Y%m%d"), True, ("20261101", "20261107")),
        (times(), False, ("2026-11-01T00:00:00Z", "2026-11-08T00:00:00Z")),
        (times(), True, ("2026-11-01T00:00:00Z", "2026-11-07T23:59:59.999999Z")),
        (times(kind="unix"), True, (1_793_491_200, 1_794_095_999)),
        (times(kind="unix_ms"), True, (1_793_491_200_000, 1_794_095_999_999)),
        (times(kind="%Y-%m-%dT%H:%MZ"), True, ("2026-11-01T00:00Z", "2026-11-07T23:59Z")),
    ],
)
def test_an_end_is_written_as_the_api_counts_it(
    format_: MomentFormat,
    is_inclusive: bool,  # noqa: FBT001 - a row of the table
    expected: tuple[object, object],
) -> None:
    rule = WindowRule(days=7, is_end_inclusive=is_inclusive)
    start, end = at("2026-11-01T00:00:00+00:00"), at("2026-11-08T00:00:00+00:00")
    window = Window(from_datetime(format_, start), from_datetime(format_, end))
    assert written(rule, format_, window) == expected


@given(
    zone=zones,
    kind=st.sampled_from(["date", "datetime", "unix", "unix_ms", "%Y%m%d", "%Y-%m-%d %H:%M:%S%z"]),
    start=starts.filter(lambda start: start.year > 1950),  # before, offsets have seconds
    length=lengths,
    rule=calendar_rules,
    is_inclusive=st.booleans(),
)
def test_what_is_written_covers_everything_once_when_it_is_read_again(
    zone: str,
    kind: str,
    start: datetime,
    length: timedelta,
    rule: WindowRule,
    is_inclusive: bool,  # noqa: FBT001 - drawn
) -> None:
    format_ = times(zone, kind)
    rule = WindowRule(days=rule.days, months=rule.months, is_end_inclusive=is_inclusive)
    since, until = from_datetime(format_, start), from_datetime(format_, start + length)
    sent = [written(rule, format_, window) for window in windows(rule, format_, since, until)]
    read = [tuple(read_moment(format_, one) for one in pair) for pair in sent]
    size = step(format_) if is_inclusive else timedelta()
    for (_, end), (begin, _) in pairwise(read):
        if is_date(format_):
            gap = date.fromisoformat(str(begin)) - date.fromisoformat(str(end))
        else:
            gap = to_datetime(format_, begin) - to_datetime(format_, end)
        assert gap == size
    if read:
        assert read[0][0] == since


@given(zone=zones, kind=kinds, now=starts, days_before=st.integers(0, 20), later=lengths)
def test_runs_one_after_another_ask_for_every_day_again_until_it_is_over(
    zone: str, kind: str, now: datetime, days_before: int, later: timedelta
) -> None:
    """Two runs: nothing between them is left out, and the cursor is never ahead of the clock."""
    rule, format_ = WindowRule(days=1), times(zone, kind)
    start = from_datetime(format_, now - timedelta(days=days_before))
    cursor = start
    for moment in (now, now + later):
        for window in windows(rule, format_, cursor, end_of_windows(rule, format_, moment)):
            reached = completed(rule, format_, window, moment)
            assert to_datetime(format_, reached) <= moment
            assert str(cursor) <= str(reached) <= str(window.until)
            cursor = reached
        if is_date(format_):
            today = moment.astimezone(ZoneInfo(zone)).date().isoformat()
            assert cursor == max(str(start), today)
        else:
            assert to_datetime(format_, cursor) + step(format_) > moment


def test_today_is_asked_for_and_asked_for_again() -> None:
    rule = WindowRule(days=1, is_end_inclusive=True)
    now = at("2026-11-26T22:30:00+00:00")
    end = end_of_windows(rule, BERLIN, now)
    assert end == "2026-11-27"
    last = list(windows(rule, BERLIN, "2026-11-24", end))[-1]
    assert written(rule, BERLIN, last) == ("2026-11-26", "2026-11-26")
    assert completed(rule, BERLIN, last, now) == "2026-11-26"
    assert end_of_windows(rule, BERLIN, at("2026-11-26T23:00:00+00:00")) == "2026-11-28"
    tomorrow = at("2026-11-27T10:00:00+00:00")
    assert completed(rule, BERLIN, last, tomorrow) == "2026-11-27"


def test_figures_that_come_late_are_left_to_a_later_run() -> None:
    rule = WindowRule(days=1, delay=86_400.0 * 2)
    now = at("2026-11-26T12:00:00+00:00")
    assert end_of_windows(rule, dates(), now) == "2026-11-25"
    window = Window("2026-11-24", "2026-11-25")
    assert completed(rule, dates(), window, now) == "2026-11-24"
    assert end_of_windows(rule, times(kind="unix"), now + timedelta(seconds=0.7)) == (
        "2026-11-24T12:00:00.000000Z"
    )


def test_windows_end_with_the_calendar() -> None:
    found = list(windows(WindowRule(months=1), dates(), "9999-12-01", "9999-12-31"))
    assert found == [Window("9999-12-01", "9999-12-31")]
