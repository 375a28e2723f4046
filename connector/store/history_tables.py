"""The tables of jobs and their runs, and of what came of refreshes."""

from typing import Final

from sqlalchemy import BigInteger, Index, Table, UniqueConstraint, text
from sqlmodel import Field, SQLModel

from connector.store.column_types import ForeignText, LenientText
from connector.store.tables import ACCOUNT

__all__ = ["ACCOUNT", "REFRESHES", "JobRow", "RefreshRow", "RunRow"]

_IS_RUNNING = text("outcome = 'running'")
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
        # one run of a job for an account at a time, however many claim it at once
        Index(
            "ix_run_running",
            "job",
            "account",
            unique=True,
            sqlite_where=_IS_RUNNING,
            postgresql_where=_IS_RUNNING,
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


class JobRow(SQLModel, table=True):
    """What an operator said of a job."""

    __tablename__ = "job"

    name: str = Field(primary_key=True)
    paused_at: float | None = None


#: Built without the object mapper's detour.
REFRESHES: Final[Table] = SQLModel.metadata.tables["refreshes"]
