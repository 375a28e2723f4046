"""Records as rows of typed columns, for files of columns: DuckDB and Parquet.

Types are found, widened and declared as `column_types` says, with two differences, since such files
are there to be calculated with: a column of whole numbers and fractions is a double where no whole
number loses a digit by it, and a numeric has 38 digits, nine of them decimals; what is longer makes
its column text, or is set aside where numeric was declared.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Final

from connector.jobs.destinations.column_types import ColumnType, Unfit, fitted, type_of, widened
from connector.jobs.destinations.declared import DeclaredColumns, misfit
from connector.jobs.destinations.records import UnusableRecord, storable_text
from connector.jobs.destinations.rejecting import Rejected, reject
from connector.jobs.destinations.schema_changes import because_of
from connector.jobs.destinations.shapes import Shapes
from connector.jobs.destinations.sqlite_table import folded

#: Doubles hold every whole number up to here.
EXACT: Final = 2**53
#: Of a numeric: DuckDB's and Parquet's have 38 digits at the most.
PRECISION: Final = 38
SCALE: Final = 9
#: What a column takes as it comes.
_AS_IT_IS: Final[Mapping[type, ColumnType]] = {int: "bigint", float: "double", bool: "bool"}
#: What a value's column has mostly.
_OWN: Final[Mapping[type, ColumnType]] = {
    **_AS_IT_IS,
    str: "text",
    list: "jsonb",
    dict: "jsonb",
}


@dataclass(slots=True, kw_only=True)
class Page:
    """The records of one commit.

    Attributes:
        rows: folded column → value, as its column takes it; without what is empty.
        names: folded → the name as it came, of all columns that a record names.
        kinds: folded column → type, of those in which a value stands.
        because: folded column → which value asked for a type that its column has not.
        inexact: folded columns in which a whole number stands that no double holds.
        shapes: the fields of the records, of which names are taken once.
        refused: records that cannot be written.
    """

    rows: list[dict[str, object]] = field(default_factory=list)
    names: dict[str, str] = field(default_factory=dict)
    kinds: dict[str, ColumnType] = field(default_factory=dict)
    because: dict[str, str] = field(default_factory=dict)
    inexact: set[str] = field(default_factory=set)
    shapes: set[tuple[str, ...]] = field(default_factory=set)
    refused: list[Rejected] = field(default_factory=list)


class TypedRows:
    """Makes pages of rows.

    Args:
        declared: types that the configuration declares.
    """

    def __init__(self, declared: DeclaredColumns) -> None:
        self._declared = declared
        self._fixed = {folded(storable_text(name)): kind for name, kind in declared.types.items()}
        self._shapes = Shapes(storable_text, folded)
        self._pages = 0

    def read(
        self,
        records: Sequence[Mapping[str, object]],
        columns: Mapping[str, ColumnType | None],
        inexact: frozenset[str] = frozenset(),
    ) -> Page:
        """Make a page.

        Args:
            records: of the page.
            columns: folded name → type of the columns that are there; None: one that is not ours,
                which takes what it can read.
            inexact: columns of whole numbers that are too large to become doubles.
        """
        page = Page(inexact=set(inexact))
        self._pages += bool(records)
        found: list[tuple[Mapping[str, object], dict[str, object]]] = []
        kinds = dict(columns)
        for number, record in enumerate(records, 1):
            try:
                row = self._row(record, page)
                needs = self._needs(row, kinds, page.inexact)
            except UnusableRecord as error:
                page.refused.append(reject(record, str(error)))
                continue
            for name, kind in needs.items():
                page.kinds[name] = kinds[name] = kind
                page.because[name] = because_of(row[name], number, self._pages)
            found.append((record, row))
        for record, row in found:
            try:
                _fit_row(row, kinds)
            except UnusableRecord as error:
                page.refused.append(reject(record, str(error)))
            else:
                page.rows.append(row)
        return page

    def _row(self, record: Mapping[str, object], page: Page) -> dict[str, object]:
        """Give a record by folded names, without what is empty."""
        shape = self._shapes.of(record)
        if shape.fields not in page.shapes:
            page.shapes.add(shape.fields)
            for name in shape.columns[1:]:
                page.names.setdefault(folded(name), name)
        columns = shape.folded
        if not self._declared:
            return {
                column: value
                for column, value in zip(columns, record.values(), strict=True)
                if value is not None
            }
        row = {}
        for column, (name, value) in zip(columns, self._declared.fit(record).items(), strict=True):
            if value is None:
                continue
            if self._fixed.get(column) == "jsonb":
                value = record[name]  # noqa: PLW2901 - it is fitted once
            elif self._fixed.get(column) == "numeric" and not _is_decimal(value):
                raise UnusableRecord(misfit(name, Unfit("has more digits than a numeric here")))
            row[column] = value
        return row

    def _needs(
        self,
        row: Mapping[str, object],
        columns: Mapping[str, ColumnType | None],
        inexact: set[str],
    ) -> dict[str, ColumnType]:
        """Give what columns have to become for a row.

        Raises:
            UnusableRecord: a value is one that no column takes.
        """
        needs: dict[str, ColumnType] = {}
        for name, value in row.items():
            before = columns.get(name)
            if _is_own(value, before):  # as most are
                continue
            try:
                kind = self._fixed.get(name) or type_of(value)
            except Unfit as error:
                raise UnusableRecord(misfit(name, error)) from None
            if kind is None:
                continue
            if kind == "numeric" and not _is_decimal(value):
                kind = "text"
            if kind == "bigint" and isinstance(value, int) and abs(value) > EXACT:
                inexact.add(name)
            if name not in columns:
                needs[name] = kind
            elif before is not None and before not in {kind, "text"}:
                wider = _widened(before, kind, value, is_inexact=name in inexact)
                if wider != before:
                    needs[name] = wider
        return needs


def _widened(
    before: ColumnType, kind: ColumnType, value: object, *, is_inexact: bool
) -> ColumnType:
    """Give the type that holds a column's values and one more."""
    if before == "double" and kind == "bigint":
        return "double" if isinstance(value, int) and abs(value) <= EXACT else "text"
    if before == "bigint" and kind == "double":
        if not is_inexact:
            return "double"
        return "numeric" if _is_decimal(value) else "text"
    if before == "double" and kind == "numeric":
        return "text"
    if before == "numeric" and kind in {"bigint", "double"}:
        return "numeric" if _is_decimal(value) else "text"
    return widened(before, kind)


