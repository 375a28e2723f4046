"""Where values and moments stand on the axes of a plot, and what is written beside them."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Final

from connector.duration import format_duration

#: From one label to the next, in seconds: whole minutes, hours, days, weeks.
_STEPS: Final = (
    *(1, 5, 15, 30, 60, 300, 900, 1800, 3600, 10_800, 21_600, 43_200),
    *(86_400, 172_800, 604_800, 1_209_600, 2_592_000, 7_776_000, 31_536_000),
)
#: What the calendar has; a clock that was further off is shown at its ends.
_FIRST_MOMENT: Final = 0.0
_LAST_MOMENT: Final = 250_000_000_000.0
#: More than anything that is counted; what is larger is shown as this.
_LARGEST: Final = 1e15
#: What is shorter than a millisecond is that of a clock that stands still (seconds).
_SHORTEST: Final = 0.001
_DAY: Final = 86_400


@dataclass(frozen=True, slots=True, kw_only=True)
class Tick:
    """A place on an axis.

    Attributes:
        value: on the scale.
        label: what is written there.
    """

    value: float
    label: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Scale:
    """Takes values to places.

    Attributes:
        low, high: the values at both ends.
        start, end: their places.
        ticks: between them.
    """

    low: float
    high: float
    start: float
    end: float
    ticks: tuple[Tick, ...]

    def place(self, value: float) -> float:
        """Give the place of a value; one that is outside is shown at the end."""
        share = (min(max(value, self.low), self.high) - self.low) / (self.high - self.low)
        return self.start + share * (self.end - self.start)


def value_scale(values: Sequence[float], *, start: float, end: float, unit: str) -> Scale:
    """Make a scale from zero to a round number that is no less than any value.

    Args:
        values: finite; what is below zero counts as zero.
        start: the place of the one end.
        end: that of the other.
        unit: ``seconds`` or ``count``.
    """
    least = 4.0 if unit == "count" else _SHORTEST
    most = min(max(values, default=0.0), _LARGEST)
    step = _round_step(max(most, least) / 4)
    count = max(1, math.ceil(most / step - 1e-9))
    write = write_seconds if unit == "seconds" else write_count
    ticks = tuple(Tick(value=one * step, label=write(one * step)) for one in range(count + 1))
    return Scale(low=0.0, high=count * step, start=start, end=end, ticks=ticks)


def time_scale(moments: Sequence[float], *, start: float, end: float, most: int = 5) -> Scale:
    """Make a scale of moments (finite, seconds since the epoch); labels are in UTC.

    Args:
        moments: that are to be on it.
        start: the place of the one end.
        end: that of the other.
        most: so many labels at the most.
    """
    held = [hold(one) for one in moments] or [_FIRST_MOMENT]
    low, high = min(held), max(held)
    if high - low < 1:  # one moment stands in the middle of a minute
        low, high = max(_FIRST_MOMENT, low - 30), low + 30
    span = high - low
    step = next((one for one in _STEPS if span / one <= most - 1), None)
    if step is None:
        step = math.ceil(span / (most - 1) / _STEPS[-1]) * _STEPS[-1]
    first = math.ceil(low / step) * step
    ticks = []
    for one in range(most):
        moment = first + one * step
        if moment <= high:
            ticks.append(Tick(value=moment, label=_moment_label(moment, step)))
    return Scale(low=low, high=high, start=start, end=end, ticks=tuple(ticks))


def hold(moment: float) -> float:
    """Give a moment that the calendar has, the nearest to one that it has not."""
    return min(max(moment, _FIRST_MOMENT), _LAST_MOMENT)


def write_seconds(seconds: float) -> str:
    """Write a length of time as people say it: ``250 ms``, ``1.5 s``, ``2 min``."""
    if seconds == 0:
        return "0"
    if seconds < 0.9995:
        return f"{seconds * 1000:.0f} ms" if seconds >= 0.1 else f"{seconds * 1000:.2g} ms"
    return f"{seconds:.3g} s" if seconds < 120 else format_duration(seconds)


def write_count(count: float) -> str:
    """Write a number in short: ``950``, ``1.2 k``, ``3 M``."""
    for size, name in ((1e12, " T"), (1e9, " G"), (1e6, " M"), (1e3, " k")):
        if count >= size:
            return f"{count / size:,.10g}{name}"
    return f"{count:.0f}"


def write_moment(seconds: float) -> str:
    """Write a moment in UTC: ``26 Nov 2026, 10:15 UTC``."""
    return f"{_datetime(seconds):%-d %b %Y, %H:%M} UTC"


def write_day(seconds: float) -> str:
    """Write a day: ``26 Nov``."""
    return f"{_datetime(seconds):%-d %b}"


def _moment_label(moment: float, step: float) -> str:
    when = _datetime(moment)
    if step >= 10 * 2_592_000:
        return f"{when:%b %Y}"
    if step >= _DAY or moment % _DAY == 0:
        return f"{when:%-d %b}"
    return f"{when:%H:%M}" if step >= 60 else f"{when:%H:%M:%S}"


def _datetime(seconds: float) -> datetime:
    return datetime(1970, 1, 1, tzinfo=UTC) + timedelta(seconds=hold(seconds))


def _round_step(step: float) -> float:
    """Give the next larger of 1, 2 and 5 times a power of ten."""
    power: float = 10.0 ** math.floor(math.log10(step))
    return next((power * one for one in (1, 2, 5) if power * one >= step), power * 10)
