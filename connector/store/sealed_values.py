"""All that the vault has sealed in a database: opened one by one, and sealed anew under a new key.

A value that is sealed anew stays in its place, so that its generation stays too. It replaces the
very ciphertext that was read, in a row of the very generation: whatever was written meanwhile is
newer, and is left as it is (CHECKLIST 113). Nothing has to be remembered of a rotation that was cut
off: what names an older key is what is left to do.
"""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Callable, Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from itertools import groupby
from typing import Any, Final

from sqlalchemy import (
    Connection,
    Row,
    Select,
    Update,
    bindparam,
    func,
    select,
    update,
)

from connector.errors import VaultSealed
from connector.store.database import Database
from connector.store.seal_counts import SealCounts
from connector.store.sealed_tables import TABLES, SealedTable
from connector.store.vault_keys import learn_keys_within
from connector.vault.envelope import is_outdated, key_id_of
from connector.vault.vault import Vault

#: Rows that are written together: a transaction keeps other writers waiting for some milliseconds.
BATCH: Final = 100
#: Other processes may write under the older key until they have met the new one.
MOST_PASSES: Final = 10

#: Told after each batch how many rows were looked at in it.
Progress = Callable[[int], None]


@dataclass(kw_only=True)
class Census:
    """What was found in a database.

    Attributes:
        keys: how many values open, by the number of their data key.
        failures: what does not open: the account's name, and why.
    """

    keys: Counter[int] = field(default_factory=Counter)
    failures: list[tuple[str, str]] = field(default_factory=list)


class SealedValues:
    """Opens and re-seals all sealed values.

    Args:
        database: where they are.
        vault: what sealed them.
        batch: rows that are read, and written, together.
        counts: counts what the vault seals.
    """

    def __init__(
        self,
        database: Database,
        vault: Vault,
        *,
        batch: int = BATCH,
        counts: SealCounts | None = None,
    ) -> None:
        self._counts = counts
        self._database = database
        self._vault = vault
        self._batch = batch

    async def count(self) -> int:
        """Give how many rows hold sealed values.

        Raises:
            TemporarilyUnavailable: the database cannot be had (so for every method here).
        """
        total = 0
        async with self._database.read() as connection:
            for kept in TABLES:
                query = select(func.count()).select_from(kept.table).where(kept.holds_some)
                total += (await connection.execute(query)).scalar_one()
        return total

    async def census(self, on_progress: Progress | None = None) -> Census:
        """Open every value, and count them by key.

        Args:
            on_progress: is told after each batch how many rows it had.
        """
        census = Census()
        for kept in TABLES:
            async for rows in self._batches(kept):
                for row in rows:
                    self._examine(kept, row, census)
                if on_progress is not None:
                    on_progress(len(rows))
        return census

    async def reseal(self, on_progress: Progress | None = None) -> int:
        """Seal anew, under the newest key, all that is sealed under older ones.

        What does not open is left as it is. It is gone through again until nothing is left to do,
        since processes that do not know the newest key yet may write under an older one meanwhile.

        Args:
            on_progress: is told after each batch of the first pass how many rows it had.

        Returns:
            How many values were sealed anew.
        """
        total = 0
        for _ in range(MOST_PASSES):
            resealed = missed = 0
            for kept in TABLES:
                async for rows in self._batches(kept):
                    written, overtaken = await self._reseal(kept, rows)
                    resealed += written
                    missed += overtaken
                    if on_progress is not None:
                        on_progress(len(rows))
            total += resealed
            on_progress = None
            if not resealed and not missed:
                break
        if total:
            await self._database.scrub()
        return total

    async def _batches(self, kept: SealedTable) -> AsyncIterator[list[Row[Any]]]:
        """Read a table in batches, by identifier; nothing is held between them."""
        columns = kept.account.label("of_account"), kept.bound_to.label("bound_to")
        query = select(kept.table, *columns).where(kept.holds_some)
        query = query.order_by(kept.id).limit(self._batch)
        rows = await self._read(kept, query)
        while rows:
            yield rows
            rows = await self._read(kept, query.where(kept.id > kept.id_of(rows[-1])))

    async def _read(self, kept: SealedTable, query: Select[Any]) -> list[Row[Any]]:
        async with self._database.read() as connection:
            rows = list((await connection.execute(query)).all())
            sealed = [getattr(row, name) for row in rows for name in kept.columns]
            await connection.run_sync(learn_keys_within, self._vault, sealed)
        return rows

    def _examine(self, kept: SealedTable, row: Row[Any], census: Census) -> None:
        for name, sealed in kept.values(row).items():
            try:
                self._vault.open(sealed, kept.place(row, name))
            except VaultSealed as error:
                census.failures.append((row.of_account or "", error.reason))
            else:
                census.keys[key_id_of(sealed)] += 1

    async def _reseal(self, kept: SealedTable, rows: list[Row[Any]]) -> tuple[int, int]:
        """Write a batch; give how many values were written, and how many rows were overtaken."""
        changes = [(row, new) for row in rows if (new := self._resealed(kept, row))]
        if not changes:
            return 0, 0
        # in the order of `store.group_commit`, so that two processes never wait for each other
        changes.sort(key=lambda change: kept.id_of(change[0]))
        loop = asyncio.get_running_loop()
        began = loop.time()
        result = await self._database.transact(
            lambda connection: self._write(connection, kept, changes)
        )
        if self._counts is not None:
            self._counts.committed()
        await asyncio.sleep(loop.time() - began)  # the others' turn, for as long as they waited
        return result

    def _write(
        self,
        connection: Connection,
        kept: SealedTable,
        changes: list[tuple[Row[Any], Mapping[str, bytes]]],
    ) -> tuple[int, int]:
        result = _write(connection, kept, changes)
        if self._counts is not None:
            self._counts.within(connection)
        return result

    def _resealed(self, kept: SealedTable, row: Row[Any]) -> Mapping[str, bytes]:
        """Seal the values of a row anew that open, and are of an older key or version."""
        new: dict[str, bytes] = {}
        for name, sealed in kept.values(row).items():
            place = kept.place(row, name)
            try:
                plaintext = self._vault.open(sealed, place)
            except VaultSealed:
                continue
            if key_id_of(sealed) != self._vault.current_key_id or is_outdated(sealed):
                new[name] = self._vault.seal(plaintext, place)
        return new


