"""Plots as SVG text, to stand in a page: no library, no script, no ``style`` attribute.

Colours come from classes, so that light and dark are the style sheet's; what is told by colour is
told by a shape too, and by the description that a screen reader speaks.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from html import escape
from typing import Final

from connector.web.plot_scale import (
    Scale,
    hold,
    time_scale,
    value_scale,
    write_day,
    write_moment,
    write_seconds,
)

#: The view box: on a desktop about a pixel each, on a phone two thirds of one.
WIDTH: Final = 480
HEIGHT: Final = 200
_LEFT, _RIGHT, _TOP, _BOTTOM = 60.0, 470.0, 12.0, 170.0

#: A label's middle is no further to the right, so that the label is seen whole.
_LAST_LABEL: Final = 448.0

#: Of a sparkline.
SPARK_WIDTH: Final = 120
SPARK_HEIGHT: Final = 28

#: Of each tone, around the point.
_SHAPES: Final = {
    "good": "M-3 0a3 3 0 1 0 6 0a3 3 0 1 0 -6 0z",
    "warning": "M0 -4.500L4.500 3.500H-4.500z",
    "danger": (
        "M-4 -2.500L-2.500 -4L0 -1.500L2.500 -4L4 -2.500L1.500 0"
        "L4 2.500L2.500 4L0 1.500L-2.500 4L-4 2.500L-1.500 0z"
    ),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Point:
    """Something that took a while.

    Attributes:
        at: when (seconds since the epoch).
        seconds: how long it took.
        tone: ``good``, ``warning`` or ``danger``.
        label: what it was, in a few words.
    """

    at: float
    seconds: float
    tone: str
    label: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Day:
    """What a day brought.

    Attributes:
        at: its beginning (seconds since the epoch).
        count: how much; None: nothing ran.
        failures: how many runs of it failed.
    """

    at: float
    count: int | None
    failures: int = 0


def latency_plot(points: Sequence[Point], *, name: str, title: str) -> str:
    """Draw how long things took over time.

    Args:
        points: in any order; those that are no finite numbers are left out.
        name: of the plot; unique in its page.
        title: what is plotted.
    """
    shown = sorted(
        (one for one in points if math.isfinite(one.at) and math.isfinite(one.seconds)),
        key=lambda one: one.at,
    )
    moments, lengths = [one.at for one in shown], [max(0.0, one.seconds) for one in shown]
    times = time_scale(moments, start=_LEFT, end=_RIGHT)
    values = value_scale(lengths, start=_BOTTOM, end=_TOP, unit="seconds")
    if not shown:
        return _svg(name, title, "Nothing yet.", _nothing())
    places = [
        (times.place(hold(one.at)), values.place(max(0.0, one.seconds)), one) for one in shown
    ]
    good = [f"{x:.1f},{y:.1f}" for x, y, one in places if one.tone == "good"]
    parts = [_grid(values), _times(times)]
    if len(good) > 1:
        parts.append(f'<polyline class="line" points="{" ".join(good)}"/>')
    for x, y, one in places:
        tone = one.tone if one.tone in _SHAPES else "danger"
        text = f"{write_moment(one.at)}: {one.label}, {write_seconds(max(0.0, one.seconds))}"
        parts.append(
            f'<path class="mark {tone}" d="{_SHAPES[tone]}" '
            f'transform="translate({x:.1f} {y:.1f})"><title>{_text(text)}</title></path>'
        )
    failed = sum(one.tone != "good" for one in shown)
    told = (
        f"{len(shown)} from {write_moment(shown[0].at)} to {write_moment(shown[-1].at)}: "
        f"the longest took {write_seconds(max(lengths))}, {failed} did not succeed."
    )
    return _svg(name, title, told, "".join(parts))


def bar_plot(days: Sequence[Day], *, name: str, title: str, what: str) -> str:
    """Draw what each day brought; a day without a run is a gap with a mark, not a zero.

    Args:
        days: in their order, one beside the other.
        name: of the plot; unique in its page.
        title: what is plotted.
        what: that is counted, such as ``rows``.
    """
    counted = [max(0, one.count) for one in days if one.count is not None]
    if not counted:
        return _svg(name, title, "Nothing ran on these days.", _nothing())
    values = value_scale(counted, start=_BOTTOM, end=_TOP, unit="count")
    width = (_RIGHT - _LEFT) / len(days)
    parts = [_grid(values)]
    for number, day in enumerate(days):
        parts.append(_bar(day, values, left=_LEFT + number * width, width=width, what=what))
    every = max(1, math.ceil(len(days) / 4))  # a phone has room for four labels
    for number in range(len(days) - 1, -1, -every):  # today has its label
        x = min(_LEFT + (number + 0.5) * width, _LAST_LABEL)
        parts.append(_label(x, _BOTTOM + 20, write_day(days[number].at), "middle"))
    failed = sum(one.failures > 0 for one in days)
    told = (
        f"{sum(counted):,} {what} on {len(counted)} of {len(days)} days, "
        f"at most {max(counted):,} on one; on {failed} of them runs failed."
    )
    return _svg(name, title, told, "".join(parts))


def sparkline(days: Sequence[Day], *, what: str) -> str:
    """Draw what each day brought, in the height of a line of text.

    Args:
        days: in their order.
        what: that is counted, such as ``rows``.
    """
    counted = [max(0, one.count) for one in days if one.count is not None]
    most = min(max(counted, default=0), 10**15) or 1
    width = SPARK_WIDTH / max(1, len(days))
    parts = []
    for number, day in enumerate(days):
        if day.count is None:
            continue
        height = max(1.5, min(1.0, max(0, day.count) / most) * (SPARK_HEIGHT - 2))
        tone = "danger" if day.failures else "bar"
        parts.append(
            f'<rect class="{tone}" x="{number * width:.1f}" y="{SPARK_HEIGHT - height:.1f}" '
            f'width="{max(0.5, width - 1):.1f}" height="{height:.1f}"/>'
        )
    told = f"{sum(counted):,} {what} in {len(days)} days"
    return (
        f'<svg class="spark" viewBox="0 0 {SPARK_WIDTH} {SPARK_HEIGHT}" role="img" '
        f'aria-label="{_text(told)}"><title>{_text(told)}</title>{"".join(parts)}</svg>'
    )


def _bar(day: Day, values: Scale, *, left: float, width: float, what: str) -> str:
    gap = min(3.0, width / 4)
    x, wide = left + gap / 2, width - gap
    when = write_day(day.at)
    if day.count is None:
        text = f"{when}: no run"
        return (
            f'<path class="gap" d="M{x:.1f} {_BOTTOM:.1f}h{wide:.1f}">'
            f"<title>{_text(text)}</title></path>"
        )
    top = min(values.place(max(0, day.count)), _BOTTOM - 1)
    failed = f", {day.failures:,} failed" if day.failures else ""
    text = _text(f"{when}: {day.count:,} {what}{failed}")
    bar = (
        f'<rect class="bar" x="{x:.1f}" y="{top:.1f}" width="{wide:.1f}" '
        f'height="{_BOTTOM - top:.1f}"><title>{text}</title></rect>'
    )
    if day.failures:  # a foot in another colour, and lower than the axis: a shape of its own
        bar += (
            f'<rect class="danger" x="{x:.1f}" y="{_BOTTOM + 2:.1f}" width="{wide:.1f}" '
            f'height="3"><title>{text}</title></rect>'
        )
    return bar


def _grid(values: Scale) -> str:
    parts = []
    for tick in values.ticks:
        y = values.place(tick.value)
        parts.append(f'<path class="grid" d="M{_LEFT:.0f} {y:.1f}H{_RIGHT:.0f}"/>')
        parts.append(_label(_LEFT - 8, y + 4, tick.label, "end"))
    return "".join(parts)


def _times(times: Scale) -> str:
    return "".join(
        _label(min(times.place(tick.value), _LAST_LABEL), _BOTTOM + 20, tick.label, "middle")
        for tick in times.ticks
    )


def _nothing() -> str:
    return _label((_LEFT + _RIGHT) / 2, HEIGHT / 2, "Nothing yet", "middle")


def _label(x: float, y: float, text: str, anchor: str) -> str:
    return f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}">{_text(text)}</text>'


def _svg(name: str, title: str, told: str, content: str) -> str:
    name = _text(name)
    return (
        f'<svg class="plot" viewBox="0 0 {WIDTH} {HEIGHT}" role="img" '
        f'aria-labelledby="{name}-title {name}-told">'
        f'<title id="{name}-title">{_text(title)}</title>'
        f'<desc id="{name}-told">{_text(told)}</desc>{content}</svg>'
    )


def _text(text: str) -> str:
    """Make a text fit for SVG: escaped, without what no XML may hold."""
    return escape("".join(c if c.isprintable() else "\N{REPLACEMENT CHARACTER}" for c in text))
