"""Refusals that a test asks for: throttles and every other error, after so many calls, for so long.

A throttle (codes 4, 17, 32, 613, 80000 and on) shows in the usage headers while it comes nearer and
while it lasts; each call made meanwhile raises the count, and may put its end off. What is refused
changes nothing at the provider.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass, fields
from fnmatch import fnmatchcase
from typing import Literal, cast, get_args

from connector.simulator.call import RefusedError, Reply, Subject, plain_response
from connector.simulator.facebook.error import GraphError
from connector.simulator.state import State

MINUTE = 60.0

# Edges whose calls are the use case of 80000; those of all else in an ad account are 80004's.
INSIGHTS_EDGES = frozenset({"insights", "report_start", "report", "report_insights"})

# Refused for one ad account at a time: calls that are about none are not met.
AD_ACCOUNT_CODES = frozenset({613, 80000, 80003, 80004, 80014})

THROTTLES = frozenset({4, 17, 32, *AD_ACCOUNT_CODES})

# The subcode that comes with them.
TOO_MANY_CALLS = 2446079

_AD_ACCOUNT_MESSAGE = (
    "There have been too many calls to this ad-account. Wait a bit and try again. For more info, "
    "please refer to https://developers.facebook.com/docs/graph-api/overview/rate-limiting."
)
MESSAGES: Mapping[int, str] = {
    1: "An unknown error occurred",
    2: "An unexpected error has occurred. Please retry your request later.",
    4: "(#4) Application request limit reached",
    10: "(#10) Application does not have permission for this action",
    17: "(#17) User request limit reached",
    32: "(#32) Page request limit reached",
    102: "(#102) Session key invalid or no longer valid",
    200: "(#200) Ad account owner has NOT grant ads_management or ads_read permission",
    368: "(#368) The action attempted has been deemed abusive or is otherwise disallowed",
    613: "(#613) Calls to this api have exceeded the rate limit.",
}

# Status of an error where it is not 400 (assumed).
STATUSES: Mapping[int, int] = {1: 500, 2: 500, 4: 403, 10: 403, 200: 403}
TRANSIENT = frozenset({1, 2})

Body = Literal["error", "service_unavailable"]


class RefusalError(ValueError):
    """A refusal is described in a way that cannot be carried out; the message says how."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Refusal:
    """Calls that the Graph API is to refuse."""

    code: int
    subcode: int | None = None
    """None: the one that goes with the code, if there is one."""
    edge: str = "*"
    """Which calls, as the log of calls names them: insights, report, ads, …, or a pattern. The
    exchange of tokens (access_token) is met only where it is named."""
    person: str | None = None
    ad_account: str | None = None
    """act_1001: only calls about it; None: any, all counted together."""
    after: int = 0
    """How many such calls pass first."""
    times: int | None = None
    """How many are refused; None: each, as long as it lasts."""
    minutes: float | None = None
    """How long it lasts on the simulator's clock, from the last call that passed, or, where none
    was to pass, from the first that is refused; None: until it is lifted."""
    penalty_minutes: float = 0.0
    """How much longer each refused call makes it."""
    status: int | None = None
    """HTTP status, 200 included; None: the one that goes with the code."""
    body: Body = "error"
    """An error object, or the bare words Service Unavailable (which come with 200)."""
    message: str | None = None

    def __post_init__(self) -> None:
        problems = []
        if self.body not in get_args(Body):
            problems.append(f"body must be one of {', '.join(get_args(Body))}")
        if self.after < 0 or (self.times is not None and self.times < 1):
            problems.append("after must not be below 0, times at least 1")
        if not self.penalty_minutes >= 0 or (self.minutes is not None and not self.minutes > 0):
            problems.append("minutes must be above zero, penalty_minutes not below")
        if self.status is not None and not 200 <= self.status <= 599:
            problems.append("status must be a final HTTP status, 200 to 599")
        if problems:
            raise RefusalError("; ".join(problems))

    def matches(self, edge: str, subject: Subject) -> bool:
        """Whether a call is one of those meant."""
        if self.code in AD_ACCOUNT_CODES and subject.ad_account is None:
            return False
        if self.edge == "*":
            is_other_case = (self.code == 80000 and edge not in INSIGHTS_EDGES) or (
                self.code == 80004 and edge in INSIGHTS_EDGES
            )
            if is_other_case or edge == "access_token":
                return False
        return (
            fnmatchcase(edge, self.edge)
            and self.person in (None, subject.person)
            and self.ad_account in (None, subject.ad_account)
        )

    def error(self, subject: Subject) -> RefusedError:
        """The answer to a call that is refused."""
        if self.body == "service_unavailable":
            response = plain_response("Service Unavailable", status=self.status or 200)
            return RefusedError(
                Reply(response=response, outcome="service_unavailable", subject=subject)
            )
        subcode = self.subcode
        message = self.message or MESSAGES.get(self.code)
        if self.code >= 80000:
            subcode = TOO_MANY_CALLS if subcode is None else subcode
            message = message or f"(#{self.code}) {_AD_ACCOUNT_MESSAGE}"
        return GraphError(
            self.code,
            message or f"(#{self.code}) An error that was asked for",
            subcode=subcode,
            status=self.status or STATUSES.get(self.code, 400),
            is_transient=self.code in TRANSIENT,
            subject=subject,
        )


