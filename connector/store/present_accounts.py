"""Accounts of an export that a store has already, by their identifier or by their name."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from sqlalchemy import Connection, Row, select

from connector.account import Attempt
from connector.errors import TemporarilyUnavailable, VaultSealed
from connector.store.account_rows import read_account, sealed_values
from connector.store.accounts import AccountStore
from connector.store.database import Database
from connector.store.export_check import Checked
from connector.store.owner import is_gone
from connector.store.tables import ACCOUNT
from connector.store.vault_keys import learn_keys_within
from connector.vault.vault import Vault

#: Rows that are looked at together; a statement takes 32,766 parameters on SQLite.
_BATCH: Final = 2_000


@dataclass(frozen=True, slots=True, kw_only=True)
class PresentAccount:
    """What an import must know of an account that is here.

    Attributes:
        id, name: its own.
        generation: of its tokens.
        minted_at: when they were asked for.
        token_fingerprint: this vault's digest of its refresh token, where it has one that opens.
        attempt: what was sent and is not settled.
        is_leased: it is being refreshed.
    """

    id: str
    name: str
    generation: int
    minted_at: float
    token_fingerprint: str | None
    attempt: Attempt | None
    is_leased: bool


class Present:
    """The accounts that are here.

    Args:
        accounts: all of them.

    Attributes:
        by_id: the same, by identifier.
        ids, names: theirs.
    """

    def __init__(self, accounts: list[PresentAccount]) -> None:
        self.by_id: Mapping[str, PresentAccount] = {account.id: account for account in accounts}
        self.ids = frozenset(self.by_id)
        self.names = frozenset(account.name for account in accounts)

    def has(self, account_id: str, name: str) -> bool:
        """Tell whether an account is here, under its identifier or its name."""
        return account_id in self.ids or name in self.names

    def check_replaceable(self) -> None:
        """Refuse to replace what is being refreshed: the answer would be lost.

        Raises:
            TemporarilyUnavailable: names the accounts.
        """
        leased = sorted(account.name for account in self.by_id.values() if account.is_leased)
        if leased:
            raise TemporarilyUnavailable(
                f"accounts are being refreshed: {', '.join(leased)}; nothing was written"
            )


def find_present(
    connection: Connection, database: Database, vault: Vault, checked: Checked
) -> Present:
    """Find the accounts of an export that are here.

    Args:
        connection: to the database.
        database: the same; knows its clock.
        vault: opens their refresh tokens.
        checked: the export.
    """
    names = set(checked.names.values())
    found: list[PresentAccount] = []
    query = select(ACCOUNT.c.id, ACCOUNT.c.name).order_by(ACCOUNT.c.id).limit(_BATCH)
    rows = connection.execute(query).all()
    while rows:
        ids = [row.id for row in rows if row.id in checked.names or row.name in names]
        if ids:
            full = connection.execute(select(ACCOUNT).where(ACCOUNT.c.id.in_(ids))).all()
            learn_keys_within(
                connection, vault, (value for row in full for value in sealed_values(row))
            )
            found += [_present(row, database, vault) for row in full]
        rows = connection.execute(query.where(ACCOUNT.c.id > rows[-1].id)).all()
    return Present(found)


def _present(row: Row[Any], database: Database, vault: Vault) -> PresentAccount:
    account = read_account(row)
    lease = account.lease
    try:
        token = AccountStore(database, vault).open_refresh_token(account)
    except VaultSealed:
        token = None
    return PresentAccount(
        id=account.id,
        name=account.name,
        generation=account.generation,
        minted_at=row.minted_at or 0.0,
        token_fingerprint=vault.fingerprint(token) if token else None,
        attempt=account.attempt,
        is_leased=lease is not None
        and not is_gone(lease.owner, is_local=database.is_sqlite)
        and lease.until > database.lease_time(),
    )
