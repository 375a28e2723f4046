"""Report runs: insights that are made aside, asked after, and fetched when they are whole.

A run is finished only when it says Job Completed; one hundred percent may come before that. How a
run goes is decided when it is asked for: by the outcomes that a test queued, else by the settings.
"""

from dataclasses import dataclass
from typing import Literal, get_args

from connector.simulator.ad_accounts import AdAccount
from connector.simulator.ad_objects import AdObject
from connector.simulator.facebook.insights_query import InsightsQuery
from connector.simulator.facebook.insights_rows import Sum
from connector.simulator.facebook.settings import ReportOutcome
from connector.simulator.state import State

JobStatus = Literal[
    "Job Not Started",
    "Job Started",
    "Job Running",
    "Job Completed",
    "Job Failed",
    "Job Skipped",
]

# Code, subcode and message of a run that failed.
FAILURES: dict[ReportOutcome, tuple[int, int, str]] = {
    "fails": (-2, 2490547, "The report could not be made; ask for it again"),  # assumed wording
    "too_large": (-3, 1504045, "The report is too large; ask for less of it"),  # assumed wording
}

# How far a run says it is that did not come to its end.
FAILED_AT = 40


class ReportOutcomeError(ValueError):
    """There is no such outcome of a report run."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Progress:
    """What a run says of itself."""

    status: JobStatus
    percent: int

    @property
    def is_completed(self) -> bool:
        """Whether its rows can be fetched."""
        return self.status == "Job Completed"


@dataclass(slots=True, kw_only=True, eq=False)
class ReportRun:
    """One run."""

    id: str
    account: AdAccount
    object: AdObject | None
    """What in the ad account it is about; None: the whole."""
    query: InsightsQuery
    outcome: ReportOutcome
    created_at: float
    least_polls: int
    """How many times it says that it is not finished."""
    ready_at: float
    lingering_polls: int
    """How many times it then says 100 % and Job Running."""
    polls: int = 0
    completed_at: float | None = None
    rows: list[Sum] | None = None
    """As the figures were when it was completed."""

    def poll(self, now: float) -> Progress:
        """What it says when it is asked after once more."""
        self.polls += 1
        beyond = self.polls - self.least_polls
        is_busy = self.outcome == "stuck" or beyond <= 0 or now < self.ready_at
        if is_busy:
            return Progress(status=self._busy_status(), percent=self._percent(now))
        if self.outcome == "skipped":
            return Progress(status="Job Skipped", percent=FAILED_AT)
        if self.outcome in FAILURES:
            return Progress(status="Job Failed", percent=FAILED_AT)
        if beyond <= self.lingering_polls:
            return Progress(status="Job Running", percent=100)
        return Progress(status="Job Completed", percent=100)

    def _busy_status(self) -> JobStatus:
        if self.polls == 1:
            return "Job Not Started"
        return "Job Started" if self.polls == 2 else "Job Running"

    def _percent(self, now: float) -> int:
        if self.outcome == "stuck":
            return 0
        done = (self.polls - 1) / max(1, self.least_polls)
        if now < self.ready_at:
            whole = self.ready_at - self.created_at
            done = min(done, (now - self.created_at) / whole)
        return min(99, int(100 * done))


class ReportRuns:
    """The runs there are; the knobs may be turned from any thread."""

    def __init__(self, state: State) -> None:
        self._state = state
        self._runs: dict[str, ReportRun] = {}
        self._outcomes: list[ReportOutcome] = []
        self._last = 0

    def plan(self, *outcomes: str) -> None:
        """Say how the next runs go, one after another; the settings say it of those after them.

        Raises:
            ReportOutcomeError: there is no such outcome.
        """
        known: dict[str, ReportOutcome] = {each: each for each in get_args(ReportOutcome)}
        for outcome in outcomes:
            if outcome not in known:
                message = f"no outcome {outcome!r}; there are {', '.join(known)}"
                raise ReportOutcomeError(message)
        with self._state.lock:
            self._outcomes += [known[each] for each in outcomes]

    def start(
        self, account: AdAccount, about: AdObject | None, query: InsightsQuery, row_count: int
    ) -> ReportRun:
        """A new run of a query that has so many rows."""
        settings, now = self._state.settings, self._state.clock.now()
        outcome = self._outcomes.pop(0) if self._outcomes else settings.report_outcome
        if settings.largest_report and row_count > settings.largest_report:
            outcome = "too_large"
        self._last += 1
        run = ReportRun(
            id=f"6{self._last:014}",
            account=account,
            object=about,
            query=query,
            outcome=outcome,
            created_at=now,
            least_polls=settings.report_polls,
            ready_at=now + settings.report_seconds,
            lingering_polls=settings.report_lingering_polls,
        )
        self._runs[run.id] = run
        return run

    def find(self, identity: str) -> ReportRun | None:
        """The run with this id, unless its time is over."""
        run = self._runs.get(identity)
        if run is None:
            return None
        age = self._state.clock.now() - run.created_at
        return run if age < self._state.settings.report_lifetime else None

    def summary(self) -> list[dict[str, object]]:
        """What there is."""
        with self._state.lock:
            return [
                {
                    "id": run.id,
                    "ad_account": run.account.id,
                    "outcome": run.outcome,
                    "polls": run.polls,
                    "is_completed": run.completed_at is not None,
                }
                for run in self._runs.values()
            ]
