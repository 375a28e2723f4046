"""The schema's version: what the database has, what this program needs, and the way between.

All migrations that are missing run in one transaction: an older database is taken forward whole or
not at all, a newer one is refused (CHECKLIST 140). Alembic is imported only when there is something
to migrate.
"""

import asyncio
import threading
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Final

from sqlalchemy import Connection, inspect, text

from connector.errors import VaultSealed
from connector.store.database import Database

#: The revision that this program needs; a test compares it with the newest migration.
HEAD: Final = "0018"
MIGRATIONS: Final = Path(__file__).parent / "migrations"
#: Serialises migrations between processes on Postgres (any number that is ours).
_MIGRATION_LOCK: Final = 0x434E4354
#: Alembic's migrations find their connection in a global: one migration at a time in a process.
_one_at_a_time: Final = threading.Lock()
_POLL: Final = 0.01


async def current_revision(database: Database) -> str | None:
    """Give the database's revision, or None where there is no schema yet.

    Raises:
        VaultSealed: it is the database of another program.
        TemporarilyUnavailable: the database cannot be had.
    """
    async with database.read() as connection:
        return await connection.run_sync(_revision)


async def migrate(database: Database) -> None:
    """Take the schema to `HEAD`.

    Raises:
        VaultSealed: the database is another program's, or a newer version of this one wrote it.
        TemporarilyUnavailable: the database cannot be had; it is as it was.
    """
    if _is_current(await current_revision(database)):
        return
    async with _alone(), database.write() as connection:
        if not database.is_sqlite:
            await connection.execute(text(f"SELECT pg_advisory_xact_lock({_MIGRATION_LOCK})"))
        if not _is_current(await connection.run_sync(_revision)):
            await connection.run_sync(_upgrade)


def _is_current(revision: str | None) -> bool:
    if revision is not None and revision > HEAD:
        raise VaultSealed(
            f"the database has schema {revision}, newer than this program's {HEAD}",
            "Install the version of Connector that wrote it, or a newer one.",
        )
    return revision == HEAD


def _revision(connection: Connection) -> str | None:
    if not inspect(connection).has_table("alembic_version"):
        return None
    revision: str | None = connection.scalar(text("SELECT version_num FROM alembic_version"))
    return revision


@asynccontextmanager
async def _alone() -> AsyncIterator[None]:
    """Wait for other migrations of this process, in whatever thread and event loop they are."""
    while not _one_at_a_time.acquire(blocking=False):  # noqa: ASYNC110 - no event crosses loops
        await asyncio.sleep(_POLL)
    try:
        yield
    finally:
        _one_at_a_time.release()


def _upgrade(connection: Connection) -> None:
    from alembic import command  # 340 ms that only a migration should pay
    from alembic.config import Config

    config = Config()
    config.set_main_option("script_location", str(MIGRATIONS).replace("%", "%%"))
    config.attributes["connection"] = connection
    command.upgrade(config, "head")
