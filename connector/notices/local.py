"""Notices of what concerns this host, or keeps the database from being written: a file.

It lies beside the journal and is shared by all processes of this host, each of which locks it for a
moment. A sealed vault is told of once, however often a supervisor starts the daemon again; that it
is open again is told by the start that opens it. A file that is torn or not ours is empty: what is
open is told of again.
"""

import asyncio
import contextlib
import fcntl
import json
import logging
import os
from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any, Final, TypeVar

from connector.notice import CLAIM_TIME, LONGEST_DELAY, Cause, Delivery, Kind, Notice
from connector.notices.plan import plan

logger = logging.getLogger(__name__)

T = TypeVar("T")

#: These pass by themselves more often than not, and are told of only when they last (seconds).
PATIENCE: Final[dict[Kind, float]] = {"store_unavailable": 300.0, "answers_waiting": 300.0}
_LARGEST: Final = 1024 * 1024


@dataclass(slots=True, kw_only=True)
class _Progress:
    """How far one channel has got with one notice."""

    told: int = 0
    attempts: int = 0
    retry_at: float = 0.0
    claimed_by: str | None = None
    claimed_until: float = 0.0


@dataclass(slots=True, kw_only=True)
class _Book:
    """What the file holds."""

    seen: dict[str, float] = field(default_factory=dict)
    notices: dict[str, Notice] = field(default_factory=dict)
    progress: dict[str, dict[str, _Progress]] = field(default_factory=dict)


