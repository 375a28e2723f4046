"""Guards of what callers can take."""

from typing import Final

from tests.mutations.mutation import Table, of

_CONNECTIONS: Final = "tests/unit/web/test_connections.py"
_RATE: Final = "tests/unit/web/test_rate.py"
_REQUESTS: Final = "tests/unit/web/test_limits.py"

_MUTATIONS: Final = (
    *of(
        "connector/web/connections.py",
        (
            "what has shown no key gives way first",
            "(self._known if connection.is_known else self._strangers)[connection] = None",
            "self._strangers[connection] = None",
            _CONNECTIONS,
        ),
        (
            "what has waited longest gives way first",
            "waiting.popitem(last=False)",
            "waiting.popitem()",
            _CONNECTIONS,
        ),
        (
            "a connection whose request is being answered gives way to none",
            "        self._strangers.pop(connection, None)\n",
            "",
            _CONNECTIONS,
        ),
    ),
    *of(
        "connector/web/rate.py",
        (
            "a key has only so many calls under way",
            "        if under_way >= self._most_under_way:\n            return BUSY_WAIT\n",
            "",
            _RATE,
        ),
        (
            "strangers of many addresses are limited together",
            'max(self._strangers.take(address, now), self._all_strangers.take("", now))',
            "self._strangers.take(address, now)",
            _RATE,
        ),
    ),
    *of(
        "connector/web/limits.py",
        (
            "a body is counted whatever length it claims",
            '        size += len(message.get("body", b""))\n',
            "",
            f"{_REQUESTS}::test_a_body_is_counted_whatever_it_claims",
        ),
    ),
    *of(
        "connector/web/bounded.py",
        (
            "what follows an answer is not taken in without end",
            "        if self._discarded <= MOST_DISCARDED:\n            return False\n",
            "        return False\n",
            f"{_REQUESTS}::test_a_body_that_no_route_wants_is_cut_off",
        ),
    ),
)

LIMITS: Final = Table(title="What callers can take", mutations=_MUTATIONS)
