"""Databases of both kinds, migrated or empty, and what is kept in them."""

import asyncio
import copy
import itertools
import shutil
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

import pytest
from sqlalchemy.engine import URL

from connector.store.database import Database, prepare_file
from connector.testing import FixedClock, MemorySeal, Stores, make_stores, open_stores
from connector.vault.vault import Vault
from tests.postgres import PostgresServer

from .scenarios import KEY
from .worker import Crew, Worker, crew

OpenDatabase = Callable[[], Database]


def sqlite_url(path: Path) -> URL:
    return URL.create("sqlite", database=str(path))


@dataclass(frozen=True, slots=True, kw_only=True)
class Template:
    """A database that others are copies of, and its vault, which is theirs."""

    url: URL
    vault: Vault


async def _made(url: URL) -> Template:
    """Make the schema and the vault."""
    database = Database(url, now=FixedClock())
    try:
        stores = await open_stores(database, MemorySeal(KEY))
        return Template(url=url, vault=stores.vault)
    finally:
        await database.aclose()


@pytest.fixture(scope="session")
def sqlite_template(tmp_path_factory: pytest.TempPathFactory) -> Template:
    path = tmp_path_factory.mktemp("template") / "vault.db"
    prepare_file(path)
    return asyncio.run(_made(sqlite_url(path)))


@pytest.fixture(scope="session")
def postgres_template(postgres_server: PostgresServer) -> Iterator[Template]:
    with postgres_server.database() as url:
        yield asyncio.run(_made(url))


@pytest.fixture(params=["sqlite", "postgres"])
def kind(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def empty_url(kind: str, request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[URL]:
    """A database without a schema."""
    with ExitStack() as stack:
        if kind == "sqlite":
            prepare_file(tmp_path / "vault.db")
            yield sqlite_url(tmp_path / "vault.db")
        else:
            server: PostgresServer = request.getfixturevalue("postgres_server")
            yield stack.enter_context(server.database())


@pytest.fixture
def template(kind: str, request: pytest.FixtureRequest) -> Template:
    made: Template = request.getfixturevalue(f"{kind}_template")
    return made


@pytest.fixture
def url(
    kind: str, template: Template, request: pytest.FixtureRequest, tmp_path: Path
) -> Iterator[URL]:
    """A database with the schema and a vault."""
    with ExitStack() as stack:
        if kind == "sqlite":
            path = tmp_path / "vault.db"
            shutil.copy(template.url.database or "", path)
            path.chmod(0o600)
            yield sqlite_url(path)
        else:
            server: PostgresServer = request.getfixturevalue("postgres_server")
            yield stack.enter_context(server.database(template=template.url))


@pytest.fixture
def clock() -> FixedClock:
    return FixedClock()


@pytest.fixture
async def open_database(url: URL, clock: FixedClock) -> AsyncIterator[OpenDatabase]:
    """Open the test's database, as often as wanted."""
    opened: list[Database] = []

    def open_one() -> Database:
        opened.append(Database(url, now=clock, busy_timeout=5))
        return opened[-1]

    yield open_one
    for database in opened:
        await database.aclose()


@pytest.fixture
def database(open_database: OpenDatabase) -> Database:
    return open_database()


@pytest.fixture
def stores(database: Database, template: Template) -> Stores:
    vault = copy.copy(template.vault)  # a test may give it further keys, and counts what it seals
    vault._numbers = itertools.count(1)
    vault.sealed = 0
    return make_stores(database, vault)


@pytest.fixture
def address(url: URL) -> str:
    """The test's database, as it is told to a worker."""
    return url.render_as_string(hide_password=False)


@pytest.fixture(scope="session")
def workers() -> Iterator[Crew]:
    """Six processes, which begin at once."""
    with crew(6) as six:
        yield six


@pytest.fixture
def worker() -> Iterator[Worker]:
    """One process more, which may be killed."""
    with Worker() as one:
        yield one
