"""Whether a run of a schedule that failed for what passes is tried again, and when.

A provider that is away for some minutes at three in the morning must not keep a daily job from its
records until the next night. Such a run goes back into the queue, and on at its checkpoint: after
a minute first, then after as long as has gone by since it began, so that little is sent to who is
down. It ends as failed when the job's next slot is as near, or after hours: then people are told.
"""

from collections.abc import Mapping
from dataclasses import replace
from typing import Final

from connector.jobs.endings import RunEnding
from connector.moment import for_people
from connector.schedule import Schedule
from connector.settings import JobSettings
from connector.store.run_rows import Run

#: The pauses (seconds).
SHORTEST: Final = 60.0
LONGEST: Final = 1800.0
#: Failures that pass, by their kinds.
_PASSING: Final = frozenset({"TemporarilyUnavailable", "Unusable"})
#: It is not tried again so long after it was first begun (seconds).
GIVEN_UP_AFTER: Final = 6 * 3600.0


def again_at(
    jobs: Mapping[str, JobSettings], job: JobSettings, run: Run, ending: RunEnding, now: float
) -> float | None:
    """Give when a run is tried again; None: it is over.

    Args:
        jobs: of the configuration.
        job: the run's.
        run: which one; one that a person asked for is never tried again.
        ending: of this try.
        now: seconds since the epoch.
    """
    if ending.kind not in _PASSING or run.due_at is None or run.queued_at is None:
        return None
    schedule = _schedule_of(jobs, jobs.get(job.name, job))  # it may be another one by now
    if schedule is None:
        return None
    moment = now + min(LONGEST, max(SHORTEST, now - run.started_at))
    is_near = moment + SHORTEST > schedule.next_after(now)
    return None if is_near or moment > run.started_at + GIVEN_UP_AFTER else moment


def put_off(ending: RunEnding, moment: float) -> RunEnding:
    """Give the ending of a try that is not the last one.

    Args:
        ending: as it would be.
        moment: of the next try (seconds since the epoch).
    """
    error = f"put off until {for_people(moment)}: {ending.error}"
    return replace(ending, outcome="interrupted", error=error)


def _schedule_of(jobs: Mapping[str, JobSettings], job: JobSettings) -> Schedule | None:
    """Give the schedule that a job's slots are of: its own, or that of the job which it follows."""
    while job.schedule is None:
        first = None if job.after is None else jobs.get(job.after)
        if first is None:
            return None
        job = first  # no cycle: that is a problem of the configuration
    return job.schedule
