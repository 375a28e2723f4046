"""Guards of runs that are due: which of them begin, how many at once, and where they end."""

from typing import Final

from tests.mutations.mutation import Table, of

_SLOTS: Final = "tests/unit/jobs/test_slots.py"
_PLACES: Final = "tests/unit/jobs/test_queue.py::TestPlaces"

SCHEDULING: Final = Table(
    title="Runs that are due, and where they end",
    mutations=(
        *of(
            "connector/jobs/slots.py",
            (
                "of many slots that were missed the last is run",
                "            slots = slots[-1:]\n",
                "            pass\n",
                _SLOTS,
            ),
            (
                "an account whose grant has ended is not run for",
                "if isinstance(account.state, Active)]",
                "if account]",
                "tests/unit/jobs/test_timer.py::TestFire",
            ),
        ),
        *of(
            "connector/jobs/places.py",
            (
                "a provider has so many runs at once and no more",
                "if self._for_provider[provider] < limits.for_provider.get(provider, FOR_A_PROVIDER)",
                "if self._for_provider is not None",
                "tests/unit/jobs/test_many_due.py",
            ),
            (
                "a job that hangs leaves places to others",
                "if self._of_job[job.name, provider] < job.concurrent_runs",
                "if self._of_job is not None",
                _PLACES,
            ),
            (
                "an account has few runs at once",
                "if count >= OF_AN_ACCOUNT",
                "if count >= limits.in_all",
                _PLACES,
            ),
        ),
        *of(
            "connector/jobs/trying_again.py",
            (
                "what does not pass is not tried again",
                "if ending.kind not in _PASSING or",
                "if",
                "tests/unit/jobs/test_trying_again.py",
            ),
            (
                "the next slot is not kept from its turn",
                "is_near = moment + SHORTEST > schedule.next_after(now)",
                "is_near = False",
                "tests/unit/jobs/test_trying_again.py",
            ),
        ),
        *of(
            "connector/jobs/queue.py",
            (
                "one that is tried again is not taken for one of a clock that was set back",
                "longest_delay=max([trying_again.LONGEST, *(job.jitter for job in jobs.values())]),",
                "longest_delay=max((job.jitter for job in jobs.values()), default=trying_again.SHORTEST - 60),",
                "tests/unit/jobs/test_trying_again.py",
            ),
            (
                "runs that are due together are spread out",
                "random.uniform(0, jitter) if jitter else 0.0,",
                "0.0 * random.random(),",
                "tests/unit/jobs/test_many_due.py",
            ),
        ),
        *of(
            "connector/jobs/end_writer.py",
            (
                "an end that could not be written is kept",
                "            if is_written is None:\n",
                "            if is_written is end:\n",
                "tests/unit/jobs/test_runs.py::TestStoreAway",
            ),
        ),
        *of(
            "connector/jobs/destinations/failing.py",
            (
                "a place that was moved is not written to",
                "    if present is None or (present",
                "    if present is not None and (present",
                "tests/unit/jobs/destinations/test_bad_places.py",
            ),
        ),
        *of(
            "connector/credential.py",
            (
                "a run sends its token to the API alone",
                "        if not self.api.permits(url):\n",
                "        if not self.api:\n",
                "tests/unit/jobs/pull/test_processes.py",
            ),
        ),
    ),
)
