"""When a job is due: examples, a brute-force model over minutes, and daylight saving."""

import math
from datetime import datetime, timedelta
from itertools import pairwise
from zoneinfo import ZoneInfo

import pytest
from hypothesis import assume, example, given, settings
from hypothesis import strategies as st

from connector.schedule import Cron, Every, Schedule, newest_slots, parse_schedule

MINUTE = 60.0
DAY = 86_400.0
# 2027-01-15 08:00:00 UTC, a Friday
NOW = 1_800_000_000.0


def at(text: str, zone: str = "UTC") -> float:
    return datetime.fromisoformat(text).replace(tzinfo=ZoneInfo(zone)).timestamp()


def said(moment: float, zone: str = "UTC") -> str:
    return datetime.fromtimestamp(moment, ZoneInfo(zone)).strftime("%a %Y-%m-%d %H:%M %z")


def following(schedule: Schedule, moment: float, count: int) -> list[float]:
    due = []
    for _ in range(count):
        moment = schedule.next_after(moment)
        due.append(moment)
    return due


# --- intervals


@pytest.mark.parametrize(
    ("text", "interval"),
    [("every 15m", 900.0), ("every 1s", 1.0), ("every 1500ms", 1.5), ("every 1.1s", 1.1),
     (" every  2 h ", 7200.0), ("every 7d", 7 * DAY)],
)  # fmt: skip
def test_an_interval(text: str, interval: float) -> None:
    assert parse_schedule(text) == Every(interval=interval)


def test_an_interval_counts_from_the_epoch() -> None:
    """Every process on every host finds the same slots, whenever it was started."""
    quarter = parse_schedule("every 15m")
    assert following(quarter, NOW + 1, 2) == [NOW + 900, NOW + 1800]
    assert quarter.next_after(NOW - 0.001) == NOW
    assert quarter.latest_due(NOW - DAY, NOW + 899.9) == NOW
    assert quarter.spacing(NOW) == 900
    assert str(quarter) == "every 15 min"


@given(st.integers(1000, 10_000_000).map(lambda ms: ms / 1000), st.floats(0, 4e9))
@example(1.1, 1.1 * 49)
def test_the_next_interval_is_later_and_the_first(interval: float, moment: float) -> None:
    every = Every(interval=interval)
    due = every.next_after(moment)
    assert due > moment
    assert due - moment <= interval * 1.000001
    assert math.isclose(due / interval, round(due / interval), rel_tol=1e-12)


@given(st.integers(1000, 10_000_000).map(lambda ms: ms / 1000), st.integers(0, 10**8))
def test_from_one_interval_to_the_next(interval: float, count: int) -> None:
    """A due time is not due again: a timer that asks with it moves on by exactly one."""
    every = Every(interval=interval)
    due = count * interval
    assert every.next_after(due) == (count + 1) * interval
    assert every.latest_due(0, due) == due
    assert every.latest_due(0, math.nextafter(due, 0)) <= due


@given(st.floats(0, 4e9), st.floats(0, 4e9))
def test_the_latest_interval_is_due_and_the_next_is_not(due: float, now: float) -> None:
    every = Every(interval=1.1)
    latest = every.latest_due(due, max(due, now))
    assert due <= latest <= max(due, now)
    assert every.next_after(latest) > max(due, now) or latest == due


