"""API keys in the database: made, listed, revoked, and when they were last used."""

import contextlib
import difflib
from collections.abc import Mapping
from typing import Any, Final, TypeVar

from sqlalchemy import Row, bindparam, insert, select, update
from sqlalchemy.exc import IntegrityError
from sqlmodel import col

from connector.account_name import AccountGlob, parse_glob
from connector.api_key import ApiKey, NewKey
from connector.errors import Refused
from connector.store.database import Database
from connector.store.tables import ApiKeyRow

T = TypeVar("T")

#: The end of the year 9998: what is later no calendar shows.
LAST_MOMENT: Final = 253_370_764_800.0
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
    """Read a row; one that was damaged is a key that opens nothing, and costs no other key.

    A column of SQLite holds any type, see `column_types`.
    """
    expires_at, revoked_at = _moment(row.expires_at), _moment(row.revoked_at)
    digest = b""
    accounts: tuple[AccountGlob, ...] = ()
    scopes: frozenset[str] = frozenset()
    with contextlib.suppress(TypeError, ValueError):
        globs = tuple(parse_glob(text) for text in _exactly(str, row.accounts).split())
        named = frozenset(_exactly(str, row.scopes).split())
        if (expires_at is None) == (row.expires_at is None):
            digest, accounts, scopes = _exactly(bytes, row.digest), globs, named
    return ApiKey(
        id=str(row.id),
        name=str(row.name),
        digest=digest,
        accounts=accounts,
        scopes=scopes,
        created_at=_moment(row.created_at) or 0.0,
        expires_at=expires_at,
        # whatever stands there, somebody has revoked it
        revoked_at=0.0 if revoked_at is None and row.revoked_at is not None else revoked_at,
        last_used_at=_moment(row.last_used_at),
    )


def _exactly(kind: type[T], value: object) -> T:
    """Give what a column holds, where it is of the column's type.

    Raises:
        TypeError: it is not.
    """
    if not isinstance(value, kind):
        raise TypeError
    return value


def _moment(value: object) -> float | None:
    """Give seconds since the epoch that a calendar can show; None where it is none."""
    if isinstance(value, int | float) and 0 <= value <= LAST_MOMENT:
        return value
    return None
