"""Refreshes accounts ahead of need: due ones, in batches, shared between any number of daemons.

Nothing is minted that nobody wants: an account is due when its token was used since it was minted,
or when its grant would die idle (see `token_source.terms_due`). Jitter keeps tokens that were
minted together apart. A refresh goes the way of every other one: lease, attempt, commit.
"""

import asyncio
import logging
import time
from collections.abc import Callable
from typing import Final

from connector.account import Account
from connector.errors import ConnectorError
from connector.store.due import DueStore
from connector.token_source import TokenSource

logger = logging.getLogger(__name__)

#: How often it is looked for due accounts, in seconds: well within the margin of a short token.
INTERVAL: Final = 0.5
#: So many are claimed at once; what is claimed must be sent before the claim runs out.
BATCH: Final = 200
#: So many requests are under way at once: a slow provider does not hold up the others for long.
CONCURRENCY: Final = 48
#: Of one provider; the rest are for the others, so that a tarpit cannot take them all.
PROVIDER_CONCURRENCY: Final = 32
#: One that has not looked for so long is stuck: twice what a refresh and its lease may take
#: (seconds).
LONGEST_PAUSE: Final = 120.0


class Refresher:
    """Refreshes what is due, until it is closed.

    Args:
        due: finds and claims.
        tokens: refreshes.
        now: gives seconds since the epoch.
    """

    def __init__(self, due: DueStore, tokens: TokenSource, *, now: Callable[[], float]) -> None:
        self._due = due
        self._tokens = tokens
        self._now = now
        self._task: asyncio.Task[None] | None = None
        self._looked_at = time.monotonic()
        self._under_way: set[asyncio.Task[None]] = set()
        self._all = asyncio.Semaphore(CONCURRENCY)
        self._by_provider: dict[str, asyncio.Semaphore] = {}

    def start(self) -> None:
        """Begin."""
        if self._task is None:
            self._task = asyncio.create_task(self._run(), name="refresher")

    def is_well(self) -> bool:
        """Tell whether it runs, and looks for due accounts."""
        runs = self._task is not None and not self._task.done()
        return runs and time.monotonic() - self._looked_at < LONGEST_PAUSE

    async def aclose(self) -> None:
        """Claim no more; what is being sent goes on, and `TokenSource.aclose` waits for it."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)
            self._task = None
        for task in self._under_way:
            task.cancel()
        await asyncio.gather(*self._under_way, return_exceptions=True)

    async def refresh_due(self) -> int:
        """Claim one batch and refresh it; give how many were claimed.

        Raises:
            TemporarilyUnavailable: the store cannot be had.
        """
        claimed = await self._due.claim(now=self._now(), limit=BATCH)
        tasks = [self._begin(account) for account in claimed]
        await asyncio.gather(*tasks)
        return len(claimed)

    async def _run(self) -> None:
        while True:
            self._looked_at = time.monotonic()
            try:
                room = BATCH - len(self._under_way)
                claimed = await self._due.claim(now=self._now(), limit=room) if room > 0 else []
                for account in claimed:
                    self._begin(account)
            except ConnectorError as error:
                logger.warning(str(error), extra={"action": "refresher.waits"})
                claimed = []
            except Exception:  # a refresher that ends would let every token run out
                logger.exception("the refresher failed by a bug", extra={"action": "refresher.bug"})
                claimed = []
            await self._pause(is_busy=bool(claimed))

    async def _pause(self, *, is_busy: bool) -> None:
        """Wait for half of a batch to be done, or for the next look."""
        if not is_busy or len(self._under_way) < BATCH // 2:
            await asyncio.sleep(0 if is_busy else INTERVAL)
            return
        while len(self._under_way) >= BATCH // 2:
            await asyncio.wait(self._under_way, return_when=asyncio.FIRST_COMPLETED)

    def _begin(self, account: Account) -> asyncio.Task[None]:
        task = asyncio.create_task(self._refresh(account), name=f"due {account.name}")
        self._under_way.add(task)
        task.add_done_callback(self._under_way.discard)
        return task

    async def _refresh(self, account: Account) -> None:
        of_provider = self._by_provider.setdefault(
            account.provider, asyncio.Semaphore(PROVIDER_CONCURRENCY)
        )
        async with of_provider, self._all:
            try:
                await self._tokens.refresh_due(account)
            except ConnectorError:
                return  # told where it happened; the account is due again when it may be
            except Exception:
                extra = {"action": "refresh.bug", "account": account.name}
                logger.exception("a due refresh failed by a bug", extra=extra)
