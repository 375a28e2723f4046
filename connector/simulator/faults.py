"""Faults: what goes wrong, where, when and how often.

A queue per simulator. Each request takes at most one fault before the server acts (its state
stays untouched) and one after (its state has changed, the answer is tampered with or lost).
"""

import threading
from collections.abc import Mapping
from dataclasses import dataclass, field, fields, replace
from fnmatch import fnmatchcase
from typing import Literal, cast, get_args

from connector.simulator.call import Subject

Kind = Literal[
    "delay",
    "hold",
    "drop",
    "reset",
    "cut",
    "tear",
    "expire_token",
    "status",
    "falsify",
    "truncate",
    "html",
    "array",
    "null",
    "redirect",
    "endless",
    "drip",
    "gzip_bomb",
]
When = Literal["before", "after"]

# With these the real answer is sent, later or to a token that is over; all others replace it or do
# away with it.
PASSING_KINDS = frozenset({"delay", "hold", "expire_token"})


class FaultError(ValueError):
    """A fault is described in a way that cannot be carried out; the message says how."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Fault:
    """One thing that goes wrong at one endpoint.

    `delay` and `gate` work with every kind: the request first waits, then the fault happens.
    """

    endpoint: str
    """An endpoint's name as in the ledger, or a pattern such as `graph_*` or `*`."""
    kind: Kind
    when: When = "before"
    times: int | None = 1
    """How many requests it meets; None: each, until cleared."""
    skip: int = 0
    """How many requests that it is meant for pass unharmed first."""
    grant_type: str | None = None
    """Only requests with this grant_type."""
    person: str | None = None
    """Only requests that a token of this person's comes with."""
    ad_account: str | None = None
    """Only Graph calls about this ad account: act_1001."""
    delay: float = 0.0
    """Seconds of real time before it happens."""
    gate: str | None = None
    """The gate to hold at before it happens; `hold` without one uses the gate named "gate"."""
    status: int | None = None
    """HTTP status of the answer (default: 503 for status, 302 for redirect, else 200)."""
    retry_after: str | None = None
    """Retry-After of the answer: seconds or an HTTP date."""
    location: str | None = None
    """Where `redirect` points."""
    body: str | None = None
    """The body that replaces the real one."""
    content_type: str = "application/json"
    headers: Mapping[str, str] = field(default_factory=dict)
    """Further headers of the answer."""
    keep: int | None = None
    """Bytes of the body that cut and truncate let through (default: half of it)."""
    interval: float = 1.0
    """Seconds between two bytes of a drip."""

    def __post_init__(self) -> None:
        problems = self._problems()
        if problems:
            raise FaultError("; ".join(problems))

    @property
    def is_passing(self) -> bool:
        """Whether the real answer is still sent."""
        return self.kind in PASSING_KINDS

    def _problems(self) -> list[str]:
        found = []
        if self.kind not in get_args(Kind):
            found.append(f"kind must be one of {', '.join(get_args(Kind))}")
        if self.when not in get_args(When):
            found.append("when must be before or after")
        if self.times is not None and self.times < 1:
            found.append("times must be at least 1, or None for until cleared")
        if self.skip < 0:
            found.append("skip must not be below zero")
        if not self.delay >= 0 or not self.interval >= 0:
            found.append("delay and interval must not be below zero")
        if self.status is not None and not 200 <= self.status <= 599:
            found.append("status must be a final HTTP status, 200 to 599")
        if self.kind == "redirect" and not self.location:
            found.append("redirect needs a location")
        return found

    def matches(self, endpoint: str, when: When, subject: Subject) -> bool:
        """Whether it is meant for such a request."""
        return (
            self.when == when
            and fnmatchcase(endpoint, self.endpoint)
            and self.grant_type in (None, subject.grant_type)
            and self.person in (None, subject.person)
            and self.ad_account in (None, subject.ad_account)
        )


def fault_from_json(values: Mapping[str, object]) -> Fault:
    """A fault from its JSON object, members named as the fields are.

    Raises:
        FaultError: a member is unknown, missing or of the wrong type.
    """
    types: dict[str, tuple[type, ...]] = {
        "times": (int, type(None)),
        "skip": (int,),
        "delay": (int, float),
        "interval": (int, float),
        "status": (int, type(None)),
        "keep": (int, type(None)),
        "headers": (dict,),
    }
    known = {item.name for item in fields(Fault)}
    problems = [f"no member {name!r} in a fault" for name in values if name not in known]
    problems += [f"{name} is missing" for name in ("endpoint", "kind") if name not in values]
    for name, value in values.items():
        if not isinstance(value, types.get(name, (str, type(None)))) or isinstance(value, bool):
            problems.append(f"{name} has the wrong type")
    if problems:
        raise FaultError("; ".join(problems))
    # The types were checked just above; the values are by the fault itself.
    return Fault(**cast("dict[str, str]", values))  # type: ignore[arg-type]


class Faults:
    """The faults that wait for requests; safe to use from any thread."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._waiting: dict[int, Fault] = {}
        self._last = 0

    def add(self, fault: Fault) -> int:
        """Queue a fault behind those already waiting; returns its number."""
        with self._lock:
            self._last += 1
            self._waiting[self._last] = fault
            return self._last

    def take(self, endpoint: str, when: When, subject: Subject) -> Fault | None:
        """The first fault meant for this request, counted down; None if there is none."""
        with self._lock:
            for number, fault in list(self._waiting.items()):
                if not fault.matches(endpoint, when, subject):
                    continue
                if fault.skip:
                    self._waiting[number] = replace(fault, skip=fault.skip - 1)
                    continue
                self._count_down(number, fault)
                return fault
            return None

    def _count_down(self, number: int, fault: Fault) -> None:
        if fault.times == 1:
            del self._waiting[number]
        elif fault.times is not None:
            self._waiting[number] = replace(fault, times=fault.times - 1)

    def waiting(self) -> dict[int, Fault]:
        """The faults not used up, by number, in order."""
        with self._lock:
            return dict(self._waiting)

    def clear(self, number: int | None = None) -> int:
        """Remove one fault, or all; returns how many went. Requests already held stay held."""
        with self._lock:
            if number is None:
                count = len(self._waiting)
                self._waiting.clear()
                return count
            return 0 if self._waiting.pop(number, None) is None else 1
