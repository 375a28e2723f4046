"""Whether a database can be asked now, and whether the threads that ask it come back."""

import asyncio
from typing import Final

from connector.store.database import Database

#: SQLite would answer ``SELECT 1`` without a look at the file.
_ANYTHING: Final = "SELECT key_id FROM vault_key LIMIT 1"


async def check_reachable(database: Database) -> None:
    """Ask a database something, as a call for a token would.

    Raises:
        TemporarilyUnavailable: it cannot be had.
        VaultSealed: it is damaged, or closed to us.
    """
    await database.look_up(lambda connection: connection.exec_driver_sql(_ANYTHING).all())


async def check_threads(database: Database) -> None:
    """Come back once both reader and writer have; raises as `check_reachable`."""
    results = await asyncio.gather(
        check_reachable(database),
        database.transact(lambda _connection: None),
        return_exceptions=True,
    )
    for result in results:
        if isinstance(result, BaseException):
            raise result
