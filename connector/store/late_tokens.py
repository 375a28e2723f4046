"""Refresh tokens that came too late: sealed, beside the account whose tokens they lost against.

One is kept for an account, of the request that was sent last, and only for the generation that the
winner wrote: whatever replaces the winner's tokens or ends the grant removes it, in the same
transaction (a trigger of schema 0007). So it is never older than the token that the account has
(CHECKLIST 58, I3).
"""

import contextlib
import logging
from dataclasses import dataclass
from typing import Final

from sqlalchemy import delete, insert, select
from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncConnection
from sqlmodel import col

from connector.account import Account
from connector.errors import VaultSealed
from connector.secret import Secret
from connector.store.account_rows import binding, binding_of, place
from connector.store.database import Database
from connector.store.pending_write import PendingWrite
from connector.store.tables import ACCOUNT, LateTokenRow
from connector.store.vault_keys import learn_keys, learn_keys_within
from connector.vault.envelope import Place
from connector.vault.vault import Vault

logger = logging.getLogger(__name__)

_FIELD: Final = "refresh_token"


class LateTokenStore:
    """Keeps and finds late tokens.

    Args:
        database: where they are.
        vault: what seals them.
    """

    def __init__(self, database: Database, vault: Vault) -> None:
        self._database = database
        self._vault = vault

    async def keep(self, write: PendingWrite) -> bool:
        """Keep the refresh token of a write that somebody else's came before.

        Args:
            write: as it was to be applied.

        Returns:
            Whether it is kept: its answer brought a refresh token, which the account has not, and
            the account has the very tokens that this one lost against.

        Raises:
            TemporarilyUnavailable: the database cannot be had (so for every method here).
            VaultSealed: a token does not open.
        """
        generation = write.generation + 1
        sealed = write.sealed.refresh_token
        if sealed is None or not write.is_rotated:
            return False
        await learn_keys(self._database, self._vault, [sealed])
        token = self._vault.open_secret(
            sealed, place(write.account_id, _FIELD, generation, write.bound_to)
        )
        older = (
            col(LateTokenRow.account_id) == write.account_id,
            (col(LateTokenRow.generation) != generation)
            | (col(LateTokenRow.sent_at) <= write.terms.minted_at),
        )
        with contextlib.suppress(IntegrityError):  # one is there that was sent later, or no account
            async with self._database.write() as connection:
                winner = await self._winner(connection, write.account_id, generation)
                if winner is None or not _is_of_same_registration(write, winner.bound_to):
                    return False
                if winner.refresh_token == token:
                    return False
                kept = late_place(write.account_id, generation, winner.bound_to)
                row = {
                    "account_id": write.account_id,
                    "generation": generation,
                    "sent_at": write.terms.minted_at,
                    "refresh_token_sealed": self._vault.seal_secret(token, kept),
                }
                await connection.execute(delete(LateTokenRow).where(*older))
                await connection.execute(insert(LateTokenRow).values(row))
                return True
        return False

    async def find(self, account: Account) -> Secret | None:
        """Give the late token that stands beside an account's present tokens, if there is one."""
        async with self._database.read() as connection:
            return await self.find_within(connection, account)

    async def find_within(self, connection: AsyncConnection, account: Account) -> Secret | None:
        """Give it inside a transaction; one that does not open is as good as none."""
        row = await connection.execute(
            select(col(LateTokenRow.refresh_token_sealed)).where(
                col(LateTokenRow.account_id) == account.id,
                col(LateTokenRow.generation) == account.generation,
            )
        )
        sealed = row.scalar()
        if sealed is None:
            return None
        await connection.run_sync(learn_keys_within, self._vault, [sealed])
        try:
            kept = late_place(account.id, account.generation, binding_of(account))
            return self._vault.open_secret(bytes(sealed), kept)
        except VaultSealed as error:
            extra = {"action": "late_token.sealed", "account": account.name}
            logger.warning("the late token does not open: %s", error.reason, extra=extra)
            return None

    async def _winner(
        self, connection: AsyncConnection, account_id: str, generation: int
    ) -> "_Winner | None":
        """Give what an active account has that is of a generation; None where it has no such."""
        found = await connection.execute(
            select(ACCOUNT.c.refresh_token_sealed, ACCOUNT.c.provider, ACCOUNT.c.fingerprint).where(
                ACCOUNT.c.id == account_id,
                ACCOUNT.c.generation == generation,
                ACCOUNT.c.state == "active",
            )
        )
        row = found.first()
        if row is None or row.refresh_token_sealed is None:
            return None
        sealed = bytes(row.refresh_token_sealed)
        await connection.run_sync(learn_keys_within, self._vault, [sealed])
        bound_to = binding(row.provider, row.fingerprint)
        own = place(account_id, _FIELD, generation, bound_to)
        return _Winner(refresh_token=self._vault.open_secret(sealed, own), bound_to=bound_to)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Winner:
    """What a late token lost against.

    Attributes:
        refresh_token: that the account has.
        bound_to: what it is bound to; see `account_rows.binding`.
    """

    refresh_token: Secret
    bound_to: str


def _is_of_same_registration(write: PendingWrite, bound_to: str) -> bool:
    """Tell whether a write is good for the registration of the winner; an old one names none."""
    return write.bound_to in {bound_to, ""}


def late_place(account_id: str, generation: int, bound_to: str) -> Place:
    """Give the place of a late token that stands beside the tokens of a generation."""
    return Place(
        table="late_token",
        row=account_id,
        field=_FIELD,
        generation=generation,
        bound_to=bound_to,
    )
