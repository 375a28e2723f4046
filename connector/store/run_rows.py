"""A run as a value, and whether one that stands as running still is."""

import json
import secrets
import socket
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final, Literal

from sqlalchemy import ColumnElement, Double, Row, literal
from sqlmodel import col

from connector.store.database import Database
from connector.store.history_tables import RunRow
from connector.store.owner import is_gone, is_present

#: At its deadline a run is killed by its own process, within seconds: what stands as running this
#: long after has no such process any more. Longer than the clocks of two hosts differ (seconds).
GRACE: Final = 300.0
#: A run of unknown deadline is over after this (seconds).
_UNKNOWN_DEADLINE: Final = 86_400.0

Outcome = Literal["queued", "running", "succeeded", "failed", "consent_required", "interrupted"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Run:
    """One execution of a job for one account.

    Attributes:
        id: of the row.
        job: its name.
        account: the account's name.
        due_at: the slot; None where a person asked for it.
        started_at, finished_at: seconds since the epoch; one that waits has not started, and has
            when it was put into the queue.
        deadline_at: when it is killed; None where its program told none.
        outcome: how it ended; ``queued`` or ``running`` while it has not.
        error: why it failed, in a few words; or why it was put back into the queue.
        records: written.
        batches: committed.
        tokens: access tokens that it was given.
        cursor: where it got to, as JSON.
        owner: who runs it, or did last; empty: nobody yet.
        attempt: by how many owners it was begun, those that stopped in order not counted.
        queued_at: from when on it waits, or did, to be begun; None: it was begun at once.
        heartbeat_at: when its owner last said that it is there, on the clock of leases.
        host: of that owner.
        wish: what somebody asked for, as JSON.
        pages, bytes: that it was answered.
        retries: requests that were sent again.
        rejected: records that were set aside.
        waited: seconds that it waited for limits of the provider's.
        lane: empty, or the time that a backfill is of: ``A/B``.
        place: where it was when its owner said so last, as the owner writes it for people.
    """

    id: str
    job: str
    account: str
    due_at: float | None
    started_at: float
    deadline_at: float | None
    finished_at: float | None
    outcome: Outcome
    error: str | None
    records: int
    batches: int
    tokens: int
    cursor: str | None
    owner: str
    attempt: int = 1
    queued_at: float | None = None
    heartbeat_at: float | None = None
    host: str | None = None
    wish: str | None = None
    pages: int = 0
    bytes: int = 0
    retries: int = 0
    rejected: int = 0
    waited: float = 0.0
    lane: str = ""
    place: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Figures:
    """How far a run is.

    Attributes:
        As of `Run`.
    """

    records: int = 0
    batches: int = 0
    tokens: int = 0
    pages: int = 0
    bytes: int = 0
    retries: int = 0
    rejected: int = 0
    waited: float = 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Ending(Figures):
    """How a run ended."""

    outcome: Outcome
    error: str | None = None
    cursor: object = None


#: The columns that hold figures.
FIGURES: Final = tuple(Figures.__slots__)


def figures_of(told: Figures) -> dict[str, object]:
    """Give the figures as values of columns."""
    return {name: getattr(told, name) for name in FIGURES}


def queued_run(
    job: str,
    account: str,
    due_at: float | None,
    asked: Mapping[str, object] | None,
    *,
    now: float,
    delay: float,
) -> Run:
    """Give a run that is to be queued.

    Args:
        job: its name.
        account: likewise.
        due_at: the slot; None where somebody asks.
        asked: what somebody asked for.
        now: seconds since the epoch.
        delay: seconds for which it is not begun.
    """
    return Run(
        id=secrets.token_hex(8),
        job=job,
        account=account,
        due_at=due_at,
        started_at=now,
        deadline_at=None,
        finished_at=None,
        outcome="queued",
        error=None,
        records=0,
        batches=0,
        tokens=0,
        cursor=None,
        owner="",
        queued_at=now + delay,
        wish=json.dumps(asked) if asked else None,
    )


def read_run(row: Row[Any]) -> Run:
    """Give the run that a row holds."""
    return Run(**{name: getattr(row, name) for name in Run.__slots__})


def values_of(run: Run) -> Mapping[str, object]:
    """Give a run as values of columns."""
    return {name: getattr(run, name) for name in Run.__slots__}


def this_host() -> str:
    """Name this host for people."""
    return socket.gethostname()


def heartbeat_clock(database: Database) -> ColumnElement[float]:
    """Give the clock of heartbeats; ask in the transaction, once its lock is had."""
    if database.is_sqlite:
        return literal(database.lease_time(), Double)
    return database.lease_clock


def is_own(run: Run) -> tuple[ColumnElement[bool], ...]:
    """Say that a row still is as its owner knows it: nobody has taken the run over."""
    return (
        col(RunRow.id) == run.id,
        col(RunRow.owner) == run.owner,
        col(RunRow.attempt) == run.attempt,
        col(RunRow.outcome) == "running",
    )


def why_lost(
    run: Run, silence: float | None, *, now: float, lost_after: float, is_local: bool
) -> str | None:
    """Say why a run that stands as running is not; None: it may well be.

    Args:
        run: as it stands.
        silence: seconds since its owner said that it is there; None: it never did.
        now: seconds since the epoch.
        lost_after: seconds of silence after which an owner counts as gone.
        is_local: this host alone uses the database.
    """
    if is_gone(run.owner, is_local=is_local):
        return "its process is gone"
    deadline_at = run.deadline_at
    if deadline_at is None:
        deadline_at = run.started_at + _UNKNOWN_DEADLINE
    # a clock that began anew tells nothing, and neither does who goes by it
    is_silent = silence is None or silence > lost_after or (is_local and silence < -lost_after)
    if silence is None or (is_local and is_present(run.owner)):
        # a program of before heartbeats; or a laptop that slept, with all that runs on it. Who is
        # heard is there: it is the wall clock that was set
        is_late = is_silent and now > deadline_at + GRACE
        return "its deadline passed, and nothing was heard of it" if is_late else None
    return f"nothing was heard of it for {lost_after:g} s" if is_silent else None
