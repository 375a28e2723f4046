"""Accounts a page at a time, chosen by state, provider and text: what lists of many thousands ask.

No ciphertext is read here: what is shown of an account needs none of it.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from sqlalchemy import ColumnElement, and_, case, false, func, select
from sqlmodel import col

from connector.account import Account
from connector.store.account_rows import read_account
from connector.store.database import Database
from connector.store.tables import AccountRow

#: What `Choice.state` may be: the states, and active accounts whose last refreshes have failed.
CHOICES: Final = ("active", "failing", "consent_required", "pending")

_IS_FAILING: Final = and_(col(AccountRow.state) == "active", col(AccountRow.failures) > 0)
_CHOSEN: Final[Mapping[str, ColumnElement[bool]]] = {
    "active": and_(col(AccountRow.state) == "active", col(AccountRow.failures) == 0),
    "failing": _IS_FAILING,
    "consent_required": col(AccountRow.state) == "consent_required",
    "pending": col(AccountRow.state) == "pending",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Choice:
    """Which accounts are wanted.

    Attributes:
        state: one of `CHOICES`; empty: any.
        provider: its name; empty: any.
        text: stands in the account's name, or in that of its person; empty: any.
    """

    state: str = ""
    provider: str = ""
    text: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class AccountPage:
    """Some of the accounts that were chosen.

    Attributes:
        accounts: by name.
        total: how many were chosen in all.
        counts: how many accounts there are of each of `CHOICES`, whatever state was chosen.
        providers: which providers have accounts.
    """

    accounts: list[Account]
    total: int
    counts: Mapping[str, int]
    providers: list[str]


class AccountPages:
    """Reads pages of accounts.

    Args:
        database: where they are.
    """

    def __init__(self, database: Database) -> None:
        self._database = database

    async def find(self, choice: Choice, *, first: int, limit: int) -> AccountPage:
        """Give a page.

        Args:
            choice: which accounts.
            first: how many to leave out from the beginning.
            limit: how many at most.

        Raises:
            TemporarilyUnavailable: the database cannot be had.
        """
        others = _others(choice)
        conditions = [*others, *([_CHOSEN[choice.state]] if choice.state else [])]
        kind = case((_IS_FAILING, "failing"), else_=col(AccountRow.state))
        counting = select(kind, func.count()).where(*others).group_by(kind)
        listing = select(AccountRow).where(*conditions).order_by(col(AccountRow.name))
        providers = select(col(AccountRow.provider)).distinct().order_by(col(AccountRow.provider))
        async with self._database.read() as connection:
            counts = {str(name): int(count) for name, count in await connection.execute(counting)}
            rows = (await connection.execute(listing.offset(first).limit(limit))).all()
            known = [str(name) for (name,) in await connection.execute(providers)]
        return AccountPage(
            accounts=[read_account(row) for row in rows],
            total=counts.get(choice.state, 0) if choice.state else sum(counts.values()),
            counts={name: counts.get(name, 0) for name in CHOICES},
            providers=known,
        )


def _others(choice: Choice) -> list[ColumnElement[bool]]:
    """Give the conditions besides the state."""
    conditions: list[ColumnElement[bool]] = []
    if "\0" in choice.provider + choice.text:  # no text of ours has it, and Postgres refuses it
        return [false()]
    if choice.provider:
        conditions.append(col(AccountRow.provider) == choice.provider)
    if choice.text:
        text = choice.text.lower()
        conditions.append(
            func.lower(col(AccountRow.name)).contains(text, autoescape=True)
            | func.lower(col(AccountRow.subject_name)).contains(text, autoescape=True)
        )
    return conditions
