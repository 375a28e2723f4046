"""Columns whose types the configuration declares: a record either fits them or is set aside."""

from collections.abc import Mapping
from typing import cast

from connector.jobs.destinations.column_types import ColumnType, Unfit, fitted
from connector.jobs.destinations.records import UnusableRecord


class DeclaredColumns:
    """The declared types of a table.

    Args:
        columns: field → type.
    """

    def __init__(self, columns: Mapping[str, str]) -> None:
        self.types = {name: cast("ColumnType", kind) for name, kind in columns.items()}

    def __bool__(self) -> bool:
        return bool(self.types)

    def fit(self, record: Mapping[str, object]) -> dict[str, object]:
        """Give a record whose declared fields are of their types; the others are as they were.

        Raises:
            UnusableRecord: one does not fit.
        """
        fit = dict(record)
        for name, kind in self.types.items():
            value = record.get(name)
            if value is None:
                continue
            try:
                fit[name] = fitted(value, kind)
            except (Unfit, UnusableRecord) as error:
                raise UnusableRecord(misfit(name, error)) from None
        return fit


def misfit(name: str, error: Exception) -> str:
    """Say that a field does not fit, and why."""
    return f"has a field {name} that {error}"
