"""Texts of a provider's table with variables in them (``{tenant}``), filled in and checked.

Whatever becomes a URL is checked after its variables are filled in, so that a variable cannot
smuggle in what a URL may not have (CHECKLIST 37).
"""

import re
from collections.abc import Mapping
from typing import Final

from connector.oauth.endpoint_url import check_endpoint_url
from connector.toml_section import Section

_VARIABLE: Final = re.compile(r"\{([a-z_]+)\}")
#: Stands for what is filled in only when a request is made, while the URL around it is checked.
_STAND_IN: Final = "x"


def read_url(section: Section, key: str, variables: Mapping[str, str]) -> str | None:
    """Read a URL; one that no endpoint may have is a problem."""
    return read_url_template(section, key, variables, placeholders=frozenset())


def read_url_template(
    section: Section, key: str, variables: Mapping[str, str], *, placeholders: frozenset[str]
) -> str | None:
    """Read a URL in which placeholders stay until a request is made.

    Args:
        section: the table.
        key: of the URL.
        variables: name → value, filled in here.
        placeholders: the names that may stay; another one is a problem.
    """
    text = section.optional_text(key)
    if text is None:
        return None
    url = fill(text, variables)
    for name in _VARIABLE.findall(url):
        if name not in placeholders:
            remedy = f'set variables = {{ {name} = "…" }}'
            section.problem(key, f"needs the variable {name!r}", remedy)
            return None
    check_url(section, key, _VARIABLE.sub(_STAND_IN, url))
    return url


def fill(text: str, variables: Mapping[str, str]) -> str:
    """Fill in the variables that are set; others stay as they are."""
    return _VARIABLE.sub(lambda match: variables.get(match[1], match[0]), text)


def unknown_placeholders(text: str, known: frozenset[str]) -> list[str]:
    """Give the placeholders of a text that nothing fills in."""
    return [name for name in _VARIABLE.findall(text) if name not in known]


def check_url(section: Section, key: str, url: str) -> None:
    """Report a URL that no endpoint may have."""
    try:
        check_endpoint_url(url)
    except ValueError as error:
        section.problem(key, str(error), f'write {key} = "https://…"')


def read_headers(section: Section, key: str) -> dict[str, str]:
    """Read headers; what no header can carry is a problem (RFC 9110 §5.5)."""
    headers = section.text_map(key)
    for name, value in headers.items():
        if not (name + value).isascii():
            section.problem(f"{key}.{name}", "is not ASCII text", "no header can carry it")
    return headers


def read_conditions(section: Section, key: str) -> dict[str, tuple[object, ...]]:
    """Read path → value or list of values."""
    conditions: dict[str, tuple[object, ...]] = {}
    for path, found in (section.value(key, dict) or {}).items():
        values = tuple(found) if isinstance(found, list) else (found,)
        if not values or any(isinstance(value, dict | list) for value in values):
            remedy = f'write a dotted path in quotes: {key} = {{ "error.code" = 190 }}'
            section.problem(f"{key}.{path}", "must be a value or a list of values", remedy)
        conditions[str(path)] = values
    return conditions
