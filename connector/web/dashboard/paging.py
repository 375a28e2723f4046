"""Pages of a long list: which one, and where the others are."""

from dataclasses import dataclass
from typing import Final

#: A page of a higher number is none that anybody turns to.
_HIGHEST: Final = 1_000_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Paging:
    """Where a page stands in its list.

    Attributes:
        number: of the page, from 1.
        size: how many entries a page has.
        total: how many there are in all.
        path: of the list, with its query.
    """

    number: int
    size: int
    total: int
    path: str

    @property
    def first(self) -> int:
        """The number of this page's first entry, from 1; 0 where there is none."""
        first = (self.number - 1) * self.size + 1
        return first if first <= self.total else 0

    @property
    def last(self) -> int:
        """The number of this page's last entry."""
        return min(self.number * self.size, self.total)

    @property
    def previous(self) -> str:
        """The path of the page before; empty: none."""
        return self._page(self.number - 1) if self.number > 1 else ""

    @property
    def next(self) -> str:
        """The path of the page after; empty: none."""
        return self._page(self.number + 1) if self.number * self.size < self.total else ""

    def _page(self, number: int) -> str:
        return f"{self.path}{'&' if '?' in self.path else '?'}page={number}"


def page_number(text: str) -> int:
    """Read the number of a page; the first where it is none."""
    is_number = text.isascii() and text.isdecimal() and len(text) <= len(str(_HIGHEST))
    return max(1, int(text)) if is_number else 1
