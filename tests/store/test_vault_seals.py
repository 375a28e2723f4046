"""A vault moves to another seal, or gets one more: it opens at every instant, and nobody is asked.

CHECKLIST 112, 114.
"""

import asyncio
import os
from collections.abc import Callable
from pathlib import Path

import pytest
from sqlalchemy import text

from connector.errors import TemporarilyUnavailable, VaultSealed
from connector.secret import Secret
from connector.store import vault_seals
from connector.store.database import Database
from connector.store.key_census import count_by_key
from connector.store.sealed_values import SealedValues
from connector.store.stored_keys import ask_seal, find_root
from connector.store.vault_keys import load_vault, make_data_key
from connector.store.vault_seals import change_seal, require_keys
from connector.testing import SOME_TIME, MemorySeal, Stores, connected, open_stores
from connector.vault.passphrase_seal import PassphraseSeal
from connector.vault.passphrase_source import PassphraseSource
from connector.vault.seal import Seal, open_seal

from .conftest import OpenDatabase
from .scenarios import KEY
from .worker import Worker


@pytest.fixture
async def stores(open_database: OpenDatabase) -> Stores:
    """A vault of the test's own, with an account in it."""
    stores = await open_stores(open_database(), MemorySeal(KEY))
    await connected(stores, "acme/one")
    return stores


def file_seal(folder: Path, name: str = "new.key") -> Seal:
    return open_seal("file", name, folder)


def passphrase(words: str) -> PassphraseSeal:
    source = PassphraseSource(
        description="a passphrase", read=lambda: Secret(words), choose=lambda: Secret(words)
    )
    return PassphraseSeal(source)


async def descriptions(database: Database) -> list[str]:
    return [one.description for one in (await require_keys(database)).seals]


async def opens(stores: Stores, seal: Seal) -> bool:
    """Whether a seal opens the vault, and all that is in it."""
    try:
        vault = await load_vault(stores.database, seal)
    except VaultSealed:
        return False
    census = await SealedValues(stores.database, vault).census()
    assert (dict(census.keys), census.failures) == ({1: 2}, [])
    assert vault.fingerprint(Secret("x")) == stores.vault.fingerprint(Secret("x"))
    return True


async def change(stores: Stores, new: Seal, *, keep: bool = False) -> list[str]:
    return await change_seal(stores.database, MemorySeal(KEY), new, keep=keep, now=SOME_TIME + 1)


async def test_it_opens_with_the_new_seal_alone(stores: Stores, tmp_path: Path) -> None:
    new = file_seal(tmp_path)
    assert await change(stores, new) == ["the memory of a test"]
    assert await opens(stores, new)
    assert not await opens(stores, MemorySeal(KEY))
    (stored,) = (await require_keys(stores.database)).seals
    assert (stored.description, stored.created_at) == (new.description, SOME_TIME + 1)


async def test_it_opens_with_each_of_several_seals(stores: Stores, tmp_path: Path) -> None:
    new, words = file_seal(tmp_path), passphrase("six words of a passphrase")
    assert await change(stores, new, keep=True) == []
    assert await change(stores, words, keep=True) == []
    for seal in (MemorySeal(KEY), new, words):
        assert await opens(stores, seal), seal.description
    assert await change(stores, words) == ["the memory of a test", new.description]
    assert await descriptions(stores.database) == ["a passphrase"]


@pytest.mark.parametrize("keep", [False, True])
async def test_the_same_seal_again_is_a_new_wrap(stores: Stores, *, keep: bool) -> None:
    """Another passphrase takes the place of the first one, which then opens nothing."""
    await change(stores, passphrase("the first words"), keep=True)
    first = await require_keys(stores.database)
    await change(stores, passphrase("other words"), keep=keep)
    assert not await opens(stores, passphrase("the first words"))
    assert await opens(stores, passphrase("other words"))
    assert await opens(stores, MemorySeal(KEY)) is keep
    second = await require_keys(stores.database)
    assert first.seals[-1].wrapped != second.seals[-1].wrapped
    assert len(second.seals) == 1 + keep


async def test_who_has_it_open_is_not_disturbed(
    stores: Stores, open_database: OpenDatabase, tmp_path: Path
) -> None:
    other = await open_stores(open_database(), MemorySeal(KEY))
    await change(stores, file_seal(tmp_path))
    await make_data_key(stores.database, stores.vault, now=SOME_TIME)
    await connected(stores, "acme/two")
    account = await other.accounts.require("acme/two")
    assert other.accounts.open_access_token(account) == Secret("access-1")
    assert other.vault.current_key_id == 2


@pytest.mark.parametrize("keep", [False, True])
@pytest.mark.parametrize(
    ("moment", "is_done"),
    [
        ("prepared", False),
        ("INSERT INTO vault_seal", False),
        ("DELETE FROM vault_seal", False),
        ("commit", False),
        ("committed", True),
    ],
)
async def test_killed_at_any_instant_it_opens_with_the_old_seal_or_the_new(
    stores: Stores, worker: Worker, address: str, tmp_path: Path, moment: str, *,
    is_done: bool, keep: bool,
) -> None:  # fmt: skip
    """V8: and the same command again ends it."""
    orders: dict[str, object] = {"url": address, "folder": str(tmp_path), "moment": moment}
    worker.order("die_in_a_change_of_seals", **orders, keep=keep)
    worker.wait_until_ready()
    worker.go()
    worker.wait_until_dead()
    new = file_seal(tmp_path)
    assert await opens(stores, new) is is_done
    assert await opens(stores, MemorySeal(KEY)) is (keep or not is_done)
    if keep or not is_done:
        await change(stores, new, keep=keep)
    assert await opens(stores, new)
    assert len(await descriptions(stores.database)) == 1 + keep


