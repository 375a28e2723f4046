"""A Notion-like database (POST /v1/databases/{id}/query, Notion-Version 2022-06-28).

Pages by `start_cursor`, which names the first record of the page; `has_more` says whether to go
on. Times are whole minutes, as Notion's are: a record may change without its time changing.
"""

import re
from collections.abc import Mapping

from connector.simulator.apis.access import Access, Visit, number_of, read_json
from connector.simulator.apis.records import Item, Items, rfc3339, seconds_of
from connector.simulator.apis.settings import NOTION_SCOPE
from connector.simulator.call import Call, Reply

DATABASE = "d9824bdc-8445-4327-be8b-5b47500af6ce"

# What the id of each record begins with; its number follows.
IDENTITY = "5b47500a-0000-4000-8000-"

# Default and most.
LARGEST_PAGE = 100

MEMBERS = frozenset({"filter", "sorts", "start_cursor", "page_size"})
TIMES = {"last_edited_time": "updated_at", "created_time": "created_at"}

MINUTE = 60


class Database:
    """The endpoint."""

    def __init__(self, access: Access, items: Items) -> None:
        self._access = access
        self._items = items

    def __call__(self, call: Call) -> Reply:
        """A page of records.

        Raises:
            RefusedError: no access, too many calls, no such database, or a bad request.
        """
        visit = self._access.enter(call, api="notion", scope=NOTION_SCOPE)
        if visit.quota.is_over:
            text = "You have been rate limited. Please try again in a few minutes."
            headers = {"Retry-After": visit.quota.seconds}
            raise _refusal(visit, 429, "rate_limited", text, headers=headers)
        if "notion-version" not in call.headers:
            text = (
                "Notion-Version header failed validation: Notion-Version header should be defined"
            )
            raise _refusal(visit, 400, "missing_version", text)
        if call.path["database"].replace("-", "").lower() != DATABASE.replace("-", ""):
            text = f"Could not find database with ID: {call.path['database']}."
            raise _refusal(visit, 404, "object_not_found", text)
        try:
            body = read_json(call)
            size, found, start = self._read(body)
        except ValueError as error:
            raise _refusal(visit, 400, "validation_error", str(error)) from None
        left = found[start:]
        cursor = _identity(left[size]) if len(left) > size else None
        return visit.reply(
            {
                "object": "list",
                "results": [record(item) for item in left[:size]],
                "next_cursor": cursor,
                "has_more": cursor is not None,
                "type": "page_or_database",
                "page_or_database": {},
            }
        )

    def _read(self, body: Mapping[str, object]) -> tuple[int, list[Item], int]:
        unknown = sorted(set(body) - MEMBERS)
        if unknown:
            message = f"body failed validation: {unknown[0]} should be not present"
            raise ValueError(message)
        size = number_of(body.get("page_size"), "page_size", LARGEST_PAGE, least=1)
        if size > LARGEST_PAGE:
            message = f"body.page_size should be ≤ {LARGEST_PAGE}, instead was {size}"
            raise ValueError(message)
        asked = (body.get("filter"), body.get("sorts"))
        found = self._items.found(
            repr(asked), lambda items: _sorted(_filtered(items, asked[0]), asked[1])
        )
        cursor = body.get("start_cursor")
        if cursor is None:
            return size, found, 0
        number = _number(cursor)
        for start, item in enumerate(found):
            if item.number == number:
                return size, found, start
        raise ValueError("The start_cursor provided is invalid")


def record(item: Item) -> dict[str, object]:
    """A record as Notion gives it: a page with typed properties."""
    text = {"type": "text", "text": {"content": item.name}, "plain_text": item.name}
    return {
        "object": "page",
        "id": _identity(item),
        "created_time": _minute(item.created_at),
        "last_edited_time": _minute(item.updated_at),
        "archived": False,
        "parent": {"type": "database_id", "database_id": DATABASE},
        "properties": {
            "Name": {"id": "title", "type": "title", "title": [text]},
            "Amount": {"id": "a%3Am", "type": "number", "number": item.cents / 100},
        },
        "url": f"https://www.notion.so/{_identity(item).replace('-', '')}",
    }


def _identity(item: Item) -> str:
    return f"{IDENTITY}{item.number:012x}"


def _number(cursor: object) -> int | None:
    match = re.fullmatch(f"{IDENTITY}([0-9a-f]{{12}})", str(cursor))
    return None if match is None else int(match[1], 16)


def _minute(seconds: int) -> str:
    return rfc3339(seconds - seconds % MINUTE, timespec="milliseconds")


def _filtered(items: list[Item], value: object) -> list[Item]:
    if value is None:
        return items
    name = value.get("timestamp") if isinstance(value, dict) else None
    condition = value.get(name) if isinstance(value, dict) and name in TIMES else None
    if not isinstance(condition, dict) or not set(condition) <= {"on_or_after", "before"}:
        message = f"filter is a timestamp of {', '.join(TIMES)}, on_or_after or before"
        raise ValueError(message)
    bounds = {each: seconds_of(str(text)) for each, text in condition.items()}
    since, until = bounds.get("on_or_after"), bounds.get("before")
    kept = []
    for item in items:
        moment = getattr(item, TIMES[str(name)]) // MINUTE * MINUTE
        if (since is None or moment >= since) and (until is None or moment < until):
            kept.append(item)
    return kept


def _sorted(items: list[Item], value: object) -> list[Item]:
    if value is None:
        return items
    first = value[0] if isinstance(value, list) and len(value) == 1 else None
    name = first.get("timestamp") if isinstance(first, dict) else None
    direction = first.get("direction", "ascending") if isinstance(first, dict) else None
    if name not in TIMES or direction not in {"ascending", "descending"}:
        message = f"sorts is one timestamp of {', '.join(TIMES)}, ascending or descending"
        raise ValueError(message)
    return sorted(
        items,
        key=lambda item: (getattr(item, TIMES[str(name)]), item.number),
        reverse=direction == "descending",
    )


def _refusal(
    visit: Visit, status: int, code: str, message: str, *, headers: dict[str, str] | None = None
) -> Exception:
    body = {"object": "error", "status": status, "code": code, "message": message}
    return visit.refusal(status, code, body, headers=headers)
