"""The figures behind the Analytics-like report: sessions by day, country and device.

Days run from the epoch on, in UTC; each has a figure for every country and device, so that the
number of records is also that of days, times twelve.
"""

import hashlib
from collections.abc import Callable, Iterable, Sequence
from datetime import UTC, date, datetime, timedelta
from itertools import product

from connector.simulator.apis.records import ApiError
from connector.simulator.settings import Settings

COUNTRIES = ("Côte d'Ivoire", "Germany", "Japan", "United States")
DEVICES = ("desktop", "mobile", "tablet")

DIMENSIONS = ("date", "country", "deviceCategory")
METRICS = {
    "activeUsers": "TYPE_INTEGER",
    "sessions": "TYPE_INTEGER",
    "totalRevenue": "TYPE_CURRENCY",
}

Row = dict[str, object]


class AnalyticsData:
    """The figures, and the knob that restates them; guarded by the state's lock."""

    def __init__(self, settings: Callable[[], Settings]) -> None:
        self._settings = settings
        self._added = 0
        self._revisions: dict[date, int] = {}
        self._changes = 0
        self._answered: tuple[object, list[Row]] = (None, [])

    @property
    def first_day(self) -> date:
        """The first day that has figures."""
        return datetime.fromtimestamp(self._settings().apis_epoch, UTC).date()

    @property
    def days(self) -> int:
        """How many days have figures."""
        per_day = len(COUNTRIES) * len(DEVICES)
        return -(-self._settings().apis_records // per_day) + self._added

    def append(self, count: int) -> None:
        """Add days.

        Raises:
            ApiError: too few or too many.
        """
        if not 0 <= count <= 10_000:
            raise ApiError("days are added 0 to 10000 at a time")
        self._added += count
        self._changes += 1

    def touch(self, number: int) -> None:
        """Change the figures of a day, 1 for the first.

        Raises:
            ApiError: no such day.
        """
        if not 1 <= number <= self.days:
            message = f"no day {number}"
            raise ApiError(message)
        day = self.first_day + timedelta(days=number - 1)
        self._revisions[day] = self._revisions.get(day, 0) + 1
        self._changes += 1

    def rows(
        self, since: date, until: date, dimensions: Sequence[str], metrics: Sequence[str]
    ) -> list[Row]:
        """Every row of a range of days (both ends included), summed over the other dimensions.

        Kept until another question or a change: a pull asks the same at each page.
        """
        asked = (since, until, *dimensions, *metrics, self._settings(), self._changes)
        if self._answered[0] != asked:
            self._answered = (asked, self._summed(since, until, dimensions, metrics))
        return list(self._answered[1])

    def _summed(
        self, since: date, until: date, dimensions: Sequence[str], metrics: Sequence[str]
    ) -> list[Row]:
        sums: dict[tuple[str, ...], list[int]] = {}
        for day in self._range(since, until):
            for country, device in product(COUNTRIES, DEVICES):
                named = dict(zip(DIMENSIONS, (f"{day:%Y%m%d}", country, device), strict=True))
                key = tuple(named[name] for name in dimensions)
                figures = self._figures(day, country, device)
                values = sums.setdefault(key, [0] * len(metrics))
                for index, name in enumerate(metrics):
                    values[index] += figures[name]
        return [_row(key, zip(metrics, sums[key], strict=True)) for key in sorted(sums)]

    def _range(self, since: date, until: date) -> Iterable[date]:
        first, days = self.first_day, self.days
        start, stop = (since - first).days, (until - first).days + 1
        return (first + timedelta(days=number) for number in range(max(0, start), min(days, stop)))

    def _figures(self, day: date, country: str, device: str) -> dict[str, int]:
        revision = self._revisions.get(day, 0)
        text = f"{self._settings().apis_seed}/{day}/{country}/{device}"
        digest = hashlib.sha256(text.encode()).digest()
        users = 20 + int.from_bytes(digest[:2]) % 500 + revision
        return {
            "activeUsers": users,
            "sessions": users + digest[2] % 100 + revision,
            "totalRevenue": users * (digest[3] % 90) + revision,
        }


def _row(key: Iterable[str], values: Iterable[tuple[str, int]]) -> Row:
    """Every value is a string, as Google gives it; money in cents becomes a decimal."""
    texts = (
        f"{value / 100:.2f}" if METRICS[name] == "TYPE_CURRENCY" else str(value)
        for name, value in values
    )
    return {
        "dimensionValues": [{"value": value} for value in key],
        "metricValues": [{"value": text} for text in texts],
    }
