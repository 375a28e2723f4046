"""The ``Link`` header (RFC 8288), parsed as its appendix B.2 says."""

import re
from collections.abc import Iterator
from typing import Final

_TARGET: Final = re.compile(r"[\s,]*<([^>]*)>")
_PARAMETER: Final = re.compile(
    r"""\s*;\s*(?P<name>[^\s=;,"]*)\s*(?:=\s*(?:"(?P<quoted>(?:[^"\\]|\\.)*)"|(?P<bare>[^;,\s]*)))?"""
)
_ESCAPE: Final = re.compile(r"\\(.)")


def find_link(header: str, relation: str) -> str | None:
    """Give the target of the first link with a relation type; None where there is none.

    Links that speak of another page (``anchor``) are passed over (RFC 8288 §3.2).

    Args:
        header: its value; several headers are joined by commas.
        relation: such as ``next``; small letters.
    """
    for target, parameters in _links(header):
        relations = parameters.get("rel", "").lower().split()
        if relation in relations and "anchor" not in parameters:
            return target
    return None


def _links(header: str) -> Iterator[tuple[str, dict[str, str]]]:
    at = 0
    while (match := _TARGET.match(header, at)) is not None:
        at = match.end()
        parameters: dict[str, str] = {}
        while (found := _PARAMETER.match(header, at)) is not None:
            at = found.end()
            text = found["bare"] or ""
            if found["quoted"] is not None:
                text = _ESCAPE.sub(r"\1", found["quoted"])
            parameters.setdefault(found["name"].lower(), text)  # the first one counts (§3.3)
        yield match[1].strip(), parameters
