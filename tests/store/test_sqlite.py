"""SQLite as it is used here: durable, private, ours alone, and in nobody's way."""

import asyncio
import os
import sqlite3
import stat
import subprocess
import sys
import threading
from collections.abc import AsyncIterator, Callable
from contextlib import closing
from pathlib import Path

import pytest
from sqlalchemy import event, insert, text
from sqlalchemy.engine import URL
from sqlalchemy.engine.interfaces import DBAPIConnection

from connector.errors import TemporarilyUnavailable, VaultSealed
from connector.store.database import APPLICATION_ID, BUSY_TIMEOUT, Database, prepare_file
from connector.store.database_file import check_whole
from connector.store.history_tables import JobRow
from connector.store.schema import current_revision, migrate
from connector.store.sqlite_file import check_file
from connector.testing import (
    SOME_TIME,
    FixedClock,
    MemorySeal,
    Stores,
    connected,
    open_stores,
    some_tokens,
)

from .conftest import OpenDatabase, sqlite_url
from .scenarios import KEY
from .worker import Worker


@pytest.fixture
def kind() -> str:
    return "sqlite"


@pytest.fixture
async def fresh(tmp_path: Path, clock: FixedClock) -> AsyncIterator[Database]:
    """A database whose file is not there yet."""
    database = Database(sqlite_url(tmp_path / "new" / "vault.db"), now=clock, busy_timeout=0.2)
    yield database
    await database.aclose()


def _python(script: str, *arguments: str) -> bytes:
    """Run another program: what this process opens and closes would take its own locks away."""
    return subprocess.run(
        [sys.executable, "-S", "-E", "-c", script, *arguments], capture_output=True, check=True
    ).stdout


def _names(path: Path) -> list[str]:
    """What another program finds in a vault."""
    script = """
import contextlib, sqlite3, sys
with contextlib.closing(sqlite3.connect(sys.argv[1])) as connection:
    print(*(name for name, in connection.execute("SELECT name FROM job ORDER BY name")))
"""
    return _python(script, str(path)).decode().split()


def _all_bytes(path: Path) -> bytes:
    """All bytes of a vault and of what lies beside it."""
    script = """
import pathlib, sys
sys.stdout.buffer.write(b"".join(pathlib.Path(name).read_bytes() for name in sys.argv[1:]))
"""
    return _python(script, *map(str, path.parent.iterdir()))


async def _write(database: Database, name: str) -> None:
    async with database.write() as connection:
        await connection.execute(insert(JobRow).values(name=name))


@pytest.mark.parametrize(
    ("pragma", "value"),
    [
        ("journal_mode", "wal"),
        ("synchronous", 2),  # FULL
        ("fullfsync", 1),
        ("foreign_keys", 1),
        ("secure_delete", 1),
        ("trusted_schema", 0),
        ("busy_timeout", 5000),
        ("application_id", APPLICATION_ID),
    ],
)
async def test_every_connection_is_set_up(database: Database, pragma: str, value: object) -> None:
    async with database.read() as one, database.read() as two:
        for connection in (one, two):
            answer = await connection.execute(text(f"PRAGMA {pragma}"))
            assert answer.scalar_one() == value


def test_a_writer_is_waited_for_as_long_as_the_checklist_wants() -> None:
    assert BUSY_TIMEOUT >= 5, "CHECKLIST 133"


