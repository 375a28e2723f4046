"""What can be chosen about the data APIs; part of the simulator's settings."""

# ruff: noqa: RUF009 - each default is a dataclass field, made by _setting

from dataclasses import dataclass, field
from typing import Literal, TypeVar

GithubLimit = Literal["primary_403", "primary_429", "secondary"]
RetryAfterForm = Literal["seconds", "date", "none"]

_T = TypeVar("_T")

# The scope that each API wants; GitHub's, HubSpot's and Google's are those of the real ones.
GITHUB_SCOPE = "repo"
HUBSPOT_SCOPE = "crm.objects.contacts.read"
NOTION_SCOPE = "read_content"
ANALYTICS_SCOPE = "https://www.googleapis.com/auth/analytics.readonly"
SHAPES_SCOPE = "shapes.read"

API_SCOPES = (GITHUB_SCOPE, HUBSPOT_SCOPE, NOTION_SCOPE, ANALYTICS_SCOPE, SHAPES_SCOPE)

# Pages of no records, and records all of one moment, would never be at an end.
AT_LEAST_ONE = ("apis_step", "hubspot_search_limit", "shapes_page_size", "shapes_largest_page")


def _setting(default: _T, text: str) -> _T:
    """A field with its default and its description."""
    return field(default=default, metadata={"help": text})


@dataclass(frozen=True, slots=True, kw_only=True)
class ApiSettings:
    """How the data APIs behave; seconds, unless a field says else."""

    apis_seed: int = _setting(7, "what the records of the data APIs are computed from")
    apis_records: int = _setting(250, "records that each data API has at first")
    apis_epoch: float = _setting(
        1_767_225_600.0, "when the first record was written (2026-01-01), seconds since 1970"
    )
    apis_step: float = _setting(3600.0, "time between a record and the next one")
    apis_rate_limit: int = _setting(
        0, "calls of a person to a data API in a window, after which it refuses; 0: no limit"
    )
    apis_rate_window: float = _setting(60.0, "length of that window")
    apis_foreign_next: str = _setting(
        "", "another origin that links to a next page point at (http://host:port), as a thief's"
    )
    github_limit: GithubLimit = _setting(
        "primary_403", "how the GitHub-like API refuses calls above the limit"
    )
    hubspot_search_limit: int = _setting(
        10_000, "results of a HubSpot-like search after which `after` is refused"
    )
    shapes_page_size: int = _setting(50, "records in a page of /shapes where none is asked for")
    shapes_largest_page: int = _setting(100, "most records in a page of /shapes; more is a 400")
    shapes_longest_window: float = _setting(0.0, "longest window of /shapes/window; 0: any")
    shapes_newest_first: bool = _setting(
        default=False, text="pages of /shapes begin with the newest record"
    )
    shapes_empty_page: int = _setting(
        0, "number of a page of /shapes that comes empty and is not the last; 0: none"
    )
    shapes_stuck_cursor: bool = _setting(
        default=False, text="from its second page on, /shapes gives the same cursor for ever"
    )
    shapes_overlap: int = _setting(
        0, "records that each page of /shapes repeats from the end of the one before"
    )
    shapes_appended_per_page: int = _setting(
        0, "records that are added to /shapes after each page that is given"
    )
    shapes_appended_most: int = _setting(1000, "records that are added in this way at most")
    shapes_retry_after: RetryAfterForm = _setting(
        "seconds", "Retry-After of /shapes where calls are above the limit"
    )
