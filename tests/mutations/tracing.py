"""Guards of what leaves for a collector of traces, and of what its absence may do."""

from typing import Final

from tests.mutations.mutation import Table, of

_TELEMETRY: Final = "tests/unit/test_telemetry.py"

_SENDING: Final = of(
    "connector/telemetry/otlp.py",
    (
        "lines of the SDK, which quote headers, are not shown",
        '        logging.getLogger("opentelemetry").setLevel(logging.CRITICAL + 1)',
        "        pass",
        _TELEMETRY,
    ),
    (
        "a collector that is away is told of once",
        "        if not self._has_failed:\n            self._has_failed = True\n",
        "        if True:\n            self._has_failed = True\n",
        _TELEMETRY,
    ),
    (
        "no proxy of the environment is used",
        "    session.trust_env = False\n",
        "",
        _TELEMETRY,
    ),
)

_NAMING: Final = of(
    "connector/web/tracing.py",
    (
        "a method that a caller makes up is not told",
        "method=method if method in METHODS else None",
        "method=method",
        "tests/unit/web/test_tracing.py",
    ),
)

_HIDING: Final = of(
    "connector/settings/values.py",
    (
        "headers of a collector are kept from children",
        " | of_seal | of_telemetry",
        " | of_seal",
        "tests/unit/settings/test_telemetry.py",
    ),
)

TRACING: Final = Table(
    title="Traces",
    mutations=(*_SENDING, *_NAMING, *_HIDING),
)
