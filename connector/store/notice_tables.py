"""The tables of notices, and the indexes by which what calls for them is found."""

from typing import Final

from sqlalchemy import Index, Table, text
from sqlmodel import Field, SQLModel

from connector.store.column_types import ForeignText, LenientText
from connector.store.tables import ACCOUNT

_IS_OPEN = text("resolved_at IS NULL")
_IS_TOLD = text("closed_at IS NULL AND part_of IS NULL")


class NoticeRow(SQLModel, table=True):
    """One notice; see `notice.Notice`."""

    __tablename__ = "notice"
    __table_args__ = (
        # one record of a cause at a time, however many daemons find it at once
        Index(
            "ix_notice_open", "key", unique=True, sqlite_where=_IS_OPEN, postgresql_where=_IS_OPEN
        ),
        Index("ix_notice_told", "told_at", sqlite_where=_IS_TOLD, postgresql_where=_IS_TOLD),
    )

    id: str = Field(primary_key=True)
    key: str = Field(sa_type=LenientText)
    kind: str
    since: float
    account_id: str | None = Field(default=None, sa_type=LenientText)
    account: str | None = Field(default=None, sa_type=LenientText)
    provider: str | None = Field(default=None, sa_type=LenientText)
    job: str | None = Field(default=None, sa_type=LenientText)
    reason: str | None = Field(default=None, sa_type=ForeignText)
    level: int
    ends_at: float | None = None
    count: int | None = None
    part_of: str | None = Field(default=None, index=True)
    number: int
    event: str
    first_seen: float
    told_at: float
    told_count: int
    remind_at: float | None = None
    reminders: int
    gone_at: float | None = None
    resolved_at: float | None = None
    closed_at: float | None = None  # when all who were told of it had been told of its end
    version: int


class NoticeDeliveryRow(SQLModel, table=True):
    """How far one channel has got with one notice."""

    __tablename__ = "notice_delivery"

    notice_id: str = Field(primary_key=True, foreign_key="notice.id", ondelete="CASCADE")
    channel: str = Field(primary_key=True)
    told: int  # the `number` that was delivered last; 0: none
    attempts: int  # in vain, since then
    retry_at: float
    claimed_by: str | None = None
    claimed_until: float


NOTICE: Final[Table] = SQLModel.metadata.tables["notice"]
DELIVERY: Final[Table] = SQLModel.metadata.tables["notice_delivery"]

#: Conditions of the partial indexes; a query that has them word for word is answered by them.
NEEDS_CONSENT: Final = "state = 'consent_required'"
CONSENT_ENDS: Final = "consent_ends_at IS NOT NULL AND state = 'active'"
IS_FAILING: Final = "failing_since IS NOT NULL AND state = 'active'"

for _name, _column, _condition in (
    ("ix_account_needs_consent", ACCOUNT.c.state_since, NEEDS_CONSENT),
    ("ix_account_consent_ends", ACCOUNT.c.consent_ends_at, CONSENT_ENDS),
    ("ix_account_failing", ACCOUNT.c.failing_since, IS_FAILING),
):
    Index(_name, _column, sqlite_where=text(_condition), postgresql_where=text(_condition))
