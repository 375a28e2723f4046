"""What a user's function is given besides the HTTP client."""

import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from connector.jobs.channel import LONGEST_TEXT


@dataclass(frozen=True, slots=True, kw_only=True)
class JobWindow:
    """The time that a run is asked to pull (``connector jobs run JOB --since … --until …``).

    Attributes:
        since: its begin, as the person wrote it.
        until: its end, as the person wrote it; None: now.
    """

    since: str
    until: str | None


@dataclass(slots=True, kw_only=True)
class JobContext:
    """The run that a user's function is called for.

    Attributes:
        job: the job's name.
        account: the account's name.
        run_id: of this run, in the history and in log lines.
        cursor: where the last run for this account got to, whatever its name was then: any JSON
            value that the function assigned; None on the first run. Assign to it; what is assigned,
            None included, is committed together with the records that were yielded before.
        checkpoint: where a run that did not end well got to; any JSON value that the function
            assigned, committed together with the records that were yielded before. None at the
            start of a run means: from the beginning. It is cleared when the function returns.
        window: the time that a person asked for; None on every other run.
        due_at: when the run was due by its schedule, or the run that it follows (seconds since the
            epoch); it may have begun later. None: somebody asked for it.
        options: the job's ``options`` table, as it stands in the configuration.
        logger: its lines go to the daemon's log, with account and run.
    """

    job: str
    account: str
    run_id: str
    cursor: object = None
    checkpoint: object = None
    window: JobWindow | None = None
    due_at: float | None = None
    options: Mapping[str, object] = field(default_factory=dict)
    logger: logging.Logger = field(default_factory=lambda: logging.getLogger("job"), repr=False)
    _tell: Callable[[float, str], None] = field(default=lambda _done, _text: None, repr=False)

    def progress(self, done: float, text: str = "") -> None:
        """Say how far the run is; shown to whoever looks at it, with the next batch.

        Args:
            done: a share of the whole, from 0 to 1.
            text: where it is, in a few words.
        """
        self._tell(min(max(done, 0.0), 1.0), text[:LONGEST_TEXT])
