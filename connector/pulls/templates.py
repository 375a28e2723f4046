"""``{placeholders}`` in URLs, parameters, headers and bodies.

A placeholder is a name of small letters, digits and ``_`` in braces; ``{{`` stands for a brace, and
any other brace for itself, so that JSON and GraphQL can be written as they are. A value can never
add a parameter or a header, leave its segment of a path, or change where a request goes.
"""

import re
from collections.abc import Iterator, Mapping
from typing import Final
from urllib.parse import quote

from connector.pulls.messages import Request, as_text
from connector.pulls.spec import RequestTemplate, Template

_PIECE: Final = re.compile(r"\{\{|\{(?P<name>[a-z_][a-z0-9_]*)\}")
#: What no header's value may hold (RFC 9110 §5.5).
_NO_HEADER: Final = re.compile(r"[\x00-\x08\x0a-\x1f\x7f]")
_ABSENT: Final = object()


class MissingValue(ValueError):
    """A URL has a placeholder that has no value."""


def names(template: RequestTemplate | Template) -> frozenset[str]:
    """Give the names of all placeholders of a request, or of a part of one."""
    if isinstance(template, RequestTemplate):
        parts = (template.url, template.params, template.headers, template.body, template.form)
        return frozenset().union(*(names(part) for part in parts))
    return frozenset(
        match["name"]
        for text in _texts(template)
        for match in _PIECE.finditer(text)
        if match["name"]
    )


def fill(template: RequestTemplate, values: Mapping[str, object]) -> Request:
    """Make a request of a template.

    A parameter, a header or a field of the body whose placeholder has no value (None, or not
    there) is left out, a parameter even if the placeholder is deep within it: ``{since}`` of the
    first run, where no start is set.

    Args:
        template: the request.
        values: of placeholders, by name.

    Raises:
        MissingValue: a placeholder of the URL has no value.
        ValueError: a value cannot stand where it should: it would leave its segment of the path,
            or is no header's value.
    """
    body = fill_value(template.body, values)
    return Request(
        url=fill_url(template.url, values),
        method=template.method,
        params=_fill_params(template.params, values),
        headers=dict(_fill_headers(template.headers, values)),
        body=None if body is _ABSENT else body,
        form=_fill_params(template.form, values),
    )


def fill_url(url: str, values: Mapping[str, object]) -> str:
    """Fill in a URL; values are percent-encoded, whatever is in them (RFC 3986 §2.1).

    Raises:
        MissingValue, ValueError: as `fill`.
    """
    path, mark, query = url.partition("?")
    segments = [_fill_segment(segment, values) for segment in path.split("/")]
    return "/".join(segments) + mark + _fill_encoded(query, values)


def fill_value(template: Template, values: Mapping[str, object]) -> object:
    """Fill in a value of a body; text that is one placeholder alone keeps the value's type.

    Fields and items whose placeholder has no value are left out.
    """
    if isinstance(template, str):
        return _fill_text(template, values)
    if isinstance(template, Mapping):
        filled = ((name, fill_value(inner, values)) for name, inner in template.items())
        return {name: value for name, value in filled if value is not _ABSENT}
    if isinstance(template, (list, tuple)):
        items = (fill_value(inner, values) for inner in template)
        return [value for value in items if value is not _ABSENT]
    return template


def _fill_params(templates: Mapping[str, Template], values: Mapping[str, object]) -> dict[str, str]:
    return {
        name: as_text(fill_value(template, values))
        for name, template in templates.items()
        if all(values.get(used) is not None for used in names(template))
    }


def _fill_headers(
    templates: Mapping[str, str], values: Mapping[str, object]
) -> Iterator[tuple[str, str]]:
    for name, template in templates.items():
        value = _fill_text(template, values)
        if value is _ABSENT:
            continue
        text = as_text(value)
        if _NO_HEADER.search(text) or not text.isascii():
            raise ValueError(f"a value for the header {name} has a character that none may have")
        yield name, text


def _fill_text(template: str, values: Mapping[str, object]) -> object:
    whole = _PIECE.fullmatch(template)
    if whole is not None and whole["name"]:
        value = values.get(whole["name"])
        return _ABSENT if value is None else value
    if any(values.get(name) is None for name in names(template)):
        return _ABSENT
    return _PIECE.sub(lambda match: _text_of(match, values), template)


def _text_of(match: re.Match[str], values: Mapping[str, object]) -> str:
    return as_text(values[match["name"]]) if match["name"] else "{"


def _fill_segment(segment: str, values: Mapping[str, object]) -> str:
    filled = _fill_encoded(segment, values)
    if filled in {"", ".", ".."} and filled != segment:
        told = repr(filled) if filled else "empty"
        raise ValueError(f"a value for {segment} in the URL is {told}, which leads elsewhere")
    return filled


def _fill_encoded(text: str, values: Mapping[str, object]) -> str:
    def encode(match: re.Match[str]) -> str:
        name = match["name"]
        if name and values.get(name) is None:
            raise MissingValue(f"the URL needs {{{name}}}, which has no value")
        return quote(_text_of(match, values), safe="")

    return _PIECE.sub(encode, text)


def _texts(template: Template) -> Iterator[str]:
    """Give every text in which placeholders count; names of fields are none."""
    if isinstance(template, str):
        yield template
    elif isinstance(template, Mapping):
        for inner in template.values():
            yield from _texts(inner)
    elif isinstance(template, (list, tuple)):
        for inner in template:
            yield from _texts(inner)