async def test_a_file_system_without_wal_mode_is_refused(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with database.read() as connection:
        await connection.execute(text("SELECT 1"))
    await database.aclose()
    with closing(sqlite3.connect(database.path or "")) as other:
        assert other.execute("PRAGMA journal_mode = DELETE").fetchone() == ("delete",)
    pragmas = [one for one in _pragmas() if "journal_mode" not in one]
    monkeypatch.setattr("connector.store.sqlite_engine._PRAGMAS", pragmas)
    with pytest.raises(VaultSealed, match="local file system"):
        await _write(database, "a")


def _pragmas() -> tuple[str, ...]:
    from connector.store import sqlite_engine

    return sqlite_engine._PRAGMAS


@pytest.mark.parametrize("umask", [0o022, 0o000, 0o077])
async def test_all_files_are_private_from_the_first_byte(
    fresh: Database, umask: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = fresh.path
    assert path is not None
    seen: set[tuple[str, int]] = set()

    def look(*_: object) -> None:
        seen.update(
            (one.name[-4:], stat.S_IMODE(one.lstat().st_mode)) for one in path.parent.iterdir()
        )

    os_open = os.open

    def open_and_look(*arguments: object, **options: object) -> int:
        descriptor = os_open(*arguments, **options)  # type: ignore[arg-type]
        look()
        return descriptor

    monkeypatch.setattr(os, "open", open_and_look)
    before = os.umask(umask)
    try:
        assert prepare_file(path)
        look()
        await migrate(fresh)
        async with fresh.write() as connection:
            await connection.execute(insert(JobRow).values(name="a"))
            look()
    finally:
        os.umask(before)
    assert {"t.db", "-wal", "-shm"} <= {name.removeprefix("b") for name, _ in seen}
    assert {mode for _, mode in seen} == {0o600}
    assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700
    await fresh.aclose()
    assert [one.name for one in path.parent.iterdir()] == ["vault.db"], "nothing is left beside it"


async def test_a_new_file_bears_our_mark_and_is_in_wal_mode_before_it_has_a_name(
    fresh: Database,
) -> None:
    """Another process may look at any moment, also while the first one has not checkpointed."""
    assert fresh.path is not None
    prepare_file(fresh.path)
    header = fresh.path.read_bytes()[:100]
    assert header[18:20] == b"\2\2", "WAL mode (SQLite file format, 1.3.3)"
    assert header[68:72] == APPLICATION_ID.to_bytes(4, "big")


async def test_a_second_process_is_welcome_while_the_first_has_just_begun(
    fresh: Database, clock: FixedClock
) -> None:
    """Nothing has been checkpointed yet: the mark must not be in the log alone."""
    assert fresh.path is not None
    prepare_file(fresh.path)
    await migrate(fresh)
    assert not prepare_file(fresh.path)
    second = Database(fresh.url, now=clock)
    try:
        assert await current_revision(second) is not None
    finally:
        await second.aclose()


async def test_to_check_the_file_lets_go_of_no_lock(stores: Stores) -> None:
    """A second vault object in one process must not cost the first one a commit.

    Whoever opens and closes a database file beside SQLite takes away this process's locks on it:
    another process that closes then believes itself the last, and removes the log under us.
    """
    path = stores.database.path
    assert path is not None
    await _write(stores.database, "a")
    check_file(path)
    prepare_file(path)
    assert _names(path) == ["a"], "another process comes and goes"
    await _write(stores.database, "b")
    assert _names(path) == ["a", "b"]


async def test_a_file_of_another_program_is_refused_and_left_as_it_is(fresh: Database) -> None:
    assert fresh.path is not None
    fresh.path.parent.mkdir()
    with closing(sqlite3.connect(fresh.path)) as other:
        other.execute("CREATE TABLE photos (name TEXT)")
        other.commit()
    fresh.path.chmod(0o600)
    before = fresh.path.read_bytes()
    assert not prepare_file(fresh.path)
    for _ in range(2):
        with pytest.raises(VaultSealed, match="another program"):
            await migrate(fresh)
    assert fresh.path.read_bytes() == before
    assert [one.name for one in fresh.path.parent.iterdir()] == ["vault.db"]


@pytest.mark.parametrize(
    "content", [b"Dear diary\n", b"x" * 5000, b"SQLite format 3\0" + b"y" * 200]
)
async def test_what_is_no_database_is_refused_and_left_as_it_is(
    fresh: Database, content: bytes
) -> None:
    assert fresh.path is not None
    fresh.path.parent.mkdir()
    fresh.path.write_bytes(content)
    fresh.path.chmod(0o600)
    assert not prepare_file(fresh.path)
    with pytest.raises(VaultSealed, match="restore the database from a backup"):
        await migrate(fresh)
    assert fresh.path.read_bytes() == content


async def test_an_empty_file_becomes_a_vault(fresh: Database) -> None:
    assert fresh.path is not None
    fresh.path.parent.mkdir()
    fresh.path.touch(mode=0o600)
    assert not prepare_file(fresh.path)
    await migrate(fresh)
    await fresh.aclose()
    assert fresh.path.read_bytes()[68:72] == b"CNCT"


async def test_a_file_that_has_gone_is_not_made_anew(database: Database) -> None:
    assert database.path is not None
    database.path.unlink()
    with pytest.raises(TemporarilyUnavailable, match="unable to open database file"):
        await _write(database, "a")
    assert not database.path.exists()
    await asyncio.to_thread(_join_workers)


def _join_workers() -> None:
    """Wait for threads of aiosqlite that are left after a failed connect: they tell this loop."""
    for thread in threading.enumerate():
        if "_connection_worker_thread" in thread.name:
            thread.join(10)


async def test_a_damaged_file_is_told_and_not_written_to(database: Database) -> None:
    assert database.path is not None
    for number in range(50):
        await _write(database, f"{number}")
    await database.aclose()
    content = bytearray(database.path.read_bytes())
    content[100:] = b"\xa5" * (len(content) - 100)
    database.path.write_bytes(content)
    with pytest.raises(VaultSealed, match="damaged") as caught:
        await _write(database, "a")
    assert "backup" in str(caught.value)
    await database.aclose()
    assert database.path.read_bytes() == content


async def test_a_damaged_page_is_found_before_anything_is_written(stores: Stores) -> None:
    """One that no query of ours would have met soon (CHECKLIST 140)."""
    database = stores.database
    assert database.path is not None
    for number in range(200):
        await stores.accounts.begin(f"acme/{number}", "acme", now=SOME_TIME)
    await database.scrub()
    await check_whole(database)
    await database.aclose()
    content = bytearray(database.path.read_bytes())
    size = int.from_bytes(content[16:18], "big")
    name = content.rindex(b"acme/77")
    page = name // size * size
    content[page : page + 16] = b"\xff" * 16
    database.path.write_bytes(content)
    with pytest.raises(VaultSealed, match="damaged") as caught:
        await check_whole(database)
    assert "backup" in str(caught.value)
    await check_whole(database, largest=1000)  # too large to be looked through
    await database.aclose()
    assert database.path.read_bytes() == content


async def test_a_full_disk_is_told_and_the_old_row_stays(stores: Stores) -> None:
    """CHECKLIST 60, 138: no space for the intent, or for the result."""
    account = await connected(stores, "acme/one")
    assert stores.database.path is not None

    def limit(connection: DBAPIConnection, *_: object) -> None:
        cursor = connection.cursor()
        cursor.execute("PRAGMA max_page_count = 1")  # as many as there are
        cursor.close()

    _on_each_connection(stores.database, limit)
    new = some_tokens("2" * 20_000)
    with pytest.raises(TemporarilyUnavailable, match="database or disk is full"):
        await stores.grants.renew(account, new)
    assert await stores.accounts.require("acme/one") == account


def _on_each_connection(database: Database, do: Callable[..., None]) -> None:
    for engine in database.engines:
        event.listen(engine.pool, "checkout", do)


def test_a_file_that_may_grow_no_more_is_told(tmp_path: Path) -> None:
    """A limit of the kernel, met by the write-ahead log in the middle of a commit."""
    script = """
import asyncio, resource, signal, sys
from sqlalchemy.engine import make_url
from connector.errors import TemporarilyUnavailable
from connector.store.database import Database, prepare_file
from connector.testing import *

async def main():
    database = Database(make_url(sys.argv[1]), now=FixedClock())
    prepare_file(database.path)
    stores = await open_stores(database, MemorySeal())
    account = await connected(stores, "acme/one")
    size = database.path.with_name("vault.db-wal").stat().st_size
    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, resource.RLIM_INFINITY))
    try:
        await stores.grants.renew(account, some_tokens("2"))
    except TemporarilyUnavailable as error:
        print(error)
    assert await stores.accounts.require("acme/one") == account
    resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY,) * 2)
    assert await stores.grants.renew(account, some_tokens("3")) is not None
    await database.aclose()

asyncio.run(main())
"""
    url = sqlite_url(tmp_path / "vault.db").render_as_string()
    done = subprocess.run(
        [sys.executable, "-c", script, url], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert "failed: " in done.stdout
    assert "UPDATE" not in done.stdout


async def test_a_file_that_is_read_only_is_told(database: Database) -> None:
    def forbid(connection: DBAPIConnection, *_: object) -> None:
        cursor = connection.cursor()
        cursor.execute("PRAGMA query_only = ON")
        cursor.close()

    _on_each_connection(database, forbid)
    with pytest.raises(TemporarilyUnavailable, match="readonly"):
        await _write(database, "a")


async def test_a_database_locked_by_another_process_is_told_in_time(
    stores: Stores, worker: Worker, address: str, clock: FixedClock
) -> None:
    worker.order("hold_write_lock", url=address)
    worker.wait_until_ready()
    impatient = Database(stores.database.url, now=clock, busy_timeout=0.1)
    try:
        with pytest.raises(TemporarilyUnavailable, match="database is locked"):
            await _write(impatient, "a")
        assert await current_revision(impatient) is not None, "reading goes on"
        worker.go()
        worker.result()
        await _write(impatient, "b")
        assert impatient.path is not None
        assert _names(impatient.path) == ["b"]
    finally:
        await impatient.aclose()


async def test_a_connection_that_cannot_be_set_up_is_closed(
    fresh: Database, recwarn: pytest.WarningsRecorder
) -> None:
    assert fresh.path is not None
    prepare_file(fresh.path)
    with closing(sqlite3.connect(fresh.path, isolation_level=None)) as other:
        other.execute("PRAGMA locking_mode = EXCLUSIVE")
        other.execute("BEGIN EXCLUSIVE")
        for _ in range(2):
            with pytest.raises(TemporarilyUnavailable, match="locked"):
                await current_revision(fresh)
        other.execute("ROLLBACK")
    assert await current_revision(fresh) is None
    assert not recwarn.list


async def test_schema_changes_are_part_of_the_transaction(database: Database) -> None:
    async def change() -> None:
        async with database.write() as connection:
            await connection.execute(text("CREATE TABLE half (a INTEGER)"))
            await connection.execute(text("ALTER TABLE job ADD COLUMN half INTEGER"))
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        await change()
    async with database.read() as connection:
        columns = [row[1] for row in await connection.execute(text("PRAGMA table_info(job)"))]
        tables = await connection.execute(
            text("SELECT name FROM sqlite_master WHERE name = 'half'")
        )
        assert tables.all() == []
    assert columns == ["name", "paused_at", "slot_at"]


async def test_a_reader_keeps_its_snapshot_and_stops_no_writer(
    database: Database, open_database: OpenDatabase
) -> None:
    await _write(database, "a")
    count = text("SELECT count(*) FROM job")
    async with database.read() as connection:
        assert (await connection.execute(count)).scalar_one() == 1
        await _write(open_database(), "b")
        assert (await connection.execute(count)).scalar_one() == 1
    async with database.read() as connection:
        assert (await connection.execute(count)).scalar_one() == 2


async def test_what_is_forgotten_is_in_no_file_any_more(stores: Stores) -> None:
    """CHECKLIST 120, 139: not even as ciphertext, whether in the table or in the log."""
    account = await connected(stores, "acme/one")
    kept = await connected(stores, "acme/two")
    assert account.grant is not None
    assert kept.grant is not None
    gone = account.grant.sealed.refresh_token or b""
    path = stores.database.path
    assert path is not None
    assert gone in _all_bytes(path)
    await stores.accounts.forget(account)
    assert gone not in _all_bytes(path)
    assert kept.grant.sealed.access_token in _all_bytes(path)
    debt = await stores.revocations.destroy(kept, "revoked", now=1.0, is_owed=True)
    assert debt is not None
    assert kept.grant.sealed.access_token not in _all_bytes(path)
    async with stores.database.read() as connection:
        owed = (await connection.execute(text("SELECT tokens_sealed FROM revocation"))).scalar_one()
    await stores.revocations.settle(debt)
    assert owed not in _all_bytes(path)


async def test_a_reader_in_the_way_does_not_hold_up_forgetting(
    stores: Stores, open_database: OpenDatabase
) -> None:
    account = await connected(stores, "acme/one")
    async with open_database().read() as connection:
        await connection.execute(text("SELECT * FROM account"))
        async with asyncio.timeout(3):
            await stores.accounts.forget(account)
    assert await stores.accounts.get("acme/one") is None
    async with stores.database.read() as connection:
        answer = await connection.execute(text("PRAGMA busy_timeout"))
        assert answer.scalar_one() == 5000, "it waits for writers as before"


async def test_a_log_that_cannot_be_emptied_is_no_failure(stores: Stores) -> None:
    account = await connected(stores, "acme/one")

    def fail(*details: object) -> None:
        if "wal_checkpoint" in str(details[2]):
            raise sqlite3.OperationalError("disk I/O error")

    event.listen(stores.database.engine.sync_engine, "before_cursor_execute", fail)
    await stores.accounts.forget(account)
    assert await stores.accounts.get("acme/one") is None


async def test_a_vault_opens_where_its_folder_has_an_odd_name(
    tmp_path: Path, clock: FixedClock
) -> None:
    path = tmp_path / "a b%20c#é" / "vault.db"
    prepare_file(path)
    database = Database(URL.create("sqlite", database=str(path)), now=clock)
    try:
        stores = await open_stores(database, MemorySeal(KEY))
        await connected(stores, "acme/one")
    finally:
        await database.aclose()
    assert [str(one.relative_to(tmp_path)) for one in tmp_path.glob("**/*.db")] == [  # noqa: ASYNC240
        "a b%20c#é/vault.db"
    ]
