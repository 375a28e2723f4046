"""Where in an answer something is: dotted names, JSONPath (RFC 9535), or a header.

A path of dotted names (``data``, ``paging.cursors.after``) is what nearly every API needs, and is
walked without a library; text that begins with ``$`` is JSONPath. A path finds a list of values: an
empty one where the answer has no such place, which is not the same as a place that holds null.
"""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Final

#: Many paths are asked for once a page; a configuration has some dozens.
_CACHED: Final = 1024
_HEADER: Final = "header:"
#: A header's name is a token (RFC 9110 §5.6.2).
_TOKEN: Final = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
#: JSONPath of member names (RFC 9535 §2.5.1.1), with or without a wildcard at the end.
_SIMPLE: Final = re.compile(r"\$(?:\.[A-Za-z_][A-Za-z0-9_]*)*(?:\[\*\])?")
_INDEX: Final = re.compile(r"-?[0-9]{1,9}")
#: Stands for a place that is not there; null is a value.
_NOTHING: Final = object()

Finder = Callable[[object], list[object]]


@dataclass(frozen=True, slots=True)
class Path:
    """A place in an answer; made by `parse`.

    Attributes:
        text: as it is written.
        header: the name of a header, where it is one.
    """

    text: str
    header: str | None
    _finder: Finder = field(repr=False, compare=False)

    @staticmethod
    def parse(text: str, *, may_be_header: bool = False) -> "Path":
        """Read a path.

        Dotted names: a number is a place in a list (-1: the last one), ``*`` any name or place; a
        name that has dots in it (``@odata.nextLink``) is found too, if it is the end of the path.

        Args:
            text: such as ``data``, ``paging.cursors.after``, ``$.data[*]``; empty: the whole.
            may_be_header: ``header:NAME`` stands for a header's value.

        Raises:
            ValueError: it is none of these; says how to write it.
        """
        return _parse(text, may_be_header)

    def find(self, body: object) -> list[object]:
        """Give the values at this place, in their order.

        Raises:
            ValueError: the body is nested too deeply for the path.
        """
        return self._finder(body)

    def first(self, body: object, default: object = None) -> object:
        """Give the first value at this place; the default where there is none."""
        found = self._finder(body)
        return found[0] if found else default

    def look(self, body: object, headers: Mapping[str, str]) -> object:
        """Give the first value, in the body or in the headers (by lower-case names); else None."""
        if self.header is not None:
            return headers.get(self.header)
        return self.first(body)

    def records(self, body: object) -> list[object]:
        """Give the records at this place: a list's items, or the values themselves.

        An answer without the place, or with null there, has none; `find` tells the two apart.

        Raises:
            ValueError: what is there is neither a list nor an object.
        """
        found = self._finder(body)
        if len(found) == 1 and isinstance(found[0], list):
            return found[0]
        records: list[object] = []
        for value in found:
            if isinstance(value, list):
                records.extend(value)
            elif isinstance(value, dict):
                records.append(value)
            elif value is not None:
                place = repr(self.text) if self.text else "the answer itself"
                kind = type(value).__name__
                raise ValueError(f"{place} is {kind}, and not a list of records or a record")
        return records


@lru_cache(maxsize=_CACHED)
def _parse(text: str, may_be_header: bool) -> Path:  # noqa: FBT001 - the cache's key
    if text.startswith(_HEADER):
        name = text.removeprefix(_HEADER)
        if not may_be_header:
            raise ValueError(f"{text!r} is a header's value: write a path into the body here")
        if _TOKEN.fullmatch(name) is None:
            raise ValueError(f"{text!r} names no header: write header:NAME")
        return Path(text, name.lower(), lambda _: [])
    if text.startswith("$"):
        return Path(text, None, _json_path(text))
    return Path(text, None, _dotted(text))


def _json_path(text: str) -> Finder:
    """Compile JSONPath; its library is imported by those who use more than names and ``[*]``."""
    if _SIMPLE.fullmatch(text):
        names = text.removesuffix("[*]").split(".")[1:]
        return _members(names, has_wildcard=text.endswith("[*]"))

    import jsonpath_rfc9535

    try:
        query = jsonpath_rfc9535.compile(text)
    except jsonpath_rfc9535.JSONPathError as error:
        raise ValueError(
            f"{text!r} is not JSONPath ({error}): write it by RFC 9535, such as $.data[*]"
        ) from None

    def find(body: object) -> list[object]:
        try:
            return query.find(body).values()  # type: ignore[arg-type]
        except (jsonpath_rfc9535.JSONPathError, RecursionError) as error:
            raise ValueError(f"{text!r} cannot be looked for: {error}") from None

    return find


def _members(names: list[str], *, has_wildcard: bool) -> Finder:
    """Find what ``$.name.name`` or ``$.name.name[*]`` does: the paths of most lists of records."""

    def find(body: object) -> list[object]:
        for name in names:
            if not isinstance(body, dict) or name not in body:
                return []
            body = body[name]
        return _inside(body) if has_wildcard else [body]

    return find


def _dotted(text: str) -> Finder:
    if not text:
        return lambda body: [body]
    names = text.split(".")
    if "" in names:
        raise ValueError(f"{text!r} has an empty name: write names with single dots between them")
    if "[" in text or "]" in text:
        raise ValueError(f"{text!r} has brackets: write data.0.id, or JSONPath ($.data[0])")
    if "*" in names:
        return lambda body: _walk_all(body, names)
    if len(names) == 1 and _INDEX.fullmatch(text) is None:
        return lambda body: [body[text]] if isinstance(body, dict) and text in body else []
    # the rest of the path at each step: a name with dots in it is looked for as a whole
    steps = tuple((name, ".".join(names[at:])) for at, name in enumerate(names))

    def find(body: object) -> list[object]:
        for name, rest in steps:
            if isinstance(body, dict) and rest in body:
                return [body[rest]]
            body = _step(body, name)
            if body is _NOTHING:
                return []
        return [body]

    return find


def _step(body: object, name: str) -> object:
    """Go into one name, or one place of a list."""
    if isinstance(body, dict):
        return body.get(name, _NOTHING)
    if isinstance(body, list) and _INDEX.fullmatch(name) is not None:
        index = int(name)
        if -len(body) <= index < len(body):
            return body[index]
    return _NOTHING


def _walk_all(body: object, names: list[str]) -> list[object]:
    """Walk a path that has a ``*`` in it, which stands for every name or place."""
    found = [body]
    for name in names:
        if name == "*":
            found = [inner for value in found for inner in _inside(value)]
        else:
            stepped = (_step(value, name) for value in found)
            found = [value for value in stepped if value is not _NOTHING]
    return found


def _inside(value: object) -> list[object]:
    if isinstance(value, dict):
        return list(value.values())
    return value if isinstance(value, list) else []
