"""Points in time as RFC 3339 §5.6 writes them, and as APIs that are less strict do."""

import re
from datetime import UTC, datetime, timedelta
from typing import Final
from zoneinfo import ZoneInfo

#: RFC 3339 §5.6, with the offset left out, a space for the T, and any number of digits.
RFC3339: Final = re.compile(
    r"(\d{4}-\d\d-\d\d)[Tt ](\d\d:\d\d:\d\d)(?:[.,](\d+))?\s*([Zz]|[+-]\d\d:?\d\d)?",
    re.ASCII,
)


def parse_rfc3339(value: object, zone: ZoneInfo) -> datetime:
    """Read a point in time; what is finer than a microsecond is cut off.

    Args:
        value: the text.
        zone: of what has no offset; where its clocks show a time twice, the first.

    Raises:
        ValueError: it is none.
    """
    match = RFC3339.fullmatch(value.strip()) if isinstance(value, str) else None
    if match is None:
        raise ValueError("not RFC 3339")
    day, time, fraction, offset = match.groups()
    if offset and not time.endswith(":60"):
        return datetime.fromisoformat(f"{day}T{time}.{fraction or '0'}{offset.upper()}")
    micros = (fraction or "")[:6].ljust(6, "0")
    leap = time.endswith(":60")  # a leap second counts as the one before it
    point = datetime.fromisoformat(f"{day}T{time[:-2] + '59' if leap else time}.{micros}")
    if offset is None:
        return point.replace(tzinfo=zone)
    return datetime.fromisoformat(f"{point.isoformat()}{offset.upper()}")


def format_rfc3339(point: datetime) -> str:
    """Write a point in time with the offset that it has, its seconds as fine as they are."""
    if (point.utcoffset() or timedelta()) % timedelta(minutes=1):
        point = point.astimezone(UTC)  # local mean time: no RFC 3339 offset has seconds
    micros = point.microsecond
    precision = "seconds" if not micros else "microseconds" if micros % 1000 else "milliseconds"
    return point.isoformat(timespec=precision).replace("+00:00", "Z")
