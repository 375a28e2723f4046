"""Accounts that are due to be refreshed ahead of anybody's call; found by index, never by a scan.

``due_at`` is when an account is to be taken up next: never, where nobody has used its token since
it was minted and the grant does not die idle. Claiming moves it on, so that of several daemons each
gets others; the claim of a daemon that dies runs out by itself.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Final

from sqlalchemy import Connection, Executable, Select, bindparam, or_, select, update
from sqlmodel import col

from connector.account import Account
from connector.store.account_rows import read_account, sealed_values
from connector.store.database import Database
from connector.store.tables import ACCOUNT, AccountRow
from connector.store.vault_keys import learn_keys_within
from connector.vault.vault import Vault

#: A claimed account is taken up by nobody else for so long: more than a refresh takes (45 s).
CLAIM_TIME: Final = 60.0


#: So many accounts are written to in one transaction, while other writers wait.
_MOST_NOTES: Final = 1_000
_NOTE_USED: Final = (
    update(ACCOUNT)
    .where(
        ACCOUNT.c.id == bindparam("of_account"),
        ACCOUNT.c.generation == bindparam("of_generation"),
        or_(ACCOUNT.c.due_at.is_(None), ACCOUNT.c.due_at > bindparam("renew_at")),
    )
    .values(due_at=bindparam("renew_at"))
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Used:
    """That a token was used, and should therefore be renewed before it ends.

    Attributes:
        account_id: whose it is.
        generation: under which it was written.
        renew_at: when its early renewal begins.
    """

    account_id: str
    generation: int
    renew_at: float


class DueStore:
    """Finds and claims due accounts.

    Args:
        database: where the accounts are.
        vault: what will open their tokens.
    """

    def __init__(self, database: Database, vault: Vault) -> None:
        self._database = database
        self._vault = vault

    async def claim(self, *, now: float, limit: int) -> list[Account]:
        """Claim accounts that are due, the longest overdue first.

        Args:
            now: seconds since the epoch.
            limit: how many at most.

        Raises:
            TemporarilyUnavailable: the database cannot be had (so for every method here).
        """
        if not await self._is_any_due(now):
            return []  # a look costs no write lock
        due = find_due(now, limit).with_for_update(skip_locked=True)
        async with self._database.write() as connection:
            ids = (await connection.execute(due)).scalars().all()
            claimed = await connection.execute(
                update(ACCOUNT)
                .where(ACCOUNT.c.id.in_(ids))
                .values(due_at=now + CLAIM_TIME)
                .returning(*ACCOUNT.c)
            )
            rows = claimed.all()
            sealed = (value for row in rows for value in sealed_values(row))
            await connection.run_sync(learn_keys_within, self._vault, sealed)
        return [read_account(row) for row in rows]

    async def note_used(self, used: Sequence[Used]) -> None:
        """Have tokens renewed ahead that were used; an earlier due time stays."""
        ordered = sorted(used, key=_order)  # as a group commit locks its rows
        for first in range(0, len(used), _MOST_NOTES):
            wanted = [
                {
                    "of_account": one.account_id,
                    "of_generation": one.generation,
                    "renew_at": one.renew_at,
                }
                for one in ordered[first : first + _MOST_NOTES]
            ]
            await self._database.transact(_executing(_NOTE_USED, wanted))

    async def _is_any_due(self, now: float) -> bool:
        async with self._database.read() as connection:
            return (await connection.execute(find_due(now, 1))).first() is not None


def find_due(now: float, limit: int) -> Select[str]:
    """Make the query for the identifiers of due accounts, the longest overdue first.

    Args:
        now: seconds since the epoch.
        limit: how many at most.
    """
    return (
        select(col(AccountRow.id))
        .where(
            col(AccountRow.state) == "active",
            col(AccountRow.due_at).is_not(None),
            col(AccountRow.due_at) <= now,
        )
        .order_by(col(AccountRow.due_at))
        .limit(limit)
    )


def _executing(
    statement: Executable, parameters: list[dict[str, Any]]
) -> Callable[[Connection], object]:
    return lambda connection: connection.execute(statement, parameters)


def _order(used: Used) -> str:
    return used.account_id
