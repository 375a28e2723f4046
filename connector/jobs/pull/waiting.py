"""Pauses of a run: each is counted and told, and none goes beyond the run's deadline."""

import asyncio
import random
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final

from connector.errors import TemporarilyUnavailable
from connector.jobs.writing import Writer

#: The first pause after a failure that passes, and the longest (seconds).
_FIRST: Final = 1.0
_LONGEST: Final = 60.0
#: The first pause where an API refuses for its rate limit and says no more, and the longest.
_FIRST_REFUSED: Final = 5.0
_LONGEST_REFUSED: Final = 300.0
#: A run whose deadline is so near does not wait for it (seconds): it ends at its checkpoint.
_RESERVE: Final = 1.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Clock:
    """How time goes.

    Attributes:
        now: gives seconds since the epoch.
        monotonic: gives seconds of a clock that nobody sets.
        sleep: waits for so many seconds.
    """

    now: Callable[[], float] = time.time
    monotonic: Callable[[], float] = time.monotonic
    sleep: Callable[[float], Awaitable[None]] = asyncio.sleep


class Postponed(TemporarilyUnavailable):
    """{reason}. {when}

    More was to be waited than is allowed; what does not share the limit may go on.
    """  # noqa: D415 - the first line is filled in


class Waiting:
    """Waits, for a run.

    Args:
        writer: whose counts it keeps.
        seconds: until the run's deadline, wherever the wall clock is set to meanwhile.
        longest: what is waited for one request at most (seconds).
        clock: how time goes.
    """

    def __init__(self, writer: Writer, *, seconds: float, longest: float, clock: Clock) -> None:
        self._writer = writer
        self._ends_at = clock.monotonic() + seconds
        self._longest = longest
        self.clock = clock

    async def wait(self, seconds: float, why: str, *, waited: float = 0.0) -> None:
        """Wait.

        Args:
            seconds: how long.
            why: in a few words, for people.
            waited: seconds that were waited for the same request before.

        Raises:
            Postponed: it is longer than is allowed; the run ends at its checkpoint.
        """
        if seconds <= 0:
            return
        left = self._ends_at - self.clock.monotonic()
        if waited + seconds > self._longest or seconds > left - _RESERVE:
            moment = datetime.fromtimestamp(self.clock.now() + seconds, UTC)
            told = f"{why}; the run goes on at its checkpoint, and does not wait {seconds:.0f} s"
            raise Postponed(told, moment)
        counts, place = self._writer.counts, self._writer.place
        if seconds >= 1:
            self._writer.place = {**place, "text": f"waits {seconds:.0f} s: {why}"}
            self._writer.tell()
            self._writer.place = place
        await self.clock.sleep(seconds)
        counts.waited += seconds


def backoff(tries: int) -> float:
    """Give the pause after so many failures: full jitter, as many clients would else fail at once.

    Args:
        tries: how often it failed; at least 1.
    """
    return random.uniform(0, min(_LONGEST, _FIRST * 2 ** (tries - 1)))  # noqa: S311 - no secret


def refused(tries: int) -> float:
    """Give the pause after so many refusals of an API that does not say how long to wait."""
    longest = min(_LONGEST_REFUSED, _FIRST_REFUSED * 2 ** (tries - 1))
    return random.uniform(longest / 2, longest)  # noqa: S311 - no secret
