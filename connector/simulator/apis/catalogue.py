"""The data APIs of one simulator: records, the knobs on them, and what a pull has to bring."""

from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta

from connector.simulator.apis import github, hubspot, notion, shapes
from connector.simulator.apis.analytics_data import DIMENSIONS, METRICS, AnalyticsData
from connector.simulator.apis.records import ApiError, Item, Items, seconds_of
from connector.simulator.state import State

RENDERERS: dict[str, Callable[[Item], dict[str, object]]] = {
    "github": github.record,
    "hubspot": hubspot.record,
    "notion": notion.record,
    "shapes": shapes.record,
}

ANALYTICS = "analytics"


class DataApis:
    """The data APIs, by name: github, hubspot, notion, analytics and shapes."""

    def __init__(self, state: State) -> None:
        self._state = state
        self.items = {name: Items(name, lambda: state.settings) for name in RENDERERS}
        """The records of each API but analytics."""
        self.analytics = AnalyticsData(lambda: state.settings)
        """The figures of the Analytics-like report."""

    def expected_records(
        self, api: str, since: str | None = None, until: str | None = None
    ) -> list[dict[str, object]]:
        """What a complete pull has to bring now, each record once, by when it was updated.

        `since` (included) and `until` (not included) are RFC 3339 moments or dates, and bound the
        time of the last change. For analytics they are the first and the last day, both included,
        and the rows are those of every dimension and metric.

        Raises:
            ApiError: no such API, or a moment that is none.
        """
        bounds = [None if text is None else seconds_of(text) for text in (since, until)]
        with self._state.lock:
            if api == ANALYTICS:
                return self._expected_rows(*(_day(bound) for bound in bounds))
            self._known(api)
            return [RENDERERS[api](item) for item in self.items[api].between(*bounds)]

    def append(self, api: str, count: int = 1) -> None:
        """Add records (to analytics: days), each newer than all others.

        Raises:
            ApiError: no such API, or too many.
        """
        with self._state.lock:
            self._known(api).append(count)

    def touch(self, api: str, number: int) -> None:
        """Change a record, or a day of analytics, by its number from 1.

        A record is then the newest of all.

        Raises:
            ApiError: no such API, or no such record.
        """
        with self._state.lock:
            self._known(api).touch(number)

    def _expected_rows(self, since: date | None, until: date | None) -> list[dict[str, object]]:
        first = self.analytics.first_day
        last = first + timedelta(days=self.analytics.days)
        return self.analytics.rows(since or first, until or last, DIMENSIONS, tuple(METRICS))

    def _known(self, api: str) -> Items | AnalyticsData:
        known: dict[str, Items | AnalyticsData] = {**self.items, ANALYTICS: self.analytics}
        if api not in known:
            message = f"no data API {api!r}: {', '.join(known)}"
            raise ApiError(message)
        return known[api]


def _day(seconds: float | None) -> date | None:
    return None if seconds is None else datetime.fromtimestamp(seconds, UTC).date()
