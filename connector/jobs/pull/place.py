"""Where a run is in its walk: what its checkpoint says, and what the next run goes on from.

No token is in it (`connector.pulls.pagination`). It holds for one declaration only: what a page's
state means depends on it.
"""

import hashlib
import json
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from typing import Final, cast

from connector.pulls.moments import Moment
from connector.pulls.pagination import PageState
from connector.pulls.windows import Window

#: Of the form below; another number is unreadable.
_FORM: Final = 1
_FINGERPRINT_LENGTH: Final = 16


class UnreadablePlace(ValueError):
    """A checkpoint is of another declaration, or is none of ours; says which."""


@dataclass(slots=True, kw_only=True)
class ReportPlace:
    """A report that was ordered.

    Attributes:
        id: by which the API knows it.
        at: when it was ordered (seconds since the epoch).
        tries: how many were ordered for this window, this one included.
    """

    id: str
    at: float
    tries: int = 1


@dataclass(slots=True, kw_only=True)
class Place:
    """Where a run is.

    Attributes:
        done: the parts that are complete, by their identifiers.
        since: where a person asked the run to begin, as it was written; None: at the cursor.
        aside: the parts that were begun and could not be gone on with, as they are written.
        failed: the parts that failed when they were last tried, the longest ago first.
        part: the identifier of the part that is under way; None: none is.
        start: the first moment of the part that is asked for; None: no start is sent.
        begun: when the window was begun (seconds since the epoch).
        windows: the one that is under way, and those that it was split from.
        page: state of the next page; None: the window's first.
        pages: of the window that are committed.
        size: records that a page may have, where it was reduced.
        high: the greatest value of the cursor's field so far.
        without: records of the part that had none.
        by_report: the window's records come from a report.
        report: the one that was ordered for the window.
    """

    done: list[str] = field(default_factory=list)
    since: str | None = None
    aside: dict[str, dict[str, object]] = field(default_factory=dict)
    failed: list[str] = field(default_factory=list)
    part: str | None = None
    start: Moment | None = None
    begun: float = 0.0
    windows: list[Window] = field(default_factory=list)
    page: PageState | None = None
    pages: int = 0
    size: int | None = None
    high: Moment | None = None
    without: int = 0
    by_report: bool = False
    report: ReportPlace | None = None

    def enter(self, part: str, start: Moment | None, now: float) -> None:
        """Begin a part."""
        self.part, self.start, self.high, self.without = part, start, None, 0
        self.windows = []
        self.begin_window(now)
        self.by_report = False

    def begin_window(self, now: float) -> None:
        """Begin the window at the front, or a part without one, at its first page."""
        self.begun, self.report = now, None
        self.restart()

    def restart(self) -> None:
        """Go back to the window's first page."""
        self.page, self.pages = None, 0

    def set_aside(self) -> None:
        """Leave the part that is under way for later; one that was not begun is forgotten.

        Unless a person asked where it begins: that is asked for once.
        """
        is_first = [window.since for window in self.windows] in ([], [self.start])
        if (
            self.since is not None
            or not is_first
            or self.page is not None
            or self.report is not None
        ):
            self.aside[cast("str", self.part)] = _dump_part(self)
        self.part = None
        self.windows = []

    def take_up(self, part: str) -> bool:
        """Go on with a part that was set aside; tell whether it was."""
        written = self.aside.pop(part, None)
        if written is not None:
            _load_part(self, written)
        return written is not None

    def leave(self) -> None:
        """Note that the part is complete."""
        part = cast("str", self.part)
        self.done.append(part)
        self.failed = [one for one in self.failed if one != part]
        self.part = None
        self.windows = []

    def fail(self, part: str) -> None:
        """Note that a part could not be pulled; it is left for later as it stands."""
        if self.part == part:
            self.set_aside()
        self.failed = [*(one for one in self.failed if one != part), part]

    def end_pass(self, parts: Collection[str]) -> None:
        """Begin a pass, but for the parts that failed, which are gone on with where they stand.

        Args:
            parts: that there are.
        """
        self.done, self.since = [], None
        self.failed = [part for part in self.failed if part in parts]
        self.aside = {part: one for part, one in self.aside.items() if part in self.failed}


