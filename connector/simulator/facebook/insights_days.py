"""Which days an insights request asks for: time_range, time_ranges or date_preset.

Dates are days in the ad account's time zone, both ends included.
"""

import json
import re
from dataclasses import dataclass
from datetime import date, timedelta

from connector.simulator.call import Subject
from connector.simulator.facebook.error import bad_parameter, too_old
from connector.simulator.facebook.filtering import read_json
from connector.simulator.parameters import Parameters

Range = tuple[date, date]

# What the real provider gives where no days are named.
DEFAULT_PRESET = "last_30d"

DAY = timedelta(days=1)


@dataclass(frozen=True, slots=True, kw_only=True)
class KnownDays:
    """The days that there are, in the ad account's time zone."""

    today: date
    first: date
    """The first that may be asked for."""


def read_ranges(parameters: Parameters, days: KnownDays, subject: Subject) -> tuple[Range, ...]:
    """The ranges of days asked for, in the order of the request.

    Raises:
        GraphError: code 100, naming the parameter; or 3018, for what is too long ago.
    """
    several, one = parameters.get("time_ranges"), parameters.get("time_range")
    if several is not None:
        values = read_json(several, "time_ranges", subject)
        if not isinstance(values, list) or not values:
            raise bad_parameter("Param time_ranges must be a list of ranges", subject)
        ranges = tuple(_range(value, "time_ranges", subject) for value in values)
    elif one is not None:
        ranges = (_range(read_json(one, "time_range", subject), "time_range", subject),)
    else:
        return (_preset(parameters.get("date_preset") or DEFAULT_PRESET, days, subject),)
    if min(since for since, _ in ranges) < days.first:
        raise too_old(subject)
    return ranges


def written_range(parameters: Parameters) -> tuple[str | None, str | None]:
    """The ends of time_range as they were sent; None for each that cannot be read."""
    try:
        value = json.loads(parameters.get("time_range") or "{}")
    except (ValueError, RecursionError):
        return None, None
    ends = value if isinstance(value, dict) else {}
    since, until = ends.get("since"), ends.get("until")
    return since if isinstance(since, str) else None, until if isinstance(until, str) else None


def _range(value: object, name: str, subject: Subject) -> Range:
    if not isinstance(value, dict) or set(value) != {"since", "until"}:
        raise bad_parameter(f"Param {name} must be an object of since and until", subject)
    since, until = (_day(value[end], name, subject) for end in ("since", "until"))
    if since > until:
        raise bad_parameter(f"Param {name}: since is later than until", subject)
    return since, until


def _preset(preset: str, known: KnownDays, subject: Subject) -> Range:
    today, yesterday = known.today, known.today - DAY
    days = re.fullmatch(r"last_(3|7|14|28|30|90)d", preset)
    if days:
        # the last days end yesterday: today's figures are not whole
        return today - timedelta(days=int(days[1])), yesterday
    month, year = today.replace(day=1), today.replace(month=1, day=1)
    quarter = month.replace(month=(today.month - 1) // 3 * 3 + 1)
    monday = today - timedelta(days=today.weekday())
    sunday = today - timedelta(days=(today.weekday() + 1) % 7)
    ranges = {
        "today": (today, today),
        "yesterday": (yesterday, yesterday),
        "this_week_mon_today": (monday, today),
        "this_week_sun_today": (sunday, today),
        "last_week_mon_sun": (monday - 7 * DAY, monday - DAY),
        "last_week_sun_sat": (sunday - 7 * DAY, sunday - DAY),
        "this_month": (month, today),
        "last_month": ((month - DAY).replace(day=1), month - DAY),
        "this_quarter": (quarter, today),
        "last_quarter": (_quarter_before(quarter), quarter - DAY),
        "this_year": (year, today),
        "last_year": (year.replace(year=year.year - 1), year - DAY),
        "maximum": (known.first, today),
        "data_maximum": (known.first, today),
    }
    if preset not in ranges:
        raise bad_parameter("Param date_preset must be one of those that there are", subject)
    return ranges[preset]


def _quarter_before(quarter: date) -> date:
    last = quarter - DAY
    return last.replace(month=last.month - 2, day=1)


def _day(value: object, name: str, subject: Subject) -> date:
    if isinstance(value, str) and re.fullmatch(r"\d{4}-\d{2}-\d{2}", value, re.ASCII):
        try:
            return date.fromisoformat(value)
        except ValueError:
            pass
    raise bad_parameter(f"Param {name}: a date looks like 2026-01-31", subject)
