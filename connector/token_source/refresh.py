"""One refresh of one account: lease and attempt, send, parse, commit, or say what went wrong.

    1  read the account; somebody else's newer tokens end the matter, and so does an answer that
       a journal on this host holds
    2  hold a journal file, take the lease and record the attempt, in one conditional write
    3  send; no transaction, row lock or pooled connection is held meanwhile
    4  commit by compare-and-swap, before the token is handed to anybody (`settlement`)
    5  or settle: give the lease back with what went wrong, and when to try again

Whoever waits for another owner's lease gets the winner's tokens, or the winner's error.
"""

import logging
from collections.abc import Callable
from typing import Final

from connector import errors
from connector.account import Account, Active, Attempt
from connector.oauth.token_response import Granted
from connector.providers.client import ProviderClient, ProviderDirectory
from connector.secret import Secret
from connector.store.accounts import AccountStore
from connector.store.changes import UNCOUNTED, ChangeWatch
from connector.store.grant_statements import LEASE_DURATION
from connector.store.grants import GrantStore
from connector.store.owner import boot_time
from connector.token_source.gone_back import GoneBack
from connector.token_source.late_tokens import Again
from connector.token_source.outcomes import RefreshOutcomes
from connector.token_source.sending import Sending
from connector.token_source.settlement import Settlement
from connector.token_source.unanswered import replay_period
from connector.token_source.verdict import check_registration, consent_required, moment

logger = logging.getLogger(__name__)

NO_LEASE: Final = float("-inf")
#: Who waits for another owner is told when the lease is given back; should the word be lost, or the
#: owner be gone, it looks twice a second.
LONGEST_WAIT: Final = 0.5

#: An API that still rejects a token after so long means it.
REJECTION_LIMIT: Final = 60.0
#: A token that ended so long ago, by our clock, has ended.
ENDED_LIMIT: Final = 3600.0
NO_REFRESH: Final = "the provider gave no refresh token"
UNHEARD_OF: Final = "another process began to refresh and is unheard of; it may hold the answer"
LEFT_UNANSWERED: Final = "the answer to a refresh was lost with the process that had sent it"


