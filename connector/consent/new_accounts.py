"""The row that a consent makes for a new account; it goes where the consent comes to nothing.

Only the row that this very consent has made is taken back, and only while it is pending: of two
consents for one new account the other may have made it active meanwhile.
"""

import logging
from collections.abc import Callable

from sqlalchemy import delete
from sqlmodel import col

from connector.consent.exchange import check_same_provider
from connector.errors import ConnectorError
from connector.store.accounts import AccountStore
from connector.store.tables import AccountRow

logger = logging.getLogger(__name__)


class NewAccounts:
    """Begins the accounts of consents.

    Args:
        accounts: of the store.
        now: gives seconds since the epoch.
    """

    def __init__(self, accounts: AccountStore, *, now: Callable[[], float]) -> None:
        self._accounts = accounts
        self._now = now

    async def begin(self, name: str, provider: str) -> str | None:
        """Make the account pending where it is new.

        Returns:
            The identifier of the row that was made; None where there was one.

        Raises:
            ConsentNotGiven: the account has tokens of another provider.
            TemporarilyUnavailable: the store cannot be had.
        """
        before = await self._accounts.get(name)
        account = before or await self._accounts.begin(name, provider, now=self._now())
        check_same_provider(account, provider)
        return account.id if before is None else None

    async def take_back(self, account_id: str | None) -> None:
        """Remove a row that `begin` has made, if it is still pending; else do nothing.

        Where the store is away the row stays, pending: nothing depends on it.
        """
        if account_id is None:
            return
        statement = delete(AccountRow).where(
            col(AccountRow.id) == account_id, col(AccountRow.state) == "pending"
        )
        database = self._accounts._database  # noqa: SLF001 - one conditional DELETE, ours alone
        try:
            async with database.write() as connection:
                await connection.execute(statement)
        except ConnectorError as error:
            logger.warning(str(error), extra={"action": "consent.not_taken_back"})
