"""How /shapes cuts its records into pages, and every way in which it can do so badly."""

import base64
import binascii
import re
from collections.abc import Sequence
from dataclasses import dataclass

from connector.simulator.apis.records import ApiError, Item
from connector.simulator.settings import Settings


@dataclass(frozen=True, slots=True, kw_only=True)
class Slice:
    """One page, and how the next one is asked for."""

    items: Sequence[Item]
    cursor: str | None
    """None where this is the last."""


def slice_at(items: Sequence[Item], cursor: str | None, size: int, settings: Settings) -> Slice:
    """The page that a cursor leads to; without one, the first.

    A cursor holds the position and how many pages lie before it, so that pages may differ in size.

    Raises:
        ApiError: it is no cursor of ours.
    """
    position, pages = _position(cursor)
    if pages + 1 == settings.shapes_empty_page and position < len(items):
        return Slice(items=(), cursor=_cursor(position, pages + 1))
    start = max(0, position - settings.shapes_overlap) if pages else position
    end = position + size
    following = _cursor(end, pages + 1) if end < len(items) else None
    if settings.shapes_stuck_cursor and pages:
        following = cursor
    return Slice(items=items[start:end], cursor=following)


@dataclass(frozen=True, slots=True, kw_only=True)
class NumberedPage:
    """One page of those that are numbered from 1."""

    items: Sequence[Item]
    total_pages: int


def page_at(items: Sequence[Item], page: int, size: int, settings: Settings) -> NumberedPage:
    """The page with a number; one past the last is empty."""
    full = -(-len(items) // size)
    empty = settings.shapes_empty_page
    has_empty = 0 < empty <= full
    total = full + has_empty
    if has_empty and page == empty:
        return NumberedPage(items=(), total_pages=total)
    start = (page - 1 - (has_empty and page > empty)) * size
    overlap = settings.shapes_overlap if page > 1 and start < len(items) else 0
    return NumberedPage(items=items[max(0, start - overlap) : start + size], total_pages=total)


def _cursor(position: int, pages: int) -> str:
    return base64.urlsafe_b64encode(f"{position}:{pages}".encode()).rstrip(b"=").decode()


def _position(cursor: str | None) -> tuple[int, int]:
    if cursor is None:
        return 0, 0
    try:
        text = base64.urlsafe_b64decode(cursor + "=" * (-len(cursor) % 4)).decode("ascii")
    except (binascii.Error, ValueError):
        text = ""
    match = re.fullmatch(r"([0-9]{1,9}):([0-9]{1,9})", text)
    if match is None:
        raise ApiError("the cursor is not one of ours")
    return int(match[1]), int(match[2])
