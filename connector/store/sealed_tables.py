"""The tables with sealed columns, and where and to what each of their values is bound."""

from dataclasses import dataclass
from typing import Any, Final

from sqlalchemy import ColumnElement, Row, Table, func, literal, or_, select
from sqlmodel import SQLModel

from connector.store.tables import ACCOUNT
from connector.vault.envelope import Place

SUFFIX: Final = "_sealed"

_LATE: Final = SQLModel.metadata.tables["late_token"]
_REVOCATION: Final = SQLModel.metadata.tables["revocation"]
_CONSENT: Final = SQLModel.metadata.tables["consent"]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class SealedTable:
    """A table with sealed columns.

    Attributes:
        table: the table.
        id: the column that names a row.
        account: the name of the account that a row belongs to.
        bound_to: what the values of a row are bound to besides their place.
    """

    table: Table
    id: ColumnElement[str]
    account: ColumnElement[str]
    bound_to: ColumnElement[str]

    @property
    def columns(self) -> list[str]:
        """The sealed columns."""
        return [name for name in self.table.c.keys() if name.endswith(SUFFIX)]  # noqa: SIM118

    @property
    def has_generation(self) -> bool:
        """Whether values are bound to the generation of their row."""
        return "generation" in self.table.c

    @property
    def holds_some(self) -> ColumnElement[bool]:
        """Whether a row holds a sealed value; that of a consumed consent is empty."""
        if self.table is _CONSENT:
            return _CONSENT.c.consumed_at.is_(None)
        return or_(*(self.table.c[name].is_not(None) for name in self.columns))

    def values(self, row: Row[Any]) -> dict[str, bytes]:
        """Give the sealed values of a row, by column."""
        found = ((name, getattr(row, name)) for name in self.columns)
        return {name: value for name, value in found if value is not None}

    def place(self, row: Row[Any], column: str) -> Place:
        """Give the place of a value."""
        return Place(
            table=self.table.name,
            row=self.id_of(row),
            field=column.removesuffix(SUFFIX),
            generation=row.generation if self.has_generation else 0,
            bound_to=row.bound_to or "",
        )

    def id_of(self, row: Row[Any]) -> str:
        """Give the identifier of a row."""
        identifier: str = getattr(row, self.id.key or "")
        return identifier


#: As `account_rows.binding` has it.
_GRANT: Final = ACCOUNT.c.provider + literal(" ") + func.coalesce(ACCOUNT.c.fingerprint, "")


def _of_owner(column: ColumnElement[str]) -> ColumnElement[str]:
    """Give a column of the account beside which a late token is kept."""
    return select(column).where(ACCOUNT.c.id == _LATE.c.account_id).scalar_subquery()


TABLES: Final = (
    SealedTable(table=ACCOUNT, id=ACCOUNT.c.id, account=ACCOUNT.c.name, bound_to=_GRANT),
    SealedTable(
        table=_LATE,
        id=_LATE.c.account_id,
        account=_of_owner(ACCOUNT.c.name),
        bound_to=_of_owner(_GRANT),
    ),
    SealedTable(
        table=_REVOCATION,
        id=_REVOCATION.c.id,
        account=_REVOCATION.c.account,
        bound_to=_REVOCATION.c.provider,
    ),
    # all that a consent is good for is sealed in it
    SealedTable(table=_CONSENT, id=_CONSENT.c.id, account=_CONSENT.c.account, bound_to=literal("")),
)
