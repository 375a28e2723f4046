"""Discovered metadata of authorization servers, pinned in the database; see `providers.client`."""

import json
from collections.abc import Callable, Mapping
from typing import cast

from sqlalchemy import select
from sqlmodel import col

from connector.store.database import Database
from connector.store.tables import MetadataRow


class StoredPins:
    """Keeps pinned metadata; implements `providers.client.MetadataPins`.

    Args:
        database: where they are.
        now: gives seconds since the epoch.
    """

    def __init__(self, database: Database, *, now: Callable[[], float]) -> None:
        self._database = database
        self._now = now

    async def load(self, provider: str, issuer: str) -> Mapping[str, object] | None:
        """Give what was pinned for a provider's issuer, or None."""
        statement = select(col(MetadataRow.document)).where(
            col(MetadataRow.provider) == provider, col(MetadataRow.issuer) == issuer
        )
        async with self._database.read() as connection:
            document = (await connection.execute(statement)).scalar()
        return None if document is None else cast("dict[str, object]", json.loads(document))

    async def save(self, provider: str, issuer: str, metadata: Mapping[str, object]) -> None:
        """Pin metadata, replacing what was pinned for this provider."""
        row = {
            "provider": provider,
            "issuer": issuer,
            "document": json.dumps(dict(metadata)),
            "pinned_at": self._now(),
        }
        async with self._database.write() as connection:
            await connection.execute(self._database.upsert(MetadataRow, row, "provider"))
