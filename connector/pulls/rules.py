"""What answers mean, and how an API tells of its limits: values of a declared pull.

They may be the job's own or the provider's: an API's errors are the same for every job.
"""

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from enum import Enum
from typing import Final, Literal

#: What shares a limit: every call with this registration, with this account, or for this part.
Scope = Literal["app", "account", "part"]
#: Stands for any value but null, in conditions.
ANY: Final = "*"


class Action(Enum):
    """What an error asks for; the words are those of the configuration."""

    RETRY = "retry"  # it passes: again, after a growing pause
    REFRESH = "refresh"  # the token is dead: a fresh one, then again; else the consent has ended
    RATE_LIMITED = "rate_limited"  # stop all calls that share the limit for a while, then again
    REDUCE_PAGE_SIZE = "reduce_page_size"  # too much data: ask for half as many
    SPLIT_WINDOW = "split_window"  # too much data: ask for half as long a time
    REPORT = "report"  # too much data for a direct answer: have a report made
    RESTART = "restart"  # the page's cursor is no longer known: the window from its first page
    IGNORE = "ignore"  # this page, or this part, has nothing for us
    CONSENT = "consent"  # a person must consent (again, or to more): the run stops
    FAIL = "fail"  # the run fails


@dataclass(frozen=True, slots=True, kw_only=True)
class ErrorRule:
    """Which answers ask for which action; the first rule that fits holds.

    Attributes:
        statuses: of the answer; empty: any, 200 included.
        when: by a path into the body: the values that fit (`ANY`: any but null); all paths have to.
        contains: text that the body holds, without regard to case; empty: any. A record may hold it
            too: a successful answer that is JSON is looked at only where ``statuses`` has it.
        headers: by a header's name, in small letters: the values that fit.
        action: what to do. Where it cannot be done (a page of one record, a window of one day),
            the next rule that fits holds.
        message: in words, for people; empty: what the body says.
        scope: of `RATE_LIMITED` and `FAIL`: what must stop; None: see `LimitRule`, or the part.
    """

    action: Action
    statuses: Collection[int] = ()
    when: Mapping[str, tuple[object, ...]] = field(default_factory=dict)
    contains: str = ""
    headers: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    message: str = ""
    scope: Scope | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class UsageHeader:
    """A header that says how much of a limit is used.

    Attributes:
        name: of the header.
        used: paths in its JSON to percentages; the greatest counts. A ``*`` stands for any name.
            Empty: the header's value is the number itself, or two of them (``32/40``).
        wait: paths in its JSON to how long it takes until there is none of it used; empty: unknown.
        wait_unit: seconds in one unit of ``wait``.
        scope: what shares the limit: every call with this registration (``app``), with this
            account, or for this part (``part``).
    """

    name: str
    used: tuple[str, ...] = ()
    wait: tuple[str, ...] = ()
    wait_unit: float = 1.0
    scope: Scope = "account"


@dataclass(frozen=True, slots=True, kw_only=True)
class LimitRule:
    """How an API tells of its rate limits, besides ``Retry-After`` and ``RateLimit``.

    Attributes:
        headers: that say how much is used.
        scope: what a refusal (`RATE_LIMITED`) holds for where nothing says more.
        slow_from: percentage from which calls are spread out.
        longest_wait: seconds that a run waits at most; a longer one ends it as ``failed``, at its
            checkpoint, and says when to go on.
    """

    headers: tuple[UsageHeader, ...] = ()
    scope: Scope = "account"
    slow_from: float = 75.0
    longest_wait: float = 3600.0
