"""The tables of what has been: what came of refreshes."""

from typing import Final

from sqlalchemy import Table
from sqlmodel import Field, SQLModel

from connector.store.column_types import ForeignText, LenientText
from connector.store.tables import ACCOUNT

__all__ = ["ACCOUNT", "REFRESHES", "RefreshRow"]


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


#: Built without the object mapper's detour.
REFRESHES: Final[Table] = SQLModel.metadata.tables["refreshes"]