# --- what is refused


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "neither 'every 15m' nor five cron fields"),
        ("every", "is not a duration"),
        ("every 5", "is not a duration"),
        ("every 0", "shorter than one second"),
        ("every 999ms", "shorter than one second"),
        ("hourly", "neither"),
        ("@daily", "neither"),
        ("* * * *", "neither"),
        ("* * * * * *", "neither"),
        ("60 * * * *", "is not a cron minute (0 to 59)"),
        ("-1 * * * *", "is not a cron minute"),
        ("* 24 * * *", "is not a cron hour (0 to 23)"),
        ("* * 0 * *", "is not a cron day of month (1 to 31)"),
        ("* * 32 * *", "is not a cron day of month"),
        ("* * * 13 *", "is not a cron month (1 to 12)"),
        ("* * * 0 *", "is not a cron month"),
        ("* * * * 8", "is not a cron day of week (0 to 7)"),
        ("* * * foo *", "'foo' is not a cron month"),
        ("* * * * mon-foo", "'foo' is not a cron day of week"),
        ("*/0 * * * *", "is not a cron minute"),
        ("5-1 * * * *", "is not a cron minute"),
        ("*-5 * * * *", "is not a cron minute"),
        ("1,,2 * * * *", "is not a cron minute"),
        ("1-2-3 * * * *", "is not a cron minute"),
        ("1/2/3 * * * *", "is not a cron minute"),
        ("L * * * *", "is not a cron minute"),
        ("\u0661 * * * *", "is not a cron minute"),
        ("jan * * * *", "is not a cron minute"),
        ("0 0 30 2 *", "never comes"),
        ("0 0 31 4,6,9,11 *", "never comes"),
    ],
)
def test_what_is_no_schedule_is_refused(text: str, message: str) -> None:
    with pytest.raises(ValueError, match="(?i)" + message.replace("(", r"\(").replace(")", r"\)")):
        parse_schedule(text)


@pytest.mark.parametrize(
    "zone", ["Nowhere", "", "Europe", "../etc/passwd", "/etc/localtime", "Europe/Berlin\0", "é"]
)
def test_a_time_zone_must_be_one(zone: str) -> None:
    with pytest.raises(ValueError, match="is not a time zone of the tz database"):
        parse_schedule("0 0 * * *", zone)


@given(st.text(alphabet="0123456789*/,- smonjaevry", max_size=20))
def test_any_text_is_a_schedule_or_refused(text: str) -> None:
    try:
        schedule = parse_schedule(text)
    except ValueError:
        return
    assert schedule.next_after(NOW) > NOW


# --- cron


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("*/15 * * * *", {"minutes": (0, 15, 30, 45)}),
        ("5/20 * * * *", {"minutes": (5, 25, 45)}),
        ("1-10/3,59 * * * *", {"minutes": (1, 4, 7, 10, 59)}),
        ("0 9-17 * * *", {"hours": tuple(range(9, 18))}),
        ("0 0 * JAN,Mar-may *", {"months": (1, 3, 4, 5)}),
        ("0 0 * * mon-fri", {"weekdays": (1, 2, 3, 4, 5)}),
        ("0 0 * * 0", {"weekdays": (0,)}),
        ("0 0 * * 7", {"weekdays": (0,)}),
        ("0 0 * * 5-7", {"weekdays": (0, 5, 6)}),
        ("0 0 * * fri-sun", {"weekdays": (0, 5, 6)}),
        ("0 0 * * sun-tue", {"weekdays": (0, 1, 2)}),
        ("0 0 * * sun", {"weekdays": (0,)}),
        ("0 0 * * */2", {"weekdays": (0, 2, 4, 6), "is_either_day": False}),
        ("0 0 13 * 5", {"is_either_day": True}),
        ("0 0 13 * *", {"is_either_day": False}),
        ("0 0 */2 * 5", {"is_either_day": False}),
    ],
)
def test_what_cron_fields_mean(text: str, expected: dict[str, object]) -> None:
    cron = parse_schedule(text)
    assert isinstance(cron, Cron)
    assert {name: getattr(cron, name) for name in expected} == expected


@pytest.mark.parametrize(
    ("text", "zone", "due"),
    [
        ("0 9 * * 1-5", "UTC", ["Fri 2027-01-15 09:00 +0000", "Mon 2027-01-18 09:00 +0000"]),
        ("0 0 13 * fri", "UTC", ["Fri 2027-01-22 00:00 +0000", "Fri 2027-01-29 00:00 +0000",
                                 "Fri 2027-02-05 00:00 +0000", "Fri 2027-02-12 00:00 +0000",
                                 "Sat 2027-02-13 00:00 +0000"]),
        ("0 0 29 2 *", "UTC", ["Tue 2028-02-29 00:00 +0000", "Sun 2032-02-29 00:00 +0000"]),
        ("0 0 31 * *", "UTC", ["Sun 2027-01-31 00:00 +0000", "Wed 2027-03-31 00:00 +0000"]),
        ("30 9 * * *", "Asia/Kolkata", ["Sat 2027-01-16 09:30 +0530"]),
        ("0 0 31 2 1", "UTC", ["Mon 2027-02-01 00:00 +0000", "Mon 2027-02-08 00:00 +0000"]),
    ],
)  # fmt: skip
def test_cron_examples(text: str, zone: str, due: list[str]) -> None:
    cron = parse_schedule(text, zone)
    assert [said(moment, zone) for moment in following(cron, NOW, len(due))] == due


