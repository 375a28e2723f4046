"""Records on their way to Postgres: as JSON, with the types of columns that they need.

What the records of a page look like (their fields, and the types of the values) is looked at once,
and remembered while the table stays as it is. What depends on a value itself (a whole number beyond
64 bits, NaN, a NUL) the careful way looks at, value by value.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, time
from decimal import Decimal
from typing import Final

import orjson

from connector.jobs.destinations.column_types import ColumnType, Unfit, type_of, widened
from connector.jobs.destinations.declared import DeclaredColumns, misfit
from connector.jobs.destinations.encoding import has_no_number
from connector.jobs.destinations.postgres_names import column_name
from connector.jobs.destinations.postgres_table import Column
from connector.jobs.destinations.records import (
    ACCOUNT_FIELD,
    UnusableRecord,
    json_default,
    json_text,
    storable_text,
)
from connector.jobs.destinations.rejecting import Rejected, reject
from connector.jobs.destinations.schema_changes import because_of
from connector.jobs.destinations.shapes import Shape, Shapes

#: Doubles hold every whole number up to here.
_EXACT: Final = 2**53
#: Combinations of fields and types that are remembered.
_MOST: Final = 5000


@dataclass(slots=True, kw_only=True)
class Need:
    """What a column has to become.

    Attributes:
        kind: its type.
        because: of which value.
    """

    kind: ColumnType
    because: str


@dataclass(slots=True, kw_only=True)
class Page:
    """The records of one commit, as they go to Postgres.

    Attributes:
        records: that can be written, their fields named like the columns.
        sources: the same records as they came.
        names: the columns that occur in them and are, or will be, in the table.
        refused: records that cannot be written.
        needs: column → what it has to become before they can be.
    """

    records: list[Mapping[str, object]] = field(default_factory=list)
    sources: list[Mapping[str, object]] = field(default_factory=list)
    names: set[str] = field(default_factory=set)
    refused: list[Rejected] = field(default_factory=list)
    needs: dict[str, Need] = field(default_factory=dict)


class PageReader:
    """Makes pages of records.

    Args:
        declared: types that the configuration declares.
    """

    def __init__(self, declared: DeclaredColumns) -> None:
        self._declared = declared
        self._fixed = {column_name(name): kind for name, kind in declared.types.items()}
        self._shapes = Shapes(column_name, lambda name: name)
        self._known: set[tuple[int, tuple[type, ...]]] = set()
        self._kept: dict[int, Shape] = {}

    def forget(self) -> None:
        """Look at everything anew: the table has changed."""
        self._known.clear()
        self._kept.clear()

    def read(
        self,
        records: Sequence[Mapping[str, object]],
        columns: Mapping[str, Column],
        number: int,
        *,
        is_careful: bool,
    ) -> Page:
        """Make a page.

        Args:
            records: of the page.
            columns: of the table, by folded name.
            number: of the page in the run, for messages.
            is_careful: look at each value, and make it one that Postgres takes.
        """
        page = Page()
        shapes: dict[int, Shape] = {}
        for position, record in enumerate(records, 1):
            try:
                shape = self._shapes.of(record)
                row = self._row(shape, record)
                known = (id(shape), tuple(map(type, row.values())))
                if is_careful or known not in self._known:
                    found = self._look(row, columns)
                    if not found and not _depends(row, columns):
                        self._remember(known, shape)
                    for name, kind in found.items():
                        _add(page.needs, name, kind, because_of(row[name], position, number))
                if is_careful:
                    row = {name: _clean(name, value) for name, value in row.items()}
            except UnusableRecord as error:
                page.refused.append(reject(record, str(error)))
                continue
            shapes[id(shape)] = shape
            page.records.append(row)
            page.sources.append(record)
        for shape in shapes.values():
            page.names.update(shape.columns)
        page.names = {name for name in page.names if name in columns or name in page.needs} - {
            ACCOUNT_FIELD
        }
        return page

    def _row(self, shape: Shape, record: Mapping[str, object]) -> Mapping[str, object]:
        """Give a record whose fields are named like columns, and fit what is declared."""
        row = record
        if self._declared:
            fit = self._declared.fit(record)
            for name, kind in self._declared.types.items():
                if kind == "jsonb" and name in record:
                    fit[name] = record[name]
            row = fit
        names = [column_name(name) for name in shape.fields] if not shape.is_plain else None
        return row if names is None else dict(zip(names, row.values(), strict=True))

    def _look(
        self, row: Mapping[str, object], columns: Mapping[str, Column]
    ) -> dict[str, ColumnType]:
        """Give what columns have to become for a record.

        Raises:
            UnusableRecord: a value is one that no column takes.
        """
        needs: dict[str, ColumnType] = {}
        for name, value in row.items():
            try:
                kind = type_of(value)
            except Unfit as error:
                raise UnusableRecord(misfit(name, error)) from None
            if kind is None:
                continue
            kind = self._fixed.get(name, kind)
            column = columns.get(name)
            if column is None:
                needs[name] = kind
            elif column.kind is not None and not _takes(column.kind, kind, value):
                needs[name] = widened(column.kind, kind)
        return needs

    def _remember(self, known: tuple[int, tuple[type, ...]], shape: Shape) -> None:
        if len(self._known) >= _MOST:
            self.forget()
        self._known.add(known)
        self._kept[id(shape)] = shape  # so that its identity is nobody else's


def encode(records: Sequence[Mapping[str, object]]) -> str | None:
    """Write records as one JSON array; None: they have to be looked at value by value."""
    try:
        data = orjson.dumps(records, json_default, orjson.OPT_PASSTHROUGH_DATACLASS)
    except (TypeError, ValueError, RecursionError):
        return None
    if b"\\u0000" in data:
        return None
    if nulls := data.count(b"null"):
        # records whose own values are null so often have no other; quicker than to look at each
        nones = sum([list(record.values()).count(None) for record in records])
        if nulls != nones and has_no_number(records):
            return None
    return data.decode()


def encode_carefully(records: Sequence[Mapping[str, object]]) -> str:
    """Write records that were cleaned as one JSON array; whole numbers of any size."""
    return json_text(records)


def _depends(row: Mapping[str, object], columns: Mapping[str, Column]) -> bool:
    """Tell whether it depends on a value, and not on its type, that a column takes it."""
    return any(
        isinstance(value, datetime)
        or (isinstance(value, int) and name in columns and columns[name].kind == "double")
        for name, value in row.items()
    )


def _takes(column: ColumnType, kind: ColumnType, value: object) -> bool:
    """Tell whether a column takes a value as it is."""
    if column in {kind, "text"}:
        return True
    if column == "numeric":
        return kind in {"bigint", "double"}
    if column == "double" and kind == "bigint":
        return isinstance(value, int) and abs(value) <= _EXACT
    return False


def _add(needs: dict[str, Need], name: str, kind: ColumnType, because: str) -> None:
    before = needs.get(name)
    if before is None:
        needs[name] = Need(kind=kind, because=because)
    elif before.kind != kind:
        needs[name] = Need(kind=widened(before.kind, kind), because=because)


def _clean(name: str, value: object) -> object:
    """Make a value one that Postgres takes: NULs and halves of pairs are replaced.

    Raises:
        UnusableRecord: it has no form.
    """
    if isinstance(value, float) and not math.isfinite(value):
        return {math.inf: "Infinity", -math.inf: "-Infinity"}.get(value, "NaN")
    if isinstance(value, (bool, int, float, Decimal, datetime, time)) or value is None:
        return value
    if isinstance(value, str):
        return _text(value)
    try:
        text = json_text(value)
    except UnusableRecord as error:
        raise UnusableRecord(misfit(name, UnusableRecord(f"has no form: {error}"))) from None
    return _nested(value) if "\\u0000" in text or not _is_text(text) else value


def _nested(value: object) -> object:
    if isinstance(value, str):
        return _text(value)
    if isinstance(value, Mapping):
        return {_text(str(name)): _nested(one) for name, one in value.items()}
    if isinstance(value, (list, tuple)):
        return [_nested(one) for one in value]
    return value


def _text(text: str) -> str:
    return storable_text(text).replace("\0", "\ufffd")


def _is_text(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True
