"""What a destination changed of its table, and because of which value: told, and kept."""

from dataclasses import dataclass
from datetime import date, time
from decimal import Decimal
from typing import Final

#: Where it is kept, beside the records.
TABLE: Final = "_connector_schema_changes"
#: Its columns, in the order of `SchemaChange.values`.
COLUMNS: Final = ("table_name", "column_name", "before", "after", "because")


@dataclass(frozen=True, slots=True, kw_only=True)
class SchemaChange:
    """One change.

    Attributes:
        table: whose.
        column: of it; empty: the table itself was made.
        before: the type of the column; empty: it is new.
        after: the type of the column now, or what was done.
        because: which value asked for it.
    """

    table: str
    column: str
    before: str
    after: str
    because: str

    def values(self) -> tuple[str, ...]:
        """Give what is kept."""
        return self.table, self.column, self.before, self.after, self.because

    def sentence(self) -> str:
        """Tell it: "column clicks of t: bigint → numeric, because of 1.5 in record 3 of page 7"."""
        if not self.column:
            return f"table {self.table} is new: {self.after}"
        if not self.before:
            kind = f" ({self.after})" if self.after else ""
            return f"column {self.column} of {self.table} is new{kind}, because of {self.because}"
        change = f"{self.before} → {self.after}"
        return f"column {self.column} of {self.table}: {change}, because of {self.because}"


def because_of(value: object, record: int, page: int) -> str:
    """Say which value asked for a change; of a text or what is nested not the value itself.

    Args:
        value: what it was.
        record: its number in the page, from one.
        page: its number in the run, from one.
    """
    return f"{_shown(value)} in record {record} of page {page}"


def _shown(value: object) -> str:
    if isinstance(value, (bool, int, float, Decimal)):
        return str(value)[:40]
    if isinstance(value, str):
        return "a text"
    if isinstance(value, (date, time)):
        return "a time" if isinstance(value, time) else "a date"
    return "nothing" if value is None else "a nested value"
