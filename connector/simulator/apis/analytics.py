"""A report like that of Google Analytics (Data API v1beta, properties.runReport).

Rows come by `offset` and `limit`, all values as strings. What is empty is left out of the answer,
`rows` and `rowCount` too, as protocol buffers written as JSON have it.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta

from connector.simulator.apis.access import Access, Visit, number_of, read_json
from connector.simulator.apis.analytics_data import DIMENSIONS, METRICS, AnalyticsData
from connector.simulator.apis.settings import ANALYTICS_SCOPE
from connector.simulator.call import Call, Reply
from connector.simulator.clock import Clock

PROPERTY = "123456789"

DEFAULT_PAGE = 10_000
LARGEST_PAGE = 250_000

MEMBERS = frozenset(
    {"dateRanges", "dimensions", "metrics", "offset", "limit", "orderBys", "keepEmptyRows"}
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """What is asked for."""

    since: date
    until: date
    dimensions: tuple[str, ...]
    metrics: tuple[str, ...]
    order: tuple[tuple[str, bool], ...]
    """Dimensions to sort by, and whether downwards."""
    offset: int
    limit: int


class Reports:
    """The endpoint."""

    def __init__(self, access: Access, data: AnalyticsData, clock: Clock) -> None:
        self._access = access
        self._data = data
        self._clock = clock

    def __call__(self, call: Call) -> Reply:
        """A page of a report.

        Raises:
            RefusedError: no access, no quota left, no such property, or a bad request.
        """
        visit = self._access.enter(call, api="analytics", scope=ANALYTICS_SCOPE)
        if visit.quota.is_over:
            text = (
                "Exhausted property tokens for a project per hour. These quota tokens will return "
                "in under an hour."
            )
            raise _refusal(visit, 429, "RESOURCE_EXHAUSTED", text)
        if call.path["property"] != PROPERTY:
            text = "User does not have sufficient permissions for this property."
            raise _refusal(visit, 403, "PERMISSION_DENIED", text)
        try:
            report = _read(read_json(call), datetime.fromtimestamp(self._clock.now(), UTC).date())
        except ValueError as error:
            raise _refusal(visit, 400, "INVALID_ARGUMENT", str(error)) from None
        return visit.reply(self._answer(report))

    def _answer(self, report: Report) -> dict[str, object]:
        rows = self._data.rows(report.since, report.until, report.dimensions, report.metrics)
        for name, is_descending in reversed(report.order):
            index = report.dimensions.index(name)
            rows.sort(key=lambda row, at=index: _value(row, at), reverse=is_descending)  # type: ignore[misc]
        body: dict[str, object] = {
            "dimensionHeaders": [{"name": name} for name in report.dimensions],
            "metricHeaders": [{"name": name, "type": METRICS[name]} for name in report.metrics],
            "rows": rows[report.offset : report.offset + report.limit],
            "rowCount": len(rows),
            "metadata": {"currencyCode": "USD", "timeZone": "Etc/UTC"},
            "kind": "analyticsData#runReport",
        }
        return {name: value for name, value in body.items() if value not in ([], 0)}


def _value(row: Mapping[str, object], index: int) -> str:
    values = row["dimensionValues"]
    return str(values[index]["value"]) if isinstance(values, list) else ""


def _read(body: Mapping[str, object], today: date) -> Report:
    unknown = sorted(set(body) - MEMBERS)
    if unknown:
        message = f'Invalid JSON payload received. Unknown name "{unknown[0]}": Cannot find field.'
        raise ValueError(message)
    ranges = _objects(body.get("dateRanges"), "dateRanges")
    if len(ranges) != 1:
        raise ValueError("one date range is needed, and no more are known here")
    since, until = (_day(ranges[0].get(name), today) for name in ("startDate", "endDate"))
    dimensions = _names(body.get("dimensions"), "dimension", DIMENSIONS)
    metrics = _names(body.get("metrics"), "metric", tuple(METRICS))
    if since > until or not metrics:
        raise ValueError("at least one metric, and no startDate after endDate")
    limit = number_of(body.get("limit"), "limit", DEFAULT_PAGE, least=1)
    if limit > LARGEST_PAGE:
        message = f"limit must be at most {LARGEST_PAGE}"
        raise ValueError(message)
    return Report(
        since=since,
        until=until,
        dimensions=dimensions,
        metrics=metrics,
        order=tuple(
            _order(each, dimensions) for each in _objects(body.get("orderBys"), "orderBys")
        ),
        offset=number_of(body.get("offset"), "offset", 0),
        limit=limit,
    )


def _objects(value: object, name: str) -> list[Mapping[str, object]]:
    if value is None:
        return []
    if not isinstance(value, list) or not all(isinstance(each, dict) for each in value):
        message = f"{name} must be a list of objects"
        raise ValueError(message)
    return value


def _names(value: object, kind: str, known: Sequence[str]) -> tuple[str, ...]:
    names = tuple(str(each.get("name")) for each in _objects(value, f"{kind}s"))
    for name in names:
        if name not in known:
            message = f"Field {name} is not a valid {kind}."
            raise ValueError(message)
    if len(set(names)) < len(names):
        message = f"a {kind} is named twice"
        raise ValueError(message)
    return names


def _order(values: Mapping[str, object], dimensions: Sequence[str]) -> tuple[str, bool]:
    dimension = values.get("dimension")
    name = dimension.get("dimensionName") if isinstance(dimension, dict) else None
    if name not in dimensions:
        raise ValueError("orderBys are by dimensions of the report")
    return str(name), values.get("desc") is True


def _day(value: object, today: date) -> date:
    text = value if isinstance(value, str) else ""
    ago = re.fullmatch(r"(\d{1,5})daysAgo", text, re.ASCII)
    days = {"today": 0, "yesterday": 1}.get(text, int(ago[1]) if ago else None)
    if days is not None:
        return today - timedelta(days=days)
    if not re.fullmatch(r"\d{4}-\d{2}-\d{2}", text, re.ASCII):
        message = f"Invalid date: {text!r}"
        raise ValueError(message)
    return date.fromisoformat(text)


def _refusal(visit: Visit, status: int, code: str, message: str) -> Exception:
    body = {"error": {"code": status, "message": message, "status": code}}
    return visit.refusal(status, code, body)
