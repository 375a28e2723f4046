"""The vault of a database: made once, opened by its key alone, never made over old data."""

import os
from pathlib import Path

import pytest
from sqlalchemy import text
from sqlalchemy.engine import URL

from connector.errors import VaultSealed
from connector.secret import Secret
from connector.store.consents import ConsentStore
from connector.store.database import Database
from connector.store.schema import migrate
from connector.store.vault_keys import ensure_vault, load_vault
from connector.testing import SOME_TIME, FixedClock, MemorySeal, Stores, connected, open_stores
from connector.vault.seal import open_seal

from .conftest import OpenDatabase
from .scenarios import KEY
from .test_consents import RECORD
from .worker import Crew


@pytest.fixture
async def url(empty_url: URL) -> URL:
    """A database with the schema and no vault."""
    database = Database(empty_url, now=FixedClock())
    await migrate(database)
    await database.aclose()
    return empty_url


@pytest.fixture
async def stores(database: Database) -> Stores:
    return await open_stores(database, MemorySeal(KEY))


async def _rows(database: Database) -> dict[str, list[tuple[object, ...]]]:
    """All that is in the database, table by table."""
    tables = ["vault", "vault_seal", "vault_key", "account", "consent", "revocation"]
    found = {}
    async with database.read() as connection:
        for table in tables:
            rows = await connection.execute(text(f"SELECT * FROM {table}"))  # noqa: S608 - above
            found[table] = [
                tuple(bytes(cell) if isinstance(cell, memoryview) else cell for cell in row)
                for row in rows
            ]
    return found


async def test_a_vault_is_made_once_and_found_again(
    database: Database, open_database: OpenDatabase
) -> None:
    seal = MemorySeal()
    made, is_new = await ensure_vault(database, seal, now=SOME_TIME)
    assert is_new
    again, is_new = await ensure_vault(open_database(), seal, now=SOME_TIME)
    assert not is_new
    loaded = await load_vault(open_database(), seal)
    assert made.store_id == again.store_id == loaded.store_id
    secret = Secret("token")
    assert made.fingerprint(secret) == loaded.fingerprint(secret)
    rows = await _rows(database)
    assert [len(rows[table]) for table in ("vault", "vault_seal", "vault_key")] == [1, 1, 1]


async def test_processes_that_make_it_at_once_get_the_same_one(
    workers: Crew, address: str, tmp_path: Path, database: Database
) -> None:
    results = workers.run("make_vault", [{"url": address, "folder": str(tmp_path)}] * 6)
    assert len({store_id for store_id, _ in results}) == 1, results
    assert [is_new for _, is_new in results].count(True) == 1
    rows = await _rows(database)
    assert [len(rows[table]) for table in ("vault", "vault_seal", "vault_key")] == [1, 1, 1]
    vault = await load_vault(database, open_seal("file", "keys/root.key", tmp_path))
    assert vault.store_id == results[0][0]
    assert os.listdir(tmp_path / "keys") == ["root.key"], "no half-written key is left"  # noqa: PTH208


async def test_processes_that_begin_with_nothing_at_all_make_one_vault(
    empty_url: URL, workers: Crew, tmp_path: Path
) -> None:
    if empty_url.get_backend_name() == "sqlite":
        os.unlink(empty_url.database or "")  # noqa: PTH108
    address = empty_url.render_as_string(hide_password=False)
    results = workers.run("make_vault", [{"url": address, "folder": str(tmp_path)}] * 6)
    assert len({store_id for store_id, _ in results}) == 1, results
    assert [is_new for _, is_new in results].count(True) == 1


async def test_where_there_is_none_it_is_said_how_to_make_one(database: Database) -> None:
    with pytest.raises(VaultSealed, match="connector init"):
        await load_vault(database, MemorySeal())


async def test_another_key_opens_nothing_and_changes_nothing(stores: Stores) -> None:
    await connected(stores, "acme/one")
    before = await _rows(stores.database)
    wrong = MemorySeal("ff" * 32)
    with pytest.raises(VaultSealed, match="not the one that this vault was sealed with"):
        await load_vault(stores.database, wrong)
    with pytest.raises(VaultSealed, match="not the one that this vault was sealed with"):
        await ensure_vault(stores.database, wrong, now=SOME_TIME)
    assert await _rows(stores.database) == before


async def test_without_its_key_it_stays_sealed_and_no_new_key_is_made(stores: Stores) -> None:
    await connected(stores, "acme/one")
    before = await _rows(stores.database)
    empty = MemorySeal()
    with pytest.raises(VaultSealed, match="there is no key"):
        await ensure_vault(stores.database, empty, now=SOME_TIME)
    with pytest.raises(VaultSealed, match="there is no key"):
        empty.wrap(b"", "made in between?")
    assert await _rows(stores.database) == before


async def test_a_missing_key_file_is_not_made_anew(database: Database, tmp_path: Path) -> None:
    seal = open_seal("file", "root.key", tmp_path)
    await ensure_vault(database, seal, now=SOME_TIME)
    (tmp_path / "root.key").unlink()
    with pytest.raises(VaultSealed, match=r"root\.key"):
        await ensure_vault(database, seal, now=SOME_TIME)
    assert not (tmp_path / "root.key").exists()


