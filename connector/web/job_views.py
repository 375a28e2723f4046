"""Jobs and runs as lists and answers show them; the same everywhere, and without a secret."""

from connector.moment import rfc3339
from connector.settings import JobSettings
from connector.store.run_logs import LogLine
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
        "schedule": schedule_of(job),
        "paused": is_paused,
        "next": rfc3339(job.schedule.next_after(now)) if job.schedule and is_due else None,
        "last_outcome": last.outcome if last else None,
        "records": last.records if last else None,
        "last_error": last.error if last else None,
    }


def schedule_of(job: JobSettings) -> str | None:
    """Say when a job runs; None: when somebody asks for it."""
    if job.schedule is not None:
        return str(job.schedule)
    return f"after {job.after}" if job.after else None


def run_view(run: Run) -> dict[str, object]:
    """Give a run as a JSON object; times as RFC 3339 in UTC, or null."""
    return {
        "run": run.id,
        "job": run.job,
        "account": run.account,
        "due_at": rfc3339(run.due_at),
        "queued_at": rfc3339(run.queued_at),
        "started_at": None if run.outcome == "queued" else rfc3339(run.started_at),
        "finished_at": rfc3339(run.finished_at),
        "outcome": run.outcome,
        "records": run.records,
        "batches": run.batches,
        "tokens": run.tokens,
        "attempt": run.attempt,
        "host": run.host,
        "pages": run.pages,
        "bytes": run.bytes,
        "retries": run.retries,
        "rejected": run.rejected,
        "waited": run.waited,
        "lane": run.lane or None,
        "error": run.error,
    }


def log_view(line: LogLine) -> dict[str, object]:
    """Give a line that a run has said as a JSON object; its time as RFC 3339 in UTC."""
    at = rfc3339(line.at)
    return {"number": line.number, "at": at, "kind": line.kind, "text": line.text}
