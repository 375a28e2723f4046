"""Reads a whole pull, and checks that its pieces fit each other."""

import difflib
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Final

from connector.errors import ConfigurationError, Problem
from connector.pulls.defaults import PullDefaults
from connector.pulls.messages import BODY
from connector.pulls.reading.answers import read_errors, read_limits
from connector.pulls.reading.defaults import read_defaults
from connector.pulls.reading.pages import read_pagination, read_size
from connector.pulls.reading.parts import read_each, read_report
from connector.pulls.reading.requests import UrlCheck, check_names, read_request
from connector.pulls.reading.times import read_cursor, read_window
from connector.pulls.reading.values import read_fields, read_path
from connector.pulls.rules import Action
from connector.pulls.spec import CursorRule, Pull, RequestTemplate, WindowRule
from connector.pulls.templates import names
from connector.toml_section import Section

_MOST_TRIES: Final = 100
#: What an action needs of a pull.
_NEEDS: Final = {
    Action.REDUCE_PAGE_SIZE: ("size", 'add size = { param = "limit", value = 100 }'),
    Action.SPLIT_WINDOW: ("window", 'add window = "1d"'),
    Action.REPORT: ("report", "add report = { … }"),
}


def read_pull(
    section: Section, defaults: PullDefaults | None = None, check: UrlCheck | None = None
) -> Pull | None:
    """Read a pull; None where anything is wrong with it, which the section has collected.

    Args:
        section: the table ``request`` of a job.
        defaults: what the provider's data says, where the provider is known.
        check: says what is wrong with a URL; None: nothing is known of where it may go.
    """
    before = len(section.problems)
    known = defaults or PullDefaults()
    check = check or _any_url
    request = read_request(section, check)
    window = read_window(section)
    cursor = read_cursor(section, window)
    each = read_each(section, known, check)
    report = None if request is None else read_report(section, request, check)
    own = read_errors(section)
    pull = Pull(
        request=request or RequestTemplate(url=""),
        records=read_path(section, "records"),
        pagination=read_pagination(section, known.pagination),
        size=read_size(section, known.size),
        cursor=cursor,
        window=window,
        each=each,
        report=report,
        errors=own + known.errors,
        limits=read_limits(section, known.limits),
        tries=section.integer("tries", 6, lowest=1, highest=_MOST_TRIES),
        fields=read_fields(section, "fields"),
        keep=section.text_map("keep"),
    )
    section.value("report", object)  # is a known key, though there be no request
    section.finish()
    _check_names(section, pull)
    _check_times(section, pull)
    _check_params(section, pull)
    _check_actions(section, pull, {rule.action for rule in own})
    _check_keep(section, pull)
    return pull if len(section.problems) == before else None


def load_pull(
    table: Mapping[str, object], defaults: Mapping[str, object], *, source: str, job: str
) -> Pull:
    """Read a pull from tables that were read before, in another process.

    Args:
        table: ``request`` of the job.
        defaults: ``api.pull`` of the account's provider.
        source: the configuration's name, for messages.
        job: the job's name.

    Raises:
        ConfigurationError: it does not fit this provider's data, or this version.
    """
    problems: list[Problem] = []
    known = read_defaults(_section(defaults, ("api", "pull"), source, problems))
    path = ("jobs", job, "request")
    pull = read_pull(_section(table, path, source, problems), known)
    if pull is None or problems:
        raise ConfigurationError(problems)
    return pull


def _section(
    table: Mapping[str, object], path: tuple[str, ...], source: str, problems: list[Problem]
) -> Section:
    return Section(table, path=path, source=source, folder=Path(), problems=problems)


def _any_url(_: str) -> None:
    return None


def _check_names(section: Section, pull: Pull) -> None:
    """Report placeholders that nothing fills in, wherever they are."""
    parts = set(pull.each.fields) if pull.each else set()
    known = {"account", *parts}
    if pull.each is not None and pull.each.request is not None:
        check_names(_inner(section, "each"), pull.each.request, {"account"})
    if pull.cursor is not None:
        known.add("since")
        for name in sorted(names(pull.cursor.format.timezone) - parts):
            remedy = f"known here: {', '.join(sorted(parts)) or 'none: add each'}"
            section.problem("cursor.timezone", f"there is no {{{name}}} to fill in", remedy)
    if pull.window is not None:
        known.add("until")
    check_names(section, pull.request, known)
    if pull.report is not None:
        report = _inner(section, "report")
        if "create" in report:
            check_names(_inner(report, "create"), pull.report.create, known)
        check_names(_inner(report, "poll"), pull.report.poll, {*known, "report"})
        check_names(_inner(report, "result"), pull.report.result, {*known, "report"})


def _inner(section: Section, key: str) -> Section:
    """Give a table within one, for messages alone."""
    table = section.table.get(key)
    return Section(
        table if isinstance(table, dict) else {},
        path=(*section.path, key),
        source=section.source,
        folder=section.folder,
        problems=section.problems,
        overrides=section.overrides,
    )


def _check_times(section: Section, pull: Pull) -> None:
    """Report a start or an end that is never sent, and a window without a start."""
    used = names(pull.request) | (names(pull.report.create) if pull.report else frozenset())
    if pull.window is not None and pull.cursor is None:
        section.problem("cursor", "is missing: windows begin somewhere", _example(pull.window))
    if pull.cursor is not None:
        _check_sent(section, "cursor", pull.cursor.param, "since", used)
        _check_url(section, pull.request, pull.cursor)
    if pull.window is not None:
        _check_sent(section, "window", pull.window.param, "until", used)


def _example(window: WindowRule) -> str:
    start = "-1d" if window.seconds else "-28d"
    return f'add cursor = {{ start = "{start}" }}'


def _check_sent(section: Section, key: str, param: str, name: str, used: Collection[str]) -> None:
    if not param and name not in used:
        remedy = f'add param = "{name}" to it, or write {{{name}}} in the request'
        section.problem(key, f"is never sent: the request has no {{{name}}}", remedy)
    elif param and name in used:
        section.problem(f"{key}.param", f"stands beside {{{name}}}", "take one of them away")


def _check_url(section: Section, request: RequestTemplate, cursor: CursorRule) -> None:
    if not cursor.start and "since" in names(request.url):
        remedy = 'add start = "-28d" to the cursor'
        section.problem("url", "needs {since}, which a first run has not", remedy)


def _check_params(section: Section, pull: Pull) -> None:
    """Report fields of a body where there is none."""
    if pull.request.method == "POST":
        return
    for key in ("pagination", "size", "cursor", "window"):
        param = getattr(getattr(pull, key), "param", "")
        if param.startswith(BODY):
            section.problem(key, f"sets {param}, and a GET has no body", 'write method = "POST"')


def _check_actions(section: Section, pull: Pull, own: Collection[Action]) -> None:
    """Report actions of the job's own rules that this pull cannot take."""
    for action, (key, remedy) in _NEEDS.items():
        if action in own and getattr(pull, key) is None:
            section.problem("errors", f"{action.value} needs {key}", remedy)


def _check_keep(section: Section, pull: Pull) -> None:
    known = ["account", *(pull.each.fields if pull.each else ())]
    for field, name in pull.keep.items():
        if name not in known:
            nearest = difflib.get_close_matches(name, known, n=1)
            remedy = f"did you mean {nearest[0]}?" if nearest else f"known: {', '.join(known)}"
            section.problem(f"keep.{field}", f"there is no {name!r} to keep", remedy)
        if field in pull.fields:
            section.problem(f"keep.{field}", "is in fields too", "give one of them another name")
