"""Days and months of the calendar in a time zone, whatever its clocks do."""

import calendar
from datetime import UTC, date, datetime, timedelta
from typing import Final
from zoneinfo import ZoneInfo

_MICROSECOND: Final = timedelta(microseconds=1)


def day_start(day: date, zone: ZoneInfo) -> datetime:
    """Give the first moment, in UTC, of a day in a zone; of one that was skipped, the next one's.

    Where clocks go forward over midnight, a day begins at another time than 0:00.
    """
    midnight = datetime(day.year, day.month, day.day, tzinfo=zone)
    late = midnight.astimezone(UTC)
    early = midnight.replace(fold=1).astimezone(UTC)
    if early >= late:  # midnight is there, once or twice
        return late
    while late - early > _MICROSECOND:  # the clocks were put forward between the two
        middle = early + (late - early) // 2
        if day_of(middle, zone) < day:
            early = middle
        else:
            late = middle
    return late


def day_of(point: datetime, zone: ZoneInfo) -> date:
    """Give the day, in a zone, that a point in time is in."""
    return point.astimezone(zone).date()


def add_months(day: date, months: int) -> date:
    """Go some months on, or back; to the last day of a month that is too short.

    Raises:
        ValueError: the calendar does not go so far.
    """
    year, month = divmod(day.year * 12 + day.month - 1 + months, 12)
    if not 1 <= year <= 9999:
        raise ValueError(f"no calendar has the year {year}")
    longest = calendar.monthrange(year, month + 1)[1]
    return date(year, month + 1, min(day.day, longest))
