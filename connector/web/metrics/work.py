"""Refreshes and runs of jobs, counted as they end."""

from collections.abc import Callable
from typing import Final

from prometheus_client.core import Metric

from connector.jobs.run import RunEnding
from connector.settings import Settings
from connector.store.runs import Run
from connector.token_source.outcomes import RefreshOutcome
from connector.web.metrics.family import Durations, counter, histogram

#: Up to the deadline of a request to a token endpoint (seconds).
_REFRESH_BOUNDS: Final = (0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0)
#: Up to the usual deadline of a run (seconds).
_RUN_BOUNDS: Final = (1.0, 5.0, 15.0, 60.0, 300.0, 900.0, 3600.0)
#: Errors of one provider that are told apart: it may make up as many as it likes.
_MOST_ERRORS: Final = 20
_OTHER: Final = "other"


_RUN_OUTCOMES: Final = ("succeeded", "failed", "consent_required", "interrupted")


class WorkCounts:
    """What became of refreshes and runs of this process.

    Args:
        settings: gives those that are in force: what has not happened yet is told as 0, or the
            first time would be no increase.
    """

    def __init__(self, settings: Callable[[], Settings]) -> None:
        self._settings = settings
        self._refreshes: dict[tuple[str, str, str], int] = {}
        self._refresh_times: dict[tuple[str], Durations] = {}
        self._errors: dict[str, set[str]] = {}
        self._runs: dict[tuple[str, str], int] = {}
        self._records: dict[tuple[str], int] = {}
        self._run_times: dict[tuple[str], Durations] = {}

    def note_refresh(self, told: RefreshOutcome) -> None:
        """Count a refresh."""
        key = (told.provider, told.outcome, self._error(told.provider, told.error))
        self._refreshes[key] = self._refreshes.get(key, 0) + 1
        times = self._refresh_times.setdefault((told.provider,), Durations(_REFRESH_BOUNDS))
        times.note(told.seconds)

    def note_run(self, run: Run, ending: RunEnding, seconds: float) -> None:
        """Count a run."""
        key = (run.job, ending.outcome)
        self._runs[key] = self._runs.get(key, 0) + 1
        self._records[run.job,] = self._records.get((run.job,), 0) + ending.records
        self._run_times.setdefault((run.job,), Durations(_RUN_BOUNDS)).note(seconds)

    def families(self) -> list[Metric]:
        """Give the metrics."""
        settings = self._settings()
        no_refreshes = {(provider, "granted", ""): 0 for provider in settings.providers}
        no_runs = {(job, outcome): 0 for job in settings.jobs for outcome in _RUN_OUTCOMES}
        return [
            counter(
                "refreshes",
                "Requests for new tokens that token endpoints were sent, by what they answered",
                no_refreshes | self._refreshes,
                "provider",
                "outcome",
                "error",
            ),
            histogram(
                "refresh_seconds",
                "How long a token endpoint took to answer",
                self._refresh_times,
                "provider",
            ),
            counter("job_runs", "Runs that ended here", no_runs | self._runs, "job", "outcome"),
            counter("job_records", "Records that runs committed", self._records, "job"),
            histogram("job_run_seconds", "How long runs took", self._run_times, "job"),
        ]

    def _error(self, provider: str, error: str | None) -> str:
        """Give an error as a label: only so many of them are told apart."""
        if error is None:
            return ""
        known = self._errors.setdefault(provider, set())
        if error in known or len(known) < _MOST_ERRORS:
            known.add(error)
            return error
        return _OTHER
