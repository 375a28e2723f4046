"""Names of accounts, and the globs that select them.

A name is made of segments of ``[a-z0-9][a-z0-9._-]*`` joined by ``/``. In a glob ``*`` stays within
a segment and ``**`` crosses. Some words are not segments, because they end routes of the HTTP API
(``/v1/accounts/{account}/token``). No other character can occur, so that a name is safe in URLs,
headers, log lines and file names (CHECKLIST 150).
"""

import re
from dataclasses import dataclass, field
from typing import Final

RESERVED_SEGMENTS: Final = frozenset({"token", "refresh", "revoke", "rename"})
LONGEST_NAME: Final = 200  # fits every database's index and one line of a terminal

_SEGMENT: Final = re.compile(r"[a-z0-9][a-z0-9._-]*")
#: What the stars of a glob are in a regular expression.
_STARS: Final = {"**": ".*", "*": "[^/]*"}
#: With so many a regular expression is quick on the longest name, whatever it says.
_MOST_STARS: Final = 2
_GLOB_SEGMENT: Final = re.compile(r"\*\*|[a-z0-9.*_-]+")


def check_account_name(name: str) -> str:
    """Return the name if it is one.

    Raises:
        ValueError: says which rule it breaks.
    """
    if not name or len(name) > LONGEST_NAME:
        raise ValueError(f"an account name has 1 to {LONGEST_NAME} characters")
    for segment in name.split("/"):
        if _SEGMENT.fullmatch(segment) is None:
            raise ValueError(
                f"{name!r} is not an account name: segments of a-z, 0-9, '.', '_' and '-', "
                "each beginning with a letter or digit, joined by '/'"
            )
        if segment in RESERVED_SEGMENTS:
            raise ValueError(f"{name!r} is not an account name: {segment!r} is reserved")
    return name


@dataclass(frozen=True, slots=True, kw_only=True)
class AccountGlob:
    """A pattern over account names; `parse_glob` makes one."""

    text: str
    _parts: tuple[str, ...] = field(repr=False, compare=False)
    _pattern: re.Pattern[str] | None = field(repr=False, compare=False)

    def matches(self, name: str) -> bool:
        """Tell whether the whole name fits; what is too long for a name fits nothing.

        It is asked about whatever a caller sends. What a regular expression with several stars
        costs rises with a power of the length; so with many there is none.
        """
        if len(name) > LONGEST_NAME:
            return False
        if self._pattern is not None:
            return self._pattern.fullmatch(name) is not None
        return _fits(self._parts, name)

    @property
    def is_literal(self) -> bool:
        """Whether it names one account and no other."""
        return "*" not in self.text


def parse_glob(text: str) -> AccountGlob:
    """Read a glob.

    Raises:
        ValueError: it holds a character that no account name has.
    """
    if not text or any(_GLOB_SEGMENT.fullmatch(segment) is None for segment in text.split("/")):
        raise ValueError(
            f"{text!r} does not select accounts: use names, '*' within a segment, '**' across"
        )
    parts = tuple(part for part in re.split(r"(\*\*|\*)", text) if part)
    pattern = None
    if sum(part in _STARS for part in parts) <= _MOST_STARS:
        pattern = re.compile("".join(_STARS.get(part) or re.escape(part) for part in parts))
    single: list[str] = []
    for part in parts:
        single.extend([part] if part in _STARS else part)
    return AccountGlob(text=text, _parts=tuple(single), _pattern=pattern)


def _fits(parts: tuple[str, ...], name: str) -> bool:
    """Walk once through a name, with all places of a glob where one may be by then.

    Args:
        parts: single characters, ``*`` and ``**``.
        name: of an account, or what somebody takes for one.
    """
    places = _with_stars_passed({0}, parts)
    for character in name:
        following: set[int] = set()
        for place in places - {len(parts)}:
            part = parts[place]
            if part == "**" or (part == "*" and character != "/"):
                following.add(place)
            elif part == character:
                following.add(place + 1)
        places = _with_stars_passed(following, parts)
    return len(parts) in places


def _with_stars_passed(places: set[int], parts: tuple[str, ...]) -> set[int]:
    """Add the places that are reached where stars stand for nothing."""
    reached = set(places)
    for place in places:
        following = place
        while following < len(parts) and parts[following] in _STARS:
            following += 1
            reached.add(following)
    return reached
