"""Guards of a daemon that is run by others: reload, readiness, watchdog."""

from typing import Final

from tests.mutations.mutation import Table, of

_CHANGE: Final = "tests/unit/test_another_configuration.py"
_EXCHANGE: Final = "tests/unit/providers/test_exchange.py"
_TIMER: Final = "tests/unit/jobs/test_timer.py::TestReplace"
_TAKEOVER: Final = "tests/unit/jobs/test_queue.py::TestTakeover"
_UNDER_WAY: Final = "tests/unit/jobs/test_under_way.py"
_LOST: Final = "tests/unit/jobs/test_lost_templates.py"
_MEMORY: Final = "tests/unit/jobs/test_memory.py"
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
            "connector/store/run_rows.py",
            (
                "on one host a silent owner that is seen keeps its run",
                "    if silence is None or (is_local and is_present(run.owner)):\n",
                "    if silence is None:\n",
                _TAKEOVER,
            ),
            (
                "a run whose owner is heard is not lost, wherever the wall clock is set to",
                "is_late = is_silent and now > deadline_at + GRACE",
                "is_late = now > deadline_at + GRACE",
                f"{_UNDER_WAY}::TestWallClock",
            ),
        ),
        *of(
            "connector/jobs/run_credentials.py",
            (
                "a run is given no token of another account that has its account's name by now",
                "                if credential.account_id in {None, self._account_id}:\n",
                "                if credential:\n",
                f"{_UNDER_WAY}::TestAccount",
            ),
        ),
        *of(
            "connector/jobs/granted.py",
            (
                "no run begins for an account that its job does not select any more",
                "    if not selects(job, account):\n",
                "    if not job:\n",
                f"{_UNDER_WAY}::TestAccount",
            ),
        ),
        *of(
            "connector/jobs/owning.py",
            (
                "the end of a run is written before the store is closed",
                "        await asyncio.wait({task})\n        raise\n",
                "        raise\n",
                f"{_UNDER_WAY}::TestStop",
            ),
        ),
        *of(
            "connector/store/lost_runs.py",
            (
                "a run that was lost five times is begun no more",
                "run.queued_at is None or run.attempt >= MOST_ATTEMPTS:\n",
                "run.queued_at is None:\n",
                _TAKEOVER,
            ),
        ),
        *of(
            "connector/jobs/template_process.py",
            (
                "a template that is given up does not see it, and ends no run",
                "            self._process.send_signal(signal.SIGSTOP)\n",
                "            self._requests.close()\n",
                _LOST,
            ),
        ),
        *of(
            "connector/jobs/memory.py",
            (
                "what a run has of the template is not counted",
                "for one in pids) - inherited\n",
                "for one in pids)\n",
                _MEMORY,
            ),
            (
                "what its processes take is counted with a run",
                "    pids = [pid, *descendants_of(pid)]\n",
                "    pids = [pid]\n",
                _MEMORY,
            ),
        ),
        *of(
            "connector/jobs/schedule.py",
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
