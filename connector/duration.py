"""Lengths of time as people write them (``90s``, ``15m``, ``12h``, ``30d``), in seconds.

A bare ``0`` is a duration too; any other number needs its unit, so that nobody has to guess.
"""

import re
from typing import Final

SECONDS_PER_UNIT: Final = {
    "ms": 0.001,
    "s": 1.0,
    "m": 60.0,
    "h": 3600.0,
    "d": 86_400.0,
    "w": 604_800.0,
}
_GRAMMAR: Final = re.compile(r"(?P<number>[0-9]+(?:\.[0-9]+)?)\s*(?P<unit>ms|s|m|h|d|w)")

#: Longer than any token, consent or schedule; a longer one is a slip of the pen.
LONGEST: Final = 100 * 365 * SECONDS_PER_UNIT["d"]


def parse_duration(text: str) -> float:
    """Read a duration, in seconds.

    Raises:
        ValueError: it is not a number with one of the units, or longer than a hundred years.
    """
    if text.strip() == "0":
        return 0.0
    match = _GRAMMAR.fullmatch(text.strip())
    if match is None:
        raise ValueError(f"{text!r} is not a duration such as 90s, 15m, 12h or 30d")
    seconds = float(match["number"]) * SECONDS_PER_UNIT[match["unit"]]
    if seconds > LONGEST:
        raise ValueError(f"{text!r} is longer than a hundred years")
    return seconds


def format_duration(seconds: float) -> str:
    """Say a length of time in its one or two largest units: ``59 d 23 h``, ``4 min``, ``2 s``."""
    if seconds < 0:
        return f"-{format_duration(-seconds)}"
    if seconds < 10 and seconds != int(seconds):  # below ten a decimal says something
        return f"{seconds:.1f} s"
    remaining = int(seconds)
    parts: list[str] = []
    for name, size in (("d", 86_400), ("h", 3600), ("min", 60), ("s", 1)):
        count, remaining = divmod(remaining, size)
        if count:
            parts.append(f"{count} {name}")
        elif parts:
            break
        if len(parts) == 2:  # two units are what a reader takes in
            break
    return " ".join(parts) or "0 s"