def test_how_a_cron_schedule_is_said() -> None:
    cron = parse_schedule("0  9 * *   1-5", "Europe/Berlin")
    assert str(cron) == "0 9 * * 1-5 (Europe/Berlin)"
    friday = at("2027-01-15T09:00", "Europe/Berlin")
    assert cron.spacing(friday) == 3 * DAY


@pytest.mark.parametrize("offset", [0.0, -1e-7, -1e-6, -0.5, 1e-6, 0.5, 59.0])
def test_cron_is_exact_to_the_microsecond(offset: float) -> None:
    every_minute = parse_schedule("* * * * *")
    moment = NOW + offset
    assert every_minute.next_after(moment) == (NOW if moment < NOW else NOW + MINUTE)


def field(lowest: int, highest: int) -> st.SearchStrategy[str]:
    """A cron field in any of its forms."""
    number = st.integers(lowest, highest)
    span = st.tuples(number, number).map(sorted)
    return st.one_of(
        st.just("*"),
        number.map(str),
        st.integers(2, 12).map(lambda step: f"*/{step}"),
        span.map(lambda pair: f"{pair[0]}-{pair[1]}"),
        st.tuples(span, st.integers(1, 5)).map(lambda p: f"{p[0][0]}-{p[0][1]}/{p[1]}"),
        st.lists(number, min_size=2, max_size=3).map(lambda some: ",".join(map(str, some))),
    )


FIELDS = st.tuples(field(0, 59), field(0, 23), field(1, 31), field(1, 12), field(0, 7))


def numbers(text: str, lowest: int, highest: int) -> set[int]:
    """A reading of one field by cron(5), written apart from ours."""
    found: set[int] = set()
    for item in text.split(","):
        span, _, step = item.partition("/")
        first, _, last = span.partition("-")
        low, high = (lowest, highest) if span == "*" else (int(first), int(last or first))
        found |= {number for number in range(low, high + 1) if (number - low) % int(step or 1) == 0}
    return found


class Model:
    """Tells by cron(5) which minutes are due, by looking at the wall clock."""

    def __init__(self, fields: tuple[str, ...], zone: str) -> None:
        minute, hour, day, month, weekday = fields
        self.zone = ZoneInfo(zone)
        self.minutes, self.hours = numbers(minute, 0, 59), numbers(hour, 0, 23)
        self.days, self.months = numbers(day, 1, 31), numbers(month, 1, 12)
        self.weekdays = {number % 7 for number in numbers(weekday, 0, 6)}
        self.is_either = not day.startswith("*") and not weekday.startswith("*")

    def is_due(self, moment: float) -> bool:
        local = datetime.fromtimestamp(moment, self.zone)
        is_day, is_weekday = local.day in self.days, local.isoweekday() % 7 in self.weekdays
        return (
            local.minute in self.minutes
            and local.hour in self.hours
            and local.month in self.months
            and (is_day or is_weekday if self.is_either else is_day and is_weekday)
        )

    def next_after(self, moment: float, limit: float) -> float | None:
        """Look at the minutes after a moment, one by one."""
        minute = (math.floor(moment / MINUTE) + 1) * MINUTE
        while minute <= limit:
            if self.is_due(minute):
                return minute
            minute += MINUTE
        return None


@given(FIELDS, st.integers(0, 10 * 365 * 24 * 3600), st.sampled_from(["UTC", "Asia/Kolkata"]))
def test_cron_agrees_with_a_model(fields: tuple[str, ...], offset: int, zone: str) -> None:
    """Minute by minute for a day; no due time is early, late or missing."""
    try:
        cron = parse_schedule(" ".join(fields), zone)
    except ValueError as error:
        assume("never comes" not in str(error))
        raise
    moment = NOW + offset
    limit = moment + DAY
    found = cron.next_after(moment)
    assert found > moment
    model = Model(fields, zone)
    expected = model.next_after(moment, limit)
    assert found == expected if expected is not None else found > limit
    assert model.is_due(found)


