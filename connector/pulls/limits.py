"""What an API's headers say of its rate limits.

Read are the headers that the provider's data names, ``Retry-After`` (RFC 9110 §10.2.3),
``RateLimit`` in all the forms of its drafts (draft-ietf-httpapi-ratelimit-headers), and the older
``X-RateLimit-…``. What a server says is kept within bounds: no header stops a job for a year. The
moments that it names are of its own clock, which ``Date`` tells (RFC 9110 §6.6.1).
"""

import json
import math
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from email.utils import parsedate_to_datetime
from functools import lru_cache
from typing import Final

from connector.pulls.paths import Path
from connector.pulls.rules import LimitRule, Scope, UsageHeader

#: The longest wait that is believed: limits are of a day at most.
LONGEST: Final = 86_400.0
#: A reset that is larger is a point in time, not a number of seconds: a year.
_EPOCH_FROM: Final = 31_536_000.0
#: One that is larger still is in milliseconds.
_MILLISECONDS_FROM: Final = 100_000_000_000.0
_LARGEST_HEADER: Final = 64 * 1024
#: Headers change slowly: the same text comes with many answers.
_CACHED: Final = 64
_NUMBER: Final = re.compile(r"[0-9]+(?:\.[0-9]+)?")
_PAIR: Final = re.compile(r"([0-9]+(?:\.[0-9]+)?)\s*/\s*([0-9]+(?:\.[0-9]+)?)")
_MEMBER: Final = re.compile(r"\b(limit|remaining|reset|q|r|t)\s*=\s*([0-9]+(?:\.[0-9]+)?)")
#: Before an item that has a name and parameters (``"burst";r=5``).
_BETWEEN: Final = re.compile(r',\s*(?=(?:"[^"]*"|[A-Za-z*][\w*.-]*)\s*;)')
_PREFIXES: Final = ("ratelimit-", "x-ratelimit-", "x-rate-limit-")


@dataclass(frozen=True, slots=True)
class Usage:
    """How much of a limit is used.

    Attributes:
        scope: what shares the limit.
        used: in per cent, from 0 to 100; at 100 nothing more may be sent until it is free again.
        wait: seconds until it is free again; 0: unknown, or at once.
    """

    scope: Scope
    used: float
    wait: float


def read(headers: Mapping[str, str], rule: LimitRule, now: float) -> list[Usage]:
    """Read what headers say of limits; what cannot be read says nothing.

    Args:
        headers: by small letters.
        rule: which further ones there are, and what shares the general ones' limit.
        now: seconds since the epoch, where the server does not tell.
    """
    now = _server_time(headers, now)
    found = [usage for header in rule.headers for usage in _declared(headers, header, now)]
    found += [Usage(rule.scope, 100.0, wait) for wait in _retry_after(headers, now)]
    found += [Usage(rule.scope, used, wait) for used, wait in _rate_limits(headers, now)]
    return found


def retry_after(headers: Mapping[str, str], now: float) -> float | None:
    """Give for how many seconds ``Retry-After`` asks us to stay away; None: it does not."""
    return next(_retry_after(headers, _server_time(headers, now)), None)


def _server_time(headers: Mapping[str, str], now: float) -> float:
    """Give when an answer came, on the clock of who made it; without that, on ours."""
    made_at = _moment(headers.get("date", ""))
    if made_at is None:
        return now
    age = headers.get("age", "")
    return made_at + (float(age) if _NUMBER.fullmatch(age) else 0.0)


@lru_cache(maxsize=_CACHED)
def _moment(text: str) -> float | None:
    """Read a date as HTTP writes it; None: it is none."""
    try:
        return parsedate_to_datetime(text).timestamp()
    except (ValueError, OverflowError):
        return None


def _declared(headers: Mapping[str, str], rule: UsageHeader, now: float) -> Iterator[Usage]:
    text = headers.get(rule.name.lower())
    if text is None or len(text) > _LARGEST_HEADER:
        return
    if not rule.used:
        used = _percentage(text)
        if used is not None:
            yield Usage(rule.scope, used, 0.0)
        return
    used, wait = _parse(text, rule)
    if used is not None or wait:
        yield Usage(rule.scope, _percent(used or 0.0), _wait(wait * rule.wait_unit, now))


