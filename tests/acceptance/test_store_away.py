"""The database is away when a rotated token is to be committed: nothing is lost.

The provider ends a grant whose refresh token comes twice (``strict_family``), so that a second
request would be a loss; and it has rotated all tokens when the database goes away, so that each
answer is the only copy. One process lives through it. Another is killed while the database is
away; what it had got is in its journal.
"""

import asyncio
import resource
import signal
import sqlite3
import subprocess
import sys
import time
from abc import ABC, abstractmethod
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack, ExitStack, asynccontextmanager, closing, contextmanager
from pathlib import Path
from typing import Final, Literal

import pytest
from sqlalchemy.engine import URL, make_url

from connector.simulator import Settings
from tests.acceptance.callers import Caller, Callers, Heard
from tests.acceptance.real_time import real_time_workbench
from tests.acceptance.vaults import vault_template
from tests.postgres import OwnServer, own_server
from tests.store.relay import Relay, relay
from tests.unit.workbench import REFRESH, Workbench

MINE: Final = ("acme/a", "acme/b", "acme/c")
THEIRS: Final = ("acme/d", "acme/e", "acme/f")
#: Seconds for which a process waits for another writer here: a locked database is away after that.
BUSY_TIMEOUT: Final = 1.0
#: Within so many seconds after it is back everybody is served; a machine may be busy.
SOON: Final = 10.0


class Store(ABC):
    """A store that can be taken away.

    Attributes:
        folder: of the configuration.
        postgres_url: of its vault, where it is Postgres.
        users: processes that have it open.
    """

    def __init__(self, folder: Path, postgres_url: str | None = None) -> None:
        self.folder = folder
        self.postgres_url = postgres_url
        self.users: list[Caller] = []

    @abstractmethod
    def take(self) -> None:
        """Take it away from those who use it."""

    @abstractmethod
    def give_back(self) -> None:
        """Have it there again."""


class Locked(Store):
    """SQLite, and another program that has begun to write and does not end."""

    def take(self) -> None:
        self._other = sqlite3.connect(self.folder / "vault.db", isolation_level=None)
        self._other.execute("BEGIN EXCLUSIVE")

    def give_back(self) -> None:
        with closing(self._other):
            self._other.execute("ROLLBACK")


class Full(Store):
    """SQLite on a disk of its own that is full to the last byte; the journal is there too."""

    def take(self) -> None:
        with (self.folder / "filler").open("wb", buffering=0) as filler:
            try:
                while filler.write(b"\0" * 4096):
                    pass
            except OSError as error:
                assert error.errno == 28, error  # noqa: PT017 - ENOSPC

    def give_back(self) -> None:
        (self.folder / "filler").unlink()


class Limited(Store):
    """SQLite whose processes may make no file any larger (RLIMIT_FSIZE), as under a quota."""

    def take(self) -> None:
        size = (self.folder / "vault.db-wal").stat().st_size
        for caller in self.users:
            resource.prlimit(caller.pid, resource.RLIMIT_FSIZE, (size, resource.RLIM_INFINITY))

    def give_back(self) -> None:
        for caller in self.users:
            if Path(f"/proc/{caller.pid}").exists():
                resource.prlimit(caller.pid, resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY,) * 2)


class Killed(Store):
    """Postgres that ends without a word, and is started again."""

    def __init__(self, folder: Path, url: str, server: OwnServer) -> None:
        super().__init__(folder, url)
        self._server = server

    def take(self) -> None:
        self._server.kill()

    def give_back(self) -> None:
        self._server.start()


class Frozen(Store):
    """Postgres that takes connections and says nothing, and goes on later."""

    def __init__(self, folder: Path, url: str, server: OwnServer) -> None:
        super().__init__(folder, url)
        self._server = server

    def take(self) -> None:
        self._server.signal(signal.SIGSTOP)

    def give_back(self) -> None:
        self._server.signal(signal.SIGCONT)


class Cut(Store):
    """Postgres, and a network that is cut during each COMMIT."""

    def __init__(
        self, folder: Path, network: Relay, commits: Literal["are lost", "are not answered"]
    ) -> None:
        super().__init__(folder, network.url.render_as_string(hide_password=False))
        self._network, self._commits = network, commits

    def take(self) -> None:
        self._network.commits = self._commits

    def give_back(self) -> None:
        self._network.commits = "pass"


@contextmanager
def disk(folder: Path, size: str) -> Iterator[Path]:
    """Mount a disk of its own; skip where this user may not, or there is no such thing."""
    mounting = ["mount", "-t", "tmpfs", "-o", f"size={size},mode=700", "none", str(folder)]
    try:
        done = subprocess.run(mounting, capture_output=True, text=True, check=False)
    except OSError as error:
        pytest.skip(f"NO FULL DISK HERE: {error}")
    if done.returncode != 0:
        pytest.skip(f"NO FULL DISK HERE: {done.stderr.strip()}")
    try:
        yield folder
    finally:
        unmounting = ["umount", "--lazy", str(folder)]
        subprocess.run(unmounting, check=True)


@pytest.fixture(scope="module")
def mortal_server() -> Iterator[OwnServer]:
    """A server of our own, which may be killed."""
    with own_server() as server:
        yield server


