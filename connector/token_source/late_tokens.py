"""A refresh that came too late: what becomes of its tokens, and when they are used after all.

Where somebody else has committed meanwhile, theirs stand (compare-and-swap). On a server with a
grace time ours work as well, and on some they are the only ones that do: the one that the server
issued last. So the refresh token is kept beside the account's, and sent once before the account
would end, when the account's own is refused (CHECKLIST 58). It is as old as the winner's and never
outlives it, so that nothing older than the predecessor of what is sent is ever sent (I3).
"""

import logging
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final

from connector.account import Account, Active, ConsentRequired
from connector.providers.client import ProviderClient
from connector.secret import Secret
from connector.store.accounts import AccountStore
from connector.store.grants import GrantStore, NewTokens
from connector.store.late_tokens import LateTokenStore
from connector.store.pending_write import PendingWrite
from connector.store.revocations import RevocationStore
from connector.token_source.verdict import GRANT_ENDED, ROTATION_LOST, consent_required

logger = logging.getLogger(__name__)

#: Ends that say only that the winner's refresh token was refused; ours was not heard yet.
_WINNER_REFUSED: Final = frozenset({GRANT_ENDED, ROTATION_LOST})


@dataclass(frozen=True, slots=True, kw_only=True)
class Again:
    """One more request may be sent at once.

    Attributes:
        instead: what is sent; None: the same token as before.
    """

    instead: Secret | None = field(default=None, repr=False)


class LateTokens:
    """Acts on tokens that came too late.

    Args:
        accounts: reads accounts and opens their tokens.
        grants: writes them.
        debts: keeps what is to be revoked.
        store: keeps late tokens.
        now: gives seconds since the epoch.
    """

    def __init__(
        self,
        *,
        accounts: AccountStore,
        grants: GrantStore,
        debts: RevocationStore,
        store: LateTokenStore,
        now: Callable[[], float],
    ) -> None:
        self._accounts = accounts
        self._grants = grants
        self._debts = debts
        self._store = store
        self._now = now

    async def give_way(
        self, account: Account, client: ProviderClient, new: NewTokens, write: PendingWrite
    ) -> Account:
        """Use what somebody else wrote, and keep our tokens for the day when that is refused.

        Tokens of an account that was revoked meanwhile are owed as well. Where the winner's refresh
        token was refused already, ours take its place.

        Args:
            account: as it was when the refresh was sent.
            client: of its provider.
            new: our tokens.
            write: of them, which changed nothing.

        Raises:
            ConsentRequired: the account was revoked, or has ended.
            TemporarilyUnavailable: the database cannot be had.
        """
        current = await self._accounts.get(account.name)
        if current is None or current.id != account.id or current.grant is None:
            await self._owe(account, client, new)
        elif self._is_refused_winner(current, write):
            revived = await self._grants.renew(current, new)
            if revived is not None:
                _tell(account, "a late answer takes the place of one that was refused")
                return revived
        elif await self._store.keep(write):
            _tell(account, "another process wrote first; the late token is kept beside its own")
            return await self.current(account.name)
        _tell(account, "another process wrote first; the answer is not used")
        return await self.current(account.name)

    async def credential(self, account: Account, client: ProviderClient) -> Secret | None:
        """Give what is sent to get a new access token; None where there is nothing to send.

        A late token whose answer was lost is what is sent again. An access token that is exchanged
        is sent even when it seems to have ended: our clock, or an assumed lifetime, is no word of
        the provider's.
        """
        if client.provider.exchange is not None:
            return self._accounts.open_access_token(account)
        own = self._accounts.open_refresh_token(account)
        if own is None or account.attempt is None or self._was_sent(account, own):
            return own
        late = await self._store.find(account)
        return late if late is not None and self._was_sent(account, late) else own

    async def instead(self, account: Account) -> Again | None:
        """Give the late token where the one that was sent, and refused, is another.

        Args:
            account: under the lease.
        """
        late = await self._store.find(account)
        if late is None or self._was_sent(account, late):
            return None
        _tell(account, "the refresh token is refused; the late token beside it is tried")
        return Again(instead=late)

    async def current(self, name: str) -> Account:
        """Give an account as somebody else has left it.

        Raises:
            ConsentRequired: it has ended.
        """
        account = await self._accounts.require(name)
        if not isinstance(account.state, Active):
            raise consent_required(account)
        return account

    async def _owe(self, account: Account, client: ProviderClient, new: NewTokens) -> None:
        if client.server.revocation is None:
            return
        late = {
            "access_token": new.tokens.access_token,
            "refresh_token": new.tokens.refresh_token,
        }
        owed = {name: token for name, token in late.items() if token is not None}
        await self._debts.owe(account, owed, now=self._now())

    def _was_sent(self, account: Account, token: Secret) -> bool:
        attempt = account.attempt
        return attempt is not None and attempt.token_fingerprint == self._accounts.fingerprint(
            token
        )

    def _is_refused_winner(self, current: Account, write: PendingWrite) -> bool:
        return (
            isinstance(current.state, ConsentRequired)
            and current.state.reason in _WINNER_REFUSED
            and current.generation == write.generation + 1
            and write.is_rotated
        )


def _tell(account: Account, message: str) -> None:
    logger.warning(message, extra={"action": "refresh.late", "account": account.name})
