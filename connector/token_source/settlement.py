"""What the answer to a refresh does: tokens are committed or journalled, failures are settled.

The new refresh token is durable before the access token is handed to anybody: in the store, or,
where that cannot be written, sealed in the journal, from where it is replayed. Only a well-formed
``invalid_grant`` ends a grant, and only where nobody has written newer tokens.
"""

import asyncio
import logging
from collections.abc import Callable
from typing import Final, NoReturn

from connector import errors
from connector.account import Account, Attempt, Trouble, needed_extra, renewed_terms
from connector.oauth.id_token import IdTokenRejected
from connector.oauth.token_response import (
    Answer,
    Granted,
    OutcomeUnknown,
    Refused,
    RefusedUnexplained,
)
from connector.providers.client import ProviderClient
from connector.providers.identity import check_refreshed
from connector.secret import Secret
from connector.store.accounts import AccountStore
from connector.store.audit_trail import Note
from connector.store.grants import GrantStore, NewTokens
from connector.store.pending_write import PendingWrite
from connector.token_source.gate import SUSPECTED, ProviderGate
from connector.token_source.kept_answers import KeptAnswers
from connector.token_source.late_tokens import Again, LateTokens
from connector.token_source.refresh_notes import RefreshNotes
from connector.token_source.terms_due import keep_alive_at
from connector.token_source.unanswered import next_send
from connector.token_source.verdict import (
    GRANT_ENDED,
    ROTATION_LOST,
    Verdict,
    consent_required,
    judge,
    moment,
)

logger = logging.getLogger(__name__)

#: Seconds: much longer than a commit takes. A database that says nothing for so long may be gone,
#: and until it is back this process would have the only copy of the answer.
COMMIT_PATIENCE: Final = 2.0
#: A provider that refuses for so long without saying why is somebody's to look at.
UNEXPLAINED_LIMIT: Final = 86_400.0


