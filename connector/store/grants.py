"""Writes of tokens, and the lease under which a refresh is sent.

Every write of tokens is a compare-and-swap on the generation; a loser's write changes nothing and
says so (returns None). A lease is one conditional UPDATE, by the database's clock; with it goes the
attempt, so that after a crash it is known what was sent. No transaction is held while sending.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from sqlalchemy import Connection, Row, Update, update

from connector.account import Account, Attempt, Terms, Trouble
from connector.oauth.token import TokenSet
from connector.secret import Secret
from connector.store.account_rows import (
    attempt_columns,
    binding,
    binding_of,
    read_account,
    seal_tokens,
    sealed_columns,
    sealed_values,
    terms_columns,
    trouble_columns,
)
from connector.store.database import Database
from connector.store.generation_marks import GenerationMarks
from connector.store.grant_statements import (
    ACTIVATE,
    END,
    RENEW,
    SETTLE,
    SETTLE_DUE,
    UNDO_END,
    Statement,
    parameters,
    take_lease,
)
from connector.store.group_commit import GroupCommit
from connector.store.owner import is_gone
from connector.store.pending_write import PendingWrite
from connector.store.seal_counts import SealCounts
from connector.store.tables import ACCOUNT
from connector.store.vault_keys import learn_keys_within
from connector.vault.vault import Vault


@dataclass(frozen=True, slots=True, kw_only=True)
class NewTokens:
    """Tokens to be written.

    Attributes:
        tokens: what the token endpoint answered.
        terms: what is known of them.
        refresh_token: the one to keep: the new one, or the old one where none came.
        extra: further fields of the answer to keep.
        due_at: when the grant is to be used at the latest, so that it does not die.
    """

    tokens: TokenSet
    terms: Terms
    refresh_token: Secret | None
    extra: Mapping[str, object] = field(default_factory=dict, repr=False)
    due_at: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Consent:
    """Under what a person consented.

    Attributes:
        provider: its name in the configuration.
        fingerprint: of the client registration that the tokens were issued to.
        subject: the provider's stable identifier of the person, where known.
        subject_name: a name of the person, for people.
    """

    provider: str
    fingerprint: str
    subject: str | None = None
    subject_name: str | None = None


class GrantStore:
    """Writes grants.

    Args:
        database: where the accounts are.
        vault: what seals their tokens.
        marks: where it is noted how far they have come.
        counts: counts what the vault seals.
    """

    def __init__(
        self,
        database: Database,
        vault: Vault,
        marks: GenerationMarks | None = None,
        counts: SealCounts | None = None,
    ) -> None:
        self._marks = marks
        self._database = database
        self._vault = vault
        self.group = GroupCommit(database, self._learn_keys, counts)
        self._take_lease = take_lease(database.lease_clock)

    def lease_remaining(self, account: Account, owner: str | None = None) -> float:
        """Give how long a lease still lasts for others, as far as can be told here (seconds).

        Args:
            account: as it was read.
            owner: who asks, and is doing nothing under a lease of its own that is left over.
        """
        lease, is_local = account.lease, self._database.is_sqlite
        if lease is None or lease.owner == owner or is_gone(lease.owner, is_local=is_local):
            return float("-inf")
        return lease.until - self._database.lease_time()

    async def activate(self, account: Account, new: NewTokens, consent: Consent) -> Account | None:
        """Write the tokens of a consent; None where somebody else wrote since.

        Args:
            account: as it was read; its generation is compared.
            new: the tokens.
            consent: under what they were issued.

        Raises:
            TemporarilyUnavailable: the database cannot be had (so for every method here).
        """
        sealed = self._sealed(account, new, binding(consent.provider, consent.fingerprint))
        consented = parameters(
            account.id,
            account.generation,
            provider=consent.provider,
            state="active",
            reason=None,
            state_since=new.terms.consented_at,
            fingerprint=consent.fingerprint,
            subject=consent.subject,
            subject_name=consent.subject_name,
        )
        return self._marked(await self._update_one(ACTIVATE, consented | _written(sealed)))

    def renewal(self, account: Account, new: NewTokens) -> PendingWrite:
        """Seal the tokens of a refresh for their place; `apply` writes them.

        Args:
            account: as it was when the refresh was sent; its generation is compared.
            new: the tokens.
        """
        return self._sealed(account, new, binding_of(account))

    async def apply(self, write: PendingWrite) -> Account | None:
        """Write the tokens of a refresh; None where somebody else wrote since.

        The tokens of an owner that comes late count: they show that the grant lives, though another
        owner, whose copy of the old refresh token was refused meanwhile, has given it up.
        """
        return self._marked(await self._update_one(RENEW, _written(write)))

    async def renew(self, account: Account, new: NewTokens) -> Account | None:
        """Seal and write the tokens of a refresh; see `renewal` and `apply`."""
        return await self.apply(self.renewal(account, new))

    async def take_lease(
        self,
        account: Account,
        owner: str,
        attempt: Attempt,
        *,
        gone_owner: str | None = None,
        patience: float = 0.0,
    ) -> Account | None:
        """Take the lease and record the attempt, in one conditional write.

        Args:
            account: as it was read; None is given where its generation has changed since, or a
                refresh has failed, whose back-off the caller does not know of.
            owner: who takes it.
            attempt: what is about to be sent; its fence is set here.
            gone_owner: an owner that is known to be gone, whose lease may be replaced.
            patience: seconds for which the lease of an owner that never gave it back is left alone
                after its end.

        Returns:
            The account under the lease, or None: somebody else has it, or wrote since.
        """
        wanted = parameters(
            account.id, account.generation, lease_owner=owner, **attempt_columns(attempt)
        ) | {
            "known_failures": account.trouble.failures if account.trouble else 0,
            "gone_owner": gone_owner,
            "patience": patience,
        }
        return await self._update_one(self._take_lease, wanted)

    async def settle(
        self, account: Account, trouble: Trouble | None, *, unanswered: Attempt | None
    ) -> Account | None:
        """Give the lease back after a refresh that brought no tokens.

        Args:
            account: under the lease; its generation and fence are compared.
            trouble: what went wrong.
            unanswered: what was sent and is still unanswered, which stays recorded.
        """
        settled = parameters(
            account.id,
            account.generation,
            **trouble_columns(trouble),
            **attempt_columns(unanswered),
        ) | {"known_fence": account.lease.fence if account.lease else -1}
        return await self._update_one(SETTLE if trouble is None else SETTLE_DUE, settled)

    async def require_consent(self, account: Account, reason: str, *, now: float) -> Account | None:
        """End the grant until a person consents again; the ciphertext stays.

        Args:
            account: as it was read; its generation is compared.
            reason: why, in a few words.
            now: seconds since the epoch.
        """
        ended = parameters(account.id, account.generation, reason=reason, state_since=now)
        return await self._update_one(END, ended)

    async def undo_end(self, name: str, reason: str) -> str | None:
        """Take back that a grant has ended, where it ended for just this reason.

        Args:
            name: of the account.
            reason: as it was given to `require_consent`.

        Returns:
            The account's identifier, or None: it had not.
        """
        async with self._database.write() as connection:
            result = await connection.execute(UNDO_END, {"account_name": name, "why": reason})
            row = result.one_or_none()
        return None if row is None else str(row.id)

    def _sealed(self, account: Account, new: NewTokens, bound_to: str) -> PendingWrite:
        sealed = seal_tokens(
            self._vault,
            account.id,
            account.generation + 1,
            new.tokens.access_token,
            bound_to=bound_to,
            refresh_token=new.refresh_token,
            extra=new.extra,
        )
        return PendingWrite(
            account_id=account.id,
            generation=account.generation,
            bound_to=bound_to,
            terms=new.terms,
            sealed=sealed,
            due_at=new.due_at,
            is_rotated=new.tokens.refresh_token is not None,
        )

    def noted_generation(self, account: Account) -> int | None:
        """Give the generation of newer tokens that this host has committed and the row has not."""
        return None if self._marks is None else self._marks.newer(account.id, account.generation)

    def _marked(self, written: Account | None) -> Account | None:
        if written is not None and self._marks is not None:
            self._marks.note(written.id, written.generation)
        return written

    async def _update_one(
        self, statement: Statement, parameters: Mapping[str, object]
    ) -> Account | None:
        row = await self.group.execute(statement, parameters)
        return None if row is None else read_account(row)

    def _learn_keys(self, connection: Connection, row: Row[Any]) -> None:
        """Take in the keys of what is about to be given, while nothing of it is committed yet."""
        learn_keys_within(connection, self._vault, sealed_values(row))


def same_generation(account: Account) -> Update:
    """Begin an UPDATE that does nothing where somebody else wrote tokens since."""
    return update(ACCOUNT).where(
        ACCOUNT.c.id == account.id, ACCOUNT.c.generation == account.generation
    )


def _written(write: PendingWrite) -> dict[str, object]:
    return parameters(
        write.account_id,
        write.generation,
        due_at=write.due_at,
        **sealed_columns(write.sealed),
        **terms_columns(write.terms),
    )
