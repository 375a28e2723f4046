"""Reads what errors ask for, and how an API tells of its limits; a provider's data has both too."""

from typing import Final, cast, get_args

from connector.pulls.reading.values import read_conditions, read_paths, read_range
from connector.pulls.rules import Action, ErrorRule, LimitRule, Scope, UsageHeader
from connector.toml_section import Section

_ACTIONS: Final = tuple(action.value for action in Action)
_SCOPES: Final[tuple[Scope, ...]] = get_args(Scope)
_STATUS: Final = 'write status = 404, a list, or "500-599"'


def read_errors(section: Section) -> tuple[ErrorRule, ...]:
    """Read the rules of ``errors``, in their order."""
    rules = []
    for table in section.tables("errors"):
        if not table.text("action"):
            table.problem("action", "is missing", f"write one of {', '.join(_ACTIONS)}")
        action = Action(table.choice("action", _ACTIONS, Action.FAIL.value))
        rule = ErrorRule(
            action=action,
            statuses=_read_statuses(table),
            when=read_conditions(table, "when"),
            contains=table.text("contains"),
            headers={
                name.lower(): tuple(str(value) for value in values)
                for name, values in read_conditions(table, "headers").items()
            },
            message=table.text("message"),
            scope=_read_scope(table, None),
        )
        if not table.table.keys() & {"status", "when", "contains", "headers"}:
            table.problem("", "fits every answer", "add status, when, contains or headers")
        if rule.scope is not None and action not in {Action.RATE_LIMITED, Action.FAIL}:
            table.problem("scope", "is for rate_limited and fail alone", "remove it")
        table.finish()
        rules.append(rule)
    return tuple(rules)


def read_limits(section: Section, default: LimitRule) -> LimitRule:
    """Read ``limits``; what it does not say is as the provider's data has it."""
    table = section.section("limits")
    slow_from = table.value("slow_from", float)
    if slow_from is not None and not 0 <= slow_from <= 100:
        table.problem("slow_from", "must be from 0 to 100", "write a percentage")
        slow_from = None
    longest_wait = table.duration("longest_wait", None)
    limits = LimitRule(
        headers=_read_usage_headers(table) if "headers" in table else default.headers,
        scope=_read_scope(table, default.scope) or default.scope,
        slow_from=default.slow_from if slow_from is None else slow_from,
        longest_wait=default.longest_wait if longest_wait is None else longest_wait,
    )
    table.finish()
    return limits


def _read_usage_headers(section: Section) -> tuple[UsageHeader, ...]:
    headers = []
    for table in section.tables("headers"):
        header = UsageHeader(
            name=table.text("name", is_required=True),
            used=read_paths(table, "used"),
            wait=read_paths(table, "wait"),
            wait_unit=table.duration("wait_unit", 1.0) or 1.0,
            scope=_read_scope(table, "account") or "account",
        )
        table.finish()
        headers.append(header)
    return tuple(headers)


def _read_scope(table: Section, default: Scope | None) -> Scope | None:
    if "scope" not in table:
        table.text("scope")  # is a known key
        return default
    return cast("Scope", table.choice("scope", _SCOPES, "account"))


def _read_statuses(table: Section) -> frozenset[int]:
    value = table.value("status", object)
    if value is None:
        return frozenset()
    statuses: list[int] = []
    for one in value if isinstance(value, list) else [value]:
        numbers = read_range(one) if isinstance(one, str) else None
        if isinstance(one, int) and not isinstance(one, bool) and 100 <= one <= 599:
            statuses.append(one)
        elif numbers is not None and numbers.start >= 100 and numbers.stop <= 600:
            statuses += numbers
        else:
            table.problem("status", f"{one!r} is no status of HTTP", _STATUS)
    return frozenset(statuses)
