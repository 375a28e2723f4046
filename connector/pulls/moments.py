"""Dates and times as an API writes them, and as they are kept and compared.

A moment is kept as a JSON value that compares as time goes: a date as ``2026-11-26``, a point in
time as RFC 3339 in UTC with all its microseconds, an identifier as a number, text as itself. Every
moment of one format is of one of these kinds, so that any two of them compare.
"""

import re
from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from typing import Final, cast
from zoneinfo import ZoneInfo

from connector.pulls.days import add_months, day_of, day_start
from connector.pulls.rfc3339 import RFC3339, format_rfc3339, parse_rfc3339
from connector.pulls.spec import MomentFormat
from connector.pulls.templates import fill_value

#: A moment as it is kept: text (of a date, of a point in time, or itself) or a number.
Moment = str | int | float

#: Kinds whose moments are points in time; any other kind with a ``%`` is a pattern of such.
_TIMES: Final = frozenset({"datetime", "unix", "unix_ms"})
_WORDS: Final = {
    "iso": "a date (2026-11-26) or a date and time (RFC 3339)",
    "date": "a date (2026-11-26)",
    "datetime": "a date and time (RFC 3339)",
    "unix": "a number of seconds since 1970",
    "unix_ms": "a number of milliseconds since 1970",
    "number": "a number",
    "text": "text",
}
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND: Final = timedelta(microseconds=1)
_DAY: Final = timedelta(days=1)
#: The finest directive of a pattern says its step; in this order.
_STEPS: Final = (
    ("f", timedelta(microseconds=1)),
    ("ScTXs", timedelta(seconds=1)),
    ("M", timedelta(minutes=1)),
    ("HI", timedelta(hours=1)),
    ("", _DAY),
)
_BEFORE: Final = re.compile(r"-(?P<number>[0-9]{1,6})(?P<unit>s|mo|m|h|d|w|y)")
_SECONDS: Final = {"s": 1, "m": 60, "h": 3600}
_DATE_LENGTH: Final = len("2026-11-26")
_LONGEST_TOLD: Final = 40


class MomentError(ValueError):
    """A value is no moment in its format; says which value, where, and what it should be."""


def is_time(format_: MomentFormat) -> bool:
    """Tell whether moments are points in time; dates are not, nor identifiers."""
    return format_.kind in _TIMES or ("%" in format_.kind and step(format_) < _DAY)


def is_date(format_: MomentFormat) -> bool:
    """Tell whether moments are days of the calendar, as of a pattern with no time of day."""
    return format_.kind == "date" or ("%" in format_.kind and not is_time(format_))


def concrete(format_: MomentFormat, moment: Moment) -> MomentFormat:
    """Give the format of one moment: where either may be, that of a date or of a point in time."""
    if format_.kind != "iso":
        return format_
    return replace(format_, kind="date" if len(str(moment)) == _DATE_LENGTH else "datetime")


def with_zone(format_: MomentFormat, values: Mapping[str, object]) -> MomentFormat:
    """Fill in the time zone, where it is the part's (``{timezone}``).

    Raises:
        MomentError: it has no value, or there is no such zone.
    """
    zone = fill_value(format_.timezone, values)
    filled = replace(format_, timezone=zone if isinstance(zone, str) else "")
    zone_of(filled)
    return filled


def zone_of(format_: MomentFormat) -> ZoneInfo:
    """Give the time zone.

    Raises:
        MomentError: there is none of that name.
    """
    try:
        return ZoneInfo(format_.timezone)
    except (KeyError, ValueError, OSError):
        told = repr(format_.timezone) if format_.timezone else "an empty name"
        raise MomentError(f"there is no time zone {told}: write one of the tz database") from None


def step(format_: MomentFormat) -> timedelta:
    """Give the smallest step that the format can write, of dates and points in time."""
    match format_.kind:
        case "date":
            return _DAY
        case "unix":
            return timedelta(seconds=1)
        case "unix_ms":
            return timedelta(milliseconds=1)
        case "datetime":
            return _MICROSECOND
    letters = set(re.findall(r"%[-#]?([a-zA-Z])", format_.kind))
    return next(size for finest, size in _STEPS if not finest or letters & set(finest))


def read_moment(format_: MomentFormat, value: object, field: str = "") -> Moment:
    """Read a moment as an API writes it.

    What has no offset is in the format's zone; where its clocks show a time twice, the first.

    Args:
        format_: how it is written.
        value: of a record, an answer or the configuration.
        field: where it stands, for messages.

    Raises:
        MomentError: it is none.
    """
    try:
        return _read(format_, value)
    except (ValueError, TypeError, OverflowError, OSError):
        told = repr(value)
        if len(told) > _LONGEST_TOLD:
            told = f"{told[:_LONGEST_TOLD]}…"
        place = f"the field {field!r} holds" if field else "there is"
        wanted = _WORDS.get(format_.kind, f"written as {format_.kind}")
        raise MomentError(f"{place} {told}, which is not {wanted}") from None


def write_moment(format_: MomentFormat, moment: Moment) -> object:
    """Write a moment as an API takes it: text, or a number where it is one."""
    format_ = concrete(format_, moment)
    if is_date(format_) and format_.kind != "date":
        return date.fromisoformat(cast("str", moment)).strftime(format_.kind)
    if not is_time(format_):
        return moment
    point = to_datetime(format_, moment)
    match format_.kind:
        case "unix":
            return (point - _EPOCH) // timedelta(seconds=1)
        case "unix_ms":
            return (point - _EPOCH) // timedelta(milliseconds=1)
        case "datetime":
            return format_rfc3339(point.astimezone(zone_of(format_)))
    return point.astimezone(zone_of(format_)).strftime(format_.kind)