@given(FIELDS, st.integers(0, 10**8), st.integers(0, 40 * 86_400))
def test_the_latest_due_time_is_the_last_that_is_due(
    fields: tuple[str, ...], offset: int, absence: int
) -> None:
    try:
        cron = parse_schedule(" ".join(fields))
    except ValueError:
        return  # never comes
    due = cron.next_after(NOW + offset)
    now = due + absence
    latest = cron.latest_due(due, now)
    assert due <= latest <= now
    assert cron.next_after(latest) > now
    assert latest == due or Model(fields, "UTC").is_due(latest)


class CountingCron(Cron):
    """Counts how often the calendar is asked."""

    asked = 0

    def next_after(self, moment: float) -> float:
        type(self).asked += 1
        return super().next_after(moment)


def test_a_long_absence_is_caught_up_at_once() -> None:
    """A daemon that was away for a year does not walk through half a million minutes."""
    cron = parse_schedule("* * * * *")
    assert isinstance(cron, Cron)
    counting = CountingCron(**{name: getattr(cron, name) for name in Cron.__slots__})
    assert counting.latest_due(NOW, NOW + 365 * DAY + 30) == NOW + 365 * DAY
    assert CountingCron.asked < 60


class TestNewestSlots:
    """What was missed between two moments."""

    @pytest.mark.parametrize(
        ("text", "after", "up_to", "limit", "found"),
        [
            ("every 1h", 0.0, 3599.0, 9, []),
            ("every 1h", 0.0, 3600.0, 9, [3600.0]),
            ("every 1h", 3600.0, 3600.0, 9, []),
            ("every 1h", 7200.0, 3600.0, 9, []),
            ("every 1h", 1.0, 4 * 3600.0 + 1, 9, [3600.0, 7200.0, 10800.0, 14400.0]),
            ("every 1h", 1.0, 4 * 3600.0 + 1, 2, [10800.0, 14400.0]),
            ("0 3 * * *", 0.0, 3 * DAY, 9, [10800.0, DAY + 10800.0, 2 * DAY + 10800.0]),
            ("0 3 * * *", 0.0, 3 * DAY, 1, [2 * DAY + 10800.0]),
        ],
    )
    def test_all_of_them_or_the_last(
        self, text: str, after: float, up_to: float, limit: int, found: list[float]
    ) -> None:
        assert newest_slots(parse_schedule(text), after, up_to, limit=limit) == found

    @settings(deadline=None, max_examples=50)
    @given(
        st.sampled_from(["*/7 3 * * *", "0 9 * * mon-fri", "30 1 1,15 * *", "every 37m"]),
        st.integers(0, 10**7),
        st.integers(0, 200 * 86_400),
        st.integers(1, 5),
    )
    def test_they_are_the_newest_of_all_in_order(
        self, text: str, offset: int, absence: int, limit: int
    ) -> None:
        schedule = parse_schedule(text, "Europe/Berlin")
        after = NOW + offset
        every, due = list[float](), schedule.next_after(after)
        while due <= after + absence:
            every.append(due)
            due = schedule.next_after(due)
        found = newest_slots(schedule, after, after + absence, limit=limit)
        assert found == every[-limit:]

    def test_a_year_of_minutes_is_not_walked_through(self) -> None:
        cron = parse_schedule("* * * * *")
        assert isinstance(cron, Cron)
        counting = CountingCron(**{name: getattr(cron, name) for name in Cron.__slots__})
        CountingCron.asked = 0
        found = newest_slots(counting, NOW - 365 * DAY, NOW, limit=100)
        assert (len(found), found[-1] - found[0]) == (100, 99 * 60)
        assert CountingCron.asked < 200

    @pytest.mark.parametrize(
        ("after", "up_to", "due"),
        [
            ("2026-03-28T12:00", "2026-03-30T12:00", ["03:30 +0200", "02:30 +0200"]),
            ("2026-10-24T12:00", "2026-10-26T12:00", ["02:30 +0200", "02:30 +0100", "02:30 +0100"]),
        ],
        ids=["gap", "fold"],
    )
    def test_across_a_change_of_clocks_as_it_would_have_run(
        self, after: str, up_to: str, due: list[str]
    ) -> None:
        """A downtime over such a day misses as many slots as the day has, no more and no less."""
        cron = parse_schedule("30 2 * * *", "Europe/Berlin")
        found = newest_slots(cron, at(after), at(up_to), limit=100)
        assert [said(moment, "Europe/Berlin")[-11:] for moment in found] == due
        assert newest_slots(cron, at(after), at(up_to), limit=1) == found[-1:]


