"""The way from an expired token to a committed one, over SQLite and Postgres, when things go wrong.

The rules themselves are tested in `tests/unit/token_source`; here it is shown that both stores bear
them.
"""

import asyncio
import itertools
import shutil
import subprocess
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any, Final

import pytest
from sqlalchemy import select, update
from sqlalchemy.engine import URL, make_url

from connector import errors
from connector.account import Account
from connector.oauth.token import AccessToken
from connector.refresher import PROVIDER_CONCURRENCY, Refresher
from connector.runtime import Runtime
from connector.settings import load_settings
from connector.simulator import Settings, Simulator
from connector.store.tables import ACCOUNT as ACCOUNTS
from connector.token_source.refresh import Refresh
from tests.acceptance.vaults import vault_template
from tests.cancelling import CancelledAt
from tests.postgres import PostgresServer
from tests.unit.workbench import ACCOUNT, Workbench

HOUR: Final = 3600.0
#: What may come instead of an answer; none of it says anything about the grant.
NO_ANSWERS: Final[tuple[dict[str, object], ...]] = (
    {"kind": "status", "status": 500},
    {"kind": "status", "status": 502},
    {"kind": "status", "status": 503},
    {"kind": "status", "status": 504},
    {"kind": "status", "status": 429},
    {"kind": "status", "status": 400},
    {"kind": "truncate"},
    {"kind": "cut"},
    {"kind": "drop"},
    {"kind": "reset"},
    {"kind": "html"},
    {"kind": "array"},
    {"kind": "falsify", "body": '{"token_type":"Bearer","expires_in":3600}'},
    {"kind": "endless"},
    {"kind": "gzip_bomb"},
    {"kind": "redirect", "status": 307, "location": "/elsewhere"},
)


class HostClock:
    """The time of day on this host, which somebody may set; the provider's is another one."""

    def __init__(self) -> None:
        self.offset = 0.0

    def __call__(self) -> float:
        return time.time() + self.offset


