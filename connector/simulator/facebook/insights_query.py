"""What an insights request asks for: the parameters of GET /act_{id}/insights, read and checked.

Objects are JSON in the query. Dates are days in the ad account's time zone, both ends included.
"""

import json
import re
from dataclasses import dataclass
from datetime import date, timedelta
from typing import Literal, cast, get_args

from connector.simulator.call import Subject
from connector.simulator.facebook.error import bad_parameter
from connector.simulator.facebook.insights_rows import FIELDS, Increment, Level
from connector.simulator.parameters import Parameters

# What the real provider gives where no limit is named.
DEFAULT_LIMIT = 25

# Larger pages are asked for by nobody who wants to be answered (assumed).
LARGEST_LIMIT = 5000

# A bucket of days is at most this long; beyond it there are `monthly` and `all_days`.
LONGEST_INCREMENT = 90

DEFAULT_FIELDS = ("impressions", "spend")

# Answered by nobody here: a client that sends them should hear of it.
NOT_SIMULATED = ("breakdowns", "action_breakdowns", "filtering", "sort", "time_ranges", "before")

Preset = Literal[
    "today",
    "yesterday",
    "last_3d",
    "last_7d",
    "last_14d",
    "last_28d",
    "last_30d",
    "last_90d",
    "this_month",
    "last_month",
    "maximum",
]


@dataclass(frozen=True, slots=True, kw_only=True)
class InsightsQuery:
    """Which rows, with which fields, how many at a time."""

    since: date
    until: date
    level: Level
    increment: Increment
    fields: tuple[str, ...]
    limit: int
    after: str | None


def read_insights_query(
    parameters: Parameters, *, today: date, first_day: date, subject: Subject
) -> InsightsQuery:
    """The query that the parameters make; `today` and `first_day` are the ad account's.

    Raises:
        GraphError: code 100, naming the parameter.
    """
    for name in NOT_SIMULATED:
        if name in parameters:
            raise bad_parameter(f"The parameter {name} is not simulated", subject)
    level = parameters.get("level") or "account"
    if level not in get_args(Level):
        raise bad_parameter(f"Param level must be one of {{{', '.join(get_args(Level))}}}", subject)
    since, until = _range(parameters, today=today, first_day=first_day, subject=subject)
    return InsightsQuery(
        since=since,
        until=until,
        level=cast("Level", level),
        increment=_increment(parameters.get("time_increment"), subject),
        fields=_fields(parameters.get("fields"), subject),
        limit=_limit(parameters.get("limit"), subject),
        after=parameters.get("after"),
    )


def _fields(text: str | None, subject: Subject) -> tuple[str, ...]:
    if text is None:
        return DEFAULT_FIELDS
    if text.startswith("["):
        value = _json(text, "fields", subject)
        names = value if isinstance(value, list) else []
    else:
        names = [part.strip() for part in text.split(",")]
    for name in names:
        if not isinstance(name, str) or name not in FIELDS:
            raise bad_parameter("One of the fields is not valid for fields param.", subject)
    return tuple(dict.fromkeys(map(str, names))) or DEFAULT_FIELDS


def _limit(text: str | None, subject: Subject) -> int:
    if text is None:
        return DEFAULT_LIMIT
    if not re.fullmatch(r"[0-9]{1,5}", text) or not 1 <= int(text) <= LARGEST_LIMIT:
        raise bad_parameter(f"Param limit must be a number from 1 to {LARGEST_LIMIT}", subject)
    return int(text)


def _increment(text: str | None, subject: Subject) -> Increment:
    if text is None or text == "all_days":
        return "all_days"
    if text == "monthly":
        return "monthly"
    if not re.fullmatch(r"[0-9]{1,2}", text) or not 1 <= int(text) <= LONGEST_INCREMENT:
        raise bad_parameter(
            f"Param time_increment must be 1 to {LONGEST_INCREMENT}, monthly or all_days", subject
        )
    return int(text)


def _range(
    parameters: Parameters, *, today: date, first_day: date, subject: Subject
) -> tuple[date, date]:
    text = parameters.get("time_range")
    if text is None:
        preset = parameters.get("date_preset") or "last_30d"
        return _preset(preset, today=today, first_day=first_day, subject=subject)
    value = _json(text, "time_range", subject)
    if not isinstance(value, dict) or set(value) != {"since", "until"}:
        raise bad_parameter("Param time_range must be an object of since and until", subject)
    since, until = (_day(value[name], subject) for name in ("since", "until"))
    if since > until:
        raise bad_parameter("Param time_range: since is later than until", subject)
    return since, until


def _preset(preset: str, *, today: date, first_day: date, subject: Subject) -> tuple[date, date]:
    if preset not in get_args(Preset):
        raise bad_parameter("Param date_preset must be one of those simulated", subject)
    yesterday = today - timedelta(days=1)
    days = re.fullmatch(r"last_([0-9]+)d", preset)
    if days:
        # the last days end yesterday: today's figures are not whole
        return today - timedelta(days=int(days[1])), yesterday
    month = today.replace(day=1)
    before = month - timedelta(days=1)
    ranges = {
        "today": (today, today),
        "yesterday": (yesterday, yesterday),
        "this_month": (month, today),
        "last_month": (before.replace(day=1), before),
        "maximum": (first_day, today),
    }
    return ranges[preset]


def _json(text: str, name: str, subject: Subject) -> object:
    try:
        return cast("object", json.loads(text))
    except (ValueError, RecursionError):
        raise bad_parameter(f"Param {name} is not JSON", subject) from None


def _day(value: object, subject: Subject) -> date:
    if isinstance(value, str) and re.fullmatch(r"\d{4}-\d{2}-\d{2}", value, re.ASCII):
        try:
            return date.fromisoformat(value)
        except ValueError:
            pass
    raise bad_parameter("Param time_range: a date looks like 2026-01-31", subject)
