"""Consents under way: found by the hash of their state, consumed once, whatever the result.

The request (verifier, nonce, redirect URI, all that it is bound to) is sealed. It is consumed by
one conditional UPDATE before the code is exchanged, so that of two answers, or two tabs, one wins
(CHECKLIST 4); with it the sealed request goes, which is used once (2).
"""

from dataclasses import dataclass, field
from typing import Any

from sqlalchemy import ColumnElement, Row, delete, insert, select, update
from sqlmodel import col

from connector.store.database import Database
from connector.store.tables import ConsentRow
from connector.store.vault_keys import learn_keys_within
from connector.vault.envelope import Place
from connector.vault.vault import Vault


@dataclass(frozen=True, slots=True, kw_only=True)
class ConsentRecord:
    """One consent under way.

    Attributes:
        id: of the row.
        state_hash: what an answer is found by.
        account: the account's name.
        provider: the provider's name.
        request: what is needed to check and use the answer, as JSON; empty once it is consumed.
        created_at: when it began.
        expires_at: when an answer is no longer taken.
        browser_hash: of the cookie of the browser that came by a connect link, if one did.
        outcome: ``connected``, or the kebab-case name of an error; None while it is open.
        message: of that error.
    """

    id: str
    state_hash: str
    account: str
    provider: str
    request: bytes = field(repr=False)
    created_at: float
    expires_at: float
    browser_hash: str | None = None
    outcome: str | None = None
    message: str | None = None


class ConsentStore:
    """Keeps consents under way.

    Args:
        database: where they are.
        vault: what seals their requests.
    """

    def __init__(self, database: Database, vault: Vault) -> None:
        self._database = database
        self._vault = vault

    async def add(self, record: ConsentRecord) -> None:
        """Write a new consent; it also shows that the store can be written before anyone consents.

        Raises:
            TemporarilyUnavailable: the database cannot be had (so for every method here).
        """
        row = {
            "id": record.id,
            "state_hash": record.state_hash,
            "account": record.account,
            "provider": record.provider,
            "request_sealed": self._vault.seal(record.request, _place(record.id)),
            "created_at": record.created_at,
            "expires_at": record.expires_at,
            "browser_hash": record.browser_hash,
        }
        async with self._database.write() as connection:
            await connection.execute(
                delete(ConsentRow).where(col(ConsentRow.expires_at) < record.created_at - 3600)
            )
            await connection.execute(insert(ConsentRow).values(row))

    async def get(self, consent_id: str) -> ConsentRecord | None:
        """Give a consent by its identifier."""
        return await self._one(col(ConsentRow.id) == consent_id)

    async def find(self, state_hash: str) -> ConsentRecord | None:
        """Give a consent by the hash of its state, consumed or not."""
        return await self._one(col(ConsentRow.state_hash) == state_hash)

    async def consume(self, record: ConsentRecord, *, now: float) -> bool:
        """Consume a consent; False where it is used up or too old.

        The request is destroyed: the record that was read before is the last to have it.
        """
        return await self._update(
            record,
            {"consumed_at": now, "request_sealed": b""},
            col(ConsentRow.consumed_at).is_(None),
            col(ConsentRow.expires_at) > now,
        )

    async def finish(self, record: ConsentRecord, outcome: str, message: str | None) -> None:
        """Write what became of it, for whoever waits for it in another process."""
        await self._update(record, {"outcome": outcome, "message": message})

    async def _one(self, *conditions: ColumnElement[bool]) -> ConsentRecord | None:
        async with self._database.read() as connection:
            row = (await connection.execute(select(ConsentRow).where(*conditions))).one_or_none()
            if row is None:
                return None
            await connection.run_sync(learn_keys_within, self._vault, [row.request_sealed])
        return self._read(row)

    async def _update(
        self, record: ConsentRecord, values: dict[str, object], *conditions: ColumnElement[bool]
    ) -> bool:
        statement = update(ConsentRow).where(col(ConsentRow.id) == record.id, *conditions)
        async with self._database.write() as connection:
            return (await connection.execute(statement.values(values))).rowcount == 1

    def _read(self, row: Row[Any]) -> ConsentRecord:
        is_consumed = row.consumed_at is not None
        sealed = bytes(row.request_sealed)
        return ConsentRecord(
            id=row.id,
            state_hash=row.state_hash,
            account=row.account,
            provider=row.provider,
            request=b"" if is_consumed else self._vault.open(sealed, _place(row.id)),
            created_at=row.created_at,
            expires_at=row.expires_at,
            browser_hash=row.browser_hash,
            outcome=row.outcome,
            message=row.message,
        )


def _place(consent_id: str) -> Place:
    return Place(table="consent", row=consent_id, field="request")
