"""Reads cursors and windows: where a run goes on, and into which pieces it cuts the time."""

import difflib
import re
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime
from typing import Final

from connector.duration import parse_duration
from connector.pulls.moments import (
    MomentError,
    from_datetime,
    is_date,
    parse_start,
    read_moment,
    step,
    write_moment,
    zone_of,
)
from connector.pulls.reading.values import read_path
from connector.pulls.spec import CursorRule, MomentFormat, WindowRule
from connector.pulls.templates import names
from connector.toml_section import Section

FORMATS: Final = ("iso", "date", "datetime", "unix", "unix_ms", "number", "text")
#: A request's format is concrete: nothing says whether a moment is to be a date.
_OF_TIME: Final = ("date", "datetime", "unix", "unix_ms")
_LENGTH: Final = re.compile(r"(?P<number>[0-9]{1,5})(?P<unit>d|w|mo)")
_WINDOW: Final = 'write window = "1d", "1mo" or "6h"'
_DAY: Final = 86_400.0
#: Any moment; what is written of it must be readable.
_TRIAL: Final = datetime(2026, 11, 26, 14, 5, 7, tzinfo=UTC)


def read_cursor(section: Section, window: WindowRule | None) -> CursorRule | None:
    """Read ``cursor``; None where there is none.

    Args:
        section: the pull's table.
        window: of the pull, which decides what a cursor without ``format`` is.
    """
    if "cursor" not in section:
        return None
    table = section.section("cursor")
    format_ = _read_format(table, window)
    rule = CursorRule(
        field=read_path(table, "field"),
        param=table.text("param"),
        format=format_,
        param_format=_read_param_format(table, format_, window),
        lookback=table.duration("lookback", 0.0) or 0.0,
        start=_read_start(table),
        is_inclusive=table.boolean("inclusive", default=True),
    )
    _check(table, rule, window)
    table.finish()
    return rule


def read_window(section: Section) -> WindowRule | None:
    """Read ``window``: a length, or a table that says more."""
    if "window" not in section:
        return None
    if isinstance(section.value("window", object), str):
        return section.parsed("window", parse_length, None, _WINDOW)
    table = section.section("window")
    if table.table and "length" not in table:
        table.problem("length", "is missing", 'write length = "1d", "1mo" or "6h"')
    length = table.parsed("length", parse_length, None, 'write length = "1d", "1mo" or "6h"')
    rule = replace(
        length or WindowRule(days=1),
        smallest=table.duration("smallest", 0.0) or 0.0,
        is_end_inclusive=table.boolean("inclusive_end", default=False),
        delay=table.duration("delay", 0.0) or 0.0,
        param=table.text("param"),
    )
    table.finish()
    return rule


def parse_length(text: str) -> WindowRule:
    """Read how long windows are: days and months of the calendar, or hours, minutes and seconds.

    Raises:
        ValueError: it is none of these.
    """
    match = _LENGTH.fullmatch(text.strip())
    if match is not None and int(match["number"]):
        number = int(match["number"])
        if match["unit"] == "mo":
            return WindowRule(months=number)
        return WindowRule(days=number * (7 if match["unit"] == "w" else 1))
    seconds = parse_duration(text)
    if seconds < 1:
        raise ValueError(f"{text!r} is too short for a window")
    return WindowRule(seconds=seconds)


def _read_kind(table: Section, key: str, default: str, known: Sequence[str] = FORMATS) -> str:
    kind = table.text(key, default)
    if "%" in kind or kind in known:
        return kind
    nearest = difflib.get_close_matches(kind, known, n=1)
    remedy = f"did you mean {nearest[0]}?" if nearest else "or write a pattern: %Y%m%d"
    table.problem(key, f"must be one of {', '.join(known)}, or a pattern", remedy)
    return default


def _read_param_format(
    table: Section, format_: MomentFormat, window: WindowRule | None
) -> MomentFormat | None:
    """Read how the request has it, where that is not as the records do."""
    if "param_format" not in table:
        table.text("param_format")  # is a known key
        return None
    other = replace(format_, kind=_read_kind(table, "param_format", "datetime", _OF_TIME))
    if window is not None:
        table.problem("param_format", "a window's ends are written in format", "remove it")
    elif format_.kind in {"number", "text"}:
        table.problem("param_format", f"{format_.kind} is no time", "remove it")
    elif "%" in other.kind and not _can_be_read(replace(other, timezone="UTC")):
        table.problem("param_format", f"{other.kind} cannot be read again", "write one of strptime")
    return other


def _read_format(table: Section, window: WindowRule | None) -> MomentFormat:
    default = "iso"
    if window is not None:  # windows need to know whether they are of days
        default = "datetime" if window.seconds else "date"
    kind = _read_kind(table, "format", default)
    if kind == "iso" and window is not None:
        table.problem("format", "leaves open whether windows are of days", f'write "{default}"')
        kind = default
    format_ = MomentFormat(kind=kind, timezone=table.text("timezone", "UTC"))
    if not names(format_.timezone):
        try:
            zone_of(format_)
        except MomentError as error:
            message, _, remedy = str(error).partition(": ")
            table.problem("timezone", message, remedy)
            return replace(format_, timezone="UTC")
    return format_


def _read_start(table: Section) -> str:
    """Read ``start``: text, a number, or a date of TOML."""
    value = table.value("start", object)
    if value is None or isinstance(value, str):
        return table.text("start")
    if isinstance(value, int) and not isinstance(value, bool):
        return str(value)
    if hasattr(value, "isoformat"):
        return str(value.isoformat())
    table.problem("start", "must be text, a number or a date", 'write start = "-28d"')
    return ""


def _check(table: Section, rule: CursorRule, window: WindowRule | None) -> None:
    """Report what does not fit."""
    zoned = replace(rule.format, timezone="UTC") if names(rule.format.timezone) else rule.format
    if "%" in zoned.kind and not _can_be_read(zoned):
        table.problem("format", f"{zoned.kind} cannot be read again", "write one of strptime")
        return
    if rule.start:
        try:
            parse_start(zoned, rule.start, _TRIAL)
        except MomentError as error:
            table.problem("start", str(error), 'write it in the format, or as "-28d"')
    if zoned.kind in {"number", "text"}:
        _check_timeless(table, rule, window)
    if not rule.field and window is None:
        table.problem("field", "is missing", 'write field = "updated_at", a path in a record')
    if window is None:
        return
    if not rule.start:
        table.problem("start", "is missing: windows begin somewhere", 'write start = "-28d"')
    if window.seconds % _DAY and is_date(zoned):
        table.problem("format", "has days, and the window is not of whole days", "write datetime")
    elif window.seconds and "%" in zoned.kind and window.seconds < step(zoned).total_seconds():
        table.problem("format", "cannot tell the window's ends apart", "write finer times")


def _check_timeless(table: Section, rule: CursorRule, window: WindowRule | None) -> None:
    """Report what numbers and texts cannot do."""
    kind = rule.format.kind
    if window is not None:
        table.problem("format", f"{kind} has no windows", "write date, datetime or unix")
    if rule.lookback:
        table.problem("lookback", f"{kind} cannot go back in time", "remove it")
    if kind == "text" and not rule.is_inclusive:
        table.problem("inclusive", "text has no smallest step to go back", "remove it")


def _can_be_read(format_: MomentFormat) -> bool:
    """Tell whether what a pattern writes can be read again."""
    moment = from_datetime(format_, _TRIAL)
    try:
        read_moment(format_, write_moment(format_, moment))
    except ValueError:
        return False
    return True
