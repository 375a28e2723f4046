"""The parameters `filtering` and `sort`, over whatever has named fields."""

import json
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from typing import Literal, TypeVar, cast, get_args

from connector.simulator.call import Subject
from connector.simulator.facebook.error import bad_parameter
from connector.simulator.parameters import Parameters

Operator = Literal[
    "EQUAL",
    "NOT_EQUAL",
    "GREATER_THAN",
    "GREATER_THAN_OR_EQUAL",
    "LESS_THAN",
    "LESS_THAN_OR_EQUAL",
    "IN_RANGE",
    "NOT_IN_RANGE",
    "CONTAIN",
    "NOT_CONTAIN",
    "IN",
    "NOT_IN",
]

_T = TypeVar("_T")
Get = Callable[[_T, str], object]
"""The value of a field of one of the things that are filtered."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Filter:
    """One condition."""

    field: str
    operator: Operator
    value: object

    def passes(self, actual: object) -> bool:
        """Whether a value meets it; what has no value meets none but the negative ones."""
        is_negative = self.operator.startswith("NOT_")
        return self._matches(actual) is not is_negative

    def _matches(self, actual: object) -> bool:
        kind = self.operator.removeprefix("NOT_")
        if kind == "CONTAIN":
            return str(self.value).lower() in str(actual).lower()
        if kind == "EQUAL":
            return _comparable(actual) == _comparable(self.value)
        if kind == "IN":
            return _comparable(actual) in [_comparable(each) for each in _list(self.value)]
        if kind == "IN_RANGE":
            low, high = (_number(each) for each in _list(self.value)[:2])
            return low <= _number(actual) <= high
        number, bound = _number(actual), _number(self.value)
        is_equal = kind.endswith("_OR_EQUAL") and number == bound
        return is_equal or (number > bound if kind.startswith("GREATER") else number < bound)


def read_filters(
    parameters: Parameters, fields: Collection[str], subject: Subject
) -> tuple[Filter, ...]:
    """The conditions of the parameter `filtering`; a field may be named `ad.id` or `ad_id`.

    Raises:
        GraphError: code 100: not a list of conditions, or one on a field that does not exist.
    """
    text = parameters.get("filtering")
    if text is None:
        return ()
    values = read_json(text, "filtering", subject)
    if not isinstance(values, list):
        raise bad_parameter("Param filtering must be a list", subject)
    return tuple(_filter(value, fields, subject) for value in values)


def read_sort(
    parameters: Parameters, fields: Collection[str], subject: Subject
) -> tuple[str, bool] | None:
    """The field of the parameter `sort`, and whether the largest comes first.

    Raises:
        GraphError: code 100: not `<field>_ascending` or `<field>_descending`.
    """
    text = parameters.get("sort")
    if text is None:
        return None
    value = read_json(text, "sort", subject) if text.startswith("[") else [text]
    name = str(value[0]) if isinstance(value, list) and len(value) == 1 else ""
    field, _, direction = name.rpartition("_")
    if field not in fields or direction not in {"ascending", "descending"}:
        raise bad_parameter("Param sort must be a field and _ascending or _descending", subject)
    return field, direction == "descending"


def chosen(
    things: Sequence[_T], filters: Sequence[Filter], order: tuple[str, bool] | None, get: Get[_T]
) -> list[_T]:
    """The things that pass every filter, in the order asked for."""
    found = [
        thing
        for thing in things
        if all(condition.passes(get(thing, condition.field)) for condition in filters)
    ]
    if order is not None:
        field, is_descending = order
        found.sort(key=lambda thing: _sort_key(get(thing, field)), reverse=is_descending)
    return found


def read_json(text: str, name: str, subject: Subject) -> object:
    """A parameter that is JSON.

    Raises:
        GraphError: code 100: it is none.
    """
    try:
        return cast("object", json.loads(text))
    except (ValueError, RecursionError):
        raise bad_parameter(f"Param {name} is not JSON", subject) from None


def _filter(value: object, fields: Collection[str], subject: Subject) -> Filter:
    if not isinstance(value, dict) or set(value) != {"field", "operator", "value"}:
        raise bad_parameter("Param filtering: field, operator and value are needed", subject)
    name = str(value["field"]).replace(".", "_")
    # an ad's own field may be named ad.name where the edge lists ads
    own = name.partition("_")[2]
    field = name if name in fields else own
    if field not in fields:
        raise bad_parameter(f"Param filtering: the field {name} cannot be filtered by", subject)
    if value["operator"] not in get_args(Operator):
        raise bad_parameter("Param filtering: there is no such operator", subject)
    condition = Filter(field=field, operator=value["operator"], value=value["value"])
    if condition.operator.endswith("IN_RANGE") and len(_list(condition.value)) != 2:
        raise bad_parameter("Param filtering: a range has two ends", subject)
    return condition


def _list(value: object) -> list[object]:
    return value if isinstance(value, list) else [value]


def _number(value: object) -> float:
    try:
        return float(str(value))
    except ValueError:
        return 0.0


def _comparable(value: object) -> object:
    try:
        return float(str(value))
    except ValueError:
        return str(value)


def _sort_key(value: object) -> tuple[float, str]:
    return _number(value), str(value)
