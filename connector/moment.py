"""Moments in UTC: as programs read them, RFC 3339 with a Z, and as people do."""

from datetime import UTC, datetime
from typing import Literal, overload

Precision = Literal["seconds", "milliseconds", "auto"]


@overload
def rfc3339(moment: float | datetime, precision: Precision = ...) -> str: ...
@overload
def rfc3339(moment: None, precision: Precision = ...) -> None: ...
@overload
def rfc3339(moment: float | datetime | None, precision: Precision = ...) -> str | None: ...


def rfc3339(moment: float | datetime | None, precision: Precision = "seconds") -> str | None:
    """Write a moment (RFC 3339 §5.6); None stays what it is.

    Args:
        moment: seconds since the epoch, or with its time zone.
        precision: of the seconds; what is finer is cut off. ``auto``: as fine as it is known.

    Raises:
        ValueError, OverflowError, OSError: no calendar shows it.
    """
    if moment is None:
        return None
    if not isinstance(moment, datetime):
        moment = datetime.fromtimestamp(moment, UTC)
    if moment.tzinfo is not UTC:
        moment = moment.astimezone(UTC)
    return moment.isoformat(timespec=precision).replace("+00:00", "Z")


def for_people(moment: float) -> str:
    """Write a moment, given in seconds since the epoch: ``26 Nov 2026, 10:15 UTC``.

    Raises:
        ValueError, OverflowError, OSError: no calendar shows it.
    """
    return f"{datetime.fromtimestamp(moment, UTC):%-d %b %Y, %H:%M UTC}"