@lru_cache(maxsize=_CACHED)
def _parse(text: str, rule: UsageHeader) -> tuple[float | None, float]:
    """Read a header's JSON: how much is used, and how long it takes, in the header's unit."""
    try:
        value = json.loads(text)
    except (ValueError, RecursionError):
        return None, 0.0
    used = max(_numbers(rule.used, value), default=None)
    return used, max(_numbers(rule.wait, value), default=0.0)


def _numbers(paths: Iterable[str], value: object) -> list[float]:
    found = (one for path in paths for one in Path.parse(path).find(value))
    return [number for number in map(_number, found) if number is not None]


def _retry_after(headers: Mapping[str, str], now: float) -> Iterator[float]:
    text = headers.get("retry-after", "").strip()
    if not text:
        return
    if _NUMBER.fullmatch(text):
        yield _bounded(float(text))
    elif (moment := _moment(text)) is not None:
        yield _bounded(moment - now)


def _rate_limits(headers: Mapping[str, str], now: float) -> Iterator[tuple[float, float]]:
    """Give percentages and waits of ``RateLimit`` and its older relations."""
    quotas = {name: members.get("q") for name, members in _items(headers, "ratelimit-policy")}
    for name, members in _items(headers, "ratelimit"):
        yield from _usage(
            members.get("limit", quotas.get(name)),
            members.get("remaining", members.get("r")),
            members.get("reset", members.get("t")),
            now,
        )
    for prefix in _PREFIXES:
        if f"{prefix}remaining" not in headers:
            continue
        yield from _usage(
            headers.get(f"{prefix}limit"),
            headers.get(f"{prefix}remaining"),
            headers.get(f"{prefix}reset"),
            now,
        )


def _items(headers: Mapping[str, str], header: str) -> Iterator[tuple[str, dict[str, str]]]:
    """Give the items of a list, by their names; one alone has none in the older drafts."""
    if header not in headers:
        return
    for item in _BETWEEN.split(headers[header][:_LARGEST_HEADER]):
        yield item.partition(";")[0].strip(), dict(_MEMBER.findall(item))


def _usage(
    limit: str | None, remaining: str | None, reset: str | None, now: float
) -> Iterator[tuple[float, float]]:
    left = _leading(remaining)
    if left is None:
        return
    quota = _leading(limit)
    used = 100.0 if left <= 0 else 0.0 if not quota else 100.0 * (quota - left) / quota
    yield _percent(used), _reset(reset, now)


def _reset(text: str | None, now: float) -> float:
    """Read when a limit is free again: seconds from now, since the epoch, or a point in time."""
    number = _leading(text)
    if number is not None:
        return _wait(number, now)
    try:
        return _bounded(datetime.fromisoformat(text or "").timestamp() - now)
    except (ValueError, OverflowError, OSError):
        return 0.0


def _wait(seconds: float, now: float) -> float:
    if seconds > _MILLISECONDS_FROM:
        seconds /= 1000
    return _bounded(seconds - now if seconds > _EPOCH_FROM else seconds)


def _percentage(text: str) -> float | None:
    pair = _PAIR.search(text)
    if pair is not None:
        used, limit = float(pair[1]), float(pair[2])
        return _percent(100 * used / limit) if limit else 100.0
    number = _leading(text)
    return None if number is None else _percent(number)


def _leading(text: str | None) -> float | None:
    """Read a number that the text is, or begins with (``100;w=60``, ``100, 100;w=60``)."""
    match = _NUMBER.match((text or "").strip())
    if match is None or (text or "").strip()[match.end() :][:1] not in {"", ",", ";", " "}:
        return None
    return float(match[0])


def _number(value: object) -> float | None:
    if isinstance(value, bool):
        return None
    if isinstance(value, str):
        return _leading(value)
    if isinstance(value, (int, float)) and math.isfinite(value):
        return float(value)
    return None


def _percent(value: float) -> float:
    return min(100.0, max(0.0, value))


def _bounded(seconds: float) -> float:
    return min(LONGEST, max(0.0, seconds))
