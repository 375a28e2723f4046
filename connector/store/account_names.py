"""The names of many accounts, with their states, and nothing else of them."""

from dataclasses import dataclass
from typing import Final

from sqlalchemy import select

from connector.account_name import AccountGlob
from connector.store.database import Database
from connector.store.tables import ACCOUNT

_COLUMNS: Final = (ACCOUNT.c.name, ACCOUNT.c.provider, ACCOUNT.c.state)


@dataclass(frozen=True, slots=True, kw_only=True)
class AccountName:
    """An account, as far as lists of many need it.

    Attributes:
        name: of the account.
        provider: its name in the configuration.
        state: ``pending``, ``active`` or ``consent_required``.
    """

    name: str
    provider: str
    state: str


class AccountNames:
    """Reads names of accounts.

    Args:
        database: where they are.
    """

    def __init__(self, database: Database) -> None:
        self._database = database

    async def of(self, glob: AccountGlob, provider: str | None) -> list[AccountName]:
        """Give the accounts that a glob selects, by name.

        Args:
            glob: of names.
            provider: only of this one; None: of any.

        Raises:
            TemporarilyUnavailable: the database cannot be had.
        """
        query = select(*_COLUMNS).order_by(ACCOUNT.c.name)
        if glob.is_literal:
            query = query.where(ACCOUNT.c.name == glob.text)
        if provider is not None:
            query = query.where(ACCOUNT.c.provider == provider)
        async with self._database.read() as connection:
            rows = (await connection.execute(query)).all()
        return [
            AccountName(name=name, provider=provider, state=state)
            for name, provider, state in rows
            if glob.matches(name)
        ]
