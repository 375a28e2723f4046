"""Where a pull goes on from: the greatest value of a field, less what may change afterwards."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Final, cast

from connector.pulls.moments import (
    Moment,
    back,
    concrete,
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
from connector.pulls.paths import Path
from connector.pulls.spec import CursorRule, MomentFormat

#: Formats whose texts compare as time goes, if they are written alike.
_COMPARABLE: Final = frozenset({"iso", "date", "datetime"})
_DATE: Final = len("2026-11-26")


@dataclass(frozen=True, slots=True)
class HighMark:
    """How far records have come.

    Attributes:
        value: the greatest one; None: none yet.
        without: records that have no value to compare, so far.
    """

    value: Moment | None = None
    without: int = 0


def with_zones(rule: CursorRule, values: Mapping[str, object]) -> CursorRule:
    """Fill in the time zones of a part, where they are its own (``{timezone}``).

    Raises:
        MomentError: one has no value, or there is no such zone.
    """
    other = rule.param_format
    return replace(
        rule,
        format=with_zone(rule.format, values),
        param_format=None if other is None else with_zone(other, values),
    )


def next_start(rule: CursorRule, last: Moment | None, now: datetime) -> Moment | None:
    """Give where a run begins.

    A record from the future does not keep the ones before it out: the start is never later than
    now.

    Args:
        rule: its format's zone filled in.
        last: where the last successful run got to; None: there was none.
        now: with its time zone.

    Returns:
        The start; None: there is none to be sent.

    Raises:
        MomentError: ``start`` of the configuration is no moment of the format.
    """
    format_ = rule.format
    if last is None:
        return parse_start(format_, rule.start, now) if rule.start else None
    format_ = concrete(format_, last)
    if is_date(format_) or is_time(format_):
        last = min(cast("str", last), cast("str", from_datetime(format_, now)))
        seconds = rule.lookback
        if not rule.is_inclusive:
            steps = [step(one) for one in (format_, rule.param_format) if one is not None]
            seconds += max(steps).total_seconds()
        return back(format_, last, seconds)
    if isinstance(last, str):
        return last
    return last if rule.is_inclusive else last - 1


def write_start(rule: CursorRule, start: Moment) -> object:
    """Write a start as the API takes it, which may be another way than its records have.

    Args:
        rule: its formats' zones filled in.
        start: as `next_start` gives it.

    Raises:
        MomentError: it is no moment of the format.
    """
    if rule.param_format is None:
        return write_moment(rule.format, start)
    point = to_datetime(rule.format, start)
    return write_moment(rule.param_format, from_datetime(rule.param_format, point))


def advance(rule: CursorRule, high: HighMark, records: Iterable[object]) -> HighMark:
    """Give how far records have come after a page; never less far than before.

    Args:
        rule: its format's zone filled in.
        high: how far they had come.
        records: of the page.

    Raises:
        MomentError: a record's field holds no moment of the format.
    """
    found, without = _values(rule, records)
    value = high.value
    for raw in _candidates(rule.format, found):
        moment = read_moment(rule.format, raw, rule.field)
        if value is None or cast("str", moment) > cast("str", value):
            value = moment
    return HighMark(value, high.without + without)


def _values(rule: CursorRule, records: Iterable[object]) -> tuple[set[object], int]:
    """Give the different values of the field, and how many records have none."""
    find = Path.parse(rule.field).first
    is_plain = rule.field.isidentifier()
    found: set[object] = set()
    without = 0
    for record in records:
        if is_plain:
            value = record.get(rule.field) if isinstance(record, dict) else None
        else:
            value = find(record)
        if value is None or value == "":
            without += 1
        elif isinstance(value, (str, int, float)):
            found.add(value)
        else:
            read_moment(rule.format, value, rule.field)  # a list or an object is none, and told
    return found, without


def _candidates(format_: MomentFormat, found: set[object]) -> Iterable[object]:
    """Leave out what cannot be the greatest, where all are written alike and compare as text.

    What is left out is not read, which would take longer than all else that is done with a page.
    """
    texts = [value for value in found if isinstance(value, str)]
    if format_.kind not in _COMPARABLE or not texts or len(texts) < len(found):
        return found
    ends = {(len(text), _end_of(text)) for text in texts}
    return (max(texts),) if len(ends) == 1 and ends.pop()[1] else found


def _end_of(text: str) -> str:
    """Give what texts that compare as time goes have in common: their offset, or being dates."""
    if len(text) == _DATE:
        return "date"
    if text.endswith("Z"):
        return "Z"
    return text[-6:] if len(text) > _DATE and text[-6] in "+-" else ""
