"""Reads ``[api.pull]`` of a provider: what holds for every pull from its API."""

from connector.pulls.defaults import PullDefaults
from connector.pulls.reading.answers import read_errors, read_limits
from connector.pulls.reading.pages import read_pagination, read_size
from connector.pulls.reading.values import plain
from connector.pulls.rules import LimitRule
from connector.toml_section import Section


def read_defaults(section: Section) -> PullDefaults:
    """Read a provider's table; an empty one says nothing."""
    defaults = PullDefaults(
        errors=read_errors(section),
        limits=read_limits(section, LimitRule()),
        pagination=read_pagination(section, None) if "pagination" in section else None,
        size=read_size(section, None),
        table=_plain_table(section),
    )
    section.value("pagination", object)
    section.value("size", object)
    section.finish()
    return defaults


def _plain_table(section: Section) -> dict[str, object]:
    try:
        return {name: plain(value) for name, value in section.table.items()}
    except ValueError:  # reported where it is read
        return {}
