"""Values of a pull's tables: paths, conditions, and what JSON can write."""

import math
from collections.abc import Iterable, Mapping
from datetime import date, datetime, time
from typing import Final

from connector.pulls.paths import Path
from connector.toml_section import Section

#: More values than any list of codes has; a range that is longer is a slip of the pen.
_LONGEST_RANGE: Final = 1000


def plain(value: object) -> object:
    """Give a TOML value as JSON has it: dates and times become text.

    Raises:
        ValueError: JSON cannot write it (nan, inf).
    """
    if isinstance(value, Mapping):
        return {str(name): plain(inner) for name, inner in value.items()}
    if isinstance(value, list):
        return [plain(inner) for inner in value]
    if isinstance(value, (datetime, date, time)):
        return value.isoformat()
    if isinstance(value, float) and not math.isfinite(value):
        raise ValueError(f"{value} cannot be written in JSON")
    return value


def read_plain(section: Section, key: str) -> object:
    """Give any value, as JSON has it; None where there is none, or where that is a problem."""
    value = section.value(key, object)
    try:
        return plain(value)
    except ValueError as error:
        section.problem(key, str(error), "write another value")
        return None


def read_table(section: Section, key: str) -> dict[str, object]:
    """Give a table of any values, as JSON has them."""
    if section.value(key, dict) is None:
        return {}
    value = read_plain(section, key)
    return value if isinstance(value, dict) else {}


def read_path(section: Section, key: str, default: str = "", *, may_be_header: bool = False) -> str:
    """Give a path, checked."""
    text = section.text(key, default)
    return text if is_path(section, key, text, may_be_header=may_be_header) else default


def read_paths(section: Section, key: str) -> tuple[str, ...]:
    """Give a list of paths, checked; one alone may stand without the list."""
    if isinstance(section.value(key, object), str):
        texts: Iterable[str] = (section.text(key),)
    else:
        texts = section.texts(key)
    return tuple(text for text in texts if is_path(section, key, text))


def read_fields(section: Section, key: str) -> dict[str, str]:
    """Give paths by the names of what stands there."""
    return {
        name: text
        for name, text in section.text_map(key).items()
        if is_path(section, f"{key}.{name}", text)
    }


def read_conditions(section: Section, key: str) -> dict[str, tuple[object, ...]]:
    """Give values by paths; one alone may stand without a list, ``200-299`` is every one of these.

    Such a range fits as numbers and as the text itself.
    """
    conditions: dict[str, tuple[object, ...]] = {}
    for path, value in read_table(section, key).items():
        values = value if isinstance(value, list) else [value]
        if not values:
            section.problem(f"{key}.{path}", "is empty", "write the values that fit")
        elif is_path(section, f"{key}.{path}", path):
            conditions[path] = tuple(one for value in values for one in _ranged(value))
    return conditions


def _ranged(value: object) -> tuple[object, ...]:
    numbers = read_range(value) if isinstance(value, str) else None
    return (value,) if numbers is None else (value, *numbers)


def read_range(text: str) -> range | None:
    """Read ``500-599``; None where it is no such range."""
    first, dash, last = text.partition("-")
    if not dash or not (first.isascii() and first.isdecimal() and last.isascii()):
        return None
    if not last.isdecimal() or not 0 <= int(last) - int(first) <= _LONGEST_RANGE:
        return None
    return range(int(first), int(last) + 1)


def is_path(section: Section, key: str, text: str, *, may_be_header: bool = False) -> bool:
    """Tell whether a text is a path; one that is none is reported."""
    try:
        Path.parse(text, may_be_header=may_be_header)
    except ValueError as error:
        message, _, remedy = str(error).partition(": ")
        section.problem(key, message, remedy)
        return False
    return True