def _write(
    connection: Connection, kept: SealedTable, changes: list[tuple[Row[Any], Mapping[str, bytes]]]
) -> tuple[int, int]:
    """Write what is in the place of what was read; see `SealedValues._reseal`."""
    written = overtaken = 0
    # rows with the same columns that follow each other: one call of the driver, the order is kept
    for names, alike in groupby(changes, key=_names):
        rows = [_parameters(kept, row, new) for row, new in alike]
        count = connection.execute(_replace(kept, names), rows).rowcount
        written += count * len(names)
        overtaken += len(rows) - count
    return written, overtaken


def _names(change: tuple[Row[Any], Mapping[str, bytes]]) -> tuple[str, ...]:
    return tuple(change[1])


def _parameters(kept: SealedTable, row: Row[Any], new: Mapping[str, bytes]) -> dict[str, object]:
    known: dict[str, object] = {f"known_{name}": getattr(row, name) for name in new}
    if kept.has_generation:
        known["known_generation"] = row.generation
    return {"of_row": kept.id_of(row), **known} | {f"new_{name}": new[name] for name in new}


@lru_cache
def _replace(kept: SealedTable, names: tuple[str, ...]) -> Update:
    """Make the statement that replaces sealed values which are still what was read."""
    compared = (*names, "generation") if kept.has_generation else names
    return (
        update(kept.table)
        .where(
            kept.id == bindparam("of_row"),
            *(kept.table.c[name] == bindparam(f"known_{name}") for name in compared),
        )
        .values({name: bindparam(f"new_{name}") for name in names})
    )
