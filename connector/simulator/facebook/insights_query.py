"""What an insights request asks for: the parameters of GET /act_{id}/insights, read and checked.

Objects are JSON in the query. Dates are days in the ad account's time zone, both ends included.
"""

import re
from dataclasses import dataclass

from connector.simulator.call import Subject
from connector.simulator.facebook.error import bad_parameter
from connector.simulator.facebook.filtering import Filter, read_filters, read_json, read_sort
from connector.simulator.facebook.insights_days import KnownDays, Range, read_ranges
from connector.simulator.facebook.insights_rows import FIELDS, LEVELS, Increment, Level
from connector.simulator.parameters import Parameters

# A bucket of days is at most this long; beyond it there are `monthly` and `all_days`.
LONGEST_INCREMENT = 90

DEFAULT_FIELDS = ("impressions", "spend")

# Answered by nobody here: a client that sends them should hear of it.
NOT_SIMULATED = ("breakdowns", "action_breakdowns", "before")


@dataclass(frozen=True, slots=True, kw_only=True)
class InsightsQuery:
    """Which rows, with which fields, how many at a time."""

    ranges: tuple[Range, ...]
    """One, but for `time_ranges`; both ends of each included."""
    level: Level
    increment: Increment
    fields: tuple[str, ...]
    filters: tuple[Filter, ...]
    order: tuple[str, bool] | None
    """A field, and whether its largest value comes first."""

    @property
    def days(self) -> int:
        """How many days are asked for."""
        return sum((until - since).days + 1 for since, until in self.ranges)


def read_insights_query(
    parameters: Parameters, *, least: Level, days: KnownDays, subject: Subject
) -> InsightsQuery:
    """The query that the parameters make; `least` is the node's own level.

    Raises:
        GraphError: code 100, naming the parameter; or 3018, for what is too long ago.
    """
    for name in NOT_SIMULATED:
        if name in parameters:
            raise bad_parameter(f"The parameter {name} is not simulated", subject)
    level = parameters.get("level") or least
    if level not in LEVELS[LEVELS.index(least) :]:
        choices = ", ".join(LEVELS[LEVELS.index(least) :])
        raise bad_parameter(f"Param level must be one of {{{choices}}}", subject)
    ranges = read_ranges(parameters, days, subject)
    is_several = "time_ranges" in parameters
    increment = _increment(parameters.get("time_increment"), subject)
    return InsightsQuery(
        ranges=ranges,
        level=level,
        # the real provider ignores time_increment where time_ranges are given
        increment="all_days" if is_several else increment,
        fields=_fields(parameters.get("fields"), subject),
        filters=read_filters(parameters, FIELDS, subject),
        order=read_sort(parameters, FIELDS, subject),
    )


def _fields(text: str | None, subject: Subject) -> tuple[str, ...]:
    if text is None:
        return DEFAULT_FIELDS
    if text.startswith("["):
        value = read_json(text, "fields", subject)
        names = value if isinstance(value, list) else []
    else:
        names = [part.strip() for part in text.split(",")]
    for name in names:
        if not isinstance(name, str) or name not in FIELDS:
            raise bad_parameter("One of the fields is not valid for fields param.", subject)
    return tuple(dict.fromkeys(map(str, names))) or DEFAULT_FIELDS


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
