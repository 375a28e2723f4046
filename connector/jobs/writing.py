"""Commits what a pull brings, together with how far it has come, and tells the parent of it."""

import json
import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final, cast

from connector.jobs.channel import LONGEST_TEXT, Message
from connector.jobs.destinations.destination import Destination, Record
from connector.jobs.destinations.records import UnusableRecord, fault_of
from connector.jobs.destinations.rejecting import (
    RecordsRejected,
    Rejected,
    TooManyRejected,
    reject,
)
from connector.jobs.destinations.stream import State
from connector.jobs.newest import Newest

#: So many different sets of fields are remembered.
_MOST_KNOWN: Final = 1000
#: See `Writer.batch_size`.
BATCH_SIZE: Final = 1000


@dataclass(slots=True, kw_only=True)
class Counts:
    """What a run has done so far, as far as it is committed.

    Attributes:
        records: written.
        changed: of them, those that were new or different, as far as that is known.
        batches: committed.
        pages: answers that held records, or could have.
        bytes: of those answers.
        retries: requests that were sent again.
        waited: seconds spent waiting for rate limits and between tries.
        rejected: records that were set aside.
        rejection: why the first of them was; None: none was.
    """

    records: int = 0
    changed: int = 0
    batches: int = 0
    pages: int = 0
    bytes: int = 0
    retries: int = 0
    waited: float = 0.0
    rejected: int = 0
    rejection: str | None = None


_encode: Final = json.JSONEncoder(allow_nan=False, separators=(",", ":")).encode


class ForkedOff(BaseException):
    """The function has returned, or has yielded, in a process that it forked off.

    It is no `Exception`, so that no function takes it for one of its own.
    """


