"""The tables of jobs and their runs, and of what came of refreshes."""

from typing import Final

from sqlalchemy import BigInteger, Index, Table, UniqueConstraint, text
from sqlmodel import Field, SQLModel

from connector.store.column_types import ForeignText, LenientText
from connector.store.tables import ACCOUNT

__all__ = ["ACCOUNT", "REFRESHES", "JobRow", "RateLimitRow", "RefreshRow", "RunLogRow", "RunRow"]

_IS_OPEN = text("outcome IN ('queued', 'running')")
#: For rows of programs that know nothing of a column.
_NONE: Final = {"server_default": "0"}
_ONE: Final = {"server_default": "1"}
_IS_FAILED = text("outcome IN ('consent_required', 'failed', 'interrupted')")


class RefreshRow(SQLModel, table=True):
    """What came of a refresh; see `store.refresh_history`."""

    __tablename__ = "refreshes"
    # kept in the order of its key: the last ones of an account lie beside each other
    __table_args__ = ({"sqlite_with_rowid": False},)

    account_id: str = Field(
        primary_key=True, foreign_key="account.id", ondelete="CASCADE", sa_type=LenientText
    )
    at: float = Field(primary_key=True)
    seconds: float
    outcome: str
    error: str | None = Field(default=None, sa_type=ForeignText)


class RunRow(SQLModel, table=True):
    """One execution of a job for one account; see `jobs.run`."""

    __tablename__ = "run"
    __table_args__ = (
        UniqueConstraint("job", "account", "due_at"),
        # one run of a job for an account at a time, however many begin or queue it at once; a
        # backfill is beside it
        Index(
            "ix_run_open",
            "job",
            "account",
            "lane",
            unique=True,
            sqlite_where=_IS_OPEN,
            postgresql_where=_IS_OPEN,
        ),
        # as people look at them, see `store.run_history`
        Index("ix_run_started", "started_at", "id"),
        # what a day brought is added up from this alone
        Index("ix_run_of_job", "job", "started_at", "id", "outcome", "records"),
        Index("ix_run_of_account", "account", "started_at", "id"),
        Index("ix_run_of_both", "job", "account", "started_at", "id"),
        Index(
            "ix_run_failed",
            "started_at",
            "id",
            sqlite_where=_IS_FAILED,
            postgresql_where=_IS_FAILED,
        ),
    )

    id: str = Field(primary_key=True)
    job: str
    account: str
    due_at: float | None = None  # None: asked for by a person
    started_at: float
    deadline_at: float | None = None  # None: a program that wrote none began it
    finished_at: float | None = None
    outcome: str
    error: str | None = Field(default=None, sa_type=ForeignText)
    records: int = Field(default=0, sa_type=BigInteger)
    batches: int = Field(default=0, sa_type=BigInteger)
    tokens: int = 0
    cursor: str | None = None
    owner: str
    attempt: int = Field(default=1, sa_column_kwargs=_ONE)
    queued_at: float | None = None  # None: it was begun without waiting in the queue
    heartbeat_at: float | None = None  # on the clock of leases; None: it was never begun
    host: str | None = None
    wish: str | None = None  # as JSON: what somebody asked for
    pages: int = Field(default=0, sa_type=BigInteger, sa_column_kwargs=_NONE)
    bytes: int = Field(default=0, sa_type=BigInteger, sa_column_kwargs=_NONE)
    retries: int = Field(default=0, sa_type=BigInteger, sa_column_kwargs=_NONE)
    rejected: int = Field(default=0, sa_type=BigInteger, sa_column_kwargs=_NONE)
    waited: float = Field(default=0, sa_column_kwargs=_NONE)
    lane: str = Field(default="", sa_column_kwargs={"server_default": text("''")})
    place: str | None = Field(default=None, sa_type=ForeignText)  # as JSON, while it goes on


class RunLogRow(SQLModel, table=True):
    """A line that a run has said; see `store.run_logs`."""

    __tablename__ = "run_log"
    # kept in the order of its key: the lines of a run lie beside each other
    __table_args__ = ({"sqlite_with_rowid": False},)

    run_id: str = Field(primary_key=True, foreign_key="run.id", ondelete="CASCADE")
    number: int = Field(primary_key=True)
    at: float
    kind: str
    text: str = Field(sa_type=ForeignText)


class JobRow(SQLModel, table=True):
    """What an operator said of a job, and its last slot; see `store.slot_marks`."""

    __tablename__ = "job"

    name: str = Field(primary_key=True)
    paused_at: float | None = None
    slot_at: float | None = None


class RateLimitRow(SQLModel, table=True):
    """A rate limit of an API that was near; see `store.rate_limits`."""

    __tablename__ = "rate_limit"
    __table_args__ = ({"sqlite_with_rowid": False},)

    provider: str = Field(primary_key=True)
    scope: str = Field(primary_key=True)
    name: str = Field(primary_key=True, sa_type=ForeignText)  # of the account, or the part
    spread: float
    told_at: float  # on the clock of `store.rate_limits`, as what follows
    halted_until: float
    expires_at: float


#: Built without the object mapper's detour.
REFRESHES: Final[Table] = SQLModel.metadata.tables["refreshes"]
