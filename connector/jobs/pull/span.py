"""The time that a run pulls for one part: where it begins, its windows, and how far a cursor goes.

A window that was begun before it was over is complete up to that moment only, whenever its last
page comes: what follows begins there again.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import cast

from connector.jobs.pull.failure import PullFailed
from connector.jobs.pull.place import Place
from connector.pulls.cursors import next_start, with_zones, write_start
from connector.pulls.messages import Request
from connector.pulls.moments import (
    Moment,
    MomentError,
    is_date,
    is_time,
    parse_start,
    to_datetime,
)
from connector.pulls.spec import CursorRule, Pull
from connector.pulls.windows import Window, completed, end_of_windows, split, windows, written


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """The time that a person, or a backfill, asks for.

    Attributes:
        since: its begin, as it was written; None: at the cursor.
        until: its end, likewise; None: now.
    """

    since: str | None = None
    until: str | None = None


def check_asked(pull: Pull, asked: Asked) -> None:
    """Refuse a time that would not be asked for: another one, or all there is, would be pulled.

    Raises:
        PullFailed: the pull has no begin, or no end, that could be sent.
    """
    if asked.since is not None and pull.cursor is None:
        raise PullFailed("no begin is sent to the API", 'Declare a cursor, such as param = "since"')
    if asked.until is not None and pull.window is None:
        remedy = 'Declare a window, such as { length = "1d", param = "until" }, or ask to now'
        raise PullFailed("no end is sent to the API", remedy)


class Span:
    """The time of one part.

    Args:
        pull: the declaration.
        values: of the part's placeholders.
        asked: by a person.
        now: seconds since the epoch.

    Raises:
        PullFailed: the part's time zone is none, or a moment that was asked for.
    """

    def __init__(self, pull: Pull, values: Mapping[str, object], asked: Asked, now: float) -> None:
        rule = pull.cursor or CursorRule()
        self._window = pull.window
        self._asked = asked
        self._now = datetime.fromtimestamp(now, UTC)
        try:
            self.rule = with_zones(rule, values)
            self.format = self.rule.format
            self._end = self._find_end()
        except MomentError as error:
            raise PullFailed(str(error)) from None

    def start(self, last: Moment | None) -> Moment | None:
        """Give where the part begins.

        Args:
            last: where the last run got to; None: there was none.

        Raises:
            PullFailed: it is no moment; or there is none, and windows need one.
        """
        try:
            if self._asked.since is not None:
                return self._asked_start(self._asked.since)
            if last is not None and (is_date(self.format) or is_time(self.format)):
                to_datetime(self.format, last)  # it may be of a format that was declared before
            start = next_start(self.rule, last, self._now)
        except (MomentError, TypeError, ValueError) as error:
            remedy = "Name another begin: connector jobs run … --since …"
            raise PullFailed(f"where to begin is unknown: {error}", remedy) from None
        if start is None and self._window is not None:
            raise PullFailed(
                "windows have to begin somewhere", 'Write cursor.start, such as "-28d"'
            )
        return start

    def _asked_start(self, since: str) -> Moment:
        start = parse_start(self.format, since, self._now)
        if self._asked.until is not None:
            until = parse_start(self.format, self._asked.until, self._now)
            if not cast("str", start) < cast("str", until):
                raise MomentError(f"{since} is not before {self._asked.until}")
        return start

    def window_from(self, start: Moment) -> Window | None:
        """Give the first window from a moment on; None: it is the end."""
        if self._window is None or self._end is None:
            return None
        return next(iter(windows(self._window, self.format, start, self._end)), None)

    def window_after(self, place: Place) -> Window | None:
        """Give the window after the one that is complete; None: that was the last."""
        if self._window is None or self._end is None:
            return None
        window = place.windows[0]
        if not cast("str", window.until) < cast("str", self._end):
            return None
        return self.window_from(self.complete(place))

    def complete(self, place: Place) -> Moment:
        """Give how far the window at the front is complete, as it was when it was begun."""
        begun = datetime.fromtimestamp(place.begun, UTC)
        if self._window is None:
            raise AssertionError("there are no windows")
        return completed(self._window, self.format, place.windows[0], begun)

    def halves(self, place: Place) -> tuple[Window, Window] | None:
        """Give the halves of the window at the front; None: it cannot be split."""
        if self._window is None or not place.windows:
            return None
        return split(self._window, self.format, place.windows[0])

    def values(self, place: Place) -> dict[str, object]:
        """Give the values of ``{since}`` and ``{until}``; None where there is no such end."""
        if place.windows and self._window is not None:
            since, until = written(self._window, self.format, place.windows[0])
            return {"since": since, "until": until}
        since = None if place.start is None else write_start(self.rule, place.start)
        return {"since": since, "until": None}

    def limited(self, request: Request, values: Mapping[str, object]) -> Request:
        """Give a request with the ends of the time in the parameters that take them."""
        if self.rule.param and values["since"] is not None:
            request = request.having(self.rule.param, values["since"])
        if self._window is not None and self._window.param and values["until"] is not None:
            request = request.having(self._window.param, values["until"])
        return request

    def share(self, place: Place, inner: float) -> float | None:
        """Give the share of the part's time that is complete; None: it is unknown.

        Args:
            place: where the run is.
            inner: the share of the window at the front that is.
        """
        if not place.windows or place.start is None or self._end is None:
            return inner or None
        window = place.windows[0]
        begin, since, until, end = (
            to_datetime(self.format, moment).timestamp()
            for moment in (place.start, window.since, window.until, self._end)
        )
        at = since + inner * (until - since)
        return min(1.0, max(0.0, (at - begin) / (end - begin))) if end > begin else None

    def _find_end(self) -> Moment | None:
        if self._window is None:
            return None
        end = end_of_windows(self._window, self.format, self._now)
        if self._asked.until is None or not (is_date(self.format) or is_time(self.format)):
            return end
        return min(
            cast("str", end), cast("str", parse_start(self.format, self._asked.until, self._now))
        )
