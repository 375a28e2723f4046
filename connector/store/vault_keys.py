"""Makes or opens the vault that belongs to a database.

A new vault is made only over a database that holds none, and nothing that one has sealed: never a
new key over old data (CHECKLIST 115). The keys are written in one transaction; of two processes
that begin at once the second finds what the first has made.

A new data key is committed before anything is sealed with it. So whoever reads a value that names a
key which it has not finds that key in the same database, and need not be told.
"""

import secrets
from collections.abc import Iterable
from typing import Final

from sqlalchemy import ColumnElement, Connection, exists, insert, select
from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncConnection
from sqlmodel import col

from connector.errors import VaultSealed
from connector.store.database import Database
from connector.store.stored_keys import ask_seal, load_keys, open_keys
from connector.store.tables import (
    AccountRow,
    ConsentRow,
    LateTokenRow,
    RevocationRow,
    VaultKeyRow,
    VaultRow,
    VaultSealRow,
)
from connector.vault.seal import Seal
from connector.vault.vault import Vault, WrappedKey, create_vault

#: Where there is a sealed value.
_SEALED_ROWS: Final[tuple[ColumnElement[bool], ...]] = (
    col(VaultKeyRow.key_id).is_not(None),
    col(VaultSealRow.id).is_not(None),
    col(AccountRow.access_token_sealed).is_not(None),
    col(LateTokenRow.account_id).is_not(None),
    col(ConsentRow.id).is_not(None),
    col(RevocationRow.id).is_not(None),
)


async def ensure_vault(database: Database, seal: Seal, *, now: float) -> tuple[Vault, bool]:
    """Open the vault of a database, or make it where there is none.

    Returns:
        The vault, and whether it was made now.

    Raises:
        VaultSealed: the key is missing or wrong, or cannot be made or kept.
        TemporarilyUnavailable: the database cannot be had.
    """
    async with database.read() as connection:
        keys = await load_keys(connection)
        if keys is None and await _holds_sealed_values(connection):
            keys = await load_keys(connection)  # another process may have made it just now
            if keys is None:
                raise VaultSealed(
                    "the database holds sealed values, and not the vault that sealed them",
                    "Restore the whole database from a backup; a new key would open nothing.",
                )
    if keys is None:
        made = await _make(database, seal, now)
        if made is not None:
            return made, True
        async with database.read() as connection:
            keys = await load_keys(connection)
    assert keys is not None  # noqa: S101 - `_make` gives None only where another process made them
    return await ask_seal(lambda: open_keys(keys, seal)), False


async def load_vault(database: Database, seal: Seal) -> Vault:
    """Open the vault of a database.

    Raises:
        VaultSealed: there is none, or the key is missing or wrong.
        TemporarilyUnavailable: the database cannot be had.
    """
    async with database.read() as connection:
        keys = await load_keys(connection)
    if keys is None:
        raise VaultSealed("it has not been made yet", "Type: connector init")
    return await ask_seal(lambda: open_keys(keys, seal))


async def make_data_key(database: Database, vault: Vault, *, now: float) -> int:
    """Make a new data key, which seals all new values from now on.

    Other processes take it up when they first read a value that was sealed with it. Of two that
    make one at once the second takes that of the first.

    Returns:
        Its number.

    Raises:
        VaultSealed: the keys that are there do not open.
        TemporarilyUnavailable: the database cannot be had; no key was made.
    """
    await database.look_up(lambda connection: _take_in(connection, vault))
    return await _make_data_key(database, vault, now)


async def replace_data_key(database: Database, vault: Vault, worn: int, *, now: float) -> int:
    """Make a new data key in the place of the newest, unless another process has done so.

    Args:
        database: where the keys are.
        vault: what seals.
        worn: the number of the key that is to be replaced.
        now: seconds since the epoch.

    Returns:
        The number of the newest.

    Raises:
        As `make_data_key`.
    """
    await database.look_up(lambda connection: _take_in(connection, vault))
    if vault.current_key_id > worn:
        return vault.current_key_id
    return await _make_data_key(database, vault, now)


async def _make_data_key(database: Database, vault: Vault, now: float) -> int:
    made = vault.new_data_key()
    row = {"key_id": made.key_id, "wrapped": made.wrapped, "created_at": now}
    try:
        async with database.write() as connection:
            await connection.execute(insert(VaultKeyRow).values(row))
    except IntegrityError:
        await database.look_up(lambda connection: _take_in(connection, vault))
        if vault.current_key_id < made.key_id:
            raise VaultSealed(
                f"data key {made.key_id} does not open with the root key",
                "The database was changed by hand or mixed from two backups; restore one whole.",
            ) from None
    else:
        vault.add_keys([made])
    return vault.current_key_id


async def learn_keys(database: Database, vault: Vault, sealed: Iterable[object]) -> None:
    """Take in the data keys that other processes have made, where a value names one of them.

    Args:
        database: where the keys are.
        vault: what lacks them.
        sealed: values of sealed columns, about to be opened.

    Raises:
        TemporarilyUnavailable: the database cannot be had.
    """
    if _lacks_keys(vault, sealed):
        await database.look_up(lambda connection: _take_in(connection, vault))


def learn_keys_within(connection: Connection, vault: Vault, sealed: Iterable[object]) -> None:
    """Take them in inside a transaction; see `learn_keys`."""
    if _lacks_keys(vault, sealed):
        _take_in(connection, vault)


def _lacks_keys(vault: Vault, sealed: Iterable[object]) -> bool:
    return any(
        vault.lacks_key(bytes(value)) for value in sealed if isinstance(value, bytes | memoryview)
    )


def _take_in(connection: Connection, vault: Vault) -> None:
    rows = connection.execute(select(col(VaultKeyRow.key_id), col(VaultKeyRow.wrapped)))
    vault.add_keys(WrappedKey(key_id=row[0], wrapped=bytes(row[1])) for row in rows)


async def _holds_sealed_values(connection: AsyncConnection) -> bool:
    """Tell whether there is anything that only a vault can have written."""
    for rows in _SEALED_ROWS:
        if (await connection.execute(select(exists().where(rows)))).scalar():
            return True
    return False


async def _make(database: Database, seal: Seal, now: float) -> Vault | None:
    """Make the keys; None where another process was first."""
    store_id = secrets.token_hex(16)
    vault, wrapped_root, data_key = await ask_seal(lambda: create_vault(seal, store_id))
    rows = (
        # first: the number of the first key is taken where another process makes a vault as well
        insert(VaultKeyRow).values(
            key_id=data_key.key_id, wrapped=data_key.wrapped, created_at=now
        ),
        insert(VaultRow).values(store_id=store_id, created_at=now),
        insert(VaultSealRow).values(
            description=seal.description, root_key_wrapped=wrapped_root, created_at=now
        ),
    )
    try:
        async with database.write() as connection:
            for row in rows:
                await connection.execute(row)
    except IntegrityError:
        return None
    return vault
