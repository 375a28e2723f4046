"""Who is signed in to the dashboard, in the database: several daemons on one share it.

A session's id is 256 random bits and stands in a cookie; here stands its SHA-256, so that whoever
reads the database cannot sign in. A session ends when nobody has used it for a while, and in any
case a while after it began (CHECKLIST 154).
"""

import hashlib
import secrets
from dataclasses import dataclass
from typing import Final

from sqlalchemy import delete, insert, select, update
from sqlmodel import col

from connector.secret import Secret
from connector.store.database import Database
from connector.store.tables import DashboardSessionRow

#: How often it is written that a session was used (seconds): each page would be a write otherwise.
NOTING: Final = 30.0
_ID_BYTES: Final = 32
#: The length of such an id (base64url).
_ID_LENGTH: Final = 43


@dataclass(frozen=True, slots=True, kw_only=True)
class DashboardSession:
    """A person who is signed in.

    Attributes:
        id: what the cookie holds.
        actor: the user of this host who made the code.
        created_at: when it began (seconds since the epoch).
        used_at: when it was last used, to half a minute.
    """

    id: Secret
    actor: str
    created_at: float
    used_at: float


class DashboardSessions:
    """Begins, finds and ends sessions.

    Args:
        database: where they are.
        idle: seconds after which one that nobody uses ends.
        lifetime: seconds after which any ends.
    """

    def __init__(self, database: Database, *, idle: float, lifetime: float) -> None:
        self._database = database
        self._idle = idle
        self._lifetime = lifetime

    async def begin(self, actor: str, *, now: float) -> DashboardSession:
        """Begin a session, under an id that nobody has had before.

        Raises:
            TemporarilyUnavailable: the database cannot be had (so for every method here).
        """
        session = DashboardSession(
            id=Secret(secrets.token_urlsafe(_ID_BYTES)), actor=actor, created_at=now, used_at=now
        )
        row = {
            "id_hash": _digest(session.id.reveal()),
            "actor": actor,
            "created_at": now,
            "used_at": now,
        }
        over = (col(DashboardSessionRow.used_at) <= now - self._idle) | (
            col(DashboardSessionRow.created_at) <= now - self._lifetime
        )
        async with self._database.write() as connection:
            await connection.execute(delete(DashboardSessionRow).where(over))
            await connection.execute(insert(DashboardSessionRow).values(row))
        return session

    async def find(self, text: str, *, now: float, is_used: bool = True) -> DashboardSession | None:
        """Give the session of a cookie, unless it has ended.

        Args:
            text: the cookie's value.
            now: seconds since the epoch.
            is_used: a person did something; a page that keeps itself fresh is none.
        """
        if len(text) != _ID_LENGTH or not text.isascii():
            return None
        is_this = col(DashboardSessionRow.id_hash) == _digest(text)
        async with self._database.read() as connection:
            row = (await connection.execute(select(DashboardSessionRow).where(is_this))).first()
        if row is None:
            return None
        if now - row.used_at >= self._idle or now - row.created_at >= self._lifetime:
            return None
        if is_used and now - row.used_at >= NOTING:
            async with self._database.write() as connection:
                used = update(DashboardSessionRow).where(is_this).values(used_at=now)
                await connection.execute(used)
        return DashboardSession(
            id=Secret(text), actor=row.actor, created_at=row.created_at, used_at=row.used_at
        )

    async def end(self, text: str) -> None:
        """End the session of a cookie, if it is one."""
        async with self._database.write() as connection:
            is_this = col(DashboardSessionRow.id_hash) == _digest(text)
            await connection.execute(delete(DashboardSessionRow).where(is_this))

    async def end_all(self, actor: str) -> int:
        """End all sessions of a user; give how many there were."""
        async with self._database.write() as connection:
            theirs = col(DashboardSessionRow.actor) == actor
            return (await connection.execute(delete(DashboardSessionRow).where(theirs))).rowcount


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()
