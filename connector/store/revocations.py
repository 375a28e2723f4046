"""Debts of revocation: tokens destroyed here that the provider has not confirmed as revoked.

The account's tokens are destroyed in the same transaction that writes the debt, so that at no
moment they can be served, and at no moment they are forgotten (CHECKLIST 103, 104). With them the
fingerprint of the client registration is sealed, so that they are never sent to another server.
"""

import contextlib
import json
import secrets
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from sqlalchemy import Executable, Row, delete, insert, select, update
from sqlmodel import col

from connector.account import Account
from connector.errors import VaultSealed
from connector.secret import Secret
from connector.store.account_rows import NO_ATTEMPT, NO_LEASE, NO_TOKENS, NO_TROUBLE
from connector.store.accounts import AccountStore
from connector.store.database import Database
from connector.store.grants import same_generation
from connector.store.late_tokens import LateTokenStore
from connector.store.tables import RevocationRow
from connector.store.vault_keys import learn_keys_within
from connector.vault.envelope import Place
from connector.vault.vault import Vault

#: Stands among the tokens that are sealed together.
_FINGERPRINT: Final = "fingerprint"


@dataclass(frozen=True, slots=True, kw_only=True)
class RevocationDebt:
    """Tokens to be revoked at a provider.

    Attributes:
        id: of the row.
        account: the account that had them.
        provider: its provider.
        subject: the provider's identifier of the person, where known.
        tokens: ``refresh_token`` and ``access_token``, as far as there were any; none where they
            do not open any more.
        attempts: how often it was tried.
        created_at: since when it is owed.
        last_error: why the last try failed.
        fingerprint: of the client registration that they were issued to; None in debts that an
            earlier version wrote.
    """

    id: str
    account: str
    provider: str
    subject: str | None
    tokens: dict[str, Secret]
    attempts: int
    created_at: float
    last_error: str | None
    fingerprint: str | None = None


