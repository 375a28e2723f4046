"""Pieces of time that are asked for one after another: they neither overlap nor leave gaps.

A window goes from ``since`` up to ``until``, which is the first moment that is not in it, however
the API wants its end written. Days and months are those of the calendar in the format's time zone:
a day of 23 or 25 hours is one day. What is not over yet is asked for as far as it has come, and
again in the next run: `completed` says how far a cursor may go.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from typing import Final, cast

from connector.pulls.days import add_months, day_of, day_start
from connector.pulls.moments import (
    Moment,
    back,
    from_datetime,
    is_date,
    step,
    to_datetime,
    write_moment,
    zone_of,
)
from connector.pulls.spec import MomentFormat, WindowRule

_DAY: Final = timedelta(days=1)
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
#: Windows of seconds are split down to this where nothing else is said.
_SMALLEST: Final = timedelta(seconds=1)


@dataclass(frozen=True, slots=True)
class Window:
    """A piece of time.

    Attributes:
        since: the first moment in it.
        until: the first moment after it.
    """

    since: Moment
    until: Moment


def windows(
    rule: WindowRule, format_: MomentFormat, start: Moment, end: Moment
) -> Iterator[Window]:
    """Give the windows from a start up to an end, the oldest first.

    The first one may be shorter: it ends where a day or a month of the calendar begins; so may be
    the last one, which ends at the end.

    Args:
        rule: how long they are.
        format_: of the moments, its zone filled in.
        start: the first moment.
        end: the first moment that is not asked for; see `end_of_windows`.
    """
    since = start
    while _precedes(since, end):
        until = _next_boundary(rule, format_, since)
        if until is None or not _precedes(until, end):
            until = end
        yield Window(since, until)
        since = until


def end_of_windows(rule: WindowRule, format_: MomentFormat, now: datetime) -> Moment:
    """Give the first moment that is not asked for: ``delay`` before now, its day included."""
    point = now.astimezone(UTC) - timedelta(seconds=rule.delay)
    if is_date(format_):
        return (day_of(point, zone_of(format_)) + _DAY).isoformat()
    return from_datetime(format_, _floor(point, format_))


def completed(rule: WindowRule, format_: MomentFormat, window: Window, now: datetime) -> Moment:
    """Give how far a cursor may go after a window: no further than to what is over.

    A day that is not over is pulled again next time.
    """
    end = end_of_windows(rule, format_, now)
    if is_date(format_):
        end = back(format_, end, _DAY.total_seconds())
    return window.until if not _precedes(end, window.until) else end


def written(rule: WindowRule, format_: MomentFormat, window: Window) -> tuple[object, object]:
    """Give the start and the end of a window as the API takes them.

    Where the API counts its ``until`` in, that is the last moment in the window: its last day, or
    one `step` of the format before the end.
    """
    until = window.until
    if rule.is_end_inclusive:
        if is_date(format_):
            until = back(format_, until, _DAY.total_seconds())
        else:
            until = from_datetime(format_, to_datetime(format_, until) - step(format_))
    return write_moment(format_, window.since), write_moment(format_, until)


def split(rule: WindowRule, format_: MomentFormat, window: Window) -> tuple[Window, Window] | None:
    """Give the halves of a window; None: either would be shorter than the rule's smallest.

    A window of several days is split where a day begins.
    """
    middle = _middle_day(rule, format_, window)
    if middle is None and not is_date(format_):
        middle = _middle(rule, format_, window)
    if middle is None:
        return None
    return Window(window.since, middle), Window(middle, window.until)


def _next_boundary(rule: WindowRule, format_: MomentFormat, since: Moment) -> Moment | None:
    """Give where a window that begins here ends; None: beyond the end of the calendar."""
    zone = zone_of(format_)
    try:
        if rule.seconds and not is_date(format_):
            point = to_datetime(format_, since) + timedelta(seconds=rule.seconds)
            return from_datetime(format_, point)
        if is_date(format_):
            return _boundary_day(rule, date.fromisoformat(cast("str", since))).isoformat()
        point = to_datetime(format_, since)
        day = day_of(point, zone)
        while (boundary := day_start(_boundary_day(rule, day), zone)) <= point:
            day += _DAY  # a day that was skipped has no length
        return from_datetime(format_, boundary)
    except (OverflowError, ValueError):
        return None


def _boundary_day(rule: WindowRule, day: date) -> date:
    if rule.months:
        return add_months(day.replace(day=1), rule.months)
    days = rule.days or max(1, int(rule.seconds // _DAY.total_seconds()))
    return day + timedelta(days=days)


def _middle_day(rule: WindowRule, format_: MomentFormat, window: Window) -> Moment | None:
    """Give the day's beginning next to the middle, with at least the smallest on either side."""
    zone = zone_of(format_)
    if is_date(format_):
        first = date.fromisoformat(cast("str", window.since))
        end = date.fromisoformat(cast("str", window.until))
    else:
        first = day_of(to_datetime(format_, window.since), zone)
        end = day_of(to_datetime(format_, window.until) - step(format_), zone) + _DAY
    days = (end - first).days
    smallest = max(1, -int(-rule.smallest // _DAY.total_seconds()))
    half = days // 2
    if half < smallest or (rule.seconds and rule.seconds < _DAY.total_seconds()):
        return None
    day = first + timedelta(days=half)
    middle = day.isoformat() if is_date(format_) else from_datetime(format_, day_start(day, zone))
    if not _precedes(window.since, middle) or not _precedes(middle, window.until):
        return None
    return middle


def _middle(rule: WindowRule, format_: MomentFormat, window: Window) -> Moment | None:
    """Give the middle, at a step of the format, with at least the smallest on either side."""
    since = to_datetime(format_, window.since)
    until = to_datetime(format_, window.until)
    smallest = timedelta(seconds=rule.smallest)
    if not smallest:
        smallest = _SMALLEST if rule.seconds else _DAY
    middle = _floor(since + (until - since) // 2, format_)
    if middle <= since or middle - since < smallest or until - middle < smallest:
        return None
    return from_datetime(format_, middle)


def _floor(point: datetime, format_: MomentFormat) -> datetime:
    """Go back to a moment that the format can write, by the clocks of its zone."""
    offset = point.astimezone(zone_of(format_)).utcoffset() or timedelta()
    return point - (point + offset - _EPOCH) % step(format_)


def _precedes(one: Moment, other: Moment) -> bool:
    return cast("str", one) < cast("str", other)