class Refresh:
    """Refreshes accounts.

    Args:
        accounts: reads them.
        grants: writes them.
        directory: gives the provider's client.
        settlement: acts on the answers.
        owner: this process as an owner of leases.
        now: gives seconds since the epoch.
        changes: tells when another owner has done with an account.

    Attributes:
        settlement: as given.
        outcomes: tells what came of each request.
    """

    def __init__(
        self,
        *,
        accounts: AccountStore,
        grants: GrantStore,
        directory: ProviderDirectory,
        settlement: Settlement,
        owner: str,
        now: Callable[[], float],
        changes: ChangeWatch,
    ) -> None:
        self._accounts = accounts
        self._grants = grants
        self._directory = directory
        self.settlement = settlement
        self.outcomes = RefreshOutcomes()
        self._owner = owner
        self._now = now
        self._changes = changes
        self._wait = changes.wait
        self._rejected: dict[tuple[str, int], float] = {}
        self._gone_back = GoneBack(accounts, grants, settlement.notes)

    async def run(
        self,
        name: str,
        generation: int,
        *,
        ignore_backoff: bool = False,
        is_rejected: bool = False,
        known: Account | None = None,
    ) -> Account:
        """Refresh an account, unless somebody else has since ``generation``.

        Args:
            name: of the account.
            generation: that the caller has seen; a newer one is returned as it is.
            ignore_backoff: a person asks: do not wait out an earlier failure.
            is_rejected: the API has rejected the present access token.
            known: the account as it was read a moment ago; the lease shows whether it still is so.

        Raises:
            UnknownAccount: there is no such account any more.
            ConsentRequired: only a person can bring it back.
            TemporarilyUnavailable: nothing is lost; says when to try again.
            RegistrationRejected: the provider rejects our client registration.
        """
        give_up_at = self._now() + LEASE_DURATION + LONGEST_WAIT
        instead: Secret | None = None
        while True:
            # from before the reading, so that what happens since is not slept through
            count = UNCOUNTED if known else self._changes.count
            account, client = await self._current(name, known)
            known = None
            if account.generation > generation:  # a smaller one: ours is in the journal still
                return account
            if self._grants.lease_remaining(account, self._owner) <= 0:
                if await self._unanswered(account) is not None:
                    continue
                if not ignore_backoff and not await self._gone_back.check(account, client.provider):
                    continue
                gate = self.settlement.gate
                await (gate.look if ignore_backoff else gate.check)(account.provider)
                self._check_backoff(
                    account,
                    client,
                    ignore_backoff=ignore_backoff or instead is not None,
                    is_rejected=is_rejected,
                )
            credential = instead or await self.settlement.late.credential(account, client)
            if credential is None:
                return await self._do_without(account, is_rejected=is_rejected)
            await self.settlement.kept.prepare()
            asked_at = boot_time()
            leased = await self._take_lease(account, client, credential)
            if leased is not None:
                sending = Sending(
                    credential=credential, before=account.attempt, lease_asked_at=asked_at
                )
                renewed = await self._send(leased, client, sending)
                if isinstance(renewed, Account):
                    return renewed
                instead = renewed.instead
                continue
            instead = None
            self._check_replay_period(account, client)
            if self._now() >= give_up_at:
                raise errors.TemporarilyUnavailable(
                    f"another process has been refreshing account {name} for too long",
                    moment(self._now() + LONGEST_WAIT),
                )
            await self._wait(LONGEST_WAIT, account=name, since=count)

    def _check_replay_period(self, account: Account, client: ProviderClient) -> None:
        """Refuse to wait where an owner that is unheard of may still write what it got.

        Raises:
            TemporarilyUnavailable: until it has had its time.
        """
        remaining = self._grants.lease_remaining(account, self._owner)
        patience = replay_period(client.provider.refresh_token)
        if -patience < remaining <= 0:
            raise errors.TemporarilyUnavailable(
                UNHEARD_OF, moment(self._now() + remaining + patience)
            )

    async def _unanswered(self, account: Account) -> Account | None:
        """Look for the answer to an attempt in the journals of this host."""
        return None if account.attempt is None else await self.settlement.kept.replay(account)

    async def _current(self, name: str, known: Account | None) -> tuple[Account, ProviderClient]:
        """Read an active account, and the client whose tokens it has."""
        account = known or await self._accounts.require(name)
        if not isinstance(account.state, Active):
            raise consent_required(account)
        client = await self._directory.get(account.provider)
        check_registration(account, client.fingerprint)
        return account, client

    def _check_backoff(
        self,
        account: Account,
        client: ProviderClient,
        *,
        ignore_backoff: bool,
        is_rejected: bool,
    ) -> None:
        """Refuse to send before the time that an earlier failure, or a lost answer, has set.

        Raises:
            TemporarilyUnavailable: it has not come.
        """
        if ignore_backoff:
            return
        trouble, attempt = account.trouble, account.attempt
        not_before = trouble.retry_at if trouble else 0.0
        message = trouble.message if trouble else LEFT_UNANSWERED
        if attempt is not None and trouble is None:  # its sender died
            not_before = self.settlement.next_send(account, client, is_rejected=is_rejected)
        elif attempt is not None and trouble is not None and trouble.failures == 1 and is_rejected:
            not_before = self.settlement.next_send(account, client, is_rejected=True)
        if self._now() < not_before:
            raise errors.TemporarilyUnavailable(message, moment(not_before))

    async def _do_without(self, account: Account, *, is_rejected: bool) -> Account:
        """Act on an account that was given no refresh token.

        Whoever asks is told that a person must consent; that is written down only once it is sure:
        a clock may be wrong for a while, and an API may reject a token once (I4).

        Raises:
            TemporarilyUnavailable: its access token still works; there is nothing else to have.
            ConsentRequired: its access token has ended, or the API says so.
        """
        expires_at = account.grant.terms.expires_at if account.grant else None
        now = self._now()
        if is_rejected:
            reason = f"the API rejects the access token, and {NO_REFRESH}"
            first = self._rejected.setdefault((account.id, account.generation), now)
            is_sure = now - first >= REJECTION_LIMIT
        elif expires_at is not None and expires_at <= now:
            reason = f"the access token has ended, and {NO_REFRESH}"
            is_sure = now - expires_at >= ENDED_LIMIT
        else:
            raise errors.TemporarilyUnavailable(
                f"account {account.name} cannot be refreshed: {NO_REFRESH}",
                valid_until=None if expires_at is None else moment(expires_at),
            )
        if is_sure:
            return await self.settlement.end(account, reason, "no_refresh_token")
        raise errors.ConsentRequired(account.name, reason, provider=account.provider)

    async def _take_lease(
        self, account: Account, client: ProviderClient, credential: Secret
    ) -> Account | None:
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
        is_free = self._grants.lease_remaining(account, self._owner) == NO_LEASE
        gone = account.lease.owner if account.lease and is_free else None
        return await self._grants.take_lease(
            account,
            self._owner,
            attempt,
            gone_owner=gone,
            patience=replay_period(client.provider.refresh_token),
        )

    async def _send(
        self, account: Account, client: ProviderClient, sending: Sending
    ) -> Account | Again:
        """Send one request under the lease and act on its answer."""
        exchange = client.provider.exchange
        started = self._now()
        self.settlement.gate.begin(account.provider)
        if exchange is None:
            answer = await client.endpoint.refresh(
                sending.credential, client.provider.refresh_params, may_send=sending.is_timely
            )
        else:
            answer = await client.endpoint.exchange_access_token(
                sending.credential,
                grant_type=exchange.grant_type,
                parameter=exchange.parameter,
                may_send=sending.is_timely,
            )
        self.outcomes.note(account, answer, started, self._now())
        if not isinstance(answer, Granted):
            return await self.settlement.fail(account, client, answer, sending.before)
        kept = sending.credential if exchange is None else None
        renewed = await self.settlement.commit(account, client, answer, kept)
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