# --- daylight saving (Europe/Berlin: 2026-03-29 02:00 → 03:00, 2026-10-25 03:00 → 02:00)


@pytest.mark.parametrize(
    ("text", "start", "due"),
    [
        ("*/30 * * * *", "2026-03-29T00:15", ["01:30 +0100", "03:00 +0200", "03:30 +0200"]),
        ("*/30 * * * *", "2026-10-24T23:45", ["02:00 +0200", "02:30 +0200", "02:00 +0100",
                                              "02:30 +0100", "03:00 +0100"]),
        ("30 2 * * *", "2026-03-28T02:00", ["03:30 +0200", "02:30 +0200"]),
        ("30 2 * * *", "2026-10-24T12:00", ["02:30 +0200", "02:30 +0100", "02:30 +0100"]),
        ("0 12 * * *", "2026-03-28T12:00", ["12:00 +0200", "12:00 +0200"]),
        ("0 12 * * *", "2026-10-24T12:00", ["12:00 +0100", "12:00 +0100"]),
    ],
    ids=["gap", "fold", "daily-in-gap", "daily-in-fold", "daily-past-gap", "daily-past-fold"],
)  # fmt: skip
def test_cron_across_a_change_of_clocks(text: str, start: str, due: list[str]) -> None:
    """A time that does not exist comes an hour later; one that comes twice is due twice."""
    cron = parse_schedule(text, "Europe/Berlin")
    found = following(cron, at(start), len(due))
    assert [said(moment, "Europe/Berlin")[-11:] for moment in found] == due


CHANGES = [
    ("Europe/Berlin", "2026-03-29T01:00"),
    ("Europe/Berlin", "2026-10-25T01:00"),
    ("America/New_York", "2026-03-08T07:00"),
    ("America/New_York", "2026-11-01T06:00"),
    ("Australia/Lord_Howe", "2026-04-04T15:00"),  # half an hour
    ("Australia/Lord_Howe", "2026-10-03T15:30"),
    ("Asia/Kathmandu", "2026-03-29T01:00"),  # +05:45, never changes
]


@given(FIELDS, st.sampled_from(CHANGES), st.integers(-36 * 60, 12 * 60))
def test_no_due_time_is_lost_at_a_change_of_clocks(
    fields: tuple[str, ...], change: tuple[str, str], offset: int
) -> None:
    """Whatever the wall clock shows is due; only within the gap may more be due."""
    zone, text = change
    try:
        cron = parse_schedule(" ".join(fields), zone)
    except ValueError:
        return  # never comes
    moment = at(text) + offset * MINUTE
    found = cron.next_after(moment)
    assert found > moment
    expected = Model(fields, zone).next_after(moment, moment + DAY)
    if expected is not None:
        assert found <= expected
    if found != expected and expected is not None:
        assert abs(found - at(text)) <= 2 * 3600  # what the gap has shifted


@pytest.mark.parametrize(("zone", "text"), CHANGES)
def test_every_fifteen_minutes_goes_on_through_a_change_of_clocks(zone: str, text: str) -> None:
    cron = parse_schedule("*/15 * * * *", zone)
    due = following(cron, at(text) - 4 * 3600, 40)
    assert {later - earlier for earlier, later in pairwise(due)} == {15 * MINUTE}
    assert timedelta(seconds=due[-1] - due[0]) == timedelta(minutes=15 * 39)
