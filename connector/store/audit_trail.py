"""What happens in this process on its way into the audit trail.

Nobody waits for it, and it never fails anybody: what cannot be written is kept in memory, told of
once, and tried again with the next entry, once a minute, and at the end. What is written together
shares a commit.
"""

import asyncio
import logging
from collections import deque
from collections.abc import Callable, Iterable
from dataclasses import replace
from itertools import islice
from typing import Final

from connector.errors import ConnectorError
from connector.store.audit import AuditStore
from connector.store.audit_chain import DoesNotFit
from connector.store.audit_entry import Entry, acting

logger = logging.getLogger(__name__)

#: Takes note of what happened.
Note = Callable[[Entry], None]
#: Gives what was summed up since it was asked last; what is not taken stays.
Source = Callable[[], Iterable[Entry]]


def unnoted(_entry: Entry) -> None:
    """Take no note: of what has no trail, such as a store in somebody's tests."""


#: So many are appended together; a transaction keeps other writers waiting for some milliseconds.
LARGEST_GROUP: Final = 200
#: So many are kept while they cannot be written; then the oldest are dropped, and that is told.
MOST_KEPT: Final = 10_000
#: At the end of the process the database is waited for so long (seconds).
CLOSING_TIME: Final = 2.0


class AuditTrail:
    """Writes what happens in this process.

    Args:
        store: where it goes.
        now: gives seconds since the epoch.

    Attributes:
        interval: of collecting (seconds); another one holds from the next time on.
        misfit: where the trail did not fit when it was last pruned; empty: it did; None: it was
            not looked at.
    """

    def __init__(self, store: AuditStore, *, now: Callable[[], float]) -> None:
        self.interval = 0.0
        self._store = store
        self._now = now
        self._kept: deque[Entry] = deque()
        self._writer: asyncio.Task[None] | None = None
        self._is_failing = False
        self._dropped = 0
        self.lost = 0
        self._sources: list[Source] = []
        self._collector: asyncio.Task[None] | None = None
        self.misfit: str | None = None

    def collect_from(self, source: Source) -> None:
        """Ask for what was summed up, once in each interval and at the end."""
        self._sources.append(source)

    def start(self, interval: float) -> None:
        """Begin to collect.

        Args:
            interval: seconds.
        """
        self.interval = interval
        if self._collector is None:
            self._collector = asyncio.create_task(self._run(), name="audit collector")

    def note(self, entry: Entry) -> None:
        """Take note of what happened; to be called in the event loop."""
        at = self._now() if entry.at is None else entry.at
        self._kept.append(replace(entry, at=at, actor=entry.actor or acting()))
        while len(self._kept) > MOST_KEPT:
            self._kept.popleft()
            self._dropped += 1
            self.lost += 1
        self._begin()

    @property
    def kept(self) -> int:
        """How many entries are not written yet."""
        return len(self._kept)

    async def flush(self) -> None:
        """Write what is kept; what cannot be written stays."""
        if self._writer is not None:
            await asyncio.wait([self._writer])
        if self._kept:
            await asyncio.wait([self._begin()])

    async def collect(self) -> None:
        """Write what is kept, and what was summed up.

        Where it cannot be written the sources keep the rest, and go on adding to it.
        """
        await self.flush()
        for source in self._sources:
            entries = iter(source())
            while not self._is_failing and (group := list(islice(entries, LARGEST_GROUP))):
                for entry in group:
                    self.note(entry)
                await self.flush()

    async def prune(self, keep: float) -> None:
        """Remove the rows that are too old; a trail that does not fit is left as it is, and told.

        Args:
            keep: seconds for which rows are kept; 0: for ever.

        Raises:
            TemporarilyUnavailable: the database cannot be had.
        """
        if not keep:
            return
        before = self._now() - keep
        try:
            removed = await self._store.prune(before)
        except DoesNotFit as error:
            extra = {"action": "audit.does_not_fit"}
            text = "the audit trail does not fit, and is not shortened: %s"
            logger.error(text, error, extra=extra)  # noqa: TRY400 - it says where
            self.misfit = str(error)
            return
        self.misfit = ""
        if removed:
            self.note(Entry(event="audit.pruned", count=removed, detail={"before": before}))

    async def aclose(self) -> None:
        """Write what is kept, unless the database hangs; what is left is lost, and that is told."""
        if self._collector is not None:
            self._collector.cancel()
            await asyncio.gather(self._collector, return_exceptions=True)
        try:
            async with asyncio.timeout(CLOSING_TIME):
                await self.collect()
        except TimeoutError:
            if self._writer is not None:
                self._writer.cancel()
                await asyncio.wait([self._writer])
        if self._kept:
            logger.error(
                "%d entries of the audit trail could not be written",
                len(self._kept),
                extra={"action": "audit.lost", "count": len(self._kept)},
            )

    def _begin(self) -> "asyncio.Task[None]":
        if self._writer is None or self._writer.done():
            self._writer = asyncio.create_task(self._write(), name="audit trail")
        return self._writer

    async def _run(self) -> None:
        while True:
            await asyncio.sleep(self.interval)
            try:
                await self.collect()
            except Exception:  # a collector that ends would write no release any more
                logger.exception("the audit trail failed by a bug", extra={"action": "audit.bug"})

    async def _write(self) -> None:
        while self._kept:
            group = [self._kept.popleft() for _ in range(min(LARGEST_GROUP, len(self._kept)))]
            try:
                await self._store.append(group, now=self._now())
            except BaseException as error:
                self._kept.extendleft(reversed(group))
                self._tell(error)
                if isinstance(error, Exception):
                    return  # an event's cause goes on, whatever becomes of its entry
                raise
            self._is_failing = False

    def _tell(self, error: BaseException) -> None:
        """Tell once that entries are kept in memory, and of each that was dropped."""
        extra = {"action": "audit.not_written", "count": len(self._kept)}
        if self._dropped:
            logger.error("%d entries of the audit trail are lost", self._dropped, extra=extra)
            self._dropped = 0
        if not self._is_failing:
            # of another's error its kind alone: its text may hold what was to be written
            reason = str(error) if isinstance(error, ConnectorError) else type(error).__name__
            logger.warning("the audit trail cannot be written: %s", reason, extra=extra)
        self._is_failing = True
