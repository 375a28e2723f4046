"""Rate limits between processes: what runs here have met is told, what others have met is learned.

The store is asked when a declared run begins, and now and then while one goes on; it is written to
when a limit comes near or an API has refused, and never for a page. No run fails, or waits for
long, where the store is away: then each process goes by what the API tells it.
"""

import asyncio
import contextlib
import logging
import math
import time
from collections import Counter
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import Final

from connector.errors import ConnectorError
from connector.jobs.limit_ledger import LimitLedger
from connector.jobs.order import Order
from connector.store.rate_limits import LimitName, RateLimits, SharedLimit

logger = logging.getLogger(__name__)

#: Between two looks while runs go on (seconds): who does not know of a limit is refused once more.
LOOK_INTERVAL: Final = 5.0
#: Runs that begin together share one look (seconds).
_FRESH: Final = 1.0
#: A run that begins waits no longer for a look, and one that ends for what it has told (seconds).
PATIENCE: Final = 2.0
#: A halt that lasts no longer than another one that was told is not told anew, and neither is one
#: that is over before anybody looks (seconds).
_LONGER: Final = 1.0
#: Calls that are spread out less are not worth a word to others (seconds).
_SMALLEST_SPREAD: Final = 0.5
#: A limit that stays near is told again after so long: before it is forgotten (seconds).
TOLD_AGAIN: Final = 20.0
#: A part whose name is longer keeps its limit for itself: it stands in an index.
_LONGEST_NAME: Final = 200


class SharedLimits:
    """Keeps a ledger and the store in step.

    Args:
        store: where limits are shared.
        now: gives seconds since the epoch.
        monotonic: gives seconds that only grow.

    Attributes:
        ledger: of this process.
    """

    def __init__(
        self,
        store: RateLimits,
        *,
        now: Callable[[], float],
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self.ledger = LimitLedger(monotonic)
        self._store = store
        self._now = now
        self._monotonic = monotonic
        self._under_way: Counter[str] = Counter()  # runs, by provider
        self._looked: dict[str, float] = {}  # when, by provider
        self._told: dict[LimitName, tuple[float, float]] = {}  # when, and until when it holds
        self._untold: dict[LimitName, tuple[SharedLimit, float]] = {}  # with when it was met
        self._looking: asyncio.Task[None] | None = None
        self._telling: asyncio.Task[None] | None = None
        self._is_away = False
        self._looks = asyncio.Lock()
        self.ledger.on_note = self._note

    @asynccontextmanager
    async def of_run(self, order: Order) -> AsyncIterator[None]:
        """Share limits while a run goes on: what others know is learned before it begins.

        Args:
            order: of the run; one that calls a function meets no limit that it could tell of.
        """
        if order.request is None:
            yield
            return
        provider = order.provider
        self._under_way[provider] += 1
        try:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(PATIENCE):
                    await self._attempt(self._look_first(provider))
            if self._looking is None:
                self._looking = asyncio.create_task(self._keep_looking(), name="rate limits")
            yield
        finally:
            self._under_way[provider] -= 1
            self._under_way += Counter()  # without those that are none
            if not self._under_way and self._looking is not None:
                self._looking.cancel()
                self._looking = None
            if self._telling is not None:  # the process may end with this run
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(PATIENCE):
                        await asyncio.shield(self._telling)

    def _note(self, near: SharedLimit) -> None:
        """Have a limit told, where others should know of it and do not yet."""
        name, now = near.limit, self._monotonic()
        if near.wait < _LONGER and near.spread < _SMALLEST_SPREAD:
            return
        told_at, until = self._told.get(name, (-TOLD_AGAIN, 0.0))
        is_longer = near.wait >= _LONGER and now + near.wait >= until + _LONGER
        is_due = near.spread >= _SMALLEST_SPREAD and now - told_at >= TOLD_AGAIN
        if (not is_longer and not is_due) or len(name.name) > _LONGEST_NAME:
            return
        self._told[name] = (now, max(until, now + near.wait))
        self._untold[name] = (near, now)
        if self._telling is None:
            self._telling = asyncio.create_task(self._tell(), name="rate limits that are near")

    async def _tell(self) -> None:
        """Write what is untold; what cannot be written is left to the API to tell."""
        try:
            while self._untold:
                name = next(iter(self._untold))
                near, met_at = self._untold.pop(name)
                age = self._monotonic() - met_at
                told = replace(near, age=age, wait=max(0.0, near.wait - age))
                await self._attempt(self._store.tell(told, now=self._now()))
            await self._attempt(self._store.tidy(now=self._now()))
        finally:
            self._telling = None
            self._told = {
                name: (told_at, until)
                for name, (told_at, until) in self._told.items()
                if max(until, told_at + TOLD_AGAIN) > self._monotonic()
            }

    async def _keep_looking(self) -> None:
        while True:
            await asyncio.sleep(LOOK_INTERVAL)
            await self._attempt(self._look(*self._under_way))

    async def _look_first(self, provider: str) -> None:
        """Look, unless somebody has just done so, well or not."""
        async with self._looks:
            if self._monotonic() - self._looked.get(provider, -math.inf) < _FRESH:
                return
            try:
                await self._look(provider)
            finally:
                self._looked[provider] = self._monotonic()

    async def _look(self, *providers: str) -> None:
        for near in await self._store.near(providers, now=self._now()):
            self.ledger.learn(near)

    async def _attempt(self, work: Coroutine[None, None, None]) -> None:
        """Do something with the store; what keeps it from that is told once."""
        try:
            await work
        except ConnectorError as error:
            if not self._is_away:
                logger.warning(
                    "rate limits are not shared: %s", error, extra={"action": "limits.away"}
                )
            self._is_away = True
        except Exception:  # runs go on without
            logger.exception("sharing rate limits failed by a bug", extra={"action": "limits.bug"})
        else:
            self._is_away = False