@pytest.fixture(scope="session")
def vault(
    postgres_server: PostgresServer, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[URL]:
    """A database with a vault in it, to be copied."""
    with vault_template(postgres_server, tmp_path_factory.mktemp("template")) as url:
        yield url


def use_postgres(bench: Workbench, url: URL) -> None:
    """Have the configuration name a database."""
    text = url.render_as_string(hide_password=False)
    bench.configure(replace=("[vault]", f'[vault]\nurl = "{text}"'))


@pytest.fixture
def bench(kind: str, request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Workbench]:
    """A vault on one of the databases, and a provider, by the real time."""
    with ExitStack() as stack:
        settings = Settings(rotation="strict_family")
        simulator = stack.enter_context(Simulator(settings))
        made = Workbench(tmp_path, simulator, simulator.clock)
        if kind == "postgres":
            server: PostgresServer = request.getfixturevalue("postgres_server")
            template: URL = request.getfixturevalue("vault")
            use_postgres(made, stack.enter_context(server.database(template=template)))
        yield made


@pytest.fixture
async def runtime(bench: Workbench) -> AsyncIterator[Runtime]:
    async with bench.runtime() as opened:
        yield opened


async def connect(bench: Workbench, runtime: Runtime, count: int) -> list[str]:
    """Make accounts active."""
    names = [f"acme/{number}" for number in range(count)]
    for name in names:
        await bench.connect(runtime, name)
    return names


async def test_whoever_gives_up_wherever_the_refresh_commits(
    bench: Workbench, runtime: Runtime, monkeypatch: pytest.MonkeyPatch
) -> None:
    """R14: a caller gives up while the refresh stands at each of its waits, one after the other."""
    await bench.connect(runtime)
    run = Refresh.run
    for suspension in itertools.count(1):
        bench.clock.advance(HOUR)
        before = await runtime.accounts.require(ACCOUNT)
        asking = asyncio.create_task(runtime.tokens.get(ACCOUNT))

        async def run_and_cancel(
            self: Refresh,
            name: str,
            generation: int,
            *,
            asking: "asyncio.Task[AccessToken]" = asking,
            suspension: int = suspension,
            **options: Any,
        ) -> Account:
            work = run(self, name, generation, **options)
            return await CancelledAt(work, suspension, asking)

        with monkeypatch.context() as patch:
            patch.setattr(Refresh, "run", run_and_cancel)
            (outcome,) = await asyncio.gather(asking, return_exceptions=True)
            await runtime.tokens._flights.drain()
        after = await runtime.accounts.require(ACCOUNT)
        assert (after.generation, after.lease) == (before.generation + 1, None)
        token = await runtime.tokens.get(ACCOUNT)
        assert runtime.accounts.open_access_token(after).reveal() == token.value
        assert bench.refreshes == suspension
        if isinstance(outcome, AccessToken):
            break
        assert isinstance(outcome, asyncio.CancelledError)
    assert suspension > 5, "it was cancelled hardly anywhere"
    assert bench.simulator.ledger.count(outcome="reuse_detected") == 0


async def test_no_answer_is_no_end(bench: Workbench, runtime: Runtime) -> None:
    """R16, R18, R19, R20: the account stays as it was, and its refresh token is used later."""
    account = await bench.connect(runtime)
    bench.clock.advance(HOUR)
    for fault in NO_ANSWERS:
        bench.fault(times=None, **fault)  # type: ignore[arg-type]
        for _ in range(2):
            with pytest.raises(errors.TemporarilyUnavailable):
                await runtime.tokens.get(ACCOUNT)
        bench.simulator.faults.clear()
        after = await runtime.accounts.require(ACCOUNT)
        assert (after.state, after.generation) == (account.state, account.generation), fault
        bench.clock.advance(2 * HOUR)
    bench.simulator.stop()
    with pytest.raises(errors.TemporarilyUnavailable, match="cannot be reached"):
        await runtime.tokens.get(ACCOUNT)
    bench.simulator.start()
    bench.clock.advance(HOUR)
    assert (await runtime.tokens.get(ACCOUNT)).value
    issued = bench.simulator.ledger.count(outcome="issued", grant_type="refresh_token")
    assert issued == 1
    assert (await runtime.accounts.require(ACCOUNT)).attempt is None


async def test_invalid_grant_ends_an_account_once(bench: Workbench, runtime: Runtime) -> None:
    """R22: and what was stored is there until the person reconnects."""
    account = await bench.connect(runtime)
    bench.simulator.state.revoke("ada")
    bench.clock.advance(HOUR)
    for ask in (runtime.tokens.get, runtime.tokens.refresh, runtime.tokens.get):
        with pytest.raises(errors.ConsentRequired, match="invalid_grant"):
            await ask(ACCOUNT)
    assert bench.refreshes == 1
    assert (await runtime.accounts.require(ACCOUNT)).grant == account.grant


async def test_invalid_grant_ends_nothing_that_a_sibling_has_renewed(
    bench: Workbench, runtime: Runtime
) -> None:
    """R23: the store is asked before the answer is believed."""
    bench.simulator.change({"rotation": "strict"})
    account = await bench.connect(runtime)
    bench.clock.advance(HOUR)
    bench.fault("hold", grant_type="refresh_token")
    late = asyncio.create_task(runtime.tokens.get(ACCOUNT))
    await bench.held()
    async with bench.runtime() as sibling:  # its request was on the way when ours arrived
        client = await sibling.directory.get("acme")
        refresh_token = sibling.accounts.open_refresh_token(account)
        assert refresh_token is not None
        answer = await client.endpoint.refresh(refresh_token, {})
        leased = await sibling.accounts.require(ACCOUNT)
        token = await sibling.tokens._refresh.settlement.commit(
            leased,
            client,
            answer,  # type: ignore[arg-type]
            None,
        )
        bench.release()
        given = await late
        assert sibling.accounts.open_access_token(token).reveal() == given.value
    after = await runtime.accounts.require(ACCOUNT)
    assert (after.state_name, after.generation) == ("active", 2)
    assert bench.simulator.ledger.count(outcome="reuse_detected") == 1


async def test_a_wrong_client_secret_touches_no_account(bench: Workbench, runtime: Runtime) -> None:
    """R24: after the first refusals the provider is left alone, by the refresher and by callers."""
    names = await connect(bench, runtime, 40)
    for name in names:
        await runtime.tokens.get(name)
    await runtime.tokens.check_store()
    bench.clock.advance(HOUR)
    bench.simulator.change({"client_secret": "another"})
    refresher = Refresher(runtime.due, runtime.tokens, now=runtime.now)
    assert await refresher.refresh_due() == len(names)
    sent = bench.simulator.ledger.count("token")
    assert 1 <= sent <= PROVIDER_CONCURRENCY, "those that were under way at once"
    for name in names[:5]:
        with pytest.raises(errors.RegistrationRejected, match="invalid_client"):
            await runtime.tokens.get(name)
    assert bench.simulator.ledger.count("token") == sent
    accounts = await runtime.accounts.all()
    assert {account.state_name for account in accounts} == {"active"}
    assert {account.generation for account in accounts} == {1}
    secret = (bench.folder / "acme.secret").read_text()
    bench.simulator.change({"client_secret": secret})
    bench.clock.advance(61)
    tokens = [await runtime.tokens.get(name) for name in names]
    assert len({token.value for token in tokens}) == len(names)


async def test_an_hour_is_left_alone_where_the_provider_says_so(
    bench: Workbench, runtime: Runtime
) -> None:
    """R21: by every process; what works meanwhile is given."""
    await bench.connect(runtime, "acme/old")
    bench.clock.advance(HOUR - 100)
    await bench.connect(runtime, "acme/new")
    bench.clock.advance(100)
    bench.fault("status", status=429, retry_after="3600")
    async with bench.runtime() as other:
        for one in (runtime, other, other):
            with pytest.raises(errors.TemporarilyUnavailable):
                await one.tokens.get("acme/old")
            assert (await one.tokens.get("acme/new")).value
        assert bench.refreshes == 1
        bench.clock.advance(3590)
        with pytest.raises(errors.TemporarilyUnavailable):
            await other.tokens.get("acme/old")
        assert bench.refreshes == 1
        bench.clock.advance(11)
        assert (await other.tokens.get("acme/old")).value
    assert bench.refreshes == 2


async def test_a_clock_that_is_set_makes_no_storm(bench: Workbench) -> None:
    """R32: forward, back, and over a night of sleep: each account is refreshed once at most."""
    clock = HostClock()
    async with bench.runtime(now=clock) as runtime:
        names = await connect(bench, runtime, 10)
        refresher = Refresher(runtime.due, runtime.tokens, now=clock)
        for offset in (0.0, HOUR, 0.0, -HOUR, 0.0, 8 * HOUR):
            clock.offset, before = offset, bench.refreshes
            for _ in range(3):
                await refresher.refresh_due()
                tokens = await asyncio.gather(*(runtime.tokens.get(name) for name in names * 5))
                await runtime.tokens.check_store()
                for token in tokens:
                    assert token.expires_at is not None
                    assert token.expires_at.timestamp() > clock()
            assert bench.refreshes - before <= len(names)
        outcomes = {one.outcome for one in bench.simulator.ledger.records() if one.grant_type}
        assert outcomes == {"issued"}
        assert {account.state_name for account in await runtime.accounts.all()} == {"active"}


@pytest.mark.parametrize("form", ["zero", "negative"])
async def test_tokens_of_no_seconds_make_no_loop(
    bench: Workbench, runtime: Runtime, form: str
) -> None:
    """R28, R37: whoever asks, and though they are always due."""
    bench.simulator.change({"expires_in_form": form})
    await bench.connect(runtime)
    refresher = Refresher(runtime.due, runtime.tokens, now=runtime.now)
    for _ in range(40):
        bench.clock.advance(0.25)
        tokens = await asyncio.gather(*(runtime.tokens.get(ACCOUNT) for _ in range(5)))
        assert all(token.is_short for token in tokens)
        await runtime.tokens.check_store()
        await refresher.refresh_due()
    assert 5 <= bench.refreshes <= 11, "once a second"


async def test_a_database_that_has_gone_back_is_told(
    bench: Workbench, runtime: Runtime, caplog: pytest.LogCaptureFixture
) -> None:
    """R12: a standby that had lagged is the primary now; what this process knows is newer."""
    await bench.connect(runtime)
    async with runtime.database.read() as connection:
        lagging = (await connection.execute(select(ACCOUNTS))).one()._asdict()
    await runtime.tokens.refresh(ACCOUNT)
    await runtime.tokens.check_store()
    assert "gone back" not in caplog.text
    async with runtime.database.write() as connection:
        await connection.execute(update(ACCOUNTS).values(lagging))
    await runtime.tokens.check_store()
    assert f"the database has gone back: account {ACCOUNT}" in caplog.text
    assert runtime.tokens.memory.get(ACCOUNT) is None
    await runtime.tokens.check_store()
    assert caplog.text.count("gone back") == 1


@pytest.mark.parametrize("is_same_host", [True, False])
async def test_of_two_vaults_that_share_a_grant_one_is_told(
    kind: str,
    bench: Workbench,
    request: pytest.FixtureRequest,
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
    *,
    is_same_host: bool,
) -> None:
    """R35, R36: a backup was put back, or a folder was copied; its refresh token has been spent.

    On the host whose processes have written newer tokens nothing is sent until a person says so;
    on another one the provider's word counts. Grants that do not rotate go on.
    """
    async with bench.runtime() as runtime:
        await bench.connect(runtime, "acme/rotating")
        bench.simulator.change({"rotation": "none"})
        await bench.connect(runtime, "acme/lasting", person="grace")
    bench.simulator.change({"rotation": "strict"})
    with ExitStack() as stack:
        backup = None
        if kind == "postgres":
            server: PostgresServer = request.getfixturevalue("postgres_server")
            url = make_url(load_settings(bench.config).vault.url)  # type: ignore[arg-type]
            backup = stack.enter_context(server.database(template=url))
        else:
            shutil.copy2(tmp_path / "vault.db", tmp_path / "backup.db")
        async with bench.runtime() as runtime:
            bench.clock.advance(HOUR)
            assert (await runtime.tokens.get("acme/rotating")).value
        if backup is None:
            shutil.move(tmp_path / "backup.db", tmp_path / "vault.db")
        else:
            use_postgres(bench, backup)
        if not is_same_host:
            (load_settings(bench.config).vault.journal / "generations.marks").unlink()
        before = bench.refreshes
        async with bench.runtime() as runtime:
            if is_same_host:
                for _ in range(3):
                    with pytest.raises(errors.TemporarilyUnavailable, match="has gone back"):
                        await runtime.tokens.get("acme/rotating")
                assert bench.refreshes == before
                assert caplog.text.count("the database has gone back") == 1
                with pytest.raises(errors.ConsentRequired, match="another installation"):
                    await runtime.tokens.refresh("acme/rotating", ignore_backoff=True)
            for _ in range(3):
                with pytest.raises(errors.ConsentRequired, match="invalid_grant"):
                    await runtime.tokens.get("acme/rotating")
            assert bench.refreshes == before + 1
            bench.simulator.change({"rotation": "none"})
            assert (await runtime.tokens.get("acme/lasting")).value


@pytest.mark.parametrize("kind", ["sqlite"])
async def test_what_was_committed_is_in_the_files(
    bench: Workbench, runtime: Runtime, tmp_path: Path
) -> None:
    """R8: a copy of the files as they are at that moment is a vault with the new tokens.

    That they would be there after a power cut as well is SQLite's word, with synchronous=FULL; for
    Postgres see test_postgres.
    """
    await bench.connect(runtime)
    pragmas = await runtime.database.transact(
        lambda connection: [
            connection.exec_driver_sql(f"PRAGMA {name}").scalar_one()
            for name in ("synchronous", "journal_mode", "fullfsync")
        ]
    )
    assert pragmas == [2, "wal", 1], "of the connection that commits refreshes"
    token = await runtime.tokens.refresh(ACCOUNT)
    copy = ["cp", *(str(tmp_path / f"vault.db{end}") for end in ("", "-wal")), "copy"]
    (tmp_path / "copy").mkdir(mode=0o700)
    # another process: what this one opens and closes would take its own locks away
    await asyncio.to_thread(subprocess.run, copy, cwd=tmp_path, check=True)
    bench.configure(replace=("[vault]", '[vault]\nurl = "sqlite:///copy/vault.db"'))
    async with bench.runtime() as after:
        account = await after.accounts.require(ACCOUNT)
        assert after.accounts.open_access_token(account).reveal() == token.value
        assert (account.generation, account.lease, account.attempt) == (2, None, None)
        assert (await after.tokens.refresh(ACCOUNT)).value != token.value
    assert bench.simulator.ledger.count(outcome="reuse_detected") == 0
