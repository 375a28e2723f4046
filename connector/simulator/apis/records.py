"""The records behind the data APIs: computed from the seed, and the truth that tests compare with.

A record is written once a step from the epoch on. What is added or changed later is newer than
everything before it, so that an incremental pull has something to find.
"""

import hashlib
from collections.abc import Callable, Hashable
from dataclasses import dataclass, replace
from datetime import UTC, datetime

from connector.simulator.settings import Settings

# Names that a careless encoder breaks.
NAMES = (
    "Zoë Ångström",
    'Pat "Tap" O\'Brien',
    "李雷",
    "Semi; Colon, Comma",
    "Grüße\nline two",
    "emoji 🦆",
    "plain",
)

# More than any test needs, and still a list that is made in a second.
MOST_RECORDS = 1_000_000


class ApiError(ValueError):
    """A question about a data API's records that makes no sense; the message says why."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Item:
    """What every API's record is made of."""

    key: str
    """Seed and API: what the values follow from, beside number and revision."""
    number: int
    created_at: int
    """Seconds since 1970, UTC."""
    updated_at: int
    revision: int = 0

    @property
    def digest(self) -> bytes:
        """Bytes that follow from the record alone."""
        text = f"{self.key}/{self.number}/{self.revision}"
        return hashlib.sha256(text.encode()).digest()

    @property
    def name(self) -> str:
        """A name; some are awkward."""
        return f"{NAMES[self.digest[0] % len(NAMES)]} {self.number}"

    @property
    def cents(self) -> int:
        """An amount, which no change leaves as it was."""
        return int.from_bytes(self.digest[1:4]) % 1_000_000 * 100 + self.revision % 100


class Items:
    """The records of one API; guarded by the state's lock."""

    def __init__(self, api: str, settings: Callable[[], Settings]) -> None:
        self._api = api
        self._settings = settings
        self._changes = 0
        self._changed: dict[int, tuple[int, int]] = {}
        """Number of a record → its revision, and the tick it was changed at."""
        self._added_at: list[int] = []
        self._kept: tuple[object, list[Item]] = (None, [])
        self._answered: tuple[object, list[Item]] = (None, [])

    @property
    def added(self) -> int:
        """How many were added since the start."""
        return len(self._added_at)

    def append(self, count: int) -> None:
        """Add records, each newer than all others.

        Raises:
            ApiError: too few or too many.
        """
        if not 0 <= count <= MOST_RECORDS - self.added:
            message = f"records are added 0 to {MOST_RECORDS} at a time"
            raise ApiError(message)
        for _ in range(count):
            self._changes += 1
            self._added_at.append(self._changes)

    def touch(self, number: int) -> None:
        """Change a record: its values, and when it was updated, which is after all others.

        Raises:
            ApiError: no such record.
        """
        if not 1 <= number <= self._settings().apis_records + self.added:
            message = f"no record {number}"
            raise ApiError(message)
        self._changes += 1
        revision, _ = self._changed.get(number, (0, 0))
        self._changed[number] = (revision + 1, self._changes)

    def all(self) -> list[Item]:
        """Every record, by when it was updated."""
        settings = self._settings()
        key = (
            settings.apis_seed,
            settings.apis_records,
            settings.apis_epoch,
            settings.apis_step,
            self._changes,
        )
        if self._kept[0] != key:
            self._kept = (key, self._made(settings))
        return self._kept[1]

    def found(self, question: Hashable, find: Callable[[list[Item]], list[Item]]) -> list[Item]:
        """What `find` makes of every record, kept until another question or a change.

        A pull asks the same at each page, and looking through 100,000 records takes a tenth of a
        second.
        """
        items = self.all()
        key = (self._kept[0], question)
        if self._answered[0] != key:
            self._answered = (key, find(items))
        return self._answered[1]

    def between(self, since: float | None, until: float | None) -> list[Item]:
        """Those updated at `since` or later and before `until` (seconds), by when."""
        return self.found(
            (since, until),
            lambda items: [
                item
                for item in items
                if (since is None or item.updated_at >= since)
                and (until is None or item.updated_at < until)
            ],
        )

    def _made(self, settings: Settings) -> list[Item]:
        size = settings.apis_records

        def moment(steps: int) -> int:
            return int(settings.apis_epoch + steps * settings.apis_step)

        steps = [*range(size), *(size - 1 + tick for tick in self._added_at)]
        items = [
            Item(
                key=f"{settings.apis_seed}/{self._api}",
                number=number,
                created_at=moment(step),
                updated_at=moment(step),
            )
            for number, step in enumerate(steps, start=1)
        ]
        for number, (revision, tick) in self._changed.items():
            if number <= len(items):
                updated_at = moment(size - 1 + tick)
                items[number - 1] = replace(
                    items[number - 1], revision=revision, updated_at=updated_at
                )
        return sorted(items, key=lambda item: (item.updated_at, item.number))


def rfc3339(seconds: float, *, timespec: str = "seconds") -> str:
    """A moment as RFC 3339 has it, in UTC (2026-01-31T00:00:00Z)."""
    text = datetime.fromtimestamp(seconds, UTC).isoformat(timespec=timespec)
    return text.replace("+00:00", "Z")


def seconds_of(text: str) -> float:
    """Seconds since 1970 of an RFC 3339 moment, or of a date (its first moment, UTC).

    Raises:
        ApiError: it is neither.
    """
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        message = f"{text!r} is no moment like 2026-01-31T00:00:00Z"
        raise ApiError(message) from None
    return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp()
