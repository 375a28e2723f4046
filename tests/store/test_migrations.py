"""From any older schema to this program's, whole or not at all, and never back."""

import asyncio
import importlib.util
import threading
from collections.abc import AsyncIterator, Callable
from contextlib import ExitStack
from pathlib import Path
from types import ModuleType

import pytest
from alembic.autogenerate import compare_metadata
from alembic.config import Config
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, inspect, text
from sqlalchemy.engine import URL
from sqlmodel import SQLModel

from connector.errors import VaultSealed
from connector.store import tables
from connector.store.database import Database, prepare_file
from connector.store.schema import HEAD, MIGRATIONS, current_revision, migrate
from connector.testing import FixedClock
from tests.postgres import PostgresServer

from .conftest import sqlite_url
from .worker import Crew, Worker

OpenUrl = Callable[[URL], Database]


@pytest.fixture
async def open_url() -> AsyncIterator[OpenUrl]:
    opened: list[Database] = []

    def open_one(url: URL) -> Database:
        opened.append(Database(url, now=FixedClock()))
        return opened[-1]

    yield open_one
    for database in opened:
        await database.aclose()


@pytest.fixture
def empty(empty_url: URL, open_url: OpenUrl) -> Database:
    return open_url(empty_url)


def _scripts() -> ScriptDirectory:
    config = Config()
    config.set_main_option("script_location", str(MIGRATIONS))
    return ScriptDirectory.from_config(config)


async def _tables(database: Database) -> set[str]:
    async with database.read() as connection:
        return set(await connection.run_sync(lambda sync: inspect(sync).get_table_names()))


async def test_it_takes_an_empty_database_to_the_schema_of_this_program(empty: Database) -> None:
    assert await current_revision(empty) is None
    await migrate(empty)
    assert await current_revision(empty) == HEAD
    await migrate(empty)
    assert await _tables(empty) == {*SQLModel.metadata.tables, "alembic_version"}


async def test_migrations_and_tables_say_the_same(empty: Database) -> None:
    await migrate(empty)

    def differences(connection: Connection) -> list[object]:
        options = {"compare_type": True, "compare_server_default": True}
        context = MigrationContext.configure(connection, opts=options)
        return list(compare_metadata(context, SQLModel.metadata))

    async with empty.read() as connection:
        assert await connection.run_sync(differences) == []
    assert tables.AccountRow.__tablename__ in SQLModel.metadata.tables


def test_the_schema_of_this_program_is_the_newest() -> None:
    assert _scripts().get_heads() == [HEAD]


def test_revisions_are_numbers_that_rise() -> None:
    """Whether a database is newer is told by comparing them as text."""
    revisions = [script.revision for script in _scripts().walk_revisions()]
    assert revisions == sorted(set(revisions), reverse=True)
    assert [one for one in revisions if not (len(one) == 4 and one.isdecimal())] == []


async def test_it_takes_each_older_schema_forward_and_back(empty: Database) -> None:
    for script in reversed(list(_scripts().walk_revisions())):
        module = _module(script.path)
        async with empty.write() as connection:
            await connection.run_sync(_apply, module.upgrade)
    assert await _tables(empty) == {*SQLModel.metadata.tables}
    for script in _scripts().walk_revisions():
        module = _module(script.path)
        async with empty.write() as connection:
            await connection.run_sync(_apply, module.downgrade)
    assert await _tables(empty) == set()


async def test_an_older_database_keeps_what_is_in_it(empty: Database) -> None:
    """0001 allowed several running rows of one job and account; the newest one stays."""
    async with empty.write() as connection:
        await connection.run_sync(_upgrade_to, "0001")
        for number, outcome in enumerate(("running", "running", "succeeded", "running")):
            await connection.execute(
                text(
                    "INSERT INTO run (id, job, account, started_at, outcome, records, batches,"
                    " tokens, owner) VALUES (:id, 'job', 'acme/one', :at, :outcome, 7, 0, 0, 'me')"
                ),
                {"id": f"{number}", "at": 1.0 + min(number, 2), "outcome": outcome},
            )
    await migrate(empty)
    async with empty.read() as connection:
        rows = await connection.execute(text("SELECT id, outcome, records FROM run ORDER BY id"))
        assert [tuple(row) for row in rows] == [
            ("0", "interrupted", 7),
            ("1", "interrupted", 7),
            ("2", "succeeded", 7),
            ("3", "running", 7),
        ]


