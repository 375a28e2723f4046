"""Settings as text and as JSON: for the command line and for the control routes.

What a field accepts is read from its annotation, so that a new setting needs no second entry.
"""

import json
from collections.abc import Mapping
from dataclasses import fields, replace
from difflib import get_close_matches
from typing import Literal, cast, get_args, get_origin

from connector.simulator.setting import SettingsError
from connector.simulator.settings import Settings

# What a report about the settings leaves out.
SECRET_SETTINGS = frozenset({"client_secret", "app_secret", "control_key"})

TRUE_WORDS = frozenset({"1", "true", "yes", "on"})
FALSE_WORDS = frozenset({"0", "false", "no", "off"})


def hints() -> dict[str, object]:
    """The type of each setting, by name."""
    return {field.name: field.type for field in fields(Settings)}


def descriptions() -> dict[str, str]:
    """One sentence on each setting, by name."""
    return {field.name: str(field.metadata["help"]) for field in fields(Settings)}


def changed(settings: Settings, changes: Mapping[str, object]) -> Settings:
    """`settings` with the named ones replaced, values as JSON has them.

    Raises:
        SettingsError: a name is unknown or a value does not fit; names every problem.
    """
    known = hints()
    values: dict[str, object] = {}
    problems = []
    for name, value in changes.items():
        if name not in known:
            near = get_close_matches(name, known, n=1)
            problems.append(f"no setting {name!r}" + (f", did you mean {near[0]}?" if near else ""))
            continue
        try:
            values[name] = _from_json(known[name], value)
        except ValueError as error:
            problems.append(f"{name} must be {error}")
    if problems:
        raise SettingsError("; ".join(problems))
    # The values were checked against the annotations just above.
    return replace(settings, **cast("dict[str, str]", values))  # type: ignore[arg-type]


def from_text(name: str, text: str) -> object:
    """The JSON form of a setting given as text on a command line.

    Raises:
        SettingsError: the text does not fit the setting.
    """
    hint = hints()[name]
    try:
        return _from_text(hint, text)
    except ValueError as error:
        message = f"{name} must be {error}"
        raise SettingsError(message) from None


def as_json(settings: Settings) -> dict[str, object]:
    """Every setting but the secret ones, as JSON has them."""
    values = {name: getattr(settings, name) for name in hints() if name not in SECRET_SETTINGS}
    return {
        name: list(value) if isinstance(value, tuple) else value for name, value in values.items()
    }


def _from_json(hint: object, value: object) -> object:
    if hint is bool or hint is str:
        if isinstance(value, bool if hint is bool else str):
            return value
        raise ValueError("true or false" if hint is bool else "a string")
    if hint in (int, float, float | None):
        return _number(hint, value)
    if get_origin(hint) is Literal:
        if value in get_args(hint):
            return value
        raise ValueError(f"one of {', '.join(get_args(hint))}")
    if get_origin(hint) is tuple:
        if isinstance(value, list | tuple) and all(isinstance(item, str) for item in value):
            return tuple(value)
        raise ValueError("a list of strings")
    if isinstance(value, Mapping):
        return dict(value)
    raise ValueError("an object")


def _number(hint: object, value: object) -> object:
    if value is None and hint == float | None:
        return None
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise ValueError("a number" if hint is not int else "a whole number")
    if hint is int:
        if not float(value).is_integer():
            raise ValueError("a whole number")
        return int(value)
    return float(value)


def _from_text(hint: object, text: str) -> object:
    if hint is bool:
        word = text.lower()
        if word in TRUE_WORDS or word in FALSE_WORDS:
            return word in TRUE_WORDS
        raise ValueError("yes or no")
    if hint in (int, float, float | None):
        if hint == float | None and text.lower() == "none":
            return None
        try:
            return float(text)
        except ValueError:
            raise ValueError("a number") from None
    if get_origin(hint) is tuple:
        return tuple(part for part in (part.strip() for part in text.split(",")) if part)
    if hint is str or get_origin(hint) is Literal:
        return text
    return _mapping(text)


def _mapping(text: str) -> dict[str, object]:
    try:
        value = json.loads(text)
    except ValueError:
        value = None
    if not isinstance(value, dict):
        raise ValueError("a JSON object")
    return cast("dict[str, object]", value)