def to_datetime(format_: MomentFormat, moment: Moment) -> datetime:
    """Give the point in time, in UTC; of a date the beginning of its day in the zone.

    Raises:
        MomentError: it is neither.
    """
    format_ = concrete(format_, moment)
    try:
        if is_date(format_):
            return day_start(date.fromisoformat(cast("str", moment)), zone_of(format_))
        return datetime.fromisoformat(cast("str", moment))
    except (ValueError, TypeError, OverflowError):
        raise MomentError(f"{moment!r} is no moment of the kind {format_.kind}") from None


def from_datetime(format_: MomentFormat, point: datetime) -> Moment:
    """Give the moment of a point in time; of dates the day, in the zone, that it is in."""
    if is_date(format_):
        return point.astimezone(zone_of(format_)).date().isoformat()
    return point.astimezone(UTC).isoformat(timespec="microseconds").replace("+00:00", "Z")


def back(format_: MomentFormat, moment: Moment, seconds: float) -> Moment:
    """Go back in time; in dates by whole days, the last begun one counted in full.

    Raises:
        MomentError: the calendar does not go back so far.
    """
    format_ = concrete(format_, moment)
    try:
        if is_date(format_):
            days = -int(-seconds // 86_400)
            return (date.fromisoformat(cast("str", moment)) - timedelta(days=days)).isoformat()
        return from_datetime(format_, to_datetime(format_, moment) - timedelta(seconds=seconds))
    except (OverflowError, ValueError):
        raise MomentError(f"no calendar goes back {seconds:.0f} s from {moment}") from None


def parse_start(format_: MomentFormat, text: str, now: datetime) -> Moment:
    """Read where to begin: a moment in the format, a date, or so long before now.

    Days, weeks, months and years are the calendar's in the format's zone, and begin where its days
    begin; the 31st is the last day of a shorter month.

    Args:
        format_: of the moments.
        text: such as ``2026-01-01`` or ``-28d``; units: s, m, h, d, w, mo, y.
        now: with its time zone.

    Raises:
        MomentError: it is none of these.
    """
    match = _BEFORE.fullmatch(text.strip())
    if match is not None and format_.kind == "iso":
        format_ = replace(format_, kind="datetime" if match["unit"] in _SECONDS else "date")
    if match is not None and (is_time(format_) or is_date(format_)):
        return from_datetime(format_, _before(match, now, format_))
    if is_time(format_) and re.fullmatch(r"\d{4}-\d\d-\d\d", text):
        return from_datetime(format_, day_start(_date_of(text), zone_of(format_)))
    if is_time(format_) and RFC3339.fullmatch(text):
        return read_moment(replace(format_, kind="datetime"), text)
    return read_moment(format_, text)


def _before(match: re.Match[str], now: datetime, format_: MomentFormat) -> datetime:
    number, unit = int(match["number"]), match["unit"]
    try:
        if unit in _SECONDS:
            return now - timedelta(seconds=number * _SECONDS[unit])
        zone = zone_of(format_)
        today = day_of(now, zone)
        if unit in "dw":
            day = today - timedelta(days=number * (7 if unit == "w" else 1))
        else:
            day = add_months(today, -number * (12 if unit == "y" else 1))
        return day_start(day, zone)
    except (OverflowError, ValueError):
        raise MomentError(f"no calendar goes back to {match[0]}") from None


def _read(format_: MomentFormat, value: object) -> Moment:
    match format_.kind:
        case "text":
            return value if isinstance(value, str) else str(_number(value))
        case "number":
            return _number(value)
        case "iso" if isinstance(value, str) and len(value) == _DATE_LENGTH:
            return _date_of(value).isoformat()
        case "date":
            return _date_of(value).isoformat()
        case "datetime" | "iso":
            return from_datetime(format_, parse_rfc3339(value, zone_of(format_)))
        case "unix" | "unix_ms":
            number = _number(value)
            unit = 1_000_000 if format_.kind == "unix" else 1_000
            micros = number * unit if isinstance(number, int) else round(number * unit)
            return from_datetime(format_, _EPOCH + timedelta(microseconds=micros))
    text = str(value) if type(value) is int else cast("str", value)
    point = datetime.strptime(text, format_.kind)  # noqa: DTZ007 - its zone follows
    if is_date(format_):
        return point.date().isoformat()
    if point.tzinfo is None:
        point = point.replace(tzinfo=zone_of(format_))
    return from_datetime(format_, point)


def _number(value: object) -> int | float:
    """Read a number, which may be written as text, as large identifiers are in JSON."""
    if isinstance(value, bool):
        raise TypeError("true and false are no numbers")
    if isinstance(value, int):
        return value
    if isinstance(value, float):
        if value != value or value in {float("inf"), float("-inf")}:  # noqa: PLR0124 - not a number
            raise ValueError("not finite")
        return value
    if isinstance(value, str) and re.fullmatch(r"-?[0-9]{1,40}", value):
        return int(value)
    if isinstance(value, str) and re.fullmatch(r"-?[0-9]{1,40}\.[0-9]{1,40}", value):
        return float(value)
    raise ValueError("no number")


def _date_of(value: object) -> date:
    """Read a date; the time of day that some APIs add to one is left off."""
    text = cast("str", value)
    if not re.fullmatch(r"\d{4}-\d\d-\d\d(?:[T ][0-9:.]*(?:Z|[+-]00:?00)?)?", text, re.ASCII):
        raise ValueError("no date")
    return date.fromisoformat(text[:10])