class Settlement:
    """Acts on the answers to refreshes.

    Args:
        accounts: reads accounts and opens their tokens.
        grants: writes them.
        late: keeps what comes too late.
        kept: keeps what cannot be written.
        gate: learns from answers.
        note: is told what matters of them, for the audit trail.
        now: gives seconds since the epoch.

    Attributes:
        late: as given.
        kept: as given.
        gate: as given.
        notes: writes entries of the audit trail.
    """

    def __init__(
        self,
        *,
        accounts: AccountStore,
        grants: GrantStore,
        late: LateTokens,
        kept: KeptAnswers,
        gate: ProviderGate,
        note: Note,
        now: Callable[[], float],
    ) -> None:
        self._accounts = accounts
        self._grants = grants
        self.late = late
        self.kept = kept
        self.gate = gate
        self.notes = RefreshNotes(note)
        self._now = now

    async def commit(
        self, account: Account, client: ProviderClient, answer: Granted, kept: Secret | None
    ) -> Account:
        """Make an answer durable, or give way to who wrote first.

        Args:
            account: as it was when the refresh was sent.
            client: of its provider.
            answer: what the provider granted.
            kept: the refresh token that stays where the answer has none (RFC 6749 §6).

        Raises:
            ConsentRequired: the answer is for somebody else, or the account was revoked meanwhile.
            TemporarilyUnavailable: neither store nor journal could be written.
        """
        assert account.grant is not None  # noqa: S101 - it is active
        try:
            check_refreshed(client, answer.tokens, account.grant.subject)
        except IdTokenRejected as error:
            reason = f"the refresh answered for somebody else: {error}"
            return await self.end(account, reason, "another_person")
        tokens = answer.tokens
        id_token = tokens.id_token.reveal() if tokens.id_token else None
        terms = renewed_terms(account.grant.terms, tokens, client.provider.lifetimes)
        new = NewTokens(
            tokens=tokens,
            terms=terms,
            due_at=keep_alive_at(client.provider, terms),
            refresh_token=tokens.refresh_token or kept,
            extra=self._accounts.open_extra(account) | needed_extra(tokens.extra, id_token),
        )
        write = self._grants.renewal(account, new)
        try:
            renewed = await self._apply(write)
        except (errors.TemporarilyUnavailable, errors.VaultSealed) as error:
            return await self.kept.keep(account, write, error)
        self.notes.succeeded(account.provider)
        await self._learn(account, answer, None)
        if renewed is not None:
            return renewed
        return await self.late.give_way(account, client, new, write)

    async def _apply(self, write: PendingWrite) -> Account | None:
        """Write the new tokens; a database that hangs is as good as away, and may write them yet.

        Raises:
            TemporarilyUnavailable: the database cannot be had, or does not answer.
            VaultSealed: it is damaged, or closed to us.
        """
        try:
            async with asyncio.timeout(COMMIT_PATIENCE):
                return await self._grants.apply(write)
        except TimeoutError:
            raise errors.TemporarilyUnavailable("the database does not answer") from None

    async def fail(
        self, account: Account, client: ProviderClient, answer: Answer, before: Attempt | None
    ) -> Account | Again:
        """Settle an answer that brought no tokens.

        Args:
            account: under the lease.
            client: of its provider.
            answer: what came.
            before: what was sent earlier and is unanswered.

        Returns:
            The account where somebody else has written newer tokens, or what may be sent at once.

        Raises:
            ConsentRequired: the grant has ended.
            RegistrationRejected: the provider rejects our client registration.
            TemporarilyUnavailable: nothing is lost; says when to try again.
        """
        is_again = before is not None
        if isinstance(answer, Refused):
            self.gate.heard(account.provider)
        if isinstance(answer, Refused) and answer.error == "invalid_grant":
            again = await self.late.instead(account)
            if again is not None:
                await self._grants.settle(account, account.trouble, unanswered=before)
                return again
            if is_again:
                return await self.end(account, ROTATION_LOST, "rotation_lost")
            if not await self.gate.is_suspect(account.provider, account.name):
                is_reuse = client.provider.refresh_token.rotation == "strict_family"
                outcome = "suspected_reuse" if is_reuse else "invalid_grant"
                return await self.end(account, GRANT_ENDED, outcome)
            await self._doubt(account)
        failures = account.trouble.failures + 1 if account.trouble else 1
        verdict = judge(answer, account.provider, failures)
        is_unknown = isinstance(answer, OutcomeUnknown)
        unanswered = account.attempt if is_unknown else before
        retry_at = self._now() + verdict.retry_in
        if is_unknown and unanswered is not None:
            retry_at = self.next_send(account, client)
        trouble = self._trouble(account, verdict, failures, retry_at)
        await self._grants.settle(account, trouble, unanswered=unanswered)
        await self._learn(account, answer, verdict)
        self._tell(account, answer, trouble)
        if is_unknown:
            self.notes.unanswered(account)
        if verdict.rejected is not None:
            self.notes.rejected(account, verdict.rejected)
            raise errors.RegistrationRejected(account.provider, verdict.rejected)
        if is_unknown and retry_at <= self._now():
            return Again()
        raise errors.TemporarilyUnavailable(verdict.message, moment(retry_at))

    def next_send(
        self, account: Account, client: ProviderClient, *, is_rejected: bool = False
    ) -> float:
        """Give the moment from which an unanswered token may be sent again.

        Args:
            account: with an attempt.
            client: of its provider.
            is_rejected: the API has rejected the access token: there is nothing left to spare.
        """
        assert account.attempt is not None  # noqa: S101 - that is what it is called for
        terms = account.grant.terms if account.grant and not is_rejected else None
        useful = terms is not None and (terms.expires_at or 0.0) > self._now()
        return next_send(
            account.attempt,
            client.provider.refresh_token,
            expires_at=terms.expires_at if terms and useful else None,
            lifetime=terms.lifetime if terms else None,
        )

    async def end(self, account: Account, reason: str, outcome: str) -> Account:
        """End the grant, unless somebody has written newer tokens: then give those.

        Args:
            account: whose.
            reason: for people.
            outcome: the same in a word, for the audit trail.

        Raises:
            ConsentRequired: it has ended.
        """
        ended = await self._grants.require_consent(account, reason, now=self._now())
        if ended is None:
            return await self.late.current(account.name)
        extra = {
            "action": "consent.required",
            "account": account.name,
            "provider": account.provider,
        }
        logger.error(reason, extra=extra)
        self.notes.ended(account, outcome)
        raise consent_required(ended)

    async def _doubt(self, account: Account) -> NoReturn:
        """Leave an account as it was, and bring back those that were ended alike just before.

        Raises:
            RegistrationRejected: always; it is doubted.
        """
        await self._grants.settle(account, account.trouble, unanswered=None)
        for name in self.gate.refused_accounts(account.provider):
            account_id = await self._grants.undo_end(name, GRANT_ENDED)
            if account_id is not None:
                self.notes.restored(name, account_id, account.provider)
        self.notes.rejected(account, "suspected")
        raise errors.RegistrationRejected(account.provider, SUSPECTED)

    async def _learn(self, account: Account, answer: Answer, verdict: Verdict | None) -> None:
        """Tell the gate; that it cannot be written down is no reason to fail."""
        try:
            if verdict is None:
                assert isinstance(answer, Granted)  # noqa: S101 - nothing else has no verdict
                await self.gate.succeeded(account.provider, sent_at=answer.tokens.sent_at)
            else:
                await self.gate.note(account.provider, account.name, answer, verdict)
        except errors.TemporarilyUnavailable as error:
            logger.warning(str(error), extra={"action": "halt.not_written"})

    def _trouble(
        self, account: Account, verdict: Verdict, failures: int, retry_at: float
    ) -> Trouble:
        return Trouble(
            message=verdict.message,
            since=account.trouble.since if account.trouble else self._now(),
            failures=failures,
            retry_at=retry_at,
        )

    def _tell(self, account: Account, answer: Answer, trouble: Trouble) -> None:
        extra = {
            "action": "refresh.failed",
            "account": account.name,
            "provider": account.provider,
            "retry_in": round(trouble.retry_at - self._now(), 1),
        }
        if isinstance(answer, OutcomeUnknown):
            extra["action"] = "refresh.unknown"
        logger.warning(trouble.message, extra=extra)
        before = account.trouble
        if before is None or not isinstance(answer, RefusedUnexplained):
            return
        if before.retry_at - before.since < UNEXPLAINED_LIMIT <= self._now() - before.since:
            logger.error(
                "the provider has refused for a day without saying why; perhaps only a new consent"
                " helps: connector connect %s --account %s",
                account.provider,
                account.name,
                extra=extra | {"action": "provider.refuses"},
            )
