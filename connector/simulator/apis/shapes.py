"""Plain shapes of paging under /shapes, one endpoint each, over one set of records.

Errors are an object under `error` with `code` and `message`. What the server does badly is chosen
by the settings whose names begin with `shapes_`.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from connector.simulator.apis.access import Access, Visit, number_of, read_query
from connector.simulator.apis.links import link
from connector.simulator.apis.records import Item, Items, rfc3339, seconds_of
from connector.simulator.apis.settings import SHAPES_SCOPE
from connector.simulator.apis.slices import Slice, page_at, slice_at
from connector.simulator.call import Call, Reply
from connector.simulator.parameters import Parameters
from connector.simulator.state import State

# The parameter that an incremental pull sends; a window has its own.
SINCE = "updated_since"


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """A call to a shape, let in and read."""

    call: Call
    visit: Visit
    parameters: Parameters
    items: list[Item]
    size: int


Shape = Callable[[Asked], Reply]


class Shapes:
    """The endpoints under /shapes."""

    def __init__(self, state: State, access: Access, items: Items) -> None:
        self._state = state
        self._access = access
        self._items = items

    def numbered(self, asked: Asked) -> Reply:
        """`page` and `per_page`, from 1 to `total_pages`."""
        number = number_of(asked.parameters.get("page"), "page", 1, least=1)
        page = page_at(asked.items, number, asked.size, self._state.settings)
        body = {
            "items": records(page.items),
            "page": number,
            "per_page": asked.size,
            "total_pages": page.total_pages,
        }
        return asked.visit.reply(body)

    def offset(self, asked: Asked) -> Reply:
        """`offset` and `limit`, with the total."""
        return asked.visit.reply({"items": self._at_offset(asked), "total": len(asked.items)})

    def offset_without_total(self, asked: Asked) -> Reply:
        """`offset` and `limit`; the end shows by a page that is not full."""
        return asked.visit.reply({"items": self._at_offset(asked)})

    def cursor(self, asked: Asked) -> Reply:
        """`cursor`, from `next_cursor`, which is null on the last page."""
        part = self._slice(asked, "cursor")
        return asked.visit.reply({"items": records(part.items), "next_cursor": part.cursor})

    def nested(self, asked: Asked) -> Reply:
        """Records and cursor two levels down; the cursor is absent from the last page."""
        part = self._slice(asked, "cursor")
        paging = {} if part.cursor is None else {"cursor": part.cursor}
        content = {"data": {"items": records(part.items)}, "paging": paging}
        return asked.visit.reply({"response": content})

    def header(self, asked: Asked) -> Reply:
        """`token`, from the header X-Next-Token, absent from the last page."""
        part = self._slice(asked, "token")
        headers = {} if part.cursor is None else {"X-Next-Token": part.cursor}
        return asked.visit.reply({"items": records(part.items)}, headers=headers)

    def links(self, asked: Asked) -> Reply:
        """The URL of the next page in the body, absolute."""
        part = self._slice(asked, "cursor")
        query = _following(asked, part)
        url = None if query is None else link(self._state, asked.call.target, query)
        return asked.visit.reply({"data": records(part.items), "links": {"next": url}})

    def relative_links(self, asked: Asked) -> Reply:
        """The same, relative (RFC 3986 §5): from the first page a path, from others the query."""
        part = self._slice(asked, "cursor")
        query = _following(asked, part)
        url = None
        if query is not None:
            whole = link(self._state, asked.call.target, query)
            start = asked.call.target if asked.parameters.get("cursor") is None else ""
            url = f"{start}?{whole.partition('?')[2]}"
        return asked.visit.reply({"data": records(part.items), "links": {"next": url}})

    def array(self, asked: Asked) -> Reply:
        """All records, as an array that is the whole body."""
        return asked.visit.reply(records(asked.items))

    def window(self, asked: Asked) -> Reply:
        """The records of a half-open window of time: `from` <= time < `to`, in seconds."""
        first, end = (asked.parameters.get(name) for name in ("from", "to"))
        if first is None or end is None:
            raise ValueError("from and to are needed, in seconds since 1970")
        since, until = number_of(first, "from", 0), number_of(end, "to", 0)
        longest = self._state.settings.shapes_longest_window
        if since >= until or 0 < longest < until - since:
            message = "from must be before to"
            message += f", by at most {longest:.0f} seconds" if longest else ""
            raise ValueError(message)
        return asked.visit.reply({"items": records(self._items.between(since, until))})

    def act(self, shape: Shape, *names: str, size: str | None = None) -> Callable[[Call], Reply]:
        """An endpoint of a shape; `names` are its parameters, beside that of the page's size."""

        def answer(call: Call) -> Reply:
            visit = self._access.enter(call, api="shapes", scope=SHAPES_SCOPE)
            if visit.quota.is_over:
                raise self._over_limit(visit)
            try:
                reply = shape(self._read(call, visit, names, size))
            except ValueError as error:
                raise _refusal(visit, 400, "invalid_request", str(error)) from None
            self._grow()
            return reply

        return answer

    def _read(self, call: Call, visit: Visit, names: Sequence[str], size: str | None) -> Asked:
        settings = self._state.settings
        parameters = read_query(call)
        unknown = sorted({name for name, _ in parameters} - {*names, size, SINCE})
        if unknown:
            message = f"no parameter {unknown[0]}"
            raise ValueError(message)
        most = settings.shapes_largest_page
        count = min(settings.shapes_page_size, most)
        if size is not None:
            count = number_of(parameters.get(size), size, count, least=1)
        if count > most:
            message = f"{size} must be at most {most}"
            raise _refusal(visit, 400, "page_too_large", message)
        since = parameters.get(SINCE)
        items = self._items.between(None if since is None else seconds_of(since), None)
        return Asked(
            call=call,
            visit=visit,
            parameters=parameters,
            items=items[::-1] if settings.shapes_newest_first else items,
            size=count,
        )

    def _slice(self, asked: Asked, name: str) -> Slice:
        cursor = asked.parameters.get(name)
        return slice_at(asked.items, cursor, asked.size, self._state.settings)

    def _at_offset(self, asked: Asked) -> list[dict[str, object]]:
        start = number_of(asked.parameters.get("offset"), "offset", 0)
        return records(asked.items[start : start + asked.size])

    def _grow(self) -> None:
        settings = self._state.settings
        left = settings.shapes_appended_most - self._items.added
        self._items.append(max(0, min(settings.shapes_appended_per_page, left)))

    def _over_limit(self, visit: Visit) -> Exception:
        quota, form = visit.quota, self._state.settings.shapes_retry_after
        # the three fields of draft-ietf-httpapi-ratelimit-headers-07 and before, as most send them
        headers = {
            "RateLimit-Limit": str(quota.limit),
            "RateLimit-Remaining": str(quota.remaining),
            "RateLimit-Reset": quota.seconds,
        }
        if form != "none":
            headers["Retry-After"] = quota.date if form == "date" else quota.seconds
        return _refusal(visit, 429, "rate_limited", "too many calls", headers=headers)


def records(items: Sequence[Item]) -> list[dict[str, object]]:
    """The records as every shape gives them."""
    return [record(item) for item in items]


def record(item: Item) -> dict[str, object]:
    """One record."""
    return {
        "id": item.number,
        "name": item.name,
        "amount": item.cents / 100,
        "note": None if item.digest[5] % 3 == 0 else f"revision {item.revision}",
        "owner": {"id": item.digest[4] % 20, "tags": ["a", "b"][: item.digest[6] % 3]},
        "created_at": rfc3339(item.created_at),
        "updated_at": rfc3339(item.updated_at),
        "time": item.updated_at,
    }


def _following(asked: Asked, part: Slice) -> list[tuple[str, str]] | None:
    if part.cursor is None:
        return None
    kept = [(name, value) for name, value in asked.parameters if name != "cursor"]
    return [*kept, ("cursor", part.cursor)]


def _refusal(
    visit: Visit, status: int, code: str, message: str, *, headers: dict[str, str] | None = None
) -> Exception:
    body = {"error": {"code": code, "message": message}}
    return visit.refusal(status, code, body, headers=headers)
