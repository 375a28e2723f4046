"""The kinds of paging: what the first page is, how a page is asked for, and which one follows.

A page's state is a dict of JSON values: it is the checkpoint from which a run goes on, on any host.
No token is ever in it: links are stripped of the credential's parameters before they are kept.
Paging that goes in a circle ends with an error, within as many further pages as the circle has, by
Brent's method: one earlier place is kept, and moved at powers of two.
"""

from collections.abc import Collection, Mapping
from dataclasses import replace
from typing import Final, cast
from urllib.parse import parse_qs, urldefrag, urljoin, urlsplit

from connector.pulls.link_header import find_link
from connector.pulls.messages import Answer, Request, without_params
from connector.pulls.paths import Path
from connector.pulls.spec import (
    CursorPages,
    LinkPages,
    NoPages,
    NumberPages,
    OffsetPages,
    PageSize,
    Pagination,
)

#: Where a page is: JSON values; empty: the first one.
PageState = dict[str, object]

#: Parameters that hold tokens, or what is made of them, wherever a link has them.
SECRET_PARAMS: Final = frozenset({"access_token", "appsecret_proof"})
_NO: Final = frozenset({"false", "no", "0", ""})


class PaginationError(ValueError):
    """An answer's paging cannot be followed; says why."""


def first(pagination: Pagination) -> PageState:
    """Give the state of the first page."""
    match pagination:
        case NumberPages():
            return {"page": pagination.start}
        case OffsetPages():
            return {"offset": pagination.start}
    return {}


def apply(
    pagination: Pagination, state: PageState, request: Request, size: PageSize | None = None
) -> Request:
    """Give the request of a page.

    Args:
        pagination: its kind.
        state: of the page.
        request: as the template has it.
        size: of the page, where the API lets us say; it may have been reduced since the last one.
    """
    match pagination:
        case CursorPages() if "cursor" in state:
            request = request.having(pagination.param, state["cursor"])
        case LinkPages() if "url" in state:
            request = replace(request, url=cast("str", state["url"]), params={})
        case NumberPages():
            request = request.having(pagination.param, _page(pagination, state, size))
        case OffsetPages():
            request = request.having(pagination.param, state["offset"])
    return request if size is None else request.having(size.param, size.value)


def following(
    pagination: Pagination,
    state: PageState,
    answer: Answer,
    *,
    secrets: Collection[str] = (),
) -> PageState | None:
    """Give the state of the page that follows; None: there is none.

    Args:
        pagination: its kind.
        state: of the page that was asked for.
        answer: to that.
        secrets: parameters that the credential sets, which no link is kept with.

    Raises:
        PaginationError: the answer leads in a circle, or to something that is no page.
    """
    match pagination:
        case NoPages():
            return None
        case CursorPages():
            return _next_cursor(pagination, state, answer)
        case LinkPages():
            return _next_link(pagination, state, answer, SECRET_PARAMS | frozenset(secrets))
        case NumberPages():
            return _next_number(pagination, state, answer)
        case OffsetPages():
            return _next_offset(pagination, state, answer)