async def test_of_a_vault_that_names_another_seal_the_right_one_is_told(stores: Stores) -> None:
    with pytest.raises(VaultSealed, match="sealed with the memory of a test"):
        await load_vault(stores.database, open_seal("env", "NO_SUCH_VARIABLE", Path()))


async def test_in_a_folder_that_was_moved_the_real_trouble_is_told(
    database: Database, tmp_path: Path
) -> None:
    """The seal is described by its path, which has changed; the key is the same."""
    old, new = tmp_path / "old", tmp_path / "new"
    await ensure_vault(database, open_seal("file", "root.key", old), now=SOME_TIME)
    old.rename(new)
    seal = open_seal("file", "root.key", new)
    await load_vault(database, seal)
    (new / "root.key").chmod(0o644)
    with pytest.raises(VaultSealed, match=r"is open to others\. Type: chmod 600 \S+$"):
        await load_vault(database, seal)
    (new / "root.key").write_text("A" * 43)
    (new / "root.key").chmod(0o600)
    with pytest.raises(VaultSealed, match=r"Put the right key back.*sealed with the file .*/old/"):
        await load_vault(database, seal)
    (new / "root.key").unlink()
    with pytest.raises(VaultSealed, match=r"Put the file back.*sealed with the file .*/old/"):
        await load_vault(database, seal)


async def test_it_opens_with_any_of_its_seals(stores: Stores) -> None:
    """While the root key moves to another seal there are two rows."""
    async with stores.database.write() as connection:
        await connection.execute(
            text(
                "INSERT INTO vault_seal (id, description, root_key_wrapped, created_at)"
                " SELECT id + 1, 'another seal', :junk, created_at FROM vault_seal"
            ),
            {"junk": b"\1" * 65},
        )
        await connection.execute(text("UPDATE vault_seal SET id = id + 10 WHERE id = 1"))
    vault = await load_vault(stores.database, MemorySeal(KEY))
    assert vault.store_id == stores.vault.store_id


@pytest.mark.parametrize("table", ["vault_seal", "vault_key"])
async def test_a_vault_that_has_lost_its_keys_is_told_from_a_new_one(
    stores: Stores, table: str
) -> None:
    async with stores.database.write() as connection:
        await connection.execute(text(f"DELETE FROM {table}"))  # noqa: S608 - from above
    with pytest.raises(VaultSealed, match="backup"):
        await ensure_vault(stores.database, MemorySeal(KEY), now=SOME_TIME)


async def test_a_data_key_of_another_vault_is_refused(stores: Stores) -> None:
    async with stores.database.write() as connection:
        await connection.execute(text("UPDATE vault_key SET wrapped = :junk"), {"junk": b"\1" * 65})
    with pytest.raises(VaultSealed, match="data key 1 does not open"):
        await load_vault(stores.database, MemorySeal(KEY))


@pytest.mark.parametrize("kept", ["account", "consent", "revocation", "vault_key", "vault_seal"])
async def test_never_a_new_key_over_old_data(stores: Stores, kept: str) -> None:
    """Whatever is left of a vault, a new one is not made over it, and no key is made for it."""
    account = await connected(stores, "acme/one")
    await ConsentStore(stores.database, stores.vault).add(RECORD)
    if kept == "revocation":
        await stores.revocations.destroy(account, "revoked", now=SOME_TIME, is_owed=True)
    async with stores.database.write() as connection:
        for table in ("vault", "account", "consent", "revocation", "vault_key", "vault_seal"):
            if table != kept:
                await connection.execute(text(f"DELETE FROM {table}"))  # noqa: S608 - from above
    before = await _rows(stores.database)
    seal = MemorySeal()
    with pytest.raises(VaultSealed, match="a new key would open nothing"):
        await ensure_vault(stores.database, seal, now=SOME_TIME)
    with pytest.raises(VaultSealed, match="there is no key"):
        seal.wrap(b"", "made in between?")
    assert await _rows(stores.database) == before


async def test_a_database_with_nothing_sealed_in_it_may_get_a_vault(stores: Stores) -> None:
    await stores.accounts.begin("acme/one", "acme", now=SOME_TIME)
    async with stores.database.write() as connection:
        for table in ("vault", "vault_key", "vault_seal"):
            await connection.execute(text(f"DELETE FROM {table}"))  # noqa: S608 - from above
    _vault, is_new = await ensure_vault(stores.database, MemorySeal(), now=SOME_TIME)
    assert is_new


async def test_where_the_seal_fails_nothing_is_made(database: Database) -> None:
    before = await _rows(database)
    seal = open_seal("env", "NO_SUCH_VARIABLE", Path())
    with pytest.raises(VaultSealed, match="export NO_SUCH_VARIABLE"):
        await ensure_vault(database, seal, now=SOME_TIME)
    assert await _rows(database) == before
