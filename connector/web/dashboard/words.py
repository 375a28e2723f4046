"""How pages say what is: states, remaining times, ends; pure functions of an account and a time."""

import math
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final

from connector.account import Account, Active, ConsentRequired
from connector.accounts_view import last_error
from connector.duration import format_duration
from connector.moment import for_people, rfc3339
from connector.settings.memory import format_memory
from connector.store.api_keys import LAST_MOMENT

#: A consent's end is shown in amber within these seconds, as the first notice of it comes …
SOON: Final = 14 * 86_400.0
#: … and in red within these.
URGENT: Final = 3 * 86_400.0
_UNKNOWN: Final = "at an unknown time"


@dataclass(frozen=True, slots=True, kw_only=True)
class State:
    """A state in a word and a colour.

    Attributes:
        name: as `store.account_pages.CHOICES` has it.
        title: for people.
        tone: ``good``, ``warning``, ``danger`` or ``quiet``.
    """

    name: str
    title: str
    tone: str


STATES: Final = {
    one.name: one
    for one in (
        State(name="active", title="Active", tone="good"),
        State(name="failing", title="Failing", tone="warning"),
        State(name="consent_required", title="Needs consent", tone="danger"),
        State(name="pending", title="Pending", tone="quiet"),
    )
}


def state_of(account: Account) -> State:
    """Give the state of an account; one that is active and cannot be refreshed is failing."""
    is_failing = isinstance(account.state, Active) and account.trouble is not None
    return STATES["failing" if is_failing else account.state_name]


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """An account as pages show it.

    Attributes:
        account: itself.
        state: see `state_of`.
        scopes: that were granted.
        expires_at: when the access token ends; None: not known, or there is none.
        lifetime: seconds that the access token lives in all, where known.
        consent_ends_at: when a person must consent again; None: no known end, or it is over.
        urgency: of that end: ``danger``, ``warning`` or empty.
        error: what is wrong, or None.
        is_alive: there are tokens, and they are kept alive.
    """

    account: Account
    state: State
    scopes: tuple[str, ...]
    expires_at: float | None
    lifetime: float | None
    consent_ends_at: float | None
    urgency: str
    error: str | None
    is_alive: bool


def row_of(account: Account, now: float) -> Row:
    """Give what pages show of an account."""
    terms = account.grant.terms if account.grant else None
    is_over = terms is None or isinstance(account.state, ConsentRequired)
    ends = None if is_over or terms is None else known_moment(terms.consent_ends_at)
    return Row(
        account=account,
        state=state_of(account),
        scopes=() if terms is None else terms.scope or (),
        expires_at=None if is_over or terms is None else known_moment(terms.expires_at),
        lifetime=None if is_over or terms is None else known_moment(terms.lifetime),
        consent_ends_at=ends,
        urgency=urgency_of(ends, now),
        error=last_error(account),
        is_alive=isinstance(account.state, Active),
    )


def urgency_of(ends: float | None, now: float) -> str:
    """Give how urgent the end of a consent is: ``danger``, ``warning`` or empty."""
    if ends is None or ends - now > SOON:
        return ""
    return "danger" if ends - now <= URGENT else "warning"


def is_number(value: object) -> bool:
    """Tell whether a row holds a number: a column of SQLite holds any type."""
    return isinstance(value, int | float)


def known_moment(value: object) -> float | None:
    """Give seconds that a calendar can show; None where a row holds something else.

    What has become of one row costs no page (CHECKLIST 116).
    """
    return value if isinstance(value, int | float) and 0 <= value <= LAST_MOMENT else None


def left(moment: object, now: float) -> str:
    """Say how far off a moment is: ``in 42 min``, ``5 min ago``."""
    known = known_moment(moment)
    if known is None:
        return _UNKNOWN
    seconds = known - now
    if seconds > 0:
        return f"in {format_duration(math.ceil(seconds))}"
    return f"{format_duration(math.floor(-seconds))} ago" if seconds <= -1 else "just now"


def moment(seconds: object) -> str:
    """Write a moment for people, in UTC: ``26 Nov 2026, 10:15 UTC``."""
    known = known_moment(seconds)
    return _UNKNOWN if known is None else for_people(known)


def day(seconds: object) -> str:
    """Write a day for people: ``26 Nov 2026``."""
    known = known_moment(seconds)
    return _UNKNOWN if known is None else f"{datetime.fromtimestamp(known, UTC):%-d %b %Y}"


def standard_moment(seconds: object) -> str:
    """Write a moment for programs (RFC 3339); empty where it is none."""
    return rfc3339(known_moment(seconds)) or ""


def number(value: object) -> str:
    """Write a number with its thousands apart."""
    return f"{value:,}" if isinstance(value, int | float) else "?"


FILTERS: Final[dict[str, Callable[..., Any]]] = {
    "left": left,
    "moment": moment,
    "day": day,
    "number": number,
    "rfc3339": standard_moment,
    "duration": format_duration,
    "memory": format_memory,
}
