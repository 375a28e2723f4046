"""Jobs and runs as lists and answers show them; the same everywhere, and without a secret."""

from connector.moment import rfc3339
from connector.settings import JobSettings
from connector.store.runs import Run


def job_view(
    job: JobSettings, last: Run | None, *, is_paused: bool, now: float
) -> dict[str, object]:
    """Give a job as a JSON object; times as RFC 3339 in UTC, or null."""
    is_due = job.schedule is not None and not is_paused
    return {
        "job": job.name,
        "accounts": job.accounts.text,
        "provider": job.provider,
        "schedule": str(job.schedule) if job.schedule else None,
        "paused": is_paused,
        "next": rfc3339(job.schedule.next_after(now)) if job.schedule and is_due else None,
        "last_outcome": last.outcome if last else None,
        "records": last.records if last else None,
        "last_error": last.error if last else None,
    }


def run_view(run: Run) -> dict[str, object]:
    """Give a run as a JSON object; times as RFC 3339 in UTC, or null."""
    return {
        "run": run.id,
        "job": run.job,
        "account": run.account,
        "due_at": rfc3339(run.due_at),
        "started_at": rfc3339(run.started_at),
        "finished_at": rfc3339(run.finished_at),
        "outcome": run.outcome,
        "records": run.records,
        "batches": run.batches,
        "tokens": run.tokens,
        "error": run.error,
    }
