"""Lists in pages, as every edge gives them.

A page has a cursor even when it is the last; only a missing `next` ends the list, and a short or an
empty page may still have one. `next` carries the access token, as the real one does. A cursor is
for the query that it came from and dies after a while; another page size may be asked for with it.
"""

import base64
import binascii
import hashlib
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TypeVar
from urllib.parse import urlencode

from connector.simulator.call import Call, Subject
from connector.simulator.facebook.error import bad_parameter, too_much
from connector.simulator.facebook.provider import Provider
from connector.simulator.facebook.viewer import Viewer
from connector.simulator.parameters import Parameters

# What the real provider gives where no limit is named.
DEFAULT_LIMIT = 25

# Larger pages are asked for by nobody who wants to be answered (assumed).
LARGEST_LIMIT = 5000

# What a `next` link says anew, or must not repeat.
REPLACED_PARAMETERS = frozenset({"access_token", "appsecret_proof", "after", "limit"})

_CURSOR = re.compile(r"([0-9a-f]{8}) ([0-9]{1,12}) ([0-9]{1,6}) ([0-9]{1,9})")

_T = TypeVar("_T")


@dataclass(frozen=True, slots=True, kw_only=True)
class Position:
    """Where in a list a cursor points."""

    page: int
    """How many pages came before; empty ones count."""
    start: int
    """How many things came before."""


class Pager:
    """Cuts lists into pages, by the settings in force."""

    def __init__(self, provider: Provider) -> None:
        self._provider = provider

    def page(
        self, call: Call, viewer: Viewer, things: Sequence[_T], render: Callable[[_T], object]
    ) -> dict[str, object]:
        """The page of a list that the call asks for, each thing as `render` shows it.

        Raises:
            GraphError: code 100: a cursor that is foreign or dead, a limit that makes no sense;
                or more is asked for than the provider will give at once.
        """
        limit = self.limit(viewer.parameters, viewer.subject)
        query = _fingerprint(call, viewer.parameters)
        position = self._position(viewer.parameters.get("after"), query, viewer.subject)
        size = self._size(position, limit)
        page = things[position.start : position.start + size]
        end = position.start + len(page)
        if size and not page:
            return {"data": []}
        after = self._cursor(query, Position(page=position.page + 1, start=end))
        paging: dict[str, object] = {
            "cursors": {"before": self._cursor(query, position), "after": after}
        }
        is_last_but_one = bool(page) and self._provider.state.settings.trailing_page
        if not size or end < len(things) or is_last_but_one:
            paging["next"] = self._next(call, viewer, limit, after)
        return {"data": [render(thing) for thing in page], "paging": paging}

    def limit(self, parameters: Parameters, subject: Subject) -> int:
        """How many things the call asks for.

        Raises:
            GraphError: as `page`.
        """
        text = parameters.get("limit")
        if text is None:
            return DEFAULT_LIMIT
        if not re.fullmatch(r"[0-9]{1,5}", text) or not 1 <= int(text) <= LARGEST_LIMIT:
            raise bad_parameter(f"Param limit must be a number from 1 to {LARGEST_LIMIT}", subject)
        settings = self._provider.state.settings
        if settings.largest_page and int(text) > settings.largest_page:
            raise too_much(settings.too_much, subject)
        return int(text)

    def _size(self, position: Position, limit: int) -> int:
        settings = self._provider.state.settings
        number = position.page + 1
        if number <= settings.insights_empty_pages or _is_nth(number, settings.empty_page_every):
            return 0
        return (limit + 1) // 2 if _is_nth(number, settings.short_page_every) else limit

    def _next(self, call: Call, viewer: Viewer, limit: int, after: str) -> str:
        kept = {name: value for name, value in viewer.parameters if name not in REPLACED_PARAMETERS}
        added = {"limit": str(limit), "after": after}
        parameters = {"access_token": viewer.token.value, **kept, **added}
        return f"{self._provider.state.origin}{call.target}?{urlencode(parameters)}"

    def _cursor(self, query: str, position: Position) -> str:
        now = int(self._provider.state.clock.now())
        text = f"{query} {now} {position.page} {position.start}"
        return base64.urlsafe_b64encode(text.encode()).rstrip(b"=").decode()

    def _position(self, cursor: str | None, query: str, subject: Subject) -> Position:
        if cursor is None:
            return Position(page=0, start=0)
        try:
            text = base64.urlsafe_b64decode(cursor + "=" * (-len(cursor) % 4)).decode("ascii")
        except (binascii.Error, ValueError):
            text = ""
        match = _CURSOR.fullmatch(text)
        lifetime = self._provider.state.settings.cursor_lifetime
        if (
            match is None
            or match[1] != query
            or self._provider.state.clock.now() - int(match[2]) > lifetime
        ):
            raise bad_parameter("Invalid cursors values", subject)
        return Position(page=int(match[3]), start=int(match[4]))


def _is_nth(number: int, every: int) -> bool:
    return every > 0 and number % every == 0


def _fingerprint(call: Call, parameters: Parameters) -> str:
    kept = sorted(pair for pair in parameters if pair[0] not in REPLACED_PARAMETERS)
    # a new version of the API still knows the old one's cursors
    path = call.target.removeprefix(f"/graph/{call.path.get('version', '')}")
    return hashlib.sha256(f"{path}?{urlencode(kept)}".encode()).hexdigest()[:8]
