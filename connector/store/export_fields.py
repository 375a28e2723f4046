"""Reads the fields of an export's lines: each of its kind, none left out, none that is not known.

What is wrong is collected, not raised, so that a person sees all of it at once. No value is quoted.
"""

import re
from collections.abc import Mapping, Sequence
from typing import Final

from connector.account_name import check_account_name
from connector.secret import Secret

#: What a primary key may be: ours are hexadecimal digits, those of tests and other versions alike.
_IDENTIFIER: Final = re.compile(r"[0-9A-Za-z_-]{1,64}")
#: Seconds since the epoch that a calendar has: the years 1 to 9999 (`account.HELD` is the last).
_FIRST_MOMENT: Final = -62_135_596_800
_LAST_MOMENT: Final = 253_402_300_799
#: What this program adds to fits the columns afterwards too: INTEGER and BIGINT of Postgres.
MOST_TIMES: Final = 2**31 - 1_000_000
MOST: Final = 2**63 - 1_000_000


class Fields:
    """The fields of one object.

    Args:
        values: as they were read.
        problems: takes what is wrong.
        path: of the object within its line, for messages.
    """

    def __init__(
        self, values: Mapping[str, object], problems: list[str], path: Sequence[str] = ()
    ) -> None:
        self._values = dict(values)
        self._problems = problems
        self._path = tuple(path)

    def __contains__(self, name: str) -> bool:
        return name in self._values

    def text(self, name: str) -> str:
        """Give a text that any database takes: no NUL, no lone surrogate."""
        value = self._take(name, str, "a text")
        return self._storable(name, value) if isinstance(value, str) else ""

    def optional_text(self, name: str) -> str | None:
        """Give such a text, or None."""
        return None if self._is_null(name) else self.text(name)

    def foreign_text(self, name: str) -> str | None:
        """Give a text of any characters, or None: a column takes it that replaces some."""
        value = None if self._is_null(name) else self._take(name, str, "a text")
        return value if isinstance(value, str) else None

    def secret(self, name: str) -> str:
        """Give a text of any characters."""
        value = self._take(name, str, "a text")
        return value if isinstance(value, str) else ""

    def optional_secret(self, name: str) -> Secret | None:
        """Give a token, which is not empty, or None."""
        value = None if self._is_null(name) else self._take(name, str, "a text")
        if value == "":
            self.reject(name, "is empty")
        return Secret(value) if isinstance(value, str) else None

    def identifier(self, name: str) -> str:
        """Give a row's identifier."""
        value = self.text(name)
        if not _IDENTIFIER.fullmatch(value):
            self.reject(name, "is no identifier")
        return value

    def account_name(self, name: str) -> str:
        """Give an account's name."""
        value = self.text(name)
        try:
            return check_account_name(value)
        except ValueError:
            self.reject(name, "is no account name")
            return value

    def choice(self, name: str, *choices: str) -> str:
        """Give one of some words."""
        value = self.text(name)
        if value not in choices:
            self.reject(name, f"is none of {', '.join(choices)}")
        return value

    def number(self, name: str) -> float:
        """Give seconds: a moment that a calendar has, or a time that is no longer."""
        value = self._take(name, (int, float), "a number")
        if isinstance(value, bool) or not isinstance(value, int | float):
            return 0.0
        if not _FIRST_MOMENT <= value <= _LAST_MOMENT:
            self.reject(name, "is out of range")
            return 0.0
        return float(value)

    def optional_number(self, name: str) -> float | None:
        """Give such seconds, or None."""
        return None if self._is_null(name) else self.number(name)

    def count(self, name: str, most: int = MOST_TIMES) -> int:
        """Give a number of something, not below zero.

        Args:
            name: of the field.
            most: the largest that can still be added to.
        """
        value = self._take(name, int, "a whole number")
        if not isinstance(value, int):
            return 0
        if not 0 <= value <= most:
            self.reject(name, "is out of range")
            return 0
        return value

    def texts(self, name: str) -> tuple[str, ...] | None:
        """Give a list of texts, or None."""
        if self._is_null(name):
            return None
        value = self._take(name, list, "a list")
        if not isinstance(value, list):
            return None
        if not all(isinstance(item, str) for item in value):
            self.reject(name, "is no list of texts")
            return None
        return tuple(value)

    def table(self, name: str) -> "Fields | None":
        """Give the fields of an object, or None."""
        if self._is_null(name):
            return None
        value = self._take(name, dict, "an object")
        if not isinstance(value, dict):
            return None
        return Fields(value, self._problems, (*self._path, name))

    def finish(self) -> None:
        """Note the fields that were not asked for."""
        for name in self._values:
            self.reject(name, "is not known to this version")

    def reject(self, name: str, message: str) -> None:
        """Note what is wrong with a field."""
        self._problems.append(f"{'.'.join((*self._path, name))} {message}")

    def _is_null(self, name: str) -> bool:
        if name in self._values and self._values[name] is None:
            del self._values[name]
            return True
        return False

    def _take(self, name: str, kind: type | tuple[type, ...], called: str) -> object:
        if name not in self._values:
            self.reject(name, "is missing")
            return None
        value = self._values.pop(name)
        if not isinstance(value, kind) or isinstance(value, bool):
            self.reject(name, f"is not {called}")
            return None
        return value

    def _storable(self, name: str, value: str) -> str:
        if "\0" in value or any("\ud800" <= character <= "\udfff" for character in value):
            self.reject(name, "holds a character that no database takes")
            return ""
        return value