def fingerprint(table: Mapping[str, object]) -> str:
    """Give what tells a declaration from a changed one.

    Args:
        table: as the configuration has it.
    """
    text = json.dumps(table, sort_keys=True, default=str)
    return hashlib.sha256(text.encode()).hexdigest()[:_FINGERPRINT_LENGTH]


def dump_place(place: Place, declaration: str) -> dict[str, object]:
    """Write a place as a checkpoint.

    Args:
        place: where the run is.
        declaration: its `fingerprint`.
    """
    written: dict[str, object] = {"form": _FORM, "declaration": declaration, "done": place.done}
    if place.since is not None:
        written["since"] = place.since
    if place.aside:
        written["aside"] = place.aside
    if place.failed:
        written["failed"] = place.failed
    return written if place.part is None else written | _dump_part(place)


def _dump_part(place: Place) -> dict[str, object]:
    written: dict[str, object] = {"part": place.part}
    written |= {"begun": place.begun, "pages": place.pages}
    written |= {
        name: value
        for name in ("start", "page", "size", "high", "without", "by_report")
        if (value := getattr(place, name)) is not None and value is not False
    }
    if place.windows:
        written["windows"] = [[window.since, window.until] for window in place.windows]
    if (report := place.report) is not None:
        written["report"] = [report.id, report.at, report.tries]
    return written


def load_place(checkpoint: object, declaration: str) -> Place:
    """Read a checkpoint.

    Args:
        checkpoint: as it was committed.
        declaration: the present one's `fingerprint`.

    Raises:
        UnreadablePlace: it is of another declaration, or none of ours.
    """
    if not isinstance(checkpoint, dict) or checkpoint.get("form") != _FORM:
        raise UnreadablePlace("its checkpoint cannot be read")
    if checkpoint.get("declaration") != declaration:
        raise UnreadablePlace("its declaration was changed since its checkpoint was written")
    try:
        return _load(checkpoint)
    except (TypeError, ValueError, LookupError):
        raise UnreadablePlace("its checkpoint cannot be read") from None


def is_place(checkpoint: object) -> bool:
    """Tell whether a checkpoint is one that `dump_place` wrote, of whatever declaration."""
    return isinstance(checkpoint, dict) and {"form", "declaration", "done"} <= checkpoint.keys()


def _load(written: dict[str, object]) -> Place:
    place = Place(
        done=[_as(str, part) for part in _as(list, written["done"])],
        since=_optional(str, written, "since"),
        aside=_as(dict, written.get("aside", {})),
        failed=[_as(str, part) for part in _as(list, written.get("failed", []))],
    )
    for part in place.aside.values():
        _load_part(Place(), part)
    if "part" in written:
        _load_part(place, written)
    return place


def _load_part(place: Place, written: dict[str, object]) -> None:
    place.part = _as(str, written["part"])
    place.windows = [
        Window(*(_moment(end) for end in pair)) for pair in _as(list, written.get("windows", []))
    ]
    place.start = _moment(written["start"]) if "start" in written else None
    place.begun = float(_as((int, float), written["begun"]))
    page = _optional(dict, written, "page")
    place.page = None if page is None else dict(page)
    place.pages = _as(int, written["pages"])
    place.size = _optional(int, written, "size")
    place.high = _moment(written["high"]) if "high" in written else None
    place.without = _optional(int, written, "without") or 0
    place.by_report = bool(_optional(bool, written, "by_report"))
    place.report = None
    if "report" in written:
        id_, at, tries = _as(list, written["report"])
        place.report = ReportPlace(id=_as(str, id_), at=float(at), tries=_as(int, tries))


def _as(kind: type | tuple[type, ...], value: object):  # type: ignore[no-untyped-def] # noqa: ANN202
    if not isinstance(value, kind):
        raise TypeError("of another type")
    return value


def _optional(kind: type, written: Mapping[str, object], name: str):  # type: ignore[no-untyped-def] # noqa: ANN202
    return _as(kind, written[name]) if name in written else None


def _moment(value: object) -> Moment:
    if isinstance(value, bool) or not isinstance(value, (str, int, float)):
        raise TypeError("no moment")
    return value