class Forgetful(MemorySeal):
    def unwrap(self, wrapped: bytes, store_id: str) -> bytes:
        return super().unwrap(wrapped, store_id)[:-1] + b"\0"


class Dropping(MemorySeal):
    def _keep(self, _store_id: str, text: str) -> None:
        """Keep nothing, as the null keyring does."""


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (Forgetful, "does not give back what it was given"),
        (Dropping, "did not keep the key"),
        (lambda: open_seal("env", "NO_SUCH_VARIABLE", Path()), "there is no key"),
    ],
)
async def test_a_seal_that_cannot_keep_its_key_changes_nothing(
    stores: Stores, make: Callable[[], Seal], message: str
) -> None:
    before = await require_keys(stores.database)
    with pytest.raises(VaultSealed, match=message):
        await change(stores, make())
    assert await require_keys(stores.database) == before


async def test_who_cannot_open_it_changes_nothing_and_makes_no_key(
    stores: Stores, tmp_path: Path
) -> None:
    before = await require_keys(stores.database)
    with pytest.raises(VaultSealed, match="not the one"):
        await change_seal(
            stores.database, MemorySeal("ff" * 32), file_seal(tmp_path), keep=True, now=SOME_TIME
        )
    assert await require_keys(stores.database) == before
    assert "new.key" not in os.listdir(tmp_path)  # noqa: PTH208


async def test_a_root_key_that_opens_no_data_key_is_not_wrapped_anew(
    stores: Stores, tmp_path: Path
) -> None:
    """As of a database that was mixed from two backups."""
    async with stores.database.write() as connection:
        await connection.execute(text("UPDATE vault_key SET wrapped = :junk"), {"junk": b"\1" * 65})
    with pytest.raises(VaultSealed, match="data key 1 does not open"):
        await change(stores, file_seal(tmp_path))
    assert await descriptions(stores.database) == ["the memory of a test"]


async def test_of_two_changes_at_once_one_is_told_to_try_again(
    stores: Stores, open_database: OpenDatabase, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Both have read the seals before either writes: else one's new seal would be lost."""
    arrived = asyncio.Barrier(2)

    async def meet(call: Callable[[], bytes]) -> bytes:
        answer = await ask_seal(call)
        await arrived.wait()
        return answer

    monkeypatch.setattr(vault_seals, "ask_seal", meet)
    seals = [file_seal(tmp_path, f"{number}.key") for number in range(2)]
    ends = await asyncio.gather(
        *(
            change_seal(open_database(), MemorySeal(KEY), seal, keep=False, now=SOME_TIME)
            for seal in seals
        ),
        return_exceptions=True,
    )
    (failure,) = [end for end in ends if isinstance(end, BaseException)]
    assert isinstance(failure, TemporarilyUnavailable)
    won = next(seal for seal, end in zip(seals, ends, strict=True) if end is not failure)
    assert await descriptions(stores.database) == [won.description]
    assert await opens(stores, won)


async def test_the_seal_that_is_configured_is_tried_first(stores: Stores) -> None:
    """So that nobody is asked for what another seal could not use, and its failure is told."""
    await change(stores, passphrase("six words of a passphrase"), keep=True)
    keys = await require_keys(stores.database)
    tried: list[bytes] = []

    class Watching(PassphraseSeal):
        def unwrap(self, wrapped: bytes, store_id: str) -> bytes:
            tried.append(wrapped)
            return super().unwrap(wrapped, store_id)

    words = "six words of a passphrase"
    source = PassphraseSource(
        description="a passphrase", read=lambda: Secret(words), choose=lambda: Secret(words)
    )
    _root, stored = find_root(keys, Watching(source))
    assert stored == keys.seals[1]
    assert tried == [stored.wrapped]
    with pytest.raises(VaultSealed, match=r"^.*the passphrase is not the one.*changed\.$"):
        find_root(keys, passphrase("wrong words"))


async def test_the_old_wrap_is_in_no_file_any_more(stores: Stores, tmp_path: Path) -> None:
    if not stores.database.is_sqlite:
        pytest.skip("Postgres keeps what it had, as the threat model says")
    before = await require_keys(stores.database)
    wrapped = before.seals[0].wrapped
    path = stores.database.path
    assert path is not None
    files = [path.with_name(path.name + end) for end in ("", "-wal", "-shm")]
    assert any(wrapped in file.read_bytes() for file in files)
    await change(stores, file_seal(tmp_path))
    assert not any(wrapped in file.read_bytes() for file in files)


async def test_values_are_counted_by_key_without_a_key(stores: Stores) -> None:
    assert await count_by_key(stores.database) == {1: 2}
    await make_data_key(stores.database, stores.vault, now=SOME_TIME)
    await connected(stores, "acme/two")
    assert await count_by_key(stores.database) == {1: 2, 2: 2}
