"""One setting: a dataclass field with its description, and the error that names a wrong one."""

from dataclasses import field
from typing import TypeVar

_T = TypeVar("_T")


class SettingsError(ValueError):
    """A setting is unknown or has a value that makes no sense; the message names each."""


def setting(default: _T, text: str) -> _T:
    """A field with its default and its description."""
    if isinstance(default, dict):
        return field(default_factory=dict, metadata={"help": text})  # type: ignore[return-value]
    return field(default=default, metadata={"help": text})
