"""How many values a data key has sealed: counted durably; a worn key is replaced by itself."""

import json
import logging
import os
import subprocess
import sys
from typing import Any, Final

import pytest
from sqlalchemy import text

from connector.secret import Secret
from connector.store.audit_entry import Entry
from connector.store.database import Database
from connector.store.grants import GrantStore
from connector.store.seal_counts import BLOCK, SealCounts
from connector.store.sealed_values import SealedValues
from connector.testing import (
    SOME_TIME,
    MemorySeal,
    Stores,
    connected,
    open_stores,
    some_tokens,
)
from connector.vault.envelope import NONCE_BYTES, key_id_of
from connector.vault.vault import Vault

from .conftest import OpenDatabase
from .scenarios import KEY

#: An account with both tokens seals so many values when it is written.
PER_WRITE: Final = 2


@pytest.fixture
async def stores(open_database: OpenDatabase) -> Stores:
    """A vault of the test's own: that of the template belongs to all tests."""
    return await open_stores(open_database(), MemorySeal(KEY))


@pytest.fixture
async def other(open_database: OpenDatabase) -> Stores:
    """Another process's."""
    return await open_stores(open_database(), MemorySeal(KEY))


def counting(stores: Stores, **limits: Any) -> tuple[GrantStore, SealCounts]:
    counts = SealCounts(stores.database, stores.vault, now=lambda: SOME_TIME, **limits)
    return GrantStore(stores.database, stores.vault, counts=counts), counts


async def counted(database: Database) -> dict[int, int]:
    async with database.read() as connection:
        rows = await connection.execute(text("SELECT key_id, seals FROM vault_key"))
        return {row.key_id: row.seals for row in rows}


async def renew(stores: Stores, grants: GrantStore) -> None:
    account = await stores.accounts.require("acme/one")
    assert await grants.renew(account, some_tokens("2"))


async def test_what_is_sealed_is_counted_with_it(stores: Stores) -> None:
    await connected(stores, "acme/one")
    grants, _ = counting(stores, block=1)
    already = stores.vault.sealed
    assert await counted(stores.database) == {1: 0}
    await renew(stores, grants)
    assert await counted(stores.database) == {1: already + PER_WRITE}
    await renew(stores, grants)
    assert await counted(stores.database) == {1: already + 2 * PER_WRITE}


async def test_a_block_is_counted_ahead_and_costs_nothing_until_it_is_used_up(
    stores: Stores,
) -> None:
    await connected(stores, "acme/one")
    grants, _ = counting(stores)
    for _ in range(3):
        await renew(stores, grants)
        assert await counted(stores.database) == {1: BLOCK}
    while stores.vault.sealed < BLOCK:
        await renew(stores, grants)
    await renew(stores, grants)
    assert await counted(stores.database) == {1: 2 * BLOCK}


async def test_processes_add_to_one_count(stores: Stores, other: Stores) -> None:
    await connected(stores, "acme/one")
    await renew(stores, counting(stores)[0])
    await renew(other, counting(other)[0])
    assert await counted(stores.database) == {1: 2 * BLOCK}