class LocalNotices:
    """Keeps notices in a file.

    Args:
        folder: of the journal.
        reminders: see `plan`.

    Attributes:
        reminders: as given; others hold from the next look on.
    """

    def __init__(self, folder: Path, *, reminders: Sequence[float]) -> None:
        self._path = folder / "notices.json"
        self.reminders = reminders
        self._is_failing = False

    async def look(self, causes: Iterable[Cause], kinds: Collection[Kind], *, now: float) -> None:
        """Write down what there is to tell now.

        Args:
            causes: that are open, of these kinds.
            kinds: of which is known whether they are; of the others nothing is said.
            now: seconds since the epoch.
        """
        found = {cause.key: cause for cause in causes}
        await self._run(lambda book: self._look(book, found, kinds, now), None, create=bool(found))

    async def open(self) -> list[Notice]:
        """Give what people have to know now."""
        found = await self._run(lambda book: list(book.notices.values()), list[Notice]())
        return [notice for notice in found if not notice.is_resolved]

    async def claim(self, channel: str, *, owner: str, now: float) -> Delivery | None:
        """Take what a channel is to tell now; None: there is nothing."""

        def claim(book: _Book) -> Delivery | None:
            for notice, progress in _untold(book, channel):
                if max(progress.retry_at, progress.claimed_until) <= now:
                    progress.claimed_by, progress.claimed_until = owner, now + CLAIM_TIME
                    book.progress.setdefault(notice.id, {})[channel] = progress
                    return Delivery(
                        notice=notice,
                        accounts=(),
                        channel=channel,
                        attempts=progress.attempts,
                        owner=owner,
                    )
            return None

        return await self._run(claim, None)

    async def delivered(self, delivery: Delivery) -> None:
        """Note that a channel has told what it had claimed."""
        await self._settle(delivery, told=delivery.notice.number, attempts=0)

    async def failed(self, delivery: Delivery, *, retry_at: float) -> None:
        """Note that a channel could not tell it.

        Args:
            delivery: what it had claimed.
            retry_at: when it is tried again (seconds since the epoch).
        """
        await self._settle(delivery, attempts=delivery.attempts + 1, retry_at=retry_at)

    async def next_retry(self, channel: str) -> float | None:
        """Give when a channel has something to try again; None: it has not."""
        nothing: list[tuple[Notice, _Progress]] = []
        untold = await self._run(lambda book: _untold(book, channel), nothing)
        return min((max(one.retry_at, one.claimed_until) for _, one in untold), default=None)

    def _look(
        self, book: _Book, found: dict[str, Cause], kinds: Collection[Kind], now: float
    ) -> None:
        book.seen = {
            key: since
            for key, since in book.seen.items()
            if key in found or key.partition("/")[0] not in kinds
        } | {key: book.seen.get(key, cause.since) for key, cause in found.items()}
        causes = [
            replace(cause, since=book.seen[key])
            for key, cause in found.items()
            if now - book.seen[key] >= PATIENCE.get(cause.kind, 0.0)
        ]
        judged = [one for one in book.notices.values() if one.cause.kind in kinds]
        planned = plan(causes, judged, reminders=self.reminders, now=now)
        for notice in (*planned.made, *planned.changed):
            book.notices[notice.id] = notice
        over = [one for one in book.notices.values() if one.is_resolved]
        for notice in over:
            progress = book.progress.get(notice.id, {}).values()
            is_told = all(one.told >= notice.number for one in progress)
            if is_told or (notice.resolved_at or 0.0) <= now - LONGEST_DELAY:
                del book.notices[notice.id]
                book.progress.pop(notice.id, None)

    async def _settle(self, delivery: Delivery, **values: float) -> None:
        def settle(book: _Book) -> None:
            progress = book.progress.get(delivery.notice.id, {}).get(delivery.channel)
            if progress is not None and progress.claimed_by == delivery.owner:
                progress.claimed_by, progress.claimed_until = None, 0.0
                for name, value in values.items():
                    setattr(progress, name, value)

        await self._run(settle, None)

    async def _run(self, work: Callable[[_Book], T], otherwise: T, *, create: bool = False) -> T:
        """Read the file, and write it where it has changed; where it cannot be, nothing is told."""
        try:
            found = await asyncio.to_thread(self._within, work, create=create)
        except FileNotFoundError:
            return otherwise
        except OSError as error:
            if not self._is_failing:
                extra = {"action": "notices.no_file"}
                logger.warning("%s cannot be used: %s", self._path, error.strerror, extra=extra)
            self._is_failing = True
            return otherwise
        self._is_failing = False
        return found

    def _within(self, work: Callable[[_Book], T], *, create: bool) -> T:
        flags = os.O_RDWR | os.O_NOFOLLOW | os.O_CLOEXEC
        if create:
            self._path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            flags |= os.O_CREAT
        descriptor = os.open(self._path, flags, 0o600)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX)  # until it is closed
            before = os.pread(descriptor, _LARGEST, 0)
            book = _load(before)
            result = work(book)
            after = _dump(book)
            if after != before:
                os.ftruncate(descriptor, 0)
                os.pwrite(descriptor, after, 0)
            return result
        finally:
            os.close(descriptor)


def _untold(book: _Book, channel: str) -> list[tuple[Notice, _Progress]]:
    """Give what a channel has not told; the end of what it never tried is nothing."""
    found = []
    for notice in book.notices.values():
        progress = book.progress.get(notice.id, {}).get(channel)
        is_tried = progress is not None
        if (progress.told if progress else 0) < notice.number and (
            is_tried or not notice.is_resolved
        ):
            found.append((notice, progress or _Progress()))
    return found


def _load(data: bytes) -> _Book:
    with contextlib.suppress(ValueError, TypeError, KeyError, AttributeError, RecursionError):
        found: dict[str, Any] = json.loads(data)
        return _Book(
            seen={str(key): float(since) for key, since in found["seen"].items()},
            notices={
                one["id"]: Notice(**{**one, "cause": Cause(**one["cause"])})
                for one in found["notices"]
            },
            progress={
                notice: {channel: _Progress(**one) for channel, one in channels.items()}
                for notice, channels in found["progress"].items()
            },
        )
    return _Book()


def _dump(book: _Book) -> bytes:
    found = {
        "seen": book.seen,
        "notices": [asdict(notice) for notice in book.notices.values()],
        "progress": {
            notice: {channel: asdict(one) for channel, one in channels.items()}
            for notice, channels in book.progress.items()
        },
    }
    return json.dumps(found, indent=1).encode()
