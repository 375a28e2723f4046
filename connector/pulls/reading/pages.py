"""Reads how a list goes on, and how long its pages are.

A kind of paging may be a word (``pagination = "cursor"``), with the defaults below, or a table that
says more (``{ kind = "cursor", next = "next_cursor", param = "cursor" }``). Where the provider's
data names the same kind, its keys are the defaults.
"""

from dataclasses import replace
from typing import Final

from connector.pulls.reading.values import read_path
from connector.pulls.spec import (
    CursorPages,
    LinkPages,
    NoPages,
    NumberPages,
    OffsetPages,
    PageSize,
    Pagination,
)
from connector.toml_section import Section

#: What each word stands for; the reference documents it.
KINDS: Final[dict[str, Pagination]] = {
    "none": NoPages(),
    "cursor": CursorPages(next="paging.cursors.after", param="after"),
    "facebook": CursorPages(next="paging.cursors.after", param="after", link="paging.next"),
    "link": LinkPages(next="next"),
    "link_header": LinkPages(),
    "page": NumberPages(),
    "offset": OffsetPages(),
}
#: Larger pages than any API gives.
_LARGEST_PAGE: Final = 1_000_000
_LARGEST_START: Final = 2**53
_SIZE_PARAM: Final = "limit"


def kind_of(pagination: Pagination) -> str:
    """Give the word for a kind of paging."""
    alike = (word for word, known in KINDS.items() if type(known) is type(pagination))
    return next(word for word in alike if _shape(KINDS[word]) == _shape(pagination))


def read_pagination(section: Section, default: Pagination | None) -> Pagination:
    """Read how a list goes on.

    Args:
        section: the table that has ``pagination``.
        default: the provider's; None: nothing is known.
    """
    if "pagination" not in section:
        return default or NoPages()
    if isinstance(section.value("pagination", object), str):
        word = section.choice("pagination", KINDS, "none")
        return _of_kind(word, default)
    table = section.section("pagination")
    if "kind" not in table:
        if default is None:
            table.problem("kind", "is missing", f"write one of {', '.join(KINDS)}")
            return NoPages()
        pagination = _read_keys(table, default)
        table.finish()
        return pagination
    kind = table.choice("kind", KINDS, "none")
    pagination = _read_keys(table, _of_kind(kind, default))
    table.finish()
    return pagination


def read_size(section: Section, default: PageSize | None) -> PageSize | None:
    """Read how long a page is: a number, or a table with the parameter that takes it."""
    if "size" not in section:
        return default
    param = default.param if default else _SIZE_PARAM
    smallest = default.smallest if default else 1
    if isinstance(section.value("size", object), int):
        value = section.integer("size", 1, lowest=1, highest=_LARGEST_PAGE)
        return PageSize(param=param, value=value, smallest=min(smallest, value))
    table = section.section("size")
    if table.table and "value" not in table and default is None:
        table.problem("value", "is missing", "add value = 100")
    known = default.value if default else 1
    value = table.integer("value", known, lowest=1, highest=_LARGEST_PAGE)
    size = PageSize(
        param=table.text("param", param),
        value=value,
        smallest=table.integer("smallest", min(smallest, value), lowest=1, highest=_LARGEST_PAGE),
    )
    if size.smallest > size.value:
        table.problem("smallest", "is larger than value", f"write at most {size.value}")
    table.finish()
    return size


def _of_kind(word: str, default: Pagination | None) -> Pagination:
    known = KINDS[word]
    # "cursor" and "facebook", "link" and "link_header" are of one type, and yet not the same
    if default is not None and type(default) is type(known) and _shape(default) == _shape(known):
        return default
    return known


def _shape(pagination: Pagination) -> bool:
    match pagination:
        case CursorPages():
            return bool(pagination.link)
        case LinkPages():
            return bool(pagination.next)
    return True


def _read_keys(table: Section, known: Pagination) -> Pagination:
    """Read the keys of a kind; what is not said is as the kind or the provider has it."""
    match known:
        case CursorPages():
            return replace(
                known,
                next=read_path(table, "next", known.next, may_be_header=True),
                param=table.text("param", known.param),
                more=read_path(table, "more", known.more, may_be_header=True),
                link=read_path(table, "link", known.link, may_be_header=True),
            )
        case LinkPages() if known.next:
            return replace(known, next=read_path(table, "next", known.next, may_be_header=True))
        case NumberPages():
            param, start, total = _read_count(table, known)
            return NumberPages(param=param, start=start, total=total)
        case OffsetPages():
            param, start, total = _read_count(table, known)
            return OffsetPages(param=param, start=start, total=total)
    return known


def _read_count(table: Section, known: NumberPages | OffsetPages) -> tuple[str, int, str]:
    return (
        table.text("param", known.param),
        table.integer("start", known.start, lowest=0, highest=_LARGEST_START),
        read_path(table, "total", known.total, may_be_header=True),
    )