async def test_what_a_key_has_sealed_before_it_was_counted_is_estimated(empty: Database) -> None:
    """Three values for each generation of an account, which is no less than there were."""
    async with empty.write() as connection:
        await connection.run_sync(_upgrade_to, "0007")
        for generation in (4, 0, 7):
            await connection.execute(
                text(
                    "INSERT INTO account (id, name, provider, state, state_since, generation,"
                    " created_at, lease_fence, attempt_count, failures) VALUES (:id, :id, 'acme',"
                    " 'active', 0, :generation, 0, 0, 0, 0)"
                ),
                {"id": f"{generation}", "generation": generation},
            )
        query = text("INSERT INTO vault_key (key_id, wrapped, created_at) VALUES (1, :key, 0)")
        await connection.execute(query, {"key": b"wrapped"})
    await migrate(empty)
    async with empty.read() as connection:
        assert (await connection.execute(text("SELECT seals FROM vault_key"))).scalar() == 33


@pytest.mark.parametrize("revision", ["9999", "0099", "zzzz"])
async def test_a_newer_schema_is_refused_and_left_as_it_is(empty: Database, revision: str) -> None:
    await migrate(empty)
    async with empty.write() as connection:
        statement = text("UPDATE alembic_version SET version_num = :revision")
        await connection.execute(statement, {"revision": revision})
    with pytest.raises(VaultSealed, match=f"schema {revision}, newer than this program's {HEAD}"):
        await migrate(empty)
    assert await current_revision(empty) == revision


async def test_a_migration_that_fails_half_way_leaves_the_old_schema(
    empty: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    from alembic import op

    create_table = op.create_table
    made: list[str] = []

    def create_some(name: str, *arguments: object, **options: object) -> object:
        made.append(name)
        if len(made) == 5:
            raise ZeroDivisionError
        return create_table(name, *arguments, **options)  # type: ignore[arg-type]

    monkeypatch.setattr(op, "create_table", create_some)
    with pytest.raises(ZeroDivisionError):
        await migrate(empty)
    assert await _tables(empty) == set()
    monkeypatch.undo()
    await migrate(empty)
    assert await current_revision(empty) == HEAD


async def test_a_process_killed_in_a_migration_leaves_the_old_schema(
    empty: Database, empty_url: URL, worker: Worker
) -> None:
    worker.order("die_in_a_migration", url=empty_url.render_as_string(hide_password=False))
    worker.wait_until_ready()
    worker.go()
    worker.wait_until_dead()
    assert await _tables(empty) == set()
    await migrate(empty)
    assert await current_revision(empty) == HEAD


async def test_processes_that_migrate_at_once_are_not_in_each_others_way(
    empty: Database, empty_url: URL, workers: Crew
) -> None:
    order: dict[str, object] = {"url": empty_url.render_as_string(hide_password=False)}
    assert workers.run("migrate_it", [order] * 6) == [HEAD] * 6
    assert await _tables(empty) == {*SQLModel.metadata.tables, "alembic_version"}


async def test_databases_that_one_process_migrates_at_once_get_their_own_tables(
    kind: str,
    request: pytest.FixtureRequest,
    tmp_path_factory: pytest.TempPathFactory,
    open_url: OpenUrl,
) -> None:
    """Alembic keeps its connection in a global: tasks and threads must take turns."""
    with ExitStack() as stack:
        urls = []
        for _ in range(4):
            if kind == "sqlite":
                path: Path = tmp_path_factory.mktemp("one") / "vault.db"
                prepare_file(path)
                urls.append(sqlite_url(path))
            else:
                server: PostgresServer = request.getfixturevalue("postgres_server")
                urls.append(stack.enter_context(server.database()))
        databases = [open_url(url) for url in urls]

        async def migrate_another() -> None:
            database = Database(urls[3], now=FixedClock())
            await migrate(database)
            await database.aclose()

        thread = threading.Thread(target=lambda: asyncio.run(migrate_another()))
        thread.start()
        await asyncio.gather(*(migrate(database) for database in databases[:3]))
        await asyncio.to_thread(thread.join)
        for database in databases:
            assert await current_revision(database) == HEAD
            assert await _tables(database) == {*SQLModel.metadata.tables, "alembic_version"}
        for database in databases:
            await database.aclose()


async def test_the_name_of_another_programs_table_is_no_matter_on_a_server(
    empty: Database,
) -> None:
    """One Postgres database may be shared; a SQLite file may not (see test_sqlite)."""
    async with empty.write() as connection:
        await connection.execute(text("CREATE TABLE photos (name TEXT)"))
    await migrate(empty)
    assert "photos" in await _tables(empty)


def _module(path: str) -> ModuleType:
    spec = importlib.util.spec_from_file_location("migration", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def _apply(connection: Connection, step: Callable[[], None]) -> None:
    from alembic.operations import Operations

    with Operations.context(MigrationContext.configure(connection)):
        step()


def _upgrade_to(connection: Connection, revision: str) -> None:
    from alembic import command

    config = Config()
    config.set_main_option("script_location", str(MIGRATIONS))
    config.attributes["connection"] = connection
    command.upgrade(config, revision)