def _is_decimal(value: object) -> bool:
    """Tell whether a number fits a numeric of ours."""
    try:
        number = Decimal(repr(value) if isinstance(value, float) else str(value))
    except ArithmeticError:
        return False
    if not number.is_finite():
        return False
    exponent = int(number.normalize().as_tuple().exponent) if number else 0
    return number.adjusted() < PRECISION - SCALE and -exponent <= SCALE


def _is_own(value: object, kind: ColumnType | None) -> bool:
    """Tell whether a value is of the type that its column has."""
    if kind is None or _OWN.get(type(value)) != kind:
        return False
    return type(value) is not int or -EXACT <= value <= EXACT


def _fit_row(row: dict[str, object], kinds: Mapping[str, ColumnType | None]) -> None:
    """Put values as their columns take them in the place of those that are not.

    Raises:
        UnusableRecord: one has no such form.
    """
    changed = {}
    for name, value in row.items():
        kind = kinds[name]
        if _AS_IT_IS.get(type(value)) == kind:
            continue
        if kind != "text" or type(value) is not str or not value.isascii():
            changed[name] = _fit(name, value, kind)
    row.update(changed)


def _fit(name: str, value: object, kind: ColumnType | None) -> object:
    """Give a value as its column takes it.

    Raises:
        UnusableRecord: it has no such form.
    """
    try:
        fit = fitted(value, "text" if kind is None else kind)
    except UnusableRecord as error:
        raise UnusableRecord(misfit(name, UnusableRecord(f"has no form: {error}"))) from None
    except Unfit as error:
        raise UnusableRecord(misfit(name, error)) from None
    return float(fit) if kind == "double" and isinstance(fit, int) else fit


def number_text(value: float) -> str | float:
    """Give a double as JSON can have it: NaN and the infinities as texts."""
    return value if math.isfinite(value) else str(value)