def reduced(size: PageSize) -> PageSize | None:
    """Give half the page size; None: it is the smallest already."""
    value = max(size.value // 2, size.smallest)
    return None if value >= size.value else replace(size, value=value)


def _next_cursor(pagination: CursorPages, state: PageState, answer: Answer) -> PageState | None:
    cursor = _look(pagination.next, answer)
    if pagination.link:
        link = _look(pagination.link, answer)
        if not link:
            return None  # a cursor may be there on the last page too
        if not cursor:
            cursor = _cursor_in(link, pagination)
    elif pagination.more:
        more = _look(pagination.more, answer)
        if more is not None and not _is_yes(more):
            return None
        if more is not None and not cursor:
            raise PaginationError(
                f"{pagination.more} says that there is more, and {pagination.next} has no cursor"
            )
    if not cursor:  # null, "", false, and the 0 with which some APIs end
        return None
    return _advance(state, "cursor", cursor)


def _cursor_in(link: object, pagination: CursorPages) -> str:
    """Take the cursor out of the link, where it is nowhere else."""
    query = parse_qs(urlsplit(link).query) if isinstance(link, str) else {}
    found = query.get(pagination.param)
    if not found:
        raise PaginationError(
            f"{pagination.link} says that there is a next page, and {pagination.next} has no"
            f' cursor: write pagination = {{ kind = "link", next = "{pagination.link}" }}'
        )
    return found[0]


def _next_link(
    pagination: LinkPages, state: PageState, answer: Answer, secrets: frozenset[str]
) -> PageState | None:
    link: object
    if pagination.next:
        link = _look(pagination.next, answer)
    else:
        link = find_link(answer.headers.get("link", ""), "next")
    if not link:
        return None
    if not isinstance(link, str):
        raise PaginationError(f"{pagination.next} is no URL of a next page: {type(link).__name__}")
    try:
        url = urldefrag(urljoin(answer.url, link.strip())).url
        parts = urlsplit(url)
        _ = parts.port
    except ValueError:
        raise PaginationError("the link to the next page is no URL") from None
    if parts.scheme not in {"http", "https"} or not parts.hostname or "@" in parts.netloc:
        raise PaginationError("the link to the next page is no http URL, or has a user in it")
    return _advance(state, "url", without_params(url, secrets))


def _next_number(pagination: NumberPages, state: PageState, answer: Answer) -> PageState | None:
    size = None if answer.size is None else PageSize(param="", value=answer.size)
    page = _page(pagination, state, size)
    total = _count(pagination.total, answer)
    done = page - pagination.start + 1 >= total if total is not None else _is_short(answer)
    if done:
        return None
    return {"page": page + 1, **({} if answer.size is None else {"size": answer.size})}


def _next_offset(pagination: OffsetPages, state: PageState, answer: Answer) -> PageState | None:
    offset = cast("int", state["offset"]) + answer.records
    total = _count(pagination.total, answer)
    done = offset - pagination.start >= total if total is not None else _is_short(answer)
    # a page with no records has the next one at its own place, whatever the total says
    return None if done or not answer.records else {"offset": offset}


def _page(pagination: NumberPages, state: PageState, size: PageSize | None) -> int:
    """Give the number of the page; with pages of another size, of the one that holds its start.

    Records that were read before may come again then, and none is left out.
    """
    page = cast("int", state["page"])
    before = cast("int | None", state.get("size"))
    if before is None or size is None or before == size.value:
        return page
    return pagination.start + (page - pagination.start) * before // size.value


def _advance(state: PageState, key: str, place: object) -> PageState:
    """Go to the next place, unless it is where we have been."""
    pages = cast("int", state.get("pages", 0)) + 1
    if key in state and place in (state[key], state["mark"]):
        raise PaginationError(
            f"the answer leads back to a page that was read: its {key} repeats,"
            " and would for ever; look at the pagination's paths"
        )
    mark = place if pages & (pages - 1) == 0 else state["mark"]
    return {key: place, "pages": pages, "mark": mark}


def _is_short(answer: Answer) -> bool:
    return not answer.records or (answer.size is not None and answer.records < answer.size)


def _is_yes(value: object) -> bool:
    return value.strip().lower() not in _NO if isinstance(value, str) else bool(value)


def _count(path: str, answer: Answer) -> int | None:
    """Read a total; None where there is none to be read."""
    if not path:
        return None
    value = _look(path, answer)
    if isinstance(value, bool):
        return None
    try:
        return int(value)  # type: ignore[call-overload,no-any-return]
    except (TypeError, ValueError, OverflowError):
        return None


def _look(path: str, answer: Answer) -> object:
    headers: Mapping[str, str] = answer.headers
    return Path.parse(path, may_be_header=True).look(answer.body, headers)
