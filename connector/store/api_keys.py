"""API keys in the database: made, listed, revoked, and when they were last used."""

import difflib
from collections.abc import Mapping
from typing import Any, Final

from sqlalchemy import Row, bindparam, insert, select, update
from sqlalchemy.exc import IntegrityError
from sqlmodel import col

from connector.account_name import AccountGlob, parse_glob
from connector.api_key import ApiKey, NewKey
from connector.errors import Refused
from connector.store.database import Database
from connector.store.tables import ApiKeyRow

_NOTE_USED: Final = (
    update(ApiKeyRow)
    .where(col(ApiKeyRow.id) == bindparam("of_key"))
    .values(last_used_at=bindparam("at"))
)


class ApiKeyStore:
    """Keeps API keys.

    Args:
        database: where they are.
    """

    def __init__(self, database: Database) -> None:
        self._database = database

    async def add(
        self,
        made: NewKey,
        *,
        name: str,
        accounts: tuple[AccountGlob, ...],
        scopes: frozenset[str],
        now: float,
        expires_at: float | None = None,
    ) -> None:
        """Keep a new key.

        Args:
            made: the key.
            name: for people; unique, also among those that are revoked.
            accounts: which accounts it is good for.
            scopes: what it is good for.
            now: seconds since the epoch.
            expires_at: when it ends; None: never.

        Raises:
            Refused: there is a key of that name.
            TemporarilyUnavailable: the database cannot be had (so for every method here).
        """
        row = {
            "id": made.id,
            "name": name,
            "digest": made.digest,
            "accounts": " ".join(glob.text for glob in accounts),
            "scopes": " ".join(sorted(scopes)),
            "created_at": now,
            "expires_at": expires_at,
        }
        try:
            async with self._database.write() as connection:
                await connection.execute(insert(ApiKeyRow).values(row))
        except IntegrityError:
            raise Refused(f"there is a key {name} already; choose another name") from None

    async def all(self) -> list[ApiKey]:
        """Give all keys by name, revoked ones too."""
        async with self._database.read() as connection:
            query = select(ApiKeyRow).order_by(col(ApiKeyRow.name))
            return [_read(row) for row in await connection.execute(query)]

    async def revoke(self, name: str, *, now: float) -> bool:
        """Revoke a key; False where it was revoked before.

        Raises:
            Refused: there is no such key; names the nearest.
        """
        known = {key.name: key for key in await self.all()}
        if name not in known:
            nearest = difflib.get_close_matches(name, known, n=1)
            hint = f"; did you mean {nearest[0]}?" if nearest else ""
            raise Refused(f"there is no key {name}{hint}")
        revoked = update(ApiKeyRow).where(
            col(ApiKeyRow.id) == known[name].id, col(ApiKeyRow.revoked_at).is_(None)
        )
        async with self._database.write() as connection:
            return (await connection.execute(revoked.values(revoked_at=now))).rowcount == 1

    async def note_used(self, used: Mapping[str, float]) -> None:
        """Write down when keys were last used.

        Args:
            used: seconds since the epoch, by identifier.
        """
        if used:
            rows = [{"of_key": identifier, "at": at} for identifier, at in sorted(used.items())]
            await self._database.transact(lambda connection: connection.execute(_NOTE_USED, rows))


def _read(row: Row[Any]) -> ApiKey:
    return ApiKey(
        id=row.id,
        name=row.name,
        digest=bytes(row.digest),
        accounts=tuple(parse_glob(text) for text in row.accounts.split()),
        scopes=frozenset(row.scopes.split()),
        created_at=row.created_at,
        expires_at=row.expires_at,
        revoked_at=row.revoked_at,
        last_used_at=row.last_used_at,
    )