class RevocationStore:
    """Writes and settles debts of revocation.

    Args:
        database: where they are.
        vault: what seals their tokens.
        accounts: opens the tokens of the account that is revoked.
    """

    def __init__(self, database: Database, vault: Vault, accounts: AccountStore) -> None:
        self._database = database
        self._vault = vault
        self._accounts = accounts
        self._late_tokens = LateTokenStore(database, vault)

    async def destroy(
        self, account: Account, reason: str, *, now: float, is_owed: bool
    ) -> RevocationDebt | None:
        """Destroy an account's tokens, and write down that they are to be revoked.

        Args:
            account: as it was read; nothing happens where its tokens were replaced since.
            reason: why consent is needed from now on.
            now: seconds since the epoch.
            is_owed: the provider offers revocation.

        Returns:
            The debt, or None: there were no tokens, nothing is owed, or the account has changed
            (ask for it again to tell).

        Tokens that do not open are destroyed all the same; what cannot be read is not owed. A late
        token beside them is owed by a debt of its own.

        Raises:
            TemporarilyUnavailable: the database cannot be had; nothing was done.
        """
        debt = self._debt(account, now) if is_owed else None
        values = {
            "state": "consent_required",
            "reason": reason,
            "state_since": now,
            "generation": account.generation + 1,
        }
        ended = values | NO_TOKENS | NO_LEASE | NO_ATTEMPT | NO_TROUBLE
        async with self._database.write() as connection:
            late = await self._late_tokens.find_within(connection, account)
            result = await connection.execute(same_generation(account).values(ended))
            if result.rowcount == 0:
                return None
            if debt is not None:
                await connection.execute(insert(RevocationRow).values(self.row(debt)))
            if late is not None and is_owed:
                another = _new_debt(account, {"refresh_token": late}, now)
                await connection.execute(insert(RevocationRow).values(self.row(another)))
        await self._database.scrub()
        return debt

    async def owe(
        self, account: Account, tokens: Mapping[str, Secret], *, now: float
    ) -> RevocationDebt:
        """Write down tokens that came after their account was revoked.

        Args:
            account: as it was when they were asked for.
            tokens: ``access_token`` and ``refresh_token``, as far as there are any.
            now: seconds since the epoch.

        Raises:
            TemporarilyUnavailable: the database cannot be had.
        """
        debt = _new_debt(account, tokens, now)
        async with self._database.write() as connection:
            await connection.execute(insert(RevocationRow).values(self.row(debt)))
        return debt

    async def all(self) -> list[RevocationDebt]:
        """Give all debts, the oldest first."""
        return await self._select(select(RevocationRow).order_by(col(RevocationRow.created_at)))

    async def due(self, now: float) -> list[RevocationDebt]:
        """Give the debts that are to be tried again; one that does not open cannot be tried."""
        statement = select(RevocationRow).where(col(RevocationRow.retry_at) <= now)
        debts = await self._select(statement.order_by(col(RevocationRow.retry_at)))
        return [debt for debt in debts if debt.tokens]

    async def settle(self, debt: RevocationDebt) -> None:
        """The provider has confirmed: forget the tokens."""
        async with self._database.write() as connection:
            await connection.execute(delete(RevocationRow).where(col(RevocationRow.id) == debt.id))
        await self._database.scrub()

    async def postpone(self, debt: RevocationDebt, error: str, *, retry_at: float) -> None:
        """The provider has not confirmed: try again later."""
        async with self._database.write() as connection:
            await connection.execute(
                update(RevocationRow)
                .where(col(RevocationRow.id) == debt.id)
                .values(attempts=debt.attempts + 1, last_error=error, retry_at=retry_at)
            )

    async def _select(self, query: Executable) -> list[RevocationDebt]:
        async with self._database.read() as connection:
            rows = (await connection.execute(query)).all()
            sealed = [row.tokens_sealed for row in rows]
            await connection.run_sync(learn_keys_within, self._vault, sealed)
        return [self.read(row) for row in rows]

    def _debt(self, account: Account, now: float) -> RevocationDebt | None:
        if account.grant is None:
            return None
        tokens: dict[str, Secret] = {}
        with contextlib.suppress(VaultSealed):
            access_token = self._accounts.open_access_token(account)
            if access_token:  # one that was imported without has none yet
                tokens["access_token"] = access_token
        with contextlib.suppress(VaultSealed):
            refresh_token = self._accounts.open_refresh_token(account)
            if refresh_token is not None:
                tokens["refresh_token"] = refresh_token
        if not tokens:
            return None
        return _new_debt(account, tokens, now)

    def row(self, debt: RevocationDebt) -> dict[str, object]:
        """Give the columns of a debt that is to be tried at once."""
        tokens = {name: token.reveal() for name, token in debt.tokens.items()}
        plaintext = json.dumps({**tokens, _FINGERPRINT: debt.fingerprint})
        return {
            "id": debt.id,
            "account": debt.account,
            "provider": debt.provider,
            "subject": debt.subject,
            "tokens_sealed": self._vault.seal(plaintext.encode(), _place(debt.id, debt.provider)),
            "created_at": debt.created_at,
            "retry_at": debt.created_at,
            "attempts": 0,
        }

    def read(self, row: Row[Any]) -> RevocationDebt:
        """Read a row; one that does not open has no tokens."""
        error: str | None = row.last_error
        try:
            kept = _place(row.id, row.provider)
            tokens = json.loads(self._vault.open(bytes(row.tokens_sealed), kept))
        except VaultSealed as failure:  # the other debts are to be paid all the same
            tokens, error = {}, failure.reason
        fingerprint = tokens.pop(_FINGERPRINT, None)
        return RevocationDebt(
            id=row.id,
            account=row.account,
            provider=row.provider,
            subject=row.subject,
            tokens={name: Secret(value) for name, value in tokens.items()},
            attempts=row.attempts,
            created_at=row.created_at,
            last_error=error,
            fingerprint=fingerprint,
        )


def _place(debt_id: str, provider: str) -> Place:
    return Place(table="revocation", row=debt_id, field="tokens", bound_to=provider)


def _new_debt(account: Account, tokens: Mapping[str, Secret], now: float) -> RevocationDebt:
    return RevocationDebt(
        id=secrets.token_hex(16),
        account=account.name,
        provider=account.provider,
        subject=account.grant.subject if account.grant else None,
        tokens=dict(tokens),
        attempts=0,
        created_at=now,
        last_error=None,
        fingerprint=account.grant.fingerprint if account.grant else None,
    )
