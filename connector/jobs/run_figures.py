"""What is known of runs under way, as figures for people: rates, shares, time left."""

import json
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final

from connector.jobs.order import Result

#: A rate is that of the last seconds: what was fast an hour ago says nothing.
_SPAN: Final = 10.0
#: A function may tell where it is at any length.
_LONGEST_TEXT: Final = 200
#: With less of the whole done here, the time left would be a guess (a share).
_ENOUGH: Final = 0.02


@dataclass(slots=True, kw_only=True)
class AccountFigures:
    """One account's run.

    Attributes:
        started_at: seconds of the caller's clock.
        pages, records: committed.
        waited: seconds spent waiting for rate limits and between tries.
        text: where it is, in a few words.
        done: a share of the whole; None: it cannot be told.
    """

    started_at: float
    pages: int = 0
    records: int = 0
    waited: float = 0.0
    text: str = ""
    done: float | None = None
    _points: deque[tuple[float, int]] = field(default_factory=deque, repr=False)
    _first: tuple[float, float] | None = None  # when, and how much was done, as this run began

    def note(self, result: Result, now: float) -> None:
        """Take what a run has told.

        Args:
            result: so far.
            now: seconds of the clock that `started_at` is of.
        """
        self.pages, self.records, self.waited = result.pages, result.records, result.waited
        done, text = result.place.get("done"), result.place.get("text")
        self.done = min(max(float(done), 0.0), 1.0) if isinstance(done, (int, float)) else None
        self.text = text if isinstance(text, str) else ""
        if self._first is None and self.done is not None:
            is_resumed = bool(result.place.get("resumed"))
            self._first = (now, self.done) if is_resumed else (self.started_at, 0.0)
        self._points.append((now, self.records))
        while len(self._points) > 1 and self._points[0][0] < now - _SPAN:
            self._points.popleft()

    def rate(self, now: float) -> float:
        """Give records a second, of the last seconds."""
        since, before = self._points[0] if len(self._points) > 1 else (self.started_at, 0)
        passed = now - since
        return (self.records - before) / passed if passed > 0 else 0.0

    def left(self, now: float) -> float | None:
        """Give the seconds that it will take; None where they cannot be told."""
        if self.done is None or self._first is None:
            return None
        since, before = self._first
        if self.done - before < _ENOUGH:
            return None
        return (now - since) * (1 - self.done) / (self.done - before)


class RunFigures:
    """All accounts' runs of one job.

    Args:
        accounts: how many there are.
        now: gives seconds of a clock that nobody sets.
    """

    def __init__(self, accounts: int, now: Callable[[], float]) -> None:
        self.accounts = accounts
        self.ended = 0
        self.under_way: dict[str, AccountFigures] = {}
        self._now = now
        self._records = 0  # of those that have ended
        self._pages = 0
        self._started_at = now()

    def note(self, account: str, result: Result) -> AccountFigures:
        """Take what an account's run has told."""
        now = self._now()
        figures = self.under_way.setdefault(account, AccountFigures(started_at=now))
        figures.note(result, now)
        return figures

    def end(self, account: str) -> None:
        """Count an account whose run has ended."""
        self.ended += 1
        figures = self.under_way.pop(account, None)
        if figures is not None:
            self._records += figures.records
            self._pages += figures.pages

    @property
    def records(self) -> int:
        """How many records were committed."""
        return self._records + sum(one.records for one in self.under_way.values())

    @property
    def pages(self) -> int:
        """How many pages were committed."""
        return self._pages + sum(one.pages for one in self.under_way.values())

    def rate(self) -> float:
        """Give the records a second of all runs under way."""
        now = self._now()
        return sum(one.rate(now) for one in self.under_way.values())

    def summary(self) -> str:
        """Say all of it in one line."""
        passed = self._now() - self._started_at
        pages = f"{count(self.pages, 'page')}, " if self.pages else ""
        places = [f"{name}: {one.text}" for name, one in self.under_way.items() if one.text]
        where = f"; {places[0]}" if len(places) == 1 else ""
        return (
            f"{self.ended}/{self.accounts} accounts, {pages}{count(self.records, 'record')}, "
            f"{self.rate():,.0f}/s after {passed:.0f} s{where}"
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Whereabouts:
    """Where a run is that is under way, for people.

    Attributes:
        text: in a few words; empty: it does not tell.
        done: a share of the whole; None: it cannot be told.
        rate: records a second, of the last seconds.
        left: seconds that it will take; None: they cannot be told.
    """

    text: str = ""
    done: float | None = None
    rate: float = 0.0
    left: float | None = None

    def dump(self) -> str:
        """Write them as JSON, for those who do not execute the run."""
        return json.dumps({name: getattr(self, name) for name in self.__slots__})

    @classmethod
    def load(cls, text: str) -> "Whereabouts | None":
        """Read what `dump` wrote; None: another version wrote it."""
        try:
            return cls(**json.loads(text))
        except (TypeError, ValueError):
            return None


class UnderWay:
    """A run that goes on in this process.

    Args:
        clock: gives seconds of a clock that nobody sets.
        on_progress: told after each commit.

    Attributes:
        result: what it has told so far.
    """

    def __init__(
        self, clock: Callable[[], float], on_progress: Callable[[Result], None] | None = None
    ) -> None:
        self.result = Result()
        self._clock = clock
        self._on_progress = on_progress
        self._figures = AccountFigures(started_at=clock())

    def note(self, result: Result) -> None:
        """Take what it has committed."""
        self._figures.note(result, self._clock())
        if self._on_progress is not None:
            self._on_progress(result)

    def whereabouts(self) -> Whereabouts:
        """Say where it is."""
        now = self._clock()
        figures = self._figures
        return Whereabouts(
            text=figures.text[:_LONGEST_TEXT],
            done=figures.done,
            rate=figures.rate(now),
            left=figures.left(now),
        )


def count(number: int, thing: str) -> str:
    """Say how many there are of something."""
    return f"{number:,} {thing}" if number == 1 else f"{number:,} {thing}s"