def refusal_from_json(values: Mapping[str, object]) -> Refusal:
    """A refusal from its JSON object, members named as the fields are.

    Raises:
        RefusalError: a member is unknown, missing or of the wrong type.
    """
    whole, number = (int,), (int, float)
    types: dict[str, tuple[type, ...]] = {
        "code": whole,
        "after": whole,
        "subcode": (int, type(None)),
        "times": (int, type(None)),
        "status": (int, type(None)),
        "minutes": (*number, type(None)),
        "penalty_minutes": number,
    }
    known = {item.name for item in fields(Refusal)}
    problems = [f"no member {name!r} in a refusal" for name in values if name not in known]
    problems += ["code is missing"] if "code" not in values else []
    for name, value in values.items():
        if not isinstance(value, types.get(name, (str, type(None)))) or isinstance(value, bool):
            problems.append(f"{name} has the wrong type")
    if problems:
        raise RefusalError("; ".join(problems))
    # The types were checked just above; the values are by the refusal itself.
    return Refusal(**cast("dict[str, str]", values))  # type: ignore[arg-type]


@dataclass(frozen=True, slots=True, kw_only=True)
class Standing:
    """How near a throttle is, or how long it still lasts."""

    code: int
    percent: float
    """Of the calls that may be made; at 100 and above calls are refused."""
    minutes: int
    """Until calls are answered again; 0: they are."""


@dataclass(slots=True, kw_only=True)
class _Waiting:
    refusal: Refusal
    passed: int = 0
    refused: int = 0
    ends_at: float | None = None

    @property
    def is_used_up(self) -> bool:
        return self.refusal.times is not None and self.refused >= self.refusal.times


class Refusals:
    """The refusals in force; the knobs may be turned from any thread."""

    def __init__(self, state: State) -> None:
        self._state = state
        self._waiting: dict[int, _Waiting] = {}
        self._last = 0

    def add(self, refusal: Refusal) -> int:
        """Refuse such calls from now on; returns its number."""
        with self._state.lock:
            self._last += 1
            self._waiting[self._last] = _Waiting(refusal=refusal)
            return self._last

    def lift(self, number: int | None = None) -> int:
        """End one refusal, or all; returns how many went."""
        with self._state.lock:
            numbers = list(self._waiting) if number is None else [number]
            return sum(self._waiting.pop(each, None) is not None for each in numbers)

    def waiting(self) -> dict[int, dict[str, object]]:
        """The refusals in force by number: the code, and how many calls passed and were refused."""
        with self._state.lock:
            self._forget_ended()
            return {
                number: {
                    "code": each.refusal.code,
                    "passed": each.passed,
                    "refused": each.refused,
                    "ends_at": each.ends_at,
                }
                for number, each in self._waiting.items()
            }

    def meet(self, edge: str, subject: Subject) -> None:
        """Count a call, and refuse it if that is asked for.

        Raises:
            RefusedError: it is.
        """
        now = self._state.clock.now()
        self._forget_ended()
        for each in self._waiting.values():
            refusal = each.refusal
            if not refusal.matches(edge, subject):
                continue
            if each.passed < refusal.after:
                each.passed += 1
                if each.passed == refusal.after:
                    each.ends_at = _end(refusal, now)
                continue
            each.refused += 1
            if each.ends_at is None:
                each.ends_at = _end(refusal, now)
            else:
                each.ends_at += refusal.penalty_minutes * MINUTE
            raise refusal.error(subject)

    def standings(self, edge: str, subject: Subject) -> list[Standing]:
        """The throttles that such a call counts towards."""
        now = self._state.clock.now()
        return [
            _standing(each, now)
            for each in self._waiting.values()
            if each.refusal.code in THROTTLES and each.refusal.matches(edge, subject)
        ]

    def _forget_ended(self) -> None:
        now = self._state.clock.now()
        ended = [
            number
            for number, each in self._waiting.items()
            if each.is_used_up or (each.ends_at is not None and each.ends_at <= now)
        ]
        for number in ended:
            del self._waiting[number]


def _end(refusal: Refusal, now: float) -> float | None:
    return None if refusal.minutes is None else now + refusal.minutes * MINUTE


def _standing(each: _Waiting, now: float) -> Standing:
    refusal = each.refusal
    is_near = each.passed < refusal.after
    share = 100.0 * each.passed / refusal.after if is_near else 100.0 + each.refused
    left = 0.0 if is_near or each.ends_at is None else max(0.0, each.ends_at - now)
    return Standing(code=refusal.code, percent=round(share, 2), minutes=math.ceil(left / MINUTE))
