"""Single values of a server's answers, read with goodwill: times, scopes, texts for people.

What is there and cannot be used counts as absent; what is out of all proportion is clamped. Nothing
here raises.
"""

import math
from collections.abc import Mapping
from datetime import UTC
from email.utils import parsedate_to_datetime
from typing import Final, cast

#: Ten years: a longer life is a mistake of the server and would hide an expiry for good.
LONGEST_LIFETIME: Final = 10 * 365 * 86_400.0
#: Text of the server shown to people is cut here.
LONGEST_DESCRIPTION: Final = 300
#: A server that asks for more patience than a day is asked again after a day.
LONGEST_RETRY_AFTER: Final = 86_400.0


def printable(text: object, longest: int = LONGEST_DESCRIPTION) -> str | None:
    """Make a server's text fit for a terminal, a log line or a page: printable and short."""
    if not isinstance(text, str) or not text:
        return None
    shown = "".join(character if character.isprintable() else " " for character in text)
    return shown if len(shown) <= longest else shown[: longest - 1] + "…"


def read_seconds(value: object, longest: float = LONGEST_LIFETIME) -> float | None:
    """Read a number of seconds: a number or a numeric string, clamped to 0…``longest``.

    Anything else counts as absent (RFC 6749 §5.1 only recommends ``expires_in``).
    """
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        return None
    try:
        seconds = float(value)
    except OverflowError:  # a whole number beyond every float
        seconds = math.inf if isinstance(value, int) and value > 0 else 0.0
    except ValueError:
        return None
    return None if math.isnan(seconds) else min(max(seconds, 0.0), longest)


def read_scope(value: object) -> tuple[str, ...] | None:
    """Read a scope: words joined by spaces (RFC 6749 §3.3) or commas, or a list of words.

    A word that is no text (a database would choke on it) names no scope and is left out.
    """
    if isinstance(value, str):
        words = value.replace(",", " ").split()
    elif isinstance(value, list) and all(isinstance(word, str) for word in value):
        words = cast("list[str]", value)
    else:
        return None
    return tuple(word for word in words if word and word.isprintable())


def read_retry_after(headers: Mapping[str, str], now: float) -> float | None:
    """Read ``Retry-After``, seconds or an HTTP date (RFC 9110 §10.2.3), as seconds from ``now``."""
    value = headers.get("retry-after", "").strip()
    if not value:
        return None
    if value.isdecimal():
        return min(float(value.lstrip("0")[:9] or 0), LONGEST_RETRY_AFTER)
    try:
        moment = parsedate_to_datetime(value)
    except (ValueError, TypeError, OverflowError):
        return None
    if moment.tzinfo is None:
        moment = moment.replace(tzinfo=UTC)
    return min(max(0.0, moment.timestamp() - now), LONGEST_RETRY_AFTER)
