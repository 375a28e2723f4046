"""HubSpot-like search of contacts (CRM API v3, POST …/contacts/search).

A search is a JSON body; `after` names the position that follows, in `paging.next`, which is absent
from the last page. A search gives so many results at most; whoever wants more asks for less.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from operator import ge, gt, le, lt

from connector.simulator.apis.access import Access, Visit, number_of, read_json
from connector.simulator.apis.records import Item, Items, rfc3339, seconds_of
from connector.simulator.apis.settings import HUBSPOT_SCOPE
from connector.simulator.call import Call, Reply
from connector.simulator.state import State

DEFAULT_PAGE = 10
LARGEST_PAGE = 200

MEMBERS = frozenset({"filterGroups", "sorts", "limit", "after", "properties", "query"})

# What can be filtered and sorted by, and where it stands in a record; milliseconds.
TIMES = {"lastmodifieddate": "updated_at", "createdate": "created_at"}

PROPERTIES = ("createdate", "email", "firstname", "hs_object_id", "lastmodifieddate", "lastname")

# https://developers.hubspot.com/docs/guides/api/crm/search: groups are or-ed, filters and-ed
MOST_GROUPS = 5
MOST_FILTERS = 6

CORRELATION = "00000000-0000-4000-8000-000000000000"

OPERATORS: Mapping[str, Callable[[int, int], bool]] = {"GTE": ge, "GT": gt, "LTE": le, "LT": lt}

Filter = tuple[str, str, int]


@dataclass(frozen=True, slots=True, kw_only=True)
class Search:
    """Which contacts are asked for."""

    groups: tuple[tuple[Filter, ...], ...]
    sort: str | None
    is_descending: bool
    limit: int
    after: int
    properties: tuple[str, ...]

    def find(self, items: list[Item]) -> list[Item]:
        """All that are asked for, in the order asked for."""
        found = [item for item in items if _is_found(item, self.groups)]
        if self.sort is not None:
            name = TIMES[self.sort]
            found.sort(key=lambda item: getattr(item, name), reverse=self.is_descending)
        return found


class Contacts:
    """The endpoint."""

    def __init__(self, state: State, access: Access, items: Items) -> None:
        self._state = state
        self._access = access
        self._items = items

    def __call__(self, call: Call) -> Reply:
        """A page of contacts.

        Raises:
            RefusedError: no access, too many calls, or a bad request.
        """
        visit = self._access.enter(call, api="hubspot", scope=HUBSPOT_SCOPE)
        if visit.quota.is_over:
            raise visit.refusal(429, "rate_limited", _limit_body())
        try:
            search = _read(read_json(call))
            if search.after + search.limit > self._state.settings.hubspot_search_limit:
                raise ValueError("the search has more results than can be paged through")  # noqa: TRY301
        except ValueError as error:
            raise _refusal(visit, str(error)) from None
        found = self._items.found(replace(search, limit=0, after=0), search.find)
        end = search.after + search.limit
        body: dict[str, object] = {
            "total": len(found),
            "results": [record(item, search.properties) for item in found[search.after : end]],
        }
        if end < len(found):
            body["paging"] = {"next": {"after": str(end)}}
        return visit.reply(body)


def record(item: Item, properties: Sequence[str] = PROPERTIES) -> dict[str, object]:
    """A contact as HubSpot gives it: every property is a string."""
    created, updated = (
        rfc3339(moment, timespec="milliseconds") for moment in (item.created_at, item.updated_at)
    )
    known = {
        "createdate": created,
        "email": f"contact{item.number}@example.com",
        "firstname": item.name,
        "hs_object_id": str(item.number),
        "lastmodifieddate": updated,
        "lastname": None if item.digest[5] % 6 == 0 else f"No. {item.cents}",
    }
    return {
        "id": str(item.number),
        "properties": {name: known[name] for name in PROPERTIES if name in properties},
        "createdAt": created,
        "updatedAt": updated,
        "archived": False,
    }


def _read(body: Mapping[str, object]) -> Search:
    unknown = sorted(set(body) - MEMBERS)
    if unknown:
        message = f"unknown members: {', '.join(unknown)}"
        raise ValueError(message)
    limit = number_of(body.get("limit"), "limit", DEFAULT_PAGE, least=1)
    if limit > LARGEST_PAGE:
        message = f"limit must be at most {LARGEST_PAGE}"
        raise ValueError(message)
    groups = [_objects(group.get("filters")) for group in _objects(body.get("filterGroups"))]
    if len(groups) > MOST_GROUPS or any(len(group) > MOST_FILTERS for group in groups):
        message = f"at most {MOST_GROUPS} groups of {MOST_FILTERS} filters"
        raise ValueError(message)
    sort, is_descending = _sort(body.get("sorts"))
    names = body.get("properties") or list(PROPERTIES)
    if not isinstance(names, list) or not all(isinstance(name, str) for name in names):
        raise ValueError("properties must be a list of names")
    return Search(
        groups=tuple(tuple(_filter(each) for each in group) for group in groups),
        sort=sort,
        is_descending=is_descending,
        limit=limit,
        after=number_of(body.get("after"), "after", 0),
        properties=tuple(names),
    )


def _objects(value: object) -> list[Mapping[str, object]]:
    if value is None:
        return []
    if not isinstance(value, list) or not all(isinstance(each, dict) for each in value):
        raise ValueError("filterGroups, filters and sorts are lists of objects")
    return value


def _sort(value: object) -> tuple[str | None, bool]:
    sorts = _objects(value)
    if not sorts:
        return None, False
    name, direction = sorts[0].get("propertyName"), sorts[0].get("direction", "ASCENDING")
    if len(sorts) > 1 or name not in TIMES or direction not in {"ASCENDING", "DESCENDING"}:
        message = f"sorts is one property of {', '.join(TIMES)}, ASCENDING or DESCENDING"
        raise ValueError(message)
    return name, direction == "DESCENDING"


def _filter(values: Mapping[str, object]) -> Filter:
    name, operator, value = (values.get(key) for key in ("propertyName", "operator", "value"))
    if name not in TIMES or not isinstance(operator, str) or operator not in OPERATORS:
        message = f"filters are by {' or '.join(TIMES)}, with GTE, GT, LTE or LT"
        raise ValueError(message)
    if isinstance(value, str) and "-" in value:
        return name, operator, int(seconds_of(value) * 1000)
    return name, operator, number_of(value, "value", 0)


def _is_found(item: Item, groups: Sequence[Sequence[Filter]]) -> bool:
    return not groups or any(all(_passes(item, each) for each in group) for group in groups)


def _passes(item: Item, each: Filter) -> bool:
    name, operator, value = each
    moment = int(getattr(item, TIMES[name])) * 1000
    return OPERATORS[operator](moment, value)


def _limit_body() -> dict[str, object]:
    return {
        "status": "error",
        "message": "You have reached your secondly limit.",
        "errorType": "RATE_LIMIT",
        "correlationId": CORRELATION,
        "policyName": "SECONDLY",
    }


def _refusal(visit: Visit, message: str) -> Exception:
    body = {
        "status": "error",
        "message": message,
        "correlationId": CORRELATION,
        "category": "VALIDATION_ERROR",
    }
    return visit.refusal(400, "validation_error", body)