class Writer:
    """Writes one run's records.

    Args:
        destination: takes them.
        tell: sends a message to the parent.
        state: where the run begins, where that is not what the destination has.
        key: the fields that identify a record.
        max_rejected: so many records may be set aside before the run fails; None: any number.
    """

    def __init__(
        self,
        destination: Destination,
        tell: Callable[[Message], None],
        state: State | None = None,
        *,
        key: tuple[str, ...] = (),
        max_rejected: int | None = None,
    ) -> None:
        self._destination = destination
        self._tell = tell
        self._progress = Newest(tell)
        self._key = key
        self._max_rejected = max_rejected
        self._known: set[tuple[object, ...]] = set()  # names of fields that were found good
        self.state = destination.state() if state is None else state
        self._committed = _text(self.state)
        self._is_resumed = self.state.checkpoint is not None
        self._process = os.getpid()
        self.counts = Counts()
        #: Where the run is, for people: a part, a window, a share of the whole.
        self.place: Message = {}
        #: Is told of the requests of a declared pull.
        self.on_send: Callable[[str, str], None] | None = None
        #: Records that come one by one are committed in batches of this size.
        self.batch_size = BATCH_SIZE

    def commit(
        self, records: Sequence[Record], state: State, rejected: Sequence[Rejected] = ()
    ) -> None:
        """Write records and state; nothing happens where there is nothing new.

        Args:
            records: checked already, see `records.fault_of`.
            state: as it is now; it may be changed in place afterwards.
            rejected: records that are set aside with them.

        Raises:
            DestinationFailed, Overtaken, UnusableRecord: nothing was written.
            RecordsRejected: too many were rejected: they are set aside, and nothing else was
                written, nor the state.
            ForkedOff: another process is the run.
        """
        if os.getpid() != self._process:
            raise ForkedOff("it has to end with os._exit")
        text = _text(state)
        is_moved = text != self._committed
        if not records and not rejected and not is_moved:
            return
        try:
            done = self._destination.commit(
                records,
                state if is_moved else None,
                rejected=rejected,
                allowed=self._allowed(len(records) + len(rejected)),
            )
        except TooManyRejected as error:
            is_all = error.count == len(records) + len(rejected)
            self._note_rejected(error.count, error.reason)
            raise self._too_many(is_all=is_all) from None
        self.state = _state(text)
        self._committed = text
        self.counts.records += done.written
        self.counts.changed += done.changed or 0
        self.counts.batches += 1
        self._note_rejected(done.rejected, done.reason)
        for line in done.schema:
            self._tell({"type": "schema", "message": line})
        self.tell()

    def tell(self) -> None:
        """Tell the parent where the run is."""
        self._progress.tell({"type": "progress", **self.committed()})

    def commit_page(self, page: Sequence[object], state: State) -> None:
        """Write the records of a page as a parser gave them, and set aside what cannot be records.

        They are not copied: nobody may change them before this returns.

        Raises:
            DestinationFailed, Overtaken, UnusableRecord, RecordsRejected: as `commit`.
        """
        faults = [self.fault_of(record) for record in page]
        if not any(faults):
            self.commit(cast("Sequence[Record]", page), state)
            return
        pairs = list(zip(page, faults, strict=True))
        records = [cast("Record", record) for record, fault in pairs if fault is None]
        rejected = [reject(record, fault) for record, fault in pairs if fault is not None]
        self.commit(records, state, rejected)

    def fault_of(self, record: object) -> str | None:
        """Do as `records.fault_of`; names of fields are looked at once, for records are alike."""
        if type(record) is not dict:
            return fault_of(record, self._key)
        names = tuple(record)
        if names in self._known:
            for name in self._key:
                value = record.get(name)
                if value is None or value != value:  # noqa: PLR0124 - NaN
                    break
            else:
                return None
        fault = fault_of(record, self._key)
        if fault is None and len(self._known) < _MOST_KNOWN:
            self._known.add(names)
        return fault

    def _allowed(self, count: int) -> int | None:
        """Give how many of a number of records may be set aside.

        All of them are only where something has been written already: a key that no record has, or
        a type that fits none, ends a run at its first page.
        """
        if self._max_rejected is None:
            return None
        allowed = max(0, self._max_rejected - self.counts.rejected)
        return allowed if self.counts.records else min(allowed, max(0, count - 1))

    def _note_rejected(self, count: int, reason: str | None) -> None:
        self.counts.rejected += count
        if self.counts.rejection is None:
            self.counts.rejection = reason

    def _too_many(self, *, is_all: bool) -> RecordsRejected:
        counts = self.counts
        place = self._destination.rejected_to
        if is_all and not counts.records:
            what = f"none of the first {counts.rejected} records could be written"
        else:
            what = f"{counts.rejected} records could not be written, more than max_rejected allows"
        return RecordsRejected(
            f"{what}: the first {counts.rejection}; they are in {place}, and the next run begins"
            " where this one stands"
        )

    def committed(self) -> Message:
        """Give what has been committed so far."""
        counts = self.counts
        return {
            "records": counts.records,
            "batches": counts.batches,
            "pages": counts.pages,
            "bytes": counts.bytes,
            "retries": counts.retries,
            "waited": counts.waited,
            "rejected": counts.rejected,
            "rejection": counts.rejection,
            "cursor": self.state.cursor,
            # how much is done does not tell how fast the rest will be, where others did it before
            "place": {**self.place, "resumed": True} if self._is_resumed else self.place,
        }

    def close(self) -> None:
        """Close the destination."""
        self._progress.close()
        self._destination.close()


def _text(state: State) -> str:
    """Write a state as JSON, to tell whether it has moved.

    Raises:
        UnusableRecord: it has no such form.
    """
    try:
        text = _encode([state.cursor, state.checkpoint])
    except (TypeError, ValueError) as error:
        which = "checkpoint" if _is_json(state.cursor) else "cursor"
        raise UnusableRecord(f"the {which} cannot be written as JSON: {error}") from None
    if len(text) > LONGEST_TEXT and len(_encode(state.cursor)) > LONGEST_TEXT:
        raise UnusableRecord("the cursor is too large: it says where to go on, and no more")
    return text


def _state(text: str) -> State:
    cursor, checkpoint = json.loads(text)
    return State(cursor=cursor, checkpoint=checkpoint)


def _is_json(value: object) -> bool:
    try:
        json.dumps(value, allow_nan=False)
    except (TypeError, ValueError):
        return False
    return True
