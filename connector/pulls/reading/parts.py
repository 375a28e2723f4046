"""Reads what a pull is made for (``each``) and reports that an API makes in its own time."""

import re
from typing import Final

from connector.pulls.defaults import PullDefaults
from connector.pulls.reading.pages import read_pagination, read_size
from connector.pulls.reading.requests import UrlCheck, read_request
from connector.pulls.reading.values import is_path, read_conditions, read_path
from connector.pulls.spec import EachRule, ReportRule, RequestTemplate
from connector.toml_section import Section

_NAME: Final = re.compile(r"[a-z_][a-z0-9_]*")
#: Filled in by the run itself; a part's value may not be called so.
RESERVED: Final = frozenset({"account", "since", "until", "report"})
_FIELDS: Final = 'write fields = { ad_account = "id" }'
#: A report of fewer polls a second is what any API bears.
_SHORTEST_INTERVAL: Final = 0.1
_MOST_TRIES: Final = 100


def read_each(section: Section, defaults: PullDefaults, check: UrlCheck) -> EachRule | None:
    """Read ``each``: a request that lists the parts, or a name and its values.

    Args:
        section: the pull's table.
        defaults: what the provider's data says of lists.
        check: of URLs.
    """
    if "each" not in section:
        return None
    table = section.section("each")
    rule = _read_values(table) if "values" in table else _read_listed(table, defaults, check)
    table.finish()
    return rule


def read_report(section: Section, request: RequestTemplate, check: UrlCheck) -> ReportRule | None:
    """Read ``report``; what its ``create`` does not say is as in the pull's own request, by POST.

    Args:
        section: the pull's table.
        request: of the pull.
        check: of URLs.
    """
    if "report" not in section:
        return None
    table = section.section("report")
    # a request for figures is ordered with the same parameters
    ordered = RequestTemplate(
        url=request.url,
        method="POST",
        params=request.params,
        headers=request.headers,
        body=request.body,
        form=request.form,
    )
    requests = []
    for key, like in (("create", ordered), ("poll", None), ("result", None)):
        if like is None and key not in table:
            table.problem(key, "is missing", f'write {key} = {{ url = "{{report}}" }}')
        inner = table.section(key)
        requests.append(read_request(inner, check, like=like) if inner.table or like else None)
        inner.finish()
    ready = read_conditions(table, "ready")
    if not ready:
        table.problem("ready", "is missing", 'write ready = { status = "completed" }')
    interval = table.duration("interval", 5.0) or 0.0
    if interval < _SHORTEST_INTERVAL:
        table.problem("interval", "is too short", 'write interval = "5s"')
    rule = ReportRule(
        create=requests[0] or ordered,
        id=_read_id(table),
        poll=requests[1] or ordered,
        ready=ready,
        result=requests[2] or ordered,
        failed=read_conditions(table, "failed"),
        progress=read_path(table, "progress"),
        interval=max(interval, _SHORTEST_INTERVAL),
        deadline=table.duration("deadline", 3600.0) or 3600.0,
        tries=table.integer("tries", 3, lowest=1, highest=_MOST_TRIES),
        lifetime=table.duration("lifetime", 86_400.0) or 86_400.0,
        always=table.boolean("always", default=False),
    )
    table.finish()
    return rule


def _read_id(table: Section) -> str:
    if "id" not in table:
        table.problem("id", "is missing", 'write id = "report_run_id", a path in the answer')
    return read_path(table, "id")


def _read_values(table: Section) -> EachRule:
    name = table.text("name", is_required=True)
    values = table.texts("values")
    if not values:
        table.problem("values", "is empty", 'write values = ["…"]')
    _check_name(table, "name", name)
    return EachRule(request=None, fields={name: ""}, values=values)


def _read_listed(table: Section, defaults: PullDefaults, check: UrlCheck) -> EachRule:
    request = read_request(table, check)
    fields: dict[str, str] = {}
    for name, path in table.text_map("fields").items():
        _check_name(table, f"fields.{name}", name)
        fields[name] = path if is_path(table, f"fields.{name}", path) else ""
    if not fields:
        table.problem("fields", "is missing", _FIELDS)
    return EachRule(
        request=request,
        fields=fields,
        records=read_path(table, "records"),
        pagination=read_pagination(table, defaults.pagination),
        size=read_size(table, defaults.size),
    )


def _check_name(table: Section, key: str, name: str) -> None:
    if name in RESERVED:
        table.problem(key, f"{{{name}}} has another meaning", "choose another name")
    elif name and _NAME.fullmatch(name) is None:
        table.problem(key, f"{name!r} is no placeholder", "use a-z, 0-9 and '_'")
