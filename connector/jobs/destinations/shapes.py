"""Records as rows: those with the same fields share all that depends on the fields alone."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from operator import itemgetter
from typing import Final, cast

from connector.jobs.destinations.records import ACCOUNT_FIELD, UnusableRecord

#: Sets of fields that are remembered; records whose names are data would fill the memory.
_MOST: Final = 1000

Row = Sequence[object]


@dataclass(frozen=True, slots=True, kw_only=True)
class Shape:
    """What the fields of a record say, whatever its values are.

    Attributes:
        fields: of the record, as they came and in their order.
        columns: of the row, the account's first, in an order of their own.
        folded: of each field, what is compared of its column's name.
        take: gives the values of the row, without the account's, out of those of the record.
        is_plain: the columns are named as the fields are.
        fault: why such a record cannot be written.
    """

    fields: tuple[str, ...]
    columns: tuple[str, ...]
    folded: tuple[str, ...]
    take: Callable[[Sequence[object]], Row]
    is_plain: bool
    fault: str | None = None


class Shapes:
    """The shapes that were seen.

    Args:
        name_of: gives the column of a field.
        fold: gives what is compared of a column's name.
    """

    def __init__(self, name_of: Callable[[str], str], fold: Callable[[str], str]) -> None:
        self._name_of = name_of
        self._fold = fold
        self._shapes: dict[tuple[str, ...], Shape] = {}

    def of(self, record: Mapping[str, object]) -> Shape:
        """Give the shape of a record.

        Raises:
            UnusableRecord: two of its fields are one column.
        """
        fields = tuple(record)
        shape = self._shapes.get(fields)
        if shape is None:
            if len(self._shapes) >= _MOST:
                self._shapes.clear()
            shape = self._shapes[fields] = self._make(fields)
        if shape.fault is not None:
            raise UnusableRecord(shape.fault)
        return shape

    def _make(self, fields: tuple[str, ...]) -> Shape:
        names = [self._name_of(field) for field in fields]
        seen: dict[str, str] = {self._fold(ACCOUNT_FIELD): ACCOUNT_FIELD}
        fault = None
        for field, name in zip(fields, names, strict=True):
            first = seen.setdefault(self._fold(name), field)
            if first is not field and fault is None:
                fault = f"has two fields that are one column, {first} and {field}"
        order = sorted(range(len(names)), key=names.__getitem__)
        columns = (ACCOUNT_FIELD, *(names[index] for index in order))
        return Shape(
            fields=fields,
            columns=columns,
            folded=tuple(map(self._fold, names)),
            take=_taking(order),
            is_plain=names == list(fields),
            fault=fault,
        )


def _taking(order: list[int]) -> Callable[[Sequence[object]], Row]:
    if order == list(range(len(order))):
        return lambda values: values
    if len(order) == 1:
        return lambda values: values
    return cast("Callable[[Sequence[object]], Row]", itemgetter(*order))
