"""Reads what a job does: a callable of the user's (``run``), or a declared pull (``request``)."""

import re
from collections.abc import Mapping
from typing import Final

from connector.oauth.endpoint_url import origin_of
from connector.providers.provider import Provider
from connector.pulls.reading import read_pull
from connector.pulls.reading.requests import UrlCheck
from connector.pulls.reading.values import plain
from connector.pulls.spec import Pull
from connector.toml_section import Section

_CALLABLE: Final = re.compile(r"[A-Za-z_]\w*(\.[A-Za-z_]\w*)*:[A-Za-z_]\w*")
_RUN: Final = 'write run = "my_package.pulls:insights"'


def read_run(table: Section) -> str:
    """Read ``run``; empty where there is a ``request`` in its place."""
    run, has_request = table.text("run"), "request" in table
    if has_request and run:
        table.problem("run", "stands beside a request", "take one of them away")
    elif not run and not has_request:
        table.problem("run", "is missing", f"{_RUN}, or request = {{ … }}")
    elif run and _CALLABLE.fullmatch(run) is None:
        table.problem("run", f"{run!r} is not of the form module:function", _RUN)
    return run


def read_request(
    table: Section, provider: str | None, providers: Mapping[str, Provider]
) -> tuple[Pull | None, Mapping[str, object]]:
    """Read ``request``: the pull, and its table in JSON values; None and nothing without one.

    Args:
        table: of the job.
        provider: that the job names; its data says what the job does not.
        providers: of the configuration: a job that names none may run for accounts of any.
    """
    if table.value("request", dict) is None:
        return None, {}
    section = table.section("request")
    named = providers.get(provider or "")
    candidates = [named] if named else list(providers.values())
    pull = read_pull(section, named.api.pull if named else None, _url_check(candidates))
    if pull is None:
        return None, {}
    return pull, {name: plain(value) for name, value in section.table.items()}


def _url_check(providers: list[Provider]) -> UrlCheck:
    """Give a check of URLs against the origins that tokens may go to."""
    names = " or ".join(provider.name for provider in providers)

    def check(url: str) -> str | None:
        if not providers:
            return None  # that there is none is told elsewhere
        if "://" not in url.partition("?")[0]:
            if any(provider.api.base_url for provider in providers):
                return None
            return f"is relative, and there is no api.base_url of {names}"
        try:
            origin = origin_of(url)
        except ValueError:
            return "has no http origin"
        if any(provider.api.permits(url) for provider in providers):
            return None
        return f"goes to {origin}, to which no token of {names} is sent"

    return check
