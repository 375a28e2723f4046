"""Reads one table of a TOML file, key by key, and collects every problem instead of stopping.

Each `Section` remembers which keys it was asked for; `finish` reports the others with the nearest
known key named. A key that is wrong yields its default, so that reading goes on and the person sees
all problems at once. No value is ever echoed where a secret may stand.
"""

import difflib
import unicodedata
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Final, TypeVar, cast

from connector.duration import parse_duration
from connector.errors import Problem
from connector.secret import REFERENCE_KINDS, Secret, SecretReference

T = TypeVar("T")

_TYPE_NAMES: Final = {
    str: "a string",
    int: "a whole number",
    float: "a number",
    bool: "true or false",
    list: "a list",
    dict: "a table",
}
#: How a value of each type is written, for remedies.
_EXAMPLES: Final = {
    str: '"…"',
    int: "1",
    float: "0.5",
    bool: "true",
    list: '["…"]',
    dict: "{ … }",
}
#: Unicode categories of what cannot be seen: controls, formats (bidi), surrogates, separators.
_INVISIBLE: Final = frozenset({"Cc", "Cf", "Cs", "Zl", "Zp"})


class Section:
    """One table of a configuration file.

    Args:
        table: its content, as the TOML parser gave it.
        path: the keys that lead to it.
        source: the file's name, for messages.
        folder: what relative paths are relative to.
        problems: where problems are collected; shared by all sections of a file.
        overrides: dotted key → what set it instead of the file, for messages.
    """

    def __init__(
        self,
        table: Mapping[str, object],
        *,
        path: tuple[str, ...],
        source: str,
        folder: Path,
        problems: list[Problem],
        overrides: Mapping[str, str] | None = None,
    ) -> None:
        self.table = table
        self.path = path
        self.source = source
        self.folder = folder
        self.problems = problems
        self.overrides = overrides or {}
        self._known: set[str] = set()

    def __contains__(self, key: str) -> bool:
        return key in self.table

    def problem(self, key: str, message: str, remedy: str = "") -> None:
        """Record a problem with one key ('' stands for the table itself)."""
        dotted = ".".join((*self.path, key) if key else self.path)
        source = self.overrides.get(dotted, self.source)
        self.problems.append(Problem(source, dotted, message, remedy))

    def value(self, key: str, kind: type[T], *, example: str = "") -> T | None:
        """Give the value of a key if it is there and of that TOML type; report a wrong type.

        Args:
            key: its name in this table.
            kind: the type.
            example: how a good value is written; else one of that type.
        """
        self._known.add(key)
        if key not in self.table:
            return None
        value = self.table[key]
        if kind is float and isinstance(value, int) and not isinstance(value, bool):
            value = float(value)
        if not isinstance(value, kind) or (kind is int and isinstance(value, bool)):
            self.problem(
                key,
                f"must be {_TYPE_NAMES[kind]}, not {_type_name(value)}",
                f"write {key} = {example or _EXAMPLES[kind]}",
            )
            return None
        return value

    def text(self, key: str, default: str | None = None, *, is_required: bool = False) -> str:
        """Give a string; an absent one is the default, or a problem where it is required."""
        value = self.value(key, str)
        if value is None:
            if is_required and key not in self.table:
                self.problem(key, "is missing", f"add: {key} = …")
            return default or ""
        if is_required and not value:
            self.problem(key, "is empty", f'write {key} = "…"')
        return value if self._is_visible(key, value) else default or ""

    def optional_text(self, key: str) -> str | None:
        """Give a string, or None where it is absent or empty."""
        return self.text(key) or None

    def choice(self, key: str, choices: Iterable[str], default: str) -> str:
        """Give one of a few words; anything else is a problem that names them."""
        value = self.text(key, default)
        words = tuple(choices)
        if value not in words:
            nearest = difflib.get_close_matches(value, words, n=1)
            remedy = f"did you mean {nearest[0]}?" if nearest else "write one of them"
            self.problem(key, f"must be one of {', '.join(words)}", remedy)
            return default
        return value

    def integer(self, key: str, default: int, *, lowest: int, highest: int) -> int:
        """Give a whole number within bounds."""
        value = self.value(key, int, example=str(default))
        if value is None:
            return default
        if not lowest <= value <= highest:
            self.problem(key, f"must be from {lowest} to {highest}", "write a number in this range")
            return default
        return value

    def boolean(self, key: str, *, default: bool) -> bool:
        """Give true or false."""
        value = self.value(key, bool)
        return default if value is None else value

    def duration(self, key: str, default: float | None) -> float | None:
        """Give a length of time in seconds, written as ``30d`` or ``90s``."""
        return self.parsed(key, parse_duration, default, "write a number and its unit")

    def texts(self, key: str, default: tuple[str, ...] = ()) -> tuple[str, ...]:
        """Give a list of strings."""
        values = self.value(key, list)
        if values is None:
            return default
        if not all(isinstance(value, str) for value in values):
            self.problem(key, "must be a list of strings", f'write {key} = ["…"]')
            return default
        texts = tuple(cast("list[str]", values))
        return texts if self._is_visible(key, *texts) else default

    def text_map(self, key: str) -> dict[str, str]:
        """Give a table of strings."""
        table = self.value(key, dict)
        if table is None:
            return {}
        if not all(isinstance(value, str) for value in table.values()):
            self.problem(key, "must be a table of strings", f'write {key} = {{ name = "…" }}')
            return {}
        texts = {str(name): cast("str", value) for name, value in table.items()}
        return texts if self._is_visible(key, *texts, *texts.values()) else {}

    def parsed(
        self, key: str, parse: Callable[[str], T], default: T | None, remedy: str = ""
    ) -> T | None:
        """Give what a parser makes of a string; its ValueError is the problem's message."""
        value = self.value(key, str)
        if value is None:
            return default
        try:
            return parse(value)
        except ValueError as error:
            self.problem(key, str(error), remedy)
            return default

    def secret(self, key: str, *, allow_plaintext: bool) -> SecretReference | None:
        """Give the reference of a secret; a literal one is refused unless it was allowed."""
        value = self.value(key, str)
        if value is None:
            return None
        if not value:
            self.problem(key, "is empty", f'write {key} = "env:NAME", or remove the line')
            return None
        kind, colon, name = value.partition(":")
        if not colon or kind not in REFERENCE_KINDS or not name:
            if not allow_plaintext:
                self.problem(
                    key,
                    "is a literal secret",
                    "use env:NAME, file:PATH, keyring:SERVICE/USER or credential:NAME, "
                    "or set allow_plaintext_secrets = true",
                )
                return None
            return self.reference(key, "literal", "", literal=Secret(value))
        return self.reference(key, kind, name)

    def reference(
        self, key: str, kind: str, name: str, *, literal: Secret | None = None
    ) -> SecretReference:
        """Make a reference that can name this file and key in its messages."""
        dotted = ".".join((*self.path, key))
        return SecretReference(
            kind=kind,
            name=name,
            source=self.overrides.get(dotted, self.source),
            key=dotted,
            folder=self.folder,
            literal=literal,
        )

    def section(self, key: str) -> "Section":
        """Give a table within this one; an absent one is empty."""
        return self._child((key,), self.value(key, dict) or {})

    def sections(self, key: str) -> Iterator[tuple[str, "Section"]]:
        """Give the tables within a table, by name."""
        for name, table in (self.value(key, dict) or {}).items():
            if isinstance(table, dict):
                yield str(name), self._child((key, str(name)), table)
            else:
                self.problem(f"{key}.{name}", "must be a table", f"write it as [{key}.{name}]")

    def tables(self, key: str) -> list["Section"]:
        """Give a list of tables."""
        tables = self.value(key, list) or []
        if not all(isinstance(table, dict) for table in tables):
            self.problem(key, "must be a list of tables", f"write each as [[{key}]]")
            return []
        return [self._child((f"{key}[{i}]",), table) for i, table in enumerate(tables)]

    def finish(self) -> None:
        """Report every key that nobody asked for, with the nearest known one."""
        for key in self.table:
            if key not in self._known:
                nearest = difflib.get_close_matches(key, self._known, n=1)
                remedy = f"did you mean {nearest[0]}?" if nearest else _list_keys(self._known)
                self.problem(key, "is not a known key", remedy)

    def _is_visible(self, key: str, *texts: str) -> bool:
        """Report what cannot be seen: no header, URL or log line may hold it (CHECKLIST 150)."""
        if any(unicodedata.category(character) in _INVISIBLE for character in "".join(texts)):
            self.problem(key, "contains a control or invisible character", "remove it")
            return False
        return True

    def _child(self, keys: tuple[str, ...], table: Mapping[str, object]) -> "Section":
        return Section(
            table,
            path=(*self.path, *keys),
            source=self.source,
            folder=self.folder,
            problems=self.problems,
            overrides=self.overrides,
        )


def _list_keys(known: Iterable[str]) -> str:
    names = ", ".join(sorted(known))
    return f"known here: {names}" if names else "remove it"


def _type_name(value: object) -> str:
    return _TYPE_NAMES.get(type(value), type(value).__name__)
