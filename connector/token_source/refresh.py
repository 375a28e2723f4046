"""One refresh of one account: lease and attempt, send, parse, commit, or say what went wrong.

    1  read the account; somebody else's newer tokens end the matter
    2  take the lease and record the attempt, in one conditional write
    3  send; no transaction, row lock or pooled connection is held meanwhile
    4  commit by compare-and-swap, before the token is handed to anybody
    5  or settle: give the lease back with what went wrong, and when to try again

Whoever waits for another owner's lease gets the winner's tokens, or the winner's error.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable
from typing import Final

from connector import errors
from connector.account import (
    Account,
    Active,
    Attempt,
    Trouble,
    needed_extra,
    renewed_terms,
)
from connector.oauth.id_token import IdTokenRejected
from connector.oauth.token_response import (
    Answer,
    Granted,
    OutcomeUnknown,
    Refused,
)
from connector.providers.client import ProviderClient, ProviderDirectory
from connector.providers.identity import check_refreshed
from connector.secret import Secret
from connector.store.accounts import AccountStore
from connector.store.grants import LEASE_DURATION, GrantStore, NewTokens
from connector.store.owner import is_gone
from connector.token_source.verdict import check_registration, consent_required, judge, moment

logger = logging.getLogger(__name__)

#: Waiting for another owner: soon at first, then twice a second.
FIRST_WAIT: Final = 0.02
LONGEST_WAIT: Final = 0.5

NO_REFRESH: Final = "the provider gave no refresh token"
GRANT_ENDED: Final = "the provider ended the grant (invalid_grant)"
ROTATION_LOST: Final = (
    "rotation lost: the answer to an earlier refresh never arrived, and the old token is refused"
)


class Refresh:
    """Refreshes accounts.

    Args:
        accounts: reads them.
        grants: writes them.
        directory: gives the provider's client.
        owner: this process as an owner of leases.
        now: gives seconds since the epoch.
        sleep: waits for another owner.
    """

    def __init__(
        self,
        *,
        accounts: AccountStore,
        grants: GrantStore,
        directory: ProviderDirectory,
        owner: str,
        now: Callable[[], float],
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        self._accounts = accounts
        self._grants = grants
        self._directory = directory
        self._owner = owner
        self._now = now
        self._sleep = sleep

    async def run(
        self,
        name: str,
        generation: int,
        *,
        ignore_backoff: bool = False,
        is_rejected: bool = False,
    ) -> Account:
        """Refresh an account, unless somebody else has since ``generation``.

        Args:
            name: of the account.
            generation: that the caller has seen; a newer one is returned as it is.
            ignore_backoff: a person asks: do not wait out an earlier failure.
            is_rejected: the API has rejected the present access token.

        Raises:
            UnknownAccount: there is no such account any more.
            ConsentRequired: only a person can bring it back.
            TemporarilyUnavailable: nothing is lost; says when to try again.
            RegistrationRejected: the provider rejects our client registration.
        """
        give_up_at = self._now() + LEASE_DURATION + LONGEST_WAIT
        wait = FIRST_WAIT
        while True:
            account, client = await self._current(name)
            if account.generation != generation:
                return account
            self._check_backoff(account, ignore_backoff=ignore_backoff)
            credential = self._credential(account, client)
            if credential is None:
                return await self._do_without(account, is_rejected=is_rejected)
            leased = await self._take_lease(account, credential)
            if leased is not None:
                return await self._send(leased, client, credential)
            if self._now() >= give_up_at:
                raise errors.TemporarilyUnavailable(
                    f"another process has been refreshing account {name} for too long",
                    moment(self._now() + LONGEST_WAIT),
                )
            await self._sleep(wait)
            wait = min(wait * 2, LONGEST_WAIT)

    async def _current(self, name: str) -> tuple[Account, ProviderClient]:
        """Read an active account, and the client whose tokens it has."""
        account = await self._accounts.require(name)
        if not isinstance(account.state, Active):
            raise consent_required(account)
        client = await self._directory.get(account.provider)
        check_registration(account, client)
        return account, client

    def _check_backoff(self, account: Account, *, ignore_backoff: bool) -> None:
        trouble = account.trouble
        if trouble is not None and not ignore_backoff and self._now() < trouble.retry_at:
            raise errors.TemporarilyUnavailable(trouble.message, moment(trouble.retry_at))

    def _credential(self, account: Account, client: ProviderClient) -> Secret | None:
        """Give what is sent to get a new access token; None where there is nothing to send.

        An access token that is exchanged is sent even when it seems to have ended: our clock, or an
        assumed lifetime, is no word of the provider's.
        """
        if client.provider.exchange is None:
            return self._accounts.open_refresh_token(account)
        return self._accounts.open_access_token(account)

    async def _do_without(self, account: Account, *, is_rejected: bool) -> Account:
        """Act on an account that was given no refresh token.

        Raises:
            TemporarilyUnavailable: its access token still works; there is nothing else to have.
            ConsentRequired: its access token has ended, or the API says so.
        """
        expires_at = account.grant.terms.expires_at if account.grant else None
        if is_rejected:
            return await self._end(account, f"the API rejects the access token, and {NO_REFRESH}")
        if expires_at is not None and expires_at <= self._now():
            return await self._end(account, f"the access token has ended, and {NO_REFRESH}")
        raise errors.TemporarilyUnavailable(
            f"account {account.name} cannot be refreshed: {NO_REFRESH}",
            valid_until=None if expires_at is None else moment(expires_at),
        )

    async def _take_lease(self, account: Account, credential: Secret) -> Account | None:
        """Record what is about to be sent and take the lease; None where another owner has it."""
        fingerprint = self._accounts.fingerprint(credential)
        before = account.attempt
        now = self._now()
        is_again = before is not None and before.token_fingerprint == fingerprint
        attempt = Attempt(
            sent_at=now,
            first_sent_at=before.first_sent_at if before and is_again else now,
            count=before.count + 1 if before and is_again else 1,
            token_fingerprint=fingerprint,
            fence=0,
        )
        lease = account.lease
        gone = lease.owner if lease is not None and is_gone(lease.owner) else None
        return await self._grants.take_lease(account, self._owner, attempt, gone_owner=gone)

    async def _send(self, account: Account, client: ProviderClient, credential: Secret) -> Account:
        """Send one request under the lease and act on its answer."""
        exchange = client.provider.exchange
        started = self._now()
        if exchange is None:
            answer = await client.endpoint.refresh(credential, client.provider.refresh_params)
        else:
            answer = await client.endpoint.exchange_access_token(
                credential, grant_type=exchange.grant_type, parameter=exchange.parameter
            )
        if not isinstance(answer, Granted):
            return await self._settle(account, answer)
        kept = credential if exchange is None else None
        renewed = await self._commit(account, client, answer, kept)
        logger.info(
            "access token minted",
            extra={
                "action": "refresh.done",
                "account": account.name,
                "provider": account.provider,
                "generation": renewed.generation,
                "seconds": round(self._now() - started, 3),
            },
        )
        return renewed

    async def _commit(
        self, account: Account, client: ProviderClient, answer: Granted, kept: Secret | None
    ) -> Account:
        """Make the answer durable, or give way to who wrote first.

        Args:
            account: as it was when the refresh was sent.
            client: of its provider.
            answer: what the provider granted.
            kept: the refresh token that stays where the answer has none (RFC 6749 §6).
        """
        assert account.grant is not None  # noqa: S101 - it is active
        try:
            check_refreshed(client, answer.tokens, account.grant.subject)
        except IdTokenRejected as error:
            return await self._end(account, f"the refresh answered for somebody else: {error}")
        tokens = answer.tokens
        id_token = tokens.id_token.reveal() if tokens.id_token else None
        new = NewTokens(
            tokens=tokens,
            terms=renewed_terms(account.grant.terms, tokens, client.provider.lifetimes),
            refresh_token=tokens.refresh_token or kept,
            extra=self._accounts.open_extra(account) | needed_extra(tokens.extra, id_token),
        )
        renewed = await self._grants.renew(account, new)
        if renewed is not None:
            return renewed
        logger.warning(
            "another process wrote newer tokens first; they are used",
            extra={"action": "refresh.late", "account": account.name},
        )
        return (await self._current(account.name))[0]

    async def _settle(self, account: Account, answer: Answer) -> Account:
        """Act on an answer that brought no tokens; returns where somebody else has newer."""
        is_again = account.attempt is not None and account.attempt.count > 1
        if isinstance(answer, Refused) and answer.error == "invalid_grant":
            return await self._end(account, ROTATION_LOST if is_again else GRANT_ENDED)
        failures = account.trouble.failures + 1 if account.trouble else 1
        verdict = judge(answer, account.provider, failures)
        trouble = Trouble(
            message=verdict.message,
            since=account.trouble.since if account.trouble else self._now(),
            failures=failures,
            retry_at=self._now() + verdict.retry_in,
        )
        is_unknown = isinstance(answer, OutcomeUnknown)
        # an earlier outcome stays unknown, whatever became of this try
        await self._grants.settle(account, trouble, keep_attempt=is_unknown or is_again)
        logger.warning(
            verdict.message,
            extra={
                "action": "refresh.unknown" if is_unknown else "refresh.failed",
                "account": account.name,
                "provider": account.provider,
                "retry_in": round(verdict.retry_in, 1),
            },
        )
        if verdict.rejected is not None:
            raise errors.RegistrationRejected(account.provider, verdict.rejected)
        raise errors.TemporarilyUnavailable(verdict.message, moment(trouble.retry_at))

    async def _end(self, account: Account, reason: str) -> Account:
        """End the grant, unless somebody has written newer tokens: then give those.

        Raises:
            ConsentRequired: it has ended.
        """
        ended = await self._grants.require_consent(account, reason, now=self._now())
        if ended is None:
            return (await self._current(account.name))[0]
        logger.error(
            reason,
            extra={
                "action": "consent.required",
                "account": account.name,
                "provider": account.provider,
            },
        )
        raise consent_required(ended)
