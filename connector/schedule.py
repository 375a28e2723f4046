"""When a job is due: ``every 15m``, or a five-field cron expression with a time zone.

Due times are computed alike by every process on every host, with no state: an interval counts from
the Unix epoch, a cron expression from the calendar. Jitter delays a run, never its due time, so
that two daemons agree on the slot (job, account, due time). APScheduler does the calendar
arithmetic; its weekday numbers (0 is Monday) and its *and* between day of month and day of week
are turned into those of cron(5) (0 and 7 are Sunday; *or* where both are restricted).
"""

import math
import re
from collections import deque
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Final
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from connector.duration import format_duration, parse_duration

if TYPE_CHECKING:
    from apscheduler.triggers.cron import CronTrigger

#: A shorter interval would be a busy loop; tests and demonstrations use one second.
SHORTEST_INTERVAL: Final = 1.0

#: Name, lowest and highest number of each field, by cron(5).
_CRON_FIELDS: Final = (
    ("minute", 0, 59),
    ("hour", 0, 23),
    ("day of month", 1, 31),
    ("month", 1, 12),
    ("day of week", 0, 7),
)
_MONTHS: Final = "jan feb mar apr may jun jul aug sep oct nov dec".split()  # noqa: SIM905
_WEEKDAYS: Final = "sun mon tue wed thu fri sat sun".split()  # noqa: SIM905
_CRON_ITEM: Final = re.compile(
    r"(?:\*|(?P<first>[a-z0-9]+)(?:-(?P<last>[a-z0-9]+))?)(?:/(?P<step>[0-9]+))?"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Every:
    """A fixed interval, anchored to the Unix epoch.

    Attributes:
        interval: seconds.
    """

    interval: float

    def __str__(self) -> str:
        return f"every {format_duration(self.interval)}"

    def next_after(self, moment: float) -> float:
        """Give the first due time later than ``moment`` (both seconds since the epoch)."""
        return (self._count(moment) + 1) * self.interval

    def latest_due(self, due: float, now: float) -> float:
        """Give the last due time that is not after ``now``, given an earlier one."""
        return max(due, self._count(now) * self.interval)

    def spacing(self, due: float) -> float:
        """Give the seconds from ``due`` to the due time after it."""
        return self.next_after(due) - due

    def _count(self, moment: float) -> int:
        """Give how many whole intervals have passed; the division alone may round either way."""
        count = math.floor(moment / self.interval)
        if count * self.interval > moment:
            return count - 1
        return count + 1 if (count + 1) * self.interval <= moment else count


@dataclass(frozen=True, slots=True, kw_only=True)
class Cron:
    """A cron expression in a time zone.

    Attributes:
        text: as the configuration has it.
        minutes, hours, days, months, weekdays: the sets that it means; weekdays 0 (Sunday) to 6.
        is_either_day: day of month and day of week are both restricted: either one matches.
        zone: the time zone, by its name in the tz database.
    """

    text: str
    minutes: tuple[int, ...]
    hours: tuple[int, ...]
    days: tuple[int, ...]
    months: tuple[int, ...]
    weekdays: tuple[int, ...]
    is_either_day: bool
    zone: str

    def __str__(self) -> str:
        return f"{self.text} ({self.zone})"

    def next_after(self, moment: float) -> float:
        """Give the first due time later than ``moment`` (both seconds since the epoch)."""
        # APScheduler includes the start; due times are whole seconds, so the next one excludes it
        start = datetime.fromtimestamp(math.floor(moment) + 1, UTC)
        times = [trigger.get_next_fire_time(None, start) for trigger in self._triggers()]
        return min(float(time.timestamp()) for time in times if time is not None)

    def latest_due(self, due: float, now: float) -> float:
        """Give the last due time that is not after ``now``, given an earlier one.

        After a long absence there may be a hundred thousand of them, so the interval is halved: no
        due time is between ``end`` and ``now``.
        """
        end = now
        while (following := self.next_after(due)) <= now:
            middle = (following + end) / 2
            candidate = self.next_after(middle)
            due, end = (candidate, end) if candidate <= now else (following, middle)
        return due

    def spacing(self, due: float) -> float:
        """Give the seconds from ``due`` to the due time after it."""
        return self.next_after(due) - due

    def _triggers(self) -> "list[CronTrigger]":
        from apscheduler.triggers.cron import CronTrigger  # 100 ms for cron's users

        day = {"day": ",".join(map(str, self.days))}
        weekday = {"day_of_week": ",".join(_WEEKDAYS[number] for number in self.weekdays)}
        restrictions = [day, weekday] if self.is_either_day else [day | weekday]
        if self.is_either_day and not _occurs(self.days, self.months):
            restrictions = [weekday]  # a search for 31 February would go on to the year 9999
        return [
            CronTrigger(
                minute=",".join(map(str, self.minutes)),
                hour=",".join(map(str, self.hours)),
                month=",".join(map(str, self.months)),
                timezone=ZoneInfo(self.zone),
                **restriction,
            )
            for restriction in restrictions
        ]


Schedule = Every | Cron


def newest_slots(schedule: Schedule, after: float, up_to: float, *, limit: int) -> list[float]:
    """Give the due times later than ``after`` and not later than ``up_to``, the oldest first.

    Args:
        schedule: whose.
        after: seconds since the epoch.
        up_to: likewise.
        limit: how many at most; where there are more, the newest.
    """
    first = schedule.next_after(after)
    if first > up_to:
        return []
    latest = schedule.latest_due(first, up_to)
    # so far back that there are enough of them, or all: years of minutes are not walked through
    span = limit * schedule.spacing(latest)
    while True:
        start = max(after, latest - span)
        found: deque[float] = deque(maxlen=limit)
        due = schedule.next_after(start)
        while due <= up_to:
            found.append(due)
            due = schedule.next_after(due)
        if len(found) == limit or start == after:
            return list(found)
        span *= 2


def parse_schedule(text: str, zone: str = "UTC") -> Schedule:
    """Read a schedule.

    Args:
        text: ``every 15m``, or five cron fields.
        zone: the time zone of cron fields, by its name in the tz database.

    Raises:
        ValueError: says what is wrong with it.
    """
    words = text.split()
    if words[:1] == ["every"]:
        interval = parse_duration("".join(words[1:]))
        if interval < SHORTEST_INTERVAL:
            raise ValueError(f"{text!r} is shorter than one second")
        return Every(interval=interval)
    if len(words) != len(_CRON_FIELDS):
        raise ValueError(f"{text!r} is neither 'every 15m' nor five cron fields")
    try:
        ZoneInfo(zone)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        raise ValueError(f"{zone!r} is not a time zone of the tz database") from None
    minutes, hours, days, months, weekdays = (
        _parse_field(word, name, lowest, highest)
        for word, (name, lowest, highest) in zip(words, _CRON_FIELDS, strict=True)
    )
    cron = Cron(
        text=" ".join(words),
        minutes=minutes,
        hours=hours,
        days=days,
        months=months,
        weekdays=tuple(sorted({day % 7 for day in weekdays})),
        is_either_day=not words[2].startswith("*") and not words[4].startswith("*"),
        zone=zone,
    )
    if not cron.is_either_day and not _occurs(days, months):
        raise ValueError(f"{text!r} never comes: no such day in those months")
    return cron


def _parse_field(text: str, name: str, lowest: int, highest: int) -> tuple[int, ...]:
    """Expand one cron field into the numbers that it means."""
    numbers: set[int] = set()
    for item in text.lower().split(","):
        match = _CRON_ITEM.fullmatch(item)
        if match is None:
            raise ValueError(f"{item!r} is not a cron {name}")
        step = int(match["step"] or 1)
        if match["first"] is None:
            first, last = lowest, 6 if name == "day of week" else highest
        else:
            first = _parse_number(match["first"], name)
            last = _parse_number(match["last"], name) if match["last"] else first
            if match["step"] and not match["last"]:
                last = highest
            if match["last"] == "sun" and first > 0:
                last = 7  # "fri-sun" ends the week
        if not lowest <= first <= last <= highest or step < 1:
            raise ValueError(f"{item!r} is not a cron {name} ({lowest} to {highest})")
        numbers.update(range(first, last + 1, step))
    return tuple(sorted(numbers))


def _parse_number(text: str, name: str) -> int:
    names = {"month": ["", *_MONTHS], "day of week": _WEEKDAYS}.get(name, [])
    if text in names:
        return names.index(text)
    if not text.isdecimal():
        raise ValueError(f"{text!r} is not a cron {name}")
    return int(text)


def _occurs(days: tuple[int, ...], months: tuple[int, ...]) -> bool:
    """Tell whether some day of the month exists in one of the months."""
    longest = {2: 29, 4: 30, 6: 30, 9: 30, 11: 30}
    return any(day <= longest.get(month, 31) for day in days for month in months)
