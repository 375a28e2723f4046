"""Families of metrics, made anew at each scrape from what others have counted."""

from bisect import bisect_left
from collections.abc import Iterable, Mapping
from typing import TypeVar

from prometheus_client.core import (
    CounterMetricFamily,
    GaugeMetricFamily,
    HistogramMetricFamily,
    Metric,
)

#: The values of a metric's labels.
Labels = TypeVar("Labels", bound=tuple[str, ...])


def gauge(name: str, text: str, values: Mapping[Labels, float], *labels: str) -> Metric:
    """Make a gauge.

    Args:
        name: without the ``connector_`` before it.
        text: what it tells.
        values: by the labels' values.
        labels: their names.
    """
    family = GaugeMetricFamily(f"connector_{name}", text, labels=labels)
    return _filled(family, values)


def counter(name: str, text: str, values: Mapping[Labels, float], *labels: str) -> Metric:
    """Make a counter; arguments as of `gauge`, its name without ``_total``."""
    return _filled(CounterMetricFamily(f"connector_{name}", text, labels=labels), values)


def histogram(name: str, text: str, values: Mapping[Labels, "Durations"], *labels: str) -> Metric:
    """Make a histogram of seconds; arguments as of `gauge`."""
    family = HistogramMetricFamily(f"connector_{name}", text, labels=labels)
    for key, durations in values.items():
        family.add_metric(key, durations.buckets(), durations.total)
    return family


def single(value: float) -> dict[tuple[str, ...], float]:
    """Give the values of a family without labels."""
    return {(): value}


def _filled(
    family: CounterMetricFamily | GaugeMetricFamily, values: Mapping[Labels, float]
) -> Metric:
    for key, value in values.items():
        family.add_metric(key, value)
    return family


class Durations:
    """Counts lengths of time by how long they were.

    Args:
        bounds: of the buckets, in seconds, ascending.
    """

    __slots__ = ("_bounds", "_counts", "total")

    def __init__(self, bounds: Iterable[float]) -> None:
        self._bounds = tuple(bounds)
        self._counts = [0] * (len(self._bounds) + 1)
        self.total = 0.0

    def note(self, seconds: float) -> None:
        """Count one."""
        self.total += seconds
        self._counts[bisect_left(self._bounds, seconds)] += 1

    def buckets(self) -> list[tuple[str, float]]:
        """Give upper bounds and counts, each of all that were no longer."""
        found: list[tuple[str, float]] = []
        sum_so_far = 0
        for bound, count in zip((*self._bounds, float("inf")), self._counts, strict=True):
            sum_so_far += count
            found.append(("+Inf" if bound == float("inf") else str(bound), sum_so_far))
        return found
