"""Halts: a provider whose token endpoint is left alone for a while, by every process.

What one process learns (a rejected registration, a Retry-After, an endpoint that is down) holds for
all of them: one row for each provider, written when a halt begins and removed by a success.
"""

from dataclasses import dataclass

from sqlalchemy import delete, select
from sqlmodel import col

from connector.store.database import Database
from connector.store.tables import HaltRow


@dataclass(frozen=True, slots=True, kw_only=True)
class Halt:
    """Why a provider is left alone, and until when.

    Attributes:
        provider: its name in the configuration.
        until: seconds since the epoch; then it is tried again.
        since: when the first of this row of halts began.
        message: for people.
        rejected: the error by which our client registration was rejected, if that is why.
    """

    provider: str
    until: float
    since: float
    message: str
    rejected: str | None = None


class HaltStore:
    """Keeps halts.

    Args:
        database: where they are.
    """

    def __init__(self, database: Database) -> None:
        self._database = database

    async def all(self) -> dict[str, Halt]:
        """Give the halts by provider, those that are over included.

        Raises:
            TemporarilyUnavailable: the database cannot be had (so for every method here).
        """
        async with self._database.read() as connection:
            rows = await connection.execute(select(HaltRow))
            return {
                row.provider: Halt(
                    provider=row.provider,
                    until=row.halted_until,
                    since=row.since,
                    message=row.message,
                    rejected=row.rejected,
                )
                for row in rows
            }

    async def begin(self, halt: Halt) -> None:
        """Write a halt over the one that there was."""
        values = {
            "provider": halt.provider,
            "halted_until": halt.until,
            "since": halt.since,
            "message": halt.message,
            "rejected": halt.rejected,
        }
        async with self._database.write() as connection:
            await connection.execute(self._database.upsert(HaltRow, values, "provider"))

    async def end(self, provider: str) -> None:
        """Remove a halt: the provider has answered as it should."""
        async with self._database.write() as connection:
            await connection.execute(delete(HaltRow).where(col(HaltRow.provider) == provider))
