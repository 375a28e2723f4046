"""Moments as everything that is shown or sent writes them: RFC 3339, in UTC, with a Z."""

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
