"""How many values are sealed under which data key, told from their headers: no key is needed."""

from collections import Counter
from typing import Final

from sqlalchemy import func, select

from connector.store.column_types import SealedBytes
from connector.store.database import Database
from connector.store.sealed_tables import TABLES
from connector.vault.envelope import VERSIONS

#: The version, and the number of the key; see `vault.envelope`.
_HEADER_BYTES: Final = 5


async def count_by_key(database: Database) -> Counter[int]:
    """Count the values that name each data key.

    Raises:
        TemporarilyUnavailable: the database cannot be had.
    """
    found: Counter[int] = Counter()
    async with database.read() as connection:
        for kept in TABLES:
            for name in kept.columns:
                column = kept.table.c[name]
                header = func.substr(column, 1, _HEADER_BYTES, type_=SealedBytes)
                query = select(header, func.count()).where(func.length(column) > 0).group_by(header)
                for start, count in await connection.execute(query):
                    if start[:1] in VERSIONS:  # else it is no envelope: for ``vault verify``
                        found[int.from_bytes(start[1:], "big")] += count
    return found
