"""What a database holds of its vault: the root key as each seal wrapped it, and the data keys.

A vault may have several seals; each opens it. That of the configuration's description is tried
first, and then the others: a key file may have been moved. Seals are asked in a thread of their
own, which nobody waits for at the end: some wait for a person.
"""

import asyncio
import threading
from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeVar

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncConnection
from sqlmodel import col

from connector.errors import VaultSealed
from connector.store.tables import VaultKeyRow, VaultRow, VaultSealRow
from connector.vault.seal import Seal
from connector.vault.vault import Vault, WrappedKey, open_with_root

T = TypeVar("T")


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredSeal:
    """The root key, wrapped by one seal.

    Attributes:
        id: of the row.
        description: of the seal, as it was then.
        wrapped: the wrapped root key.
        created_at: when it was wrapped, in seconds since the epoch.
    """

    id: int
    description: str
    wrapped: bytes
    created_at: float


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredKeys:
    """All keys of a vault, wrapped.

    Attributes:
        store_id: of the store.
        seals: each opens the vault.
        data_keys: by age.
        data_keys_made: when each was made, by number.
    """

    store_id: str
    seals: tuple[StoredSeal, ...]
    data_keys: tuple[WrappedKey, ...]
    data_keys_made: dict[int, float]


async def load_keys(connection: AsyncConnection) -> StoredKeys | None:
    """Read the keys of a database; None where it has no vault."""
    store_id = (await connection.execute(select(VaultRow.store_id))).scalar()  # type: ignore[call-overload]
    if store_id is None:
        return None
    seals = await connection.execute(
        select(
            col(VaultSealRow.id),
            col(VaultSealRow.description),
            col(VaultSealRow.root_key_wrapped),
            col(VaultSealRow.created_at),
        ).order_by(col(VaultSealRow.id))
    )
    rows = await connection.execute(
        select(
            col(VaultKeyRow.key_id), col(VaultKeyRow.wrapped), col(VaultKeyRow.created_at)
        ).order_by(col(VaultKeyRow.key_id))
    )
    data_keys = rows.all()
    return StoredKeys(
        store_id=store_id,
        seals=tuple(
            StoredSeal(id=row[0] or 0, description=row[1], wrapped=bytes(row[2]), created_at=row[3])
            for row in seals
        ),
        data_keys=tuple(WrappedKey(key_id=row[0], wrapped=bytes(row[1])) for row in data_keys),
        data_keys_made={row[0]: row[2] for row in data_keys},
    )


def find_root(keys: StoredKeys, seal: Seal) -> tuple[bytes, StoredSeal]:
    """Unwrap the root key with whichever stored seal opens; tell which.

    Raises:
        VaultSealed: none does; of several failures that of the seal's own row is told.
    """
    failure: VaultSealed | None = None
    # a stable order: those of another description stay as they were stored
    for stored in sorted(keys.seals, key=lambda one: one.description != seal.description):
        try:
            return seal.unwrap(stored.wrapped, keys.store_id), stored
        except VaultSealed as error:
            failure = failure or error
    if failure is None:
        raise VaultSealed("the database has no wrapped root key", "Restore it from a backup.")
    others = [stored.description for stored in keys.seals]
    if failure.lacks_key and seal.description not in others:
        hint = f"This vault was sealed with {' or '.join(others)}; vault.seal names another seal."
        raise VaultSealed(failure.reason, f"{failure.remedy} {hint}".strip(), lacks_key=True)
    raise failure


def open_keys(keys: StoredKeys, seal: Seal) -> Vault:
    """Open a vault.

    Raises:
        VaultSealed: the key is missing or wrong, or a data key does not open.
    """
    root_key, _stored = find_root(keys, seal)
    return open_with_root(root_key, keys.store_id, keys.data_keys)


async def ask_seal(call: Callable[[], T]) -> T:
    """Run what asks a seal in a thread; one that is given up is left behind, and ends with us.

    Raises:
        VaultSealed: as the call.
    """
    loop = asyncio.get_running_loop()
    answer: asyncio.Future[T] = loop.create_future()

    def settle(result: T | None, failure: BaseException | None) -> None:
        if answer.done():
            return
        if failure is not None:
            answer.set_exception(failure)
        else:
            answer.set_result(result)  # type: ignore[arg-type]  # what the call gave

    def run() -> None:
        result: T | None = None
        failure: BaseException | None = None
        try:
            result = call()
        except BaseException as error:  # noqa: BLE001 - it is raised where it is waited for
            failure = error
        if not loop.is_closed():
            loop.call_soon_threadsafe(settle, result, failure)

    threading.Thread(target=run, name="seal", daemon=True).start()
    return await answer
