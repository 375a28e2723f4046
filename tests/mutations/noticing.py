"""Guards of what people are told: once, by one of many daemons, and of the end as well."""

from typing import Final

from tests.mutations.mutation import Table, of

_PLAN: Final = "tests/unit/notices/test_plan.py"
_CAUSES: Final = "tests/unit/notices/test_causes.py"
_STORE: Final = "tests/store/test_notices.py"
_COMMAND: Final = "tests/unit/notices/test_command.py"

_PLANNING: Final = of(
    "connector/notices/plan.py",
    (
        "a cause that comes back soon is the same",
        "        if not is_at_once and self._now - gone_at < SETTLING:\n",
        "        if False:\n",
        _PLAN,
    ),
    (
        "many alike are one notice",
        "            if recent[group] + len(alike) <= MOST_ALONE:\n",
        "            if True:\n",
        _PLAN,
    ),
    (
        "a step that was told of is not told of again",
        "level=max(cause.level, notice.cause.level)",
        "level=cause.level",
        _PLAN,
    ),
    (
        "parts of a sum that another daemon took as over begin anew",
        "one.count is None and one.part_of in told_of_by",
        "one.count is None",
        _PLAN,
    ),
)

_OPEN: Final = of(
    "connector/notices/causes.py",
    (
        "what fails for its provider is no cause of its own",
        "now - facts.failing_since >= FAILING_LIMIT and not is_quiet",
        "now - facts.failing_since >= FAILING_LIMIT",
        _CAUSES,
    ),
    (
        "a halt that nobody has renewed is no outage",
        "min(now, facts.until) - facts.since",
        "now - facts.since",
        _CAUSES,
    ),
)

_SHARED: Final = of(
    "connector/store/notices.py",
    (
        "a claim is nobody else's",
        "                    DELIVERY.c.claimed_by == delivery.owner,\n",
        "",
        _STORE,
    ),
    (
        "parts of a sum that another daemon has made are not written",
        "                lost.add(notice.id)\n",
        "                pass\n",
        _STORE,
    ),
)

_HIDDEN: Final = of(
    "connector/notices/command.py",
    (
        "a command gets no variable that holds a secret",
        " if name not in self._hidden",
        "",
        _COMMAND,
    ),
)

NOTICING: Final = Table(
    title="What people are told",
    mutations=(*_PLANNING, *_OPEN, *_SHARED, *_HIDDEN),
)