async def test_what_was_not_committed_is_counted_by_the_next(
    stores: Stores, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The nonces are used up, though their values stand nowhere."""
    await connected(stores, "acme/one")
    grants, counts = counting(stores, block=1)
    within = counts.within

    def fail(connection: object) -> None:
        within(connection)  # type: ignore[arg-type]
        raise RuntimeError("the disk is full")

    monkeypatch.setattr(counts, "within", fail)
    with pytest.raises(RuntimeError):
        await renew(stores, grants)
    assert await counted(stores.database) == {1: 0}
    monkeypatch.undo()
    await renew(stores, grants)
    assert await counted(stores.database) == {1: stores.vault.sealed}


async def test_a_worn_key_is_replaced_by_itself(
    stores: Stores, caplog: pytest.LogCaptureFixture
) -> None:
    await connected(stores, "acme/one")
    noted: list[Entry] = []
    grants, counts = counting(stores, block=1, most=6, note=noted.append)
    caplog.set_level(logging.INFO, logger="connector.store.seal_counts")
    await renew(stores, grants)
    assert [record.message for record in caplog.records] == [
        "data key 1 has sealed 4 values; another takes its place at 6"
    ]
    assert stores.vault.current_key_id == 1
    await renew(stores, grants)
    await counts.aclose()
    assert [record.message for record in caplog.records][1:] == [
        "data key 2 seals new values from now on"
    ]
    assert stores.vault.current_key_id == 2
    assert noted == [Entry(event="vault.key_made", outcome="worn", detail={"key": 2})]
    await renew(stores, grants)
    account = await stores.accounts.require("acme/one")
    assert account.grant is not None
    assert key_id_of(account.grant.sealed.access_token) == 2
    assert await counted(stores.database) == {1: 6, 2: PER_WRITE}


async def test_of_two_processes_that_find_a_key_worn_one_replaces_it(
    stores: Stores, other: Stores
) -> None:
    await connected(stores, "acme/one")
    mine, my_counts = counting(stores, block=1, most=1)
    others, others_counts = counting(other, block=1, most=1)
    await renew(stores, mine)
    await my_counts.aclose()
    assert other.vault.current_key_id == 1
    account = await other.accounts.require("acme/one")  # still under the first key
    await others.renew(account, some_tokens("3"))
    await others_counts.aclose()
    assert stores.vault.current_key_id == other.vault.current_key_id == 2
    assert (await counted(stores.database)).keys() == {1, 2}


async def test_sealing_anew_is_counted(stores: Stores) -> None:
    await connected(stores, "acme/one")
    _, counts = counting(stores, block=1)
    stores.vault.add_keys([made := stores.vault.new_data_key()])
    async with stores.database.write() as connection:
        query = "INSERT INTO vault_key (key_id, wrapped, created_at) VALUES (:id, :wrapped, 0)"
        parameters = {"id": made.key_id, "wrapped": made.wrapped}
        await connection.execute(text(query), parameters)
    resealed = await SealedValues(stores.database, stores.vault, counts=counts).reseal()
    assert resealed == PER_WRITE
    assert (await counted(stores.database))[2] >= resealed


_FORKING: Final = """
import json, os, sys
from connector.vault.envelope import Place
from connector.vault.vault import Vault

vault = Vault("store", bytes(32), {1: bytes(32)})
place = Place(table="account", row="0a1b", field="refresh_token")
reading, writing = os.pipe()
for _ in range(4):
    if os.fork() == 0:
        sealed = [vault.seal(b"refresh-1", place)[5:17].hex() for _ in range(50)]
        os.write(writing, json.dumps(sealed).encode() + b"\\n")
        os._exit(0)
while True:
    try:
        os.wait()
    except ChildProcessError:
        break
os.close(writing)
sealed = [vault.seal(b"refresh-1", place)[5:17].hex() for _ in range(50)]
with os.fdopen(reading) as lines:
    print(json.dumps([nonce for line in lines for nonce in json.loads(line)] + sealed))
"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="there is no fork here")
def test_forked_children_use_nonces_of_their_own() -> None:
    program = [sys.executable, "-c", _FORKING.replace("\\\\", "\\")]
    result = subprocess.run(program, capture_output=True, text=True, timeout=60, check=True)
    nonces = json.loads(result.stdout)
    assert len(nonces) == len(set(nonces)) == 5 * 50
    assert all(len(bytes.fromhex(nonce)) == NONCE_BYTES for nonce in nonces)


def test_each_seal_has_a_number() -> None:
    vault = Vault("store", bytes(32), {1: bytes(32)})
    assert vault.sealed == 0
    from connector.vault.envelope import Place

    place = Place(table="account", row="0a1b", field="refresh_token")
    vault.seal(b"", place)
    vault.seal_secret(Secret("refresh-1"), place)
    assert vault.sealed == 2
