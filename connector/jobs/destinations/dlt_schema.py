"""What dlt is told of a table, and what its schema tells of it."""

from collections.abc import Mapping, Sequence
from typing import Any, Final

from connector.jobs.destinations.column_types import ColumnType
from connector.jobs.destinations.records import ACCOUNT_FIELD
from connector.jobs.destinations.spooled import VERSION

_TYPES: Final[Mapping[ColumnType, str]] = {
    "bool": "bool",
    "bigint": "bigint",
    "double": "double",
    "numeric": "decimal",
    "date": "date",
    "timestamptz": "timestamp",
    "jsonb": "json",
    "text": "text",
}
_KINDS: Final[Mapping[str, ColumnType]] = {own: kind for kind, own in _TYPES.items()}


def hints_of(key: Sequence[str], kinds: Mapping[str, ColumnType]) -> dict[str, Any]:
    """Give the hints of a resource.

    Args:
        key: the fields by which a record replaces another; empty: none does.
        kinds: of columns whose types are known.
    """
    columns: dict[str, dict[str, object]] = {
        name: {"data_type": _TYPES[kind]} for name, kind in kinds.items()
    }
    columns[VERSION] = {"data_type": "bigint"}
    hints: dict[str, Any] = {
        "write_disposition": "merge" if key else "append",
        "columns": columns,
        "max_table_nesting": 0,
    }
    if key:
        columns[VERSION]["dedup_sort"] = "desc"  # of one key the last of a piece
        hints["primary_key"] = [ACCOUNT_FIELD, *key]
    return hints


def kinds_of(schema: Mapping[str, Any], table: str, names: Sequence[str]) -> dict[str, ColumnType]:
    """Give the types of fields whose columns are there.

    Args:
        schema: dlt's.
        table: as it is configured; dlt folds it, and the fields.
        names: of the fields.
    """
    import dlt

    known = dlt.Schema.from_dict(dict(schema))
    folded = known.naming.normalize_table_identifier(table)
    columns = known.tables.get(folded, {}).get("columns", {})
    found = {name: columns.get(known.naming.normalize_path(name), {}) for name in names}
    return {
        name: _KINDS.get(str(column["data_type"]), "text")
        for name, column in found.items()
        if "data_type" in column
    }
