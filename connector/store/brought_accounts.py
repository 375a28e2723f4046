"""Accounts that another program kept, written as active: all in one transaction, or none."""

import secrets
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Final

from sqlalchemy import insert, select
from sqlalchemy.exc import IntegrityError

from connector.account import Terms
from connector.errors import TemporarilyUnavailable
from connector.secret import Secret
from connector.store.account_rows import binding, seal_tokens, sealed_columns, terms_columns
from connector.store.database import Database
from connector.store.generation_marks import GenerationMarks
from connector.store.seal_counts import SealCounts
from connector.store.tables import ACCOUNT
from connector.vault.vault import Vault

#: Of a statement's parameters; SQLite takes 32,766.
_MOST_NAMES: Final = 5_000
_FIRST: Final = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class BroughtAccount:
    """An account to be made.

    Attributes:
        name, provider: its own.
        fingerprint: of the registration that its tokens were issued to.
        terms: what is known of them.
        access_token: empty where there is none that works.
        refresh_token: None where there is none.
        due_at: when it is to be refreshed at the latest.
    """

    name: str
    provider: str
    fingerprint: str
    terms: Terms
    access_token: Secret = field(repr=False)
    refresh_token: Secret | None = field(repr=False)
    due_at: float | None


class BroughtAccounts:
    """Writes them.

    Args:
        database: where.
        vault: seals their tokens.
        marks: where it is noted how far they have come.
        counts: of the values that are sealed.
    """

    def __init__(
        self, database: Database, vault: Vault, marks: GenerationMarks, counts: SealCounts
    ) -> None:
        self._database = database
        self._vault = vault
        self._marks = marks
        self._counts = counts

    async def taken(self, names: Iterable[str]) -> set[str]:
        """Give those names that accounts have already.

        Raises:
            TemporarilyUnavailable: the database cannot be had.
        """
        every = sorted(names)
        found: set[str] = set()
        async with self._database.read() as connection:
            for first in range(0, len(every), _MOST_NAMES):
                some = every[first : first + _MOST_NAMES]
                query = select(ACCOUNT.c.name).where(ACCOUNT.c.name.in_(some))
                found |= set((await connection.execute(query)).scalars())
        return found

    async def add(self, accounts: Sequence[BroughtAccount], *, now: float) -> None:
        """Write accounts.

        Args:
            accounts: whose names nobody has.
            now: seconds since the epoch.

        Raises:
            TemporarilyUnavailable: the database cannot be had, or somebody took a name meanwhile;
                nothing was written.
        """
        rows = [self._row(account, now) for account in accounts]
        try:
            async with self._database.write() as connection:
                await connection.execute(insert(ACCOUNT), rows)
                await connection.run_sync(self._counts.within)
        except IntegrityError:
            raise TemporarilyUnavailable(
                "an account of one of the names was made meanwhile; nothing was written"
            ) from None
        self._counts.committed()
        for row in rows:
            self._marks.note(str(row["id"]), _FIRST)

    def _row(self, account: BroughtAccount, now: float) -> dict[str, object]:
        account_id = secrets.token_hex(16)
        sealed = seal_tokens(
            self._vault,
            account_id,
            _FIRST,
            account.access_token,
            bound_to=binding(account.provider, account.fingerprint),
            refresh_token=account.refresh_token,
            extra={},
        )
        return {
            "id": account_id,
            "name": account.name,
            "provider": account.provider,
            "state": "active",
            "state_since": now,
            "generation": _FIRST,
            "created_at": now,
            "fingerprint": account.fingerprint,
            "due_at": account.due_at,
            **terms_columns(account.terms),
            **sealed_columns(sealed),
        }
