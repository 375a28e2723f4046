"""The first records of a pull, shown and not written: no destination is opened, no state moves."""

from collections.abc import Callable, Sequence

from connector.jobs.channel import Message
from connector.jobs.destinations.destination import Committed, Record
from connector.jobs.destinations.rejecting import Rejected, lenient_json
from connector.jobs.destinations.stream import State
from connector.jobs.writing import Writer


class Enough(Exception):
    """There are as many records as are to be shown."""


class PreviewDestination:
    """Sends records to the parent instead of writing them; see `destination.Destination`.

    Args:
        limit: how many.
        tell: sends a message to the parent.
        state: that the run begins with.
    """

    rejected_to = "the run's output"

    def __init__(self, limit: int, tell: Callable[[Message], None], state: State) -> None:
        self._left = limit
        self._tell = tell
        self._state = state

    def state(self) -> State:
        """Give the state that the run begins with."""
        return self._state

    def commit(
        self,
        records: Sequence[Record],
        state: State | None = None,
        *,
        rejected: Sequence[Rejected] = (),
        allowed: int | None = None,
    ) -> Committed:
        """Show records; nothing is written.

        Raises:
            Enough: these were the last ones.
        """
        del allowed  # any number
        if state is not None:
            self._state = state
        shown = records[: self._left]
        self._left -= len(shown)
        for one in rejected:
            self._tell({"type": "records", "lines": [], "rejected": one.reason})
        self._tell({"type": "records", "lines": [lenient_json(record) for record in shown]})
        if self._left <= 0:
            raise Enough
        reason = rejected[0].reason if rejected else None
        return Committed(written=len(shown), changed=None, rejected=len(rejected), reason=reason)

    def close(self) -> None:
        """Close nothing."""


class PreviewWriter(Writer):
    """Writes nothing, and tells of the requests too.

    Args:
        limit: how many records.
        tell: sends a message to the parent.
        key: the fields that identify a record.
        state: that the run begins with.
    """

    def __init__(
        self, limit: int, tell: Callable[[Message], None], key: tuple[str, ...], state: State
    ) -> None:
        super().__init__(PreviewDestination(limit, tell, state), tell, key=key)
        self.batch_size = limit
        self.on_send = self._tell_request

    def _tell_request(self, method: str, url: str) -> None:
        self._tell({"type": "request", "method": method, "url": url})
