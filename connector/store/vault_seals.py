"""Moves the root key of a vault to another seal, or lets one more seal open it.

The new wrap is proved by a trial before anything is written, and what is new is written together
with what goes: cut off at any instant, the vault opens with the old seal or with the new one
(CHECKLIST 114). The root key stays, so that programs which have the vault open are not disturbed.
"""

from collections.abc import Awaitable, Callable

from sqlalchemy import delete, insert, select
from sqlmodel import col

from connector.errors import TemporarilyUnavailable, VaultSealed
from connector.store.database import Database
from connector.store.stored_keys import StoredKeys, ask_seal, find_root, load_keys
from connector.store.tables import VaultRow, VaultSealRow
from connector.vault.seal import Seal
from connector.vault.vault import Vault, open_with_root


async def require_keys(database: Database) -> StoredKeys:
    """Read the keys of a database that must have a vault.

    Raises:
        VaultSealed: it has none.
        TemporarilyUnavailable: the database cannot be had.
    """
    async with database.read() as connection:
        keys = await load_keys(connection)
    if keys is None:
        raise VaultSealed("it has not been made yet", "Type: connector init")
    return keys


async def change_seal(
    database: Database,
    old: Seal,
    new: Seal,
    *,
    keep: bool,
    now: float,
    on_change: Callable[[Vault], Awaitable[None]] | None = None,
) -> list[str]:
    """Wrap the root key with another seal.

    Args:
        database: of the vault.
        old: opens it now.
        new: shall open it; its key is made where there is none. The same seal again is wrapped
            anew, as with another passphrase.
        keep: the other seals go on opening it.
        now: seconds since the epoch.
        on_change: is given the vault once that is done, for the audit trail.

    Returns:
        The descriptions of the seals that opened it and do not any more.

    Raises:
        VaultSealed: the old seal does not open it, or the new one cannot make or keep its key;
            nothing was changed.
        TemporarilyUnavailable: the database cannot be had, or somebody else has changed the seals
            meanwhile; nothing was changed.
    """
    keys = await require_keys(database)
    vault, wrapped = await ask_seal(lambda: _wrap_anew(keys, old, new))
    gone = [one for one in keys.seals if not keep or one.description == new.description]
    async with database.write() as connection:
        # Postgres: one at a time, and the next one sees what this one has written
        await connection.execute(select(col(VaultRow.store_id)).with_for_update())
        present = await connection.execute(select(col(VaultSealRow.id)))
        if set(present.scalars()) != {one.id for one in keys.seals}:
            raise TemporarilyUnavailable("somebody else has just changed the seals of the vault")
        await connection.execute(
            insert(VaultSealRow).values(
                description=new.description, root_key_wrapped=wrapped, created_at=now
            )
        )
        await connection.execute(
            delete(VaultSealRow).where(col(VaultSealRow.id).in_([one.id for one in gone]))
        )
    if on_change is not None:
        await on_change(vault)
    await database.scrub()
    return [one.description for one in gone if one.description != new.description]


def _wrap_anew(keys: StoredKeys, old: Seal, new: Seal) -> tuple[Vault, bytes]:
    """Wrap the root key with the new seal, and see that it comes back; give the open vault as well.

    Raises:
        VaultSealed: the old seal does not open, or the new one does not keep what it is given.
    """
    root_key, _stored = find_root(keys, old)
    # it is the root key of this store
    vault = open_with_root(root_key, keys.store_id, keys.data_keys)
    new.prepare(keys.store_id)
    wrapped = new.wrap(root_key, keys.store_id)
    if new.unwrap(wrapped, keys.store_id) != root_key:
        raise VaultSealed(f"{new.description} does not give back what it was given")
    return vault, wrapped
