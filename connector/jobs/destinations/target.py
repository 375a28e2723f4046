"""What a destination is opened for, whatever its kind."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from connector.jobs.destinations.stream import Stream


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """Records of one stream, and how they are written.

    Attributes:
        table: of a database, that takes them.
        key: the fields by which a record replaces another, besides the account; empty: none does.
        stream: whose records they are.
        columns: field → declared type, see `column_types`.
    """

    table: str
    key: tuple[str, ...]
    stream: Stream
    columns: Mapping[str, str] = field(default_factory=dict)
