"""Writes the order of a run's child process, of its job and of what every run has."""

from dataclasses import dataclass
from pathlib import Path
from typing import Final

from connector.account import Account
from connector.jobs.order import Asked, Order
from connector.settings import JobSettings
from connector.settings.values import HttpSettings
from connector.store.run_rows import Run

#: A backfill is looked at by whoever asked for it, and may take days (seconds).
BACKFILL_DEADLINE: Final = 7 * 86_400.0


@dataclass(frozen=True, slots=True)
class OrderSettings:
    """What every run has.

    Attributes:
        folder: of the configuration.
        hidden_variables: environment variables that runs do not get.
        http: of calls that leave, where it is set.
    """

    folder: Path
    hidden_variables: frozenset[str]
    http: HttpSettings | None


def deadline_of(job: JobSettings, lane: str) -> float:
    """Give the seconds after which a run of a job is killed."""
    return BACKFILL_DEADLINE if lane else job.deadline


def order_of(
    job: JobSettings,
    account: Account,
    run: Run | None,
    asked: Asked,
    settings: OrderSettings,
    *,
    preview: int = 0,
) -> Order:
    """Give what the child of a run is to do.

    Args:
        job: which one.
        account: whose.
        run: of it; None: it is a preview.
        asked: by a person.
        settings: that every run has.
        preview: records to be shown, and not written; 0: it is no preview.
    """
    return Order(
        run=job.run,
        folder=settings.folder,
        job=job.name,
        account=account.name,
        account_id=account.id,
        provider=account.provider,
        request=job.request_table or None,
        run_id=run.id if run else "preview",
        destination=job.destination,
        since=asked.since,
        until=asked.until,
        lane=run.lane if run else "",
        due_at=run.due_at if run else None,
        options=job.options,
        deadline=deadline_of(job, run.lane if run else ""),
        hidden_variables=settings.hidden_variables,
        proxy=settings.http.proxy if settings.http else None,
        ca_file=settings.http.ca_file if settings.http else None,
        attempt=run.attempt if run else 1,
        preview=preview,
        memory=job.memory,
    )