@pytest.fixture(scope="module")
def mortal_template(
    mortal_server: OwnServer, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[URL]:
    """A database on it with a vault in it, to be copied."""
    with vault_template(mortal_server, tmp_path_factory.mktemp("template")) as url:
        yield url


STORES: Final = ("locked", "full", "limited", "killed", "frozen", "are lost", "are not answered")


@asynccontextmanager
async def opened_store(
    name: str, folder: Path, request: pytest.FixtureRequest
) -> AsyncIterator[Store]:
    """Give one of the stores."""
    with ExitStack() as stack:
        match name:
            case "locked":
                yield Locked(folder)
            case "full":
                yield Full(stack.enter_context(disk(folder, "8m")))
            case "limited":
                yield Limited(folder)
            case "killed" | "frozen":
                server: OwnServer = request.getfixturevalue("mortal_server")
                template: URL = request.getfixturevalue("mortal_template")
                database = stack.enter_context(server.database(template=template))
                url = database.render_as_string(hide_password=False)
                yield (Killed if name == "killed" else Frozen)(folder, url, server)
            case "are lost" | "are not answered":
                address: str = request.getfixturevalue("postgres_vault_url")
                async with relay(make_url(address)) as network:
                    yield Cut(folder, network, name)


async def connect_all(bench: Workbench) -> None:
    """Make the accounts active; their access tokens have ended an hour ago."""
    async with bench.runtime(now=lambda: time.time() - 7200) as runtime:
        for name in MINE + THEIRS:
            await bench.connect(runtime, name)


async def ask_until_served(caller: Caller, names: tuple[str, ...]) -> dict[str, str]:
    """Ask for tokens until all are given."""
    async with asyncio.timeout(SOON):
        while True:
            heard = await caller.ask(*names)
            if not heard.errors:
                return heard.tokens
            assert {error.partition(":")[0] for error in heard.errors.values()} == {
                "TemporarilyUnavailable"
            }, heard.errors
            await asyncio.sleep(0.05)  # by the real time, as the other processes


async def assert_nothing_is_lost(bench: Workbench, tokens: dict[str, str]) -> None:
    """See that the store has what was given out, and that each refresh token works."""
    sent = bench.simulator.ledger.records(REFRESH)
    assert [record.outcome for record in sent] == ["issued"] * len(MINE + THEIRS)
    async with bench.runtime() as runtime:
        for name in MINE + THEIRS:
            account = await runtime.accounts.require(name)
            assert (account.state_name, account.generation) == ("active", 2)
            assert (account.attempt, account.lease) == (None, None)
            assert runtime.accounts.open_access_token(account).reveal() == tokens[name]
            await runtime.tokens.refresh(name)
    sent = bench.simulator.ledger.records(REFRESH)
    assert [record.outcome for record in sent] == ["issued"] * 2 * len(MINE + THEIRS)


@asynccontextmanager
async def opened(
    name: str, folder: Path, request: pytest.FixtureRequest
) -> AsyncIterator[tuple[Store, Workbench]]:
    """Make a store that can be taken away, with the accounts in it."""
    async with AsyncExitStack() as stack:
        store = await stack.enter_async_context(opened_store(name, folder, request))
        settings = Settings(rotation="strict_family")
        made = real_time_workbench(store.folder, settings, postgres_url=store.postgres_url)
        bench = await asyncio.to_thread(stack.enter_context, made)  # a relay runs in this loop
        await connect_all(bench)
        yield store, bench


@pytest.mark.parametrize("name", STORES)
async def test_at_the_moment_of_commit_nothing_is_lost(
    name: str, callers: Callers, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    async with (
        opened(name, tmp_path, request) as (store, bench),
        callers.one(bench.config, busy_timeout=BUSY_TIMEOUT) as one,
        callers.one(bench.config, busy_timeout=BUSY_TIMEOUT) as other,
    ):
        store.users = [one, other]
        bench.fault("hold", when="after", grant_type="refresh_token", times=len(MINE + THEIRS))
        asked = [asyncio.create_task(one.ask(*MINE)), asyncio.create_task(other.ask(*THEIRS))]
        await bench.held(count=len(MINE + THEIRS))

        store.take()
        try:
            bench.release()
            served: list[Heard] = await asyncio.gather(*asked)
            assert [heard.errors for heard in served] == [{}, {}], "they are in the journal"
            assert await one.ask(*MINE) == served[0]
            await other.kill()
        finally:
            store.give_back()
        # a living process finds what the dead one left, of one account; then another one begins
        tokens = served[0].tokens | served[1].tokens
        names = (*MINE, THEIRS[0])
        began = time.monotonic()
        assert await ask_until_served(one, names) == {name: tokens[name] for name in names}
        sys.stdout.write(f"{name}: served after {time.monotonic() - began:.2f} s\n")
        async with callers.one(bench.config) as third:
            given = await asyncio.gather(
                *(ask_until_served(caller, MINE + THEIRS) for caller in (one, third))
            )
            assert list(given) == [tokens, tokens]
        await one.close()
        await assert_nothing_is_lost(bench, tokens)


@pytest.mark.parametrize("name", ["full", "killed", "are not answered"])
async def test_at_the_moment_of_the_intent_nothing_is_sent(
    name: str, callers: Callers, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    async with (
        opened(name, tmp_path, request) as (store, bench),
        callers.one(bench.config, busy_timeout=BUSY_TIMEOUT) as one,
    ):
        store.users = [one]
        store.take()
        try:
            heard = await one.ask(*MINE)
        finally:
            store.give_back()
        assert heard.tokens == {}
        for error in heard.errors.values():
            assert error.startswith("TemporarilyUnavailable: "), error
        assert bench.refreshes == 0
        tokens = await ask_until_served(one, MINE + THEIRS)
        await one.close()
        await assert_nothing_is_lost(bench, tokens)
