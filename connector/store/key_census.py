"""How many values are sealed under which data key, told from their headers: no key is needed."""

from collections import Counter
from typing import Final

from sqlalchemy import LargeBinary, func, select

from connector.store.database import Database
from connector.store.sealed_values import TABLES

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
                header = func.substr(column, 1, _HEADER_BYTES, type_=LargeBinary)
                query = select(header, func.count()).where(func.length(column) > 0).group_by(header)
                for start, count in await connection.execute(query):
                    found[int.from_bytes(bytes(start)[1:], "big")] += count
    return found
