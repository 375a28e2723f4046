"""JSON from a server that is not trusted: strict, bounded, and never quoted in an error.

A name that occurs twice, ``NaN``, bytes that are no UTF-8 and deep nesting are refused, so that two
readers cannot take one answer for two different ones (RFC 8259 §4, RFC 7493).
"""

import json
from typing import Final, NoReturn

#: Deeper than any token answer; deep nesting is an attack on the parser.
DEEPEST_ANSWER: Final = 64


def parse_json_object(body: bytes) -> dict[str, object]:
    """Read a JSON object strictly: UTF-8, no repeated names, no NaN, no deep nesting.

    A byte order mark is passed over (RFC 8259 §8.1): it is no reason to lose a token.

    Raises:
        ValueError: says what is wrong; never quotes the content.
    """
    try:
        value = json.loads(
            body.decode("utf-8-sig"),
            object_pairs_hook=unique_pairs,
            parse_constant=_refuse_constant,
        )
    except UnicodeDecodeError:
        raise ValueError("not UTF-8") from None
    except json.JSONDecodeError:
        raise ValueError("not JSON") from None
    except RecursionError:
        raise ValueError("nested too deep") from None
    if not isinstance(value, dict):
        raise ValueError("not a JSON object")
    _check_depth(value)
    return value


def unique_pairs(pairs: list[tuple[str, object]]) -> dict[str, object]:
    """Make a table of pairs.

    Raises:
        ValueError: a name occurs twice.
    """
    table = dict(pairs)
    if len(table) != len(pairs):
        raise ValueError("a name occurs twice")
    return table


def _refuse_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is not JSON")


def _check_depth(value: object) -> None:
    level = [value]
    for _ in range(DEEPEST_ANSWER):
        level = [
            child
            for parent in level
            if isinstance(parent, dict | list)
            for child in (parent.values() if isinstance(parent, dict) else parent)
        ]
        if not level:
            return
    raise ValueError("nested too deep")
