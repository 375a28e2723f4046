"""Revoking an account: here at once, at the provider as soon as it answers.

The tokens are destroyed first, in one transaction with the debt that says they are still to be
revoked at the provider; what the provider has not confirmed is tried again by the daemon
(CHECKLIST 103).
"""

import logging
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final

from connector.account import Account
from connector.errors import ConnectorError, TemporarilyUnavailable
from connector.oauth.revocation import revoke
from connector.providers.client import ProviderClient, ProviderDirectory
from connector.store.accounts import AccountStore
from connector.store.audit_entry import Entry
from connector.store.audit_trail import Note
from connector.store.revocations import RevocationDebt, RevocationStore

logger = logging.getLogger(__name__)

#: Between tries: doubled each time, from a minute to six hours.
FIRST_PAUSE: Final = 60.0
LONGEST_PAUSE: Final = 6 * 3600.0
#: Of the first pause: more than the longest one; after 1,024 of them a float has no room.
_MOST_DOUBLINGS: Final = 16
#: Somebody else may write while the tokens are being destroyed; each try reads anew.
WRITE_TRIES: Final = 10


@dataclass(frozen=True, slots=True, kw_only=True)
class Revoked:
    """What came of revoking an account. The tokens are destroyed here in every case.

    Attributes:
        is_confirmed: the provider has confirmed, or there was nothing to revoke.
        is_offered: the provider offers revocation.
        cause: why it has not confirmed.
        retry_at: when it is tried again (UTC).
    """

    is_confirmed: bool
    is_offered: bool
    cause: str = ""
    retry_at: datetime | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Destroyed:
    """An account whose tokens do not exist here any more.

    Attributes:
        debt: what its provider must still be told; None: nothing.
        is_offered: the provider offers revocation.
    """

    debt: RevocationDebt | None
    is_offered: bool


class Revoker:
    """Revokes accounts and settles debts of revocation.

    Args:
        accounts, debts: of the store.
        directory: gives the provider's client.
        note: is told what was revoked, for the audit trail.
        now: gives seconds since the epoch.
    """

    def __init__(
        self,
        *,
        accounts: AccountStore,
        debts: RevocationStore,
        directory: ProviderDirectory,
        note: Note,
        now: Callable[[], float],
    ) -> None:
        self._accounts = accounts
        self._debts = debts
        self._directory = directory
        self._note = note
        self._now = now

    async def revoke(self, name: str, *, at_provider: bool = True) -> Revoked:
        """Destroy an account's tokens and revoke them at the provider.

        Args:
            name: of the account.
            at_provider: False leaves the grant standing there.

        Raises:
            UnknownAccount: there is no such account.
            TemporarilyUnavailable: the store cannot be had; nothing was done.
        """
        return await self.confirm(await self.destroy(name, at_provider=at_provider))

    async def destroy(self, name: str, *, at_provider: bool = True) -> Destroyed:
        """Destroy an account's tokens here, and note what the provider must be told.

        Whoever revokes many accounts does this for all of them before any provider is asked.
        Arguments and errors as for `revoke`.
        """
        account = await self._accounts.require(name)
        is_offered = await self._offers_revocation(account)
        debt = await self._destroy(account, is_owed=at_provider and is_offered)
        logger.info(
            "tokens destroyed", extra={"action": "account.revoked", "account": account.name}
        )
        self._note(
            Entry(
                event="account.revoked",
                account=account.name,
                account_id=account.id,
                outcome="here_alone" if debt is None else "owed",
                detail={
                    "provider": account.provider,
                    "debt": None if debt is None else debt.id,
                    "kept_grant": not at_provider,
                },
            )
        )
        return Destroyed(debt=debt, is_offered=is_offered)

    async def confirm(self, destroyed: Destroyed) -> Revoked:
        """Revoke at the provider what was destroyed here; what fails is tried again."""
        if destroyed.debt is None:
            return Revoked(is_confirmed=True, is_offered=destroyed.is_offered)
        return await self.settle(destroyed.debt)

    async def settle(self, debt: RevocationDebt) -> Revoked:
        """Try to revoke what is owed; what fails is postponed."""
        try:
            client = await self._directory.get(debt.provider)
            _check_same_registration(debt, client)
            answer = await revoke(
                client.wire,
                client.server,
                client.registration,
                tokens=debt.tokens,
                subject=debt.subject,
                now=self._now(),
            )
            is_done, cause, retry_after = answer.is_done, answer.cause, answer.retry_after
        except ConnectorError as error:
            is_done, cause, retry_after = False, str(error), None
        if is_done:
            await self._debts.settle(debt)
            self._note(
                Entry(
                    event="revocation.confirmed",
                    account=debt.account,
                    detail={
                        "provider": debt.provider,
                        "debt": debt.id,
                        "attempt": debt.attempts + 1,
                    },
                )
            )
            return Revoked(is_confirmed=True, is_offered=True)
        grown = FIRST_PAUSE * 2.0 ** min(debt.attempts, _MOST_DOUBLINGS)
        pause = max(retry_after or 0.0, min(grown, LONGEST_PAUSE))
        retry_at = self._now() + pause
        await self._debts.postpone(debt, cause, retry_at=retry_at)
        logger.warning(
            cause, extra={"action": "revocation.owed", "account": debt.account, "retry_in": pause}
        )
        moment = datetime.fromtimestamp(retry_at, UTC)
        return Revoked(is_confirmed=False, is_offered=True, cause=cause, retry_at=moment)

    async def settle_due(self) -> None:
        """Try all debts that are due."""
        for debt in await self._debts.due(self._now()):
            await self.settle(debt)

    async def _offers_revocation(self, account: Account) -> bool:
        try:
            client = await self._directory.get(account.provider)
        except ConnectorError:
            return True  # not known now: better owed than forgotten
        return client.server.revocation is not None

    async def _destroy(self, account: Account, *, is_owed: bool) -> RevocationDebt | None:
        """Destroy the tokens as they are now, whoever may be writing new ones."""
        for _ in range(WRITE_TRIES):
            debt = await self._debts.destroy(
                account, "revoked by its owner here", now=self._now(), is_owed=is_owed
            )
            if debt is not None:
                return debt
            account = await self._accounts.require(account.name)
            if account.grant is None:
                return None
        raise TemporarilyUnavailable(
            f"account {account.name} was written by others all the time; nothing was revoked"
        )


def _check_same_registration(debt: RevocationDebt, client: ProviderClient) -> None:
    """Refuse to send tokens to another server than the one that issued them (CHECKLIST 32).

    Raises:
        TemporarilyUnavailable: client, issuer or endpoints are others now than they were then.
    """
    if debt.fingerprint not in {None, client.fingerprint}:
        raise TemporarilyUnavailable(
            f"the client registration of {debt.provider} has changed since the tokens were issued; "
            "they are not sent to another server"
        )
