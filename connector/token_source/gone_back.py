"""A database that has gone back holds spent refresh tokens: such grants are held for a person.

So are grants of an export which is older than what was written here since: the import wrote that
down beside them (see `store.arrivals`), for every process and host. A grant that does not rotate,
or whose access token is exchanged, goes on as if nothing had been.
"""

import logging

from connector.account import Account
from connector.errors import TemporarilyUnavailable
from connector.providers.provider import Provider
from connector.store.accounts import AccountStore
from connector.store.grants import GrantStore
from connector.token_source.refresh_notes import RefreshNotes

logger = logging.getLogger(__name__)


def rotates(provider: Provider) -> bool:
    """Tell whether a refresh token of a provider may be spent once it was used."""
    return provider.exchange is None and provider.refresh_token.rotation != "none"


class GoneBack:
    """Holds grants of which newer tokens are known to have been written.

    Args:
        accounts: reads them.
        grants: knows how far they had come.
        notes: writes entries of the audit trail.
    """

    def __init__(self, accounts: AccountStore, grants: GrantStore, notes: RefreshNotes) -> None:
        self._accounts = accounts
        self._grants = grants
        self._notes = notes
        self._told: set[str] = set()

    async def check(self, account: Account, provider: Provider) -> bool:
        """Refuse to send a refresh token that has been replaced, until a person confirms.

        Args:
            account: as it is in the database.
            provider: of the account.

        Returns:
            Whether it may be sent; else the account has newer tokens than those that were read.

        Raises:
            TemporarilyUnavailable: its tokens are older than those that were written last.
        """
        if account.trouble is not None and account.trouble.is_held:
            raise TemporarilyUnavailable(account.trouble.message)
        if not rotates(provider):
            return True
        noted = self._grants.noted_generation(account)
        if noted is None:
            return True
        # what is noted was committed before: another process may just have written it
        present = await self._accounts.require(account.name)
        if present.id != account.id or present.generation >= noted:
            return False
        message = (
            f"the database has gone back: the tokens of account {account.name} had been written"
            f" {noted} times and now {account.generation} times. Its refresh token has been"
            " replaced since, and to send it may end the grant. Restore a newer backup, or try it:"
            f" connector refresh {account.name}"
        )
        self._notes.held(account, noted)
        if account.id not in self._told:
            self._told.add(account.id)
            extra = {"action": "store.went_back", "account": account.name}
            logger.error(message, extra=extra)
        raise TemporarilyUnavailable(message)
