"""The ledger: every request that reached an endpoint, in order, and what came of it.

The outcome is written before the first byte of the answer leaves, so that whoever has the answer
finds it here. Nothing in it is secret: refresh tokens appear as fingerprints.
"""

import threading
from abc import ABC, abstractmethod
from collections import Counter, OrderedDict
from collections.abc import Callable
from dataclasses import dataclass, replace

from connector.simulator.call import Subject

# Days of a busy demo; older records make way, the counters keep counting.
MAX_RECORDS = 200_000

IN_FLIGHT = "in_flight"


@dataclass(frozen=True, slots=True, kw_only=True)
class Record:
    """One request."""

    number: int
    """1 for the first request, then upwards without gaps."""
    time: float
    """When it had arrived whole, on the simulator's clock."""
    endpoint: str
    method: str
    grant_type: str | None = None
    client_id: str | None = None
    person: str | None = None
    ad_account: str | None = None
    refresh_token: str | None = None
    """Fingerprint of the credential that a token request renews with."""
    generation: int | None = None
    """Its number inside its family; the consent's own is 0."""
    family: str | None = None
    outcome: str = IN_FLIGHT
    """What the server did: ok, issued, replayed, reuse_detected, an error code, fault:KIND."""
    status: int | None = None
    """The HTTP status that the server answered with, faults aside."""
    faults: tuple[str, ...] = ()
    """The kinds of fault that met it."""
    target: str | None = None
    """Path and query of a call to a data API, without its token; None elsewhere."""
    body: str | None = None
    """What such a call had for a body, the first 4 KiB of it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Selection:
    """Which records are meant: those that agree in each member that is not None."""

    endpoint: str | None = None
    outcome: str | None = None
    grant_type: str | None = None
    client_id: str | None = None
    person: str | None = None
    family: str | None = None
    fault: str | None = None
    after: int = 0
    """Only records with a greater number."""

    def selects(self, record: Record) -> bool:
        """Whether the record is one of them."""
        wanted = (
            (self.endpoint, record.endpoint),
            (self.outcome, record.outcome),
            (self.grant_type, record.grant_type),
            (self.client_id, record.client_id),
            (self.person, record.person),
            (self.family, record.family),
        )
        return (
            record.number > self.after
            and all(value in (None, actual) for value, actual in wanted)
            and (self.fault is None or self.fault in record.faults)
        )


EVERYTHING = Selection()


class Counting(ABC):
    """Whoever has the records counts them: the ledger itself, and its client in a test."""

    @abstractmethod
    def records(self, selection: Selection = EVERYTHING) -> tuple[Record, ...]:
        """The selected records, oldest first."""

    def count(  # noqa: PLR0913 - the questions that tests ask
        self,
        endpoint: str | None = None,
        *,
        outcome: str | None = None,
        grant_type: str | None = None,
        client_id: str | None = None,
        person: str | None = None,
        family: str | None = None,
        fault: str | None = None,
        after: int = 0,
    ) -> int:
        """How many records agree with every argument given."""
        selection = Selection(
            endpoint=endpoint,
            outcome=outcome,
            grant_type=grant_type,
            client_id=client_id,
            person=person,
            family=family,
            fault=fault,
            after=after,
        )
        return len(self.records(selection))


class Ledger(Counting):
    """All records; safe to use from any thread."""

    def __init__(self, *, now: Callable[[], float]) -> None:
        self._now = now
        self._changed = threading.Condition()
        self._records: OrderedDict[int, Record] = OrderedDict()
        self._last = 0
        self._counters: Counter[tuple[str, str]] = Counter()
        self._in_flight: Counter[str] = Counter()
        self._most_in_flight: dict[str, int] = {}
        self._families: dict[int, str] = {}
        self._is_open = True

    # Written by the server

    def arrive(self, endpoint: str, method: str, subject: Subject) -> int:
        """A request has arrived whole; returns its number."""
        with self._changed:
            self._last += 1
            self._records[self._last] = Record(
                number=self._last,
                time=self._now(),
                endpoint=endpoint,
                method=method,
                grant_type=subject.grant_type,
                client_id=subject.client_id,
                person=subject.person,
                refresh_token=subject.refresh_token,
                generation=subject.generation,
                family=subject.family,
                target=subject.target,
                body=subject.body,
            )
            if len(self._records) > MAX_RECORDS:
                self._records.popitem(last=False)
            if subject.family is not None:
                self._families[self._last] = subject.family
                self._in_flight[subject.family] += 1
                most = self._most_in_flight.get(subject.family, 0)
                self._most_in_flight[subject.family] = max(most, self._in_flight[subject.family])
            self._changed.notify_all()
            return self._last

    def meet(self, number: int, fault: str) -> None:
        """A fault has met the request."""
        with self._changed:
            record = self._records.get(number)
            if record is not None:
                self._records[number] = replace(record, faults=(*record.faults, fault))
                self._changed.notify_all()

    def settle(
        self, number: int, outcome: str, subject: Subject, *, status: int | None = None
    ) -> None:
        """It is decided what the server does; what the subject adds is filled in."""
        with self._changed:
            record = self._records.get(number)
            if record is None:
                return  # so many came after it that it has made way
            self._counters[record.endpoint, outcome] += 1
            self._records[number] = replace(
                record,
                outcome=outcome,
                status=status,
                client_id=record.client_id or subject.client_id,
                person=subject.person or record.person,
                ad_account=subject.ad_account or record.ad_account,
                family=record.family or subject.family,
            )
            self._changed.notify_all()

    def leave(self, number: int) -> None:
        """The answer is about to be sent: the request is no longer in flight."""
        with self._changed:
            family = self._families.pop(number, None)
            if family is not None:
                self._in_flight[family] -= 1

    def abandon(self) -> None:
        """Nothing more will come: whoever waits gives up."""
        with self._changed:
            self._is_open = False
            self._changed.notify_all()

    def reopen(self) -> None:
        """The simulator starts: there is something to wait for."""
        with self._changed:
            self._is_open = True

    # Read by tests

    @property
    def last_number(self) -> int:
        """The number of the newest record, 0 before the first: a mark for Selection.after."""
        with self._changed:
            return self._last

    def records(self, selection: Selection = EVERYTHING) -> tuple[Record, ...]:
        """The selected records, oldest first."""
        with self._changed:
            return tuple(filter(selection.selects, self._records.values()))

    def counters(self) -> dict[tuple[str, str], int]:
        """Settled requests by (endpoint, outcome), since the start."""
        with self._changed:
            return dict(self._counters)

    def max_in_flight(self, family: str | None = None) -> int:
        """The most token requests that were in flight at once for one family, or for any."""
        with self._changed:
            if family is not None:
                return self._most_in_flight.get(family, 0)
            return max(self._most_in_flight.values(), default=0)

    def wait_for(self, count: int, selection: Selection, *, timeout: float = 10.0) -> None:
        """Block until `count` records are selected.

        Raises:
            TimeoutError: they are not within `timeout` seconds, or before the simulator stops.
        """
        with self._changed:

            def is_found() -> bool:
                return sum(map(selection.selects, self._records.values())) >= count

            self._changed.wait_for(lambda: not self._is_open or is_found(), timeout)
            if not is_found():
                message = f"the ledger does not have {count} records of {selection}"
                raise TimeoutError(message)
