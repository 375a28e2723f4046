"""Names of columns on Postgres: folded to lower case, so that queries need no quotes, and cut."""

import hashlib
from typing import Final

from connector.jobs.destinations.records import storable_text
from connector.jobs.destinations.sqlite_table import folded

#: Postgres cuts longer names off, so that two may become one (bytes of UTF-8).
LONGEST: Final = 63
#: Columns that every table has (PostgreSQL documentation, System Columns).
_SYSTEM: Final = frozenset({"tableoid", "xmin", "cmin", "xmax", "cmax", "ctid"})
_DIGITS: Final = 8


def column_name(field: str) -> str:
    """Give the column of a field.

    A name that is too long ends in a part of its digest; one of a system column in ``_``.
    """
    name = folded(storable_text(field))
    if name in _SYSTEM:
        return f"{name}_"
    data = name.encode()
    if len(data) <= LONGEST:
        return name
    digest = hashlib.sha256(data).hexdigest()[:_DIGITS]
    return f"{data[: LONGEST - _DIGITS - 1].decode(errors='ignore')}_{digest}"
