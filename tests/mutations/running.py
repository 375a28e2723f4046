"""Guards of a daemon that is run by others: reload, readiness, watchdog."""

from typing import Final

from tests.mutations.mutation import Table, of

_CHANGE: Final = "tests/unit/test_another_configuration.py"
_EXCHANGE: Final = "tests/unit/providers/test_exchange.py"
_TIMER: Final = "tests/unit/jobs/test_timer.py::TestReplace"
_READY: Final = "tests/unit/web/test_readiness.py"
_MANAGER: Final = "tests/unit/daemon/test_service_manager.py"

RUNNING: Final = Table(
    title="Reload, readiness, watchdog",
    mutations=(
        *of(
            "connector/providers/client.py",
            (
                "what was found out under one configuration is none of the next",
                "            if present is self.present:  # else",
                "            if present:  # else",
                _EXCHANGE,
            ),
        ),
        *of(
            "connector/token_source/flights.py",
            (
                "a refresh that lands under another registration is not served",
                "        check_registration(account, fingerprint)  # another",
                "        # another",
                _CHANGE,
            ),
        ),
        *of(
            "connector/runtime/objects.py",
            (
                "tokens of a provider that is another one now are read again",
                "        self.tokens.forget_providers(changed)\n",
                "",
                _CHANGE,
            ),
            (
                "token and API are of one configuration",
                "            if present is self.directory.present:  # else",
                "            if present:  # else",
                _CHANGE,
            ),
        ),
        *of(
            "connector/settings/restart.py",
            (
                "a key that nobody has thought of needs a restart",
                "        if key not in TAKES_EFFECT and getattr",
                '        if key == "daemon.port" and getattr',
                "tests/unit/test_restart.py",
            ),
        ),
        *of(
            "connector/runtime/preparing.py",
            (
                "a reload is refused for a secret that is not there",
                "            problems += result.problems\n",
                "            pass\n",
                _CHANGE,
            ),
        ),
        *of(
            "connector/jobs/schedule.py",
            (
                "a job that was removed while it waited does not begin",
                "                return  # it was removed while this waited\n",
                "                present = job\n",
                _TIMER,
            ),
            (
                "a schedule that stays keeps its due time",
                "            if before.get(name) != schedule:\n",
                "            if True:\n",
                _TIMER,
            ),
        ),
        *of(
            "connector/web/readiness.py",
            (
                "a store that hangs is asked once",
                "is_over = self._asking is None or self._asking.done()",
                "is_over = True",
                _READY,
            ),
        ),
        *of(
            "connector/daemon/watchdog.py",
            (
                "a store that is stuck silences the watchdog",
                "            return False\n",
                "            return True\n",
                _MANAGER,
            ),
        ),
        *of(
            "connector/daemon/service_manager.py",
            (
                "children cannot speak for the daemon",
                '(environment.pop(name, "") for name in _VARIABLES)',
                '(environment.get(name, "") for name in _VARIABLES)',
                _MANAGER,
            ),
        ),
    ),
)
