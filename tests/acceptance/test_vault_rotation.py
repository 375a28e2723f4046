"""The data key is rotated under load, and the rotation is killed: nothing fails, nothing is lost.

The provider ends a grant whose refresh token comes twice (``strict_family``), so that whatever the
rotation lost or set back would end an account. In full (show the figures with ``-rA``):
CONNECTOR_TEST_ROTATED_ACCOUNTS=100000 CONNECTOR_TEST_ROTATION_READERS=50
CONNECTOR_TEST_ROTATION_KILLS=50.
"""

import asyncio
import hashlib
import json
import os
import random
import re
import secrets
import signal
import socket
import subprocess
import sys
import time
from collections import Counter
from collections.abc import AsyncIterator, Iterator
from contextlib import ExitStack, asynccontextmanager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any, Final

import pytest
from sqlalchemy import Connection, insert, select

from connector.account import Account, Terms
from connector.oauth.token import TokenSet
from connector.runtime import Runtime
from connector.secret import Secret
from connector.simulator import Settings
from connector.store.grants import Consent, NewTokens
from connector.store.sealed_values import SealedValues
from connector.store.tables import ACCOUNT
from connector.vault.envelope import key_id_of
from tests.acceptance.installation import free_port
from tests.acceptance.real_time import real_time_workbench
from tests.acceptance.rotation_readers import ENDED, account_name
from tests.unit.workbench import REFRESH, Workbench

COUNT: Final = int(os.environ.get("CONNECTOR_TEST_ROTATED_ACCOUNTS", "200"))
READERS: Final = int(os.environ.get("CONNECTOR_TEST_ROTATION_READERS", "8"))
KILLS: Final = int(os.environ.get("CONNECTOR_TEST_ROTATION_KILLS", "4"))
#: So many accounts are refreshed in the end; by default all.
REFRESHED: Final = min(COUNT, int(os.environ.get("CONNECTOR_TEST_ROTATION_REFRESHED", COUNT)))
#: Rotations one after the other under load: one of a few accounts is over at once.
ROTATIONS: Final = 2 if COUNT < 10_000 else 1
#: Seconds; a machine may be busy.
PATIENCE: Final = 60.0 + COUNT / 100
TIMEOUT: Final = 120 + COUNT / 20 + 10 * KILLS
#: As many refreshes at once as a refresher sends.
AT_ONCE: Final = 32
LIFETIME: Final = 3600.0
#: Written together when the accounts are made.
BATCH: Final = 1_000

Tokens = dict[str, bytes]


@pytest.fixture(params=["sqlite", "postgres"])
def bench(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Workbench]:
    """A configuration with a daemon on one of the databases, and a simulator."""
    url = request.getfixturevalue("postgres_url") if request.param == "postgres" else None
    settings = Settings(rotation="strict_family", access_token_lifetime=LIFETIME)
    daemon = f"[daemon]\nport = {free_port()}"
    with real_time_workbench(tmp_path, settings, postgres_url=url, more=daemon) as made:
        yield made


async def fill(bench: Workbench, runtime: Runtime) -> None:
    """Make many accounts of the provider, some of whose tokens have ended."""
    fingerprint = await runtime.directory.fingerprint("acme")
    consent = Consent(provider="acme", fingerprint=fingerprint)
    now = runtime.now()
    rows = [
        {
            "id": secrets.token_hex(16),
            "name": account_name(number),
            "provider": "acme",
            "state": "pending",
            "state_since": now,
            "generation": 0,
            "created_at": now,
        }
        for number in range(COUNT)
    ]
    for first in range(0, COUNT, BATCH):
        async with runtime.database.write() as connection:
            await connection.execute(insert(ACCOUNT), rows[first : first + BATCH])
    pending = await runtime.accounts.all()

    async def activate(account: Account) -> None:
        has_ended = int(account.name.rpartition("-")[2]) % ENDED == 0
        tokens = granted(bench, at=now - 2 * LIFETIME * has_ended)
        assert await runtime.grants.activate(account, tokens, consent) is not None

    for first in range(0, COUNT, BATCH):
        await asyncio.gather(*map(activate, pending[first : first + BATCH]))


def granted(bench: Workbench, *, at: float) -> NewTokens:
    """Have the provider grant access, as if at some time (s)."""
    answer = bench.simulator.grant("ada", scope="ads_read")
    tokens = TokenSet(
        access_token=Secret(str(answer["access_token"])),
        token_type="Bearer",
        refresh_token=Secret(str(answer["refresh_token"])),
        sent_at=at,
    )
    terms = Terms(
        token_type="Bearer",
        scope=("ads_read",),
        minted_at=at,
        expires_at=at + LIFETIME,
        lifetime=LIFETIME,
        consented_at=at,
        consent_ends_at=None,
    )
    return NewTokens(tokens=tokens, terms=terms, refresh_token=tokens.refresh_token)


def command(
    bench: Workbench, *arguments: str, log: IO[str] | None = None
) -> "subprocess.Popen[str]":
    """Start a command of the product; a log takes what a pipe that nobody reads would not."""
    return subprocess.Popen(
        [sys.executable, "-m", "connector", *arguments, "--config", str(bench.config)],
        stdin=subprocess.DEVNULL,
        stdout=log or subprocess.PIPE,
        stderr=log or subprocess.PIPE,
        text=True,
    )


async def finish(process: "subprocess.Popen[str]") -> tuple[int, str, str]:
    """Wait for one to end; give exit status and what it printed."""
    out, err = await asyncio.to_thread(process.communicate, timeout=PATIENCE)
    return process.returncode, out, err


@contextmanager
def daemon(bench: Workbench) -> Iterator[None]:
    """Run the daemon meanwhile; in the end it stops in order."""
    log = bench.folder / "daemon.log"
    with log.open("w") as written:
        process = command(bench, "serve", log=written)
    try:
        ends_at = time.monotonic() + PATIENCE
        while not is_listening(bench.folder / "connector.sock"):
            assert process.poll() is None, log.read_text()
            assert time.monotonic() < ends_at, "the daemon does not listen"
            time.sleep(0.02)  # polls a socket that another process opens
        yield
        process.send_signal(signal.SIGTERM)
        assert process.wait(timeout=PATIENCE) == 0, log.read_text()[-2000:]
    finally:
        process.kill()
        process.wait()


def is_listening(path: Path) -> bool:
    with socket.socket(socket.AF_UNIX) as probe:
        return probe.connect_ex(str(path)) == 0


class Readers:
    """Processes that get tokens until they are told to end."""

    def __init__(self, bench: Workbench, stack: ExitStack) -> None:
        own = READERS // 4
        shares = {"daemon": READERS - 2 * own, "own": own}
        self._processes = [
            stack.enter_context(self._start(bench, kind, shares[kind], seed))
            for seed, kind in enumerate(("daemon", "own", "own"))
        ]
        for process in self._processes:
            assert process.stdout is not None
            assert json.loads(process.stdout.readline()) == "ready"

    @contextmanager
    def _start(
        self, bench: Workbench, kind: str, readers: int, seed: int
    ) -> Iterator["subprocess.Popen[str]"]:
        module = "tests.acceptance.rotation_readers"
        places = (str(bench.config), str(bench.folder / "connector.sock"))
        numbers = map(str, (COUNT, readers, 1000 * seed))
        process = subprocess.Popen(
            [sys.executable, "-m", module, kind, *places, *numbers],
            cwd=Path(__file__).parents[2],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        try:
            yield process
        finally:
            process.kill()
            process.communicate()

    async def end(self) -> list[dict[str, Any]]:
        """Tell them to end; give what they got."""
        said = []
        for process in self._processes:
            out, _ = await asyncio.to_thread(process.communicate, timeout=PATIENCE)
            said.append(json.loads(out))
        return said


async def tokens(runtime: Runtime) -> Tokens:
    """Open both tokens of every account, and give a digest of each pair."""
    found = {}
    for account in await runtime.accounts.all():
        refresh_token = runtime.accounts.open_refresh_token(account)
        assert refresh_token is not None
        both = runtime.accounts.open_access_token(account).reveal() + refresh_token.reveal()
        found[account.name] = hashlib.sha256(both.encode()).digest()
    assert len(found) == COUNT
    return found


async def keys(runtime: Runtime) -> Counter[int]:
    """Count the values by key; all of them open."""
    census = await SealedValues(runtime.database, runtime.vault).census()
    assert census.failures == []
    assert census.keys.total() == 2 * COUNT
    return census.keys


async def refresh_all(bench: Workbench, runtime: Runtime) -> None:
    """Refresh accounts at the strict provider: each has the newest refresh token, and alone.

    A token that was set back, or sent twice, would be refused and end its grant.
    """
    before = bench.refreshes
    room = asyncio.Semaphore(AT_ONCE)

    async def refresh(name: str) -> None:
        async with room:
            await runtime.tokens.refresh(name)

    chosen = random.Random(1).sample(range(COUNT), REFRESHED)  # noqa: S311 - which
    await asyncio.gather(*(refresh(account_name(number)) for number in chosen))
    assert bench.refreshes - before == REFRESHED
    outcomes = Counter(record.outcome for record in bench.simulator.ledger.records(REFRESH))
    assert outcomes.keys() == {"issued"}, outcomes


def tell(**numbers: object) -> None:
    """Show the figures, with ``-rA``."""
    sys.stdout.write(f"{numbers}\n")


@asynccontextmanager
async def filled(bench: Workbench) -> AsyncIterator[Runtime]:
    """Make the accounts, and open a runtime that does nothing by itself."""
    async with bench.runtime() as runtime:
        await fill(bench, runtime)
        assert await keys(runtime) == {1: 2 * COUNT}
        yield runtime


@pytest.mark.timeout(TIMEOUT)
async def test_who_gets_tokens_meanwhile_notices_nothing(bench: Workbench) -> None:
    async with filled(bench) as runtime:
        with ExitStack() as stack:
            stack.enter_context(daemon(bench))
            readers = Readers(bench, stack)
            took = []
            for number in range(ROTATIONS):
                began = time.perf_counter()
                status, out, err = await finish(command(bench, "vault", "rotate"))
                took.append(time.perf_counter() - began)
                assert (status, err) == (0, ""), out
                resealed = int(re.findall(r"values sealed anew: (\d+)", out)[0])
                assert resealed >= 2 * COUNT * 0.9, "the rest was written under the new key"
                assert f"data key {number + 2} made" in out
            said = await readers.end()
        tell(accounts=COUNT, readers=READERS, seconds=[round(s, 1) for s in took], read=said)
        assert [one["failures"] for one in said] == [[], [], []]
        assert all(one["reads"] and one["refreshes"] for one in said), "they did read and refresh"
        assert await keys(runtime) == {1 + ROTATIONS: 2 * COUNT}
        await refresh_all(bench, runtime)


@dataclass(kw_only=True)
class Killed:
    """How often the rotation was killed, how often half-way, and how often it was over before."""

    times: int = 0
    half_way: int = 0
    ended_before: int = 0


async def reach(runtime: Runtime, account_id: str, process: "subprocess.Popen[str]") -> None:
    """Wait until a rotation has sealed one account's tokens anew, or has ended."""
    query = select(ACCOUNT.c.access_token_sealed).where(ACCOUNT.c.id == account_id)

    def key(connection: Connection) -> int:
        return key_id_of(connection.execute(query).scalar_one())

    first = await runtime.database.look_up(key)
    while process.poll() is None and await runtime.database.look_up(key) == first:  # noqa: ASYNC110
        await asyncio.sleep(0.002)  # what another process writes is no event of this one


async def kill_again_and_again(
    runtime: Runtime, bench: Workbench, before: Tokens, longest: float
) -> Killed:
    """Kill rotations at moments of their lives, and where they have come to; go on each time.

    Args:
        runtime: of this process.
        bench: the configuration.
        before: what all tokens are, at each moment.
        longest: seconds that one lives that is left alone.
    """
    chance = random.Random(7)  # noqa: S311 - when to kill
    killed = Killed()
    while killed.times < KILLS or not killed.half_way:
        assert killed.times + killed.ended_before < 10 * KILLS
        found = await keys(runtime)
        resume = ["--resume"] if len(found) > 1 else []
        old = [
            account.id
            for account in await runtime.accounts.all()
            if account.grant and key_id_of(account.grant.sealed.access_token) == min(found)
        ]
        process = command(bench, "vault", "rotate", *resume)
        if killed.times % 2 == 0:
            await reach(runtime, chance.choice(old), process)
        else:
            await asyncio.sleep(chance.uniform(0.0, longest))  # by the real time, as the process
        process.kill()
        status, *printed = await finish(process)
        if status == -signal.SIGKILL:
            killed.times += 1
            killed.half_way += len(await keys(runtime)) > 1
        else:
            assert status == 0, printed
            killed.ended_before += 1
        assert await tokens(runtime) == before
    return killed


@pytest.mark.timeout(TIMEOUT)
async def test_killed_at_any_moment_it_is_resumed_and_nothing_is_lost(bench: Workbench) -> None:
    async with filled(bench) as runtime:
        before = await tokens(runtime)
        began = time.perf_counter()
        assert (await finish(command(bench, "vault", "rotate")))[0] == 0
        longest = time.perf_counter() - began
        killed = await kill_again_and_again(runtime, bench, before, longest)
        tell(accounts=COUNT, longest=round(longest, 1), killed=killed)
        status, *printed = await finish(command(bench, "vault", "rotate", "--resume"))
        assert status == 0, printed
        assert len(await keys(runtime)) == 1
        assert await tokens(runtime) == before
        await refresh_all(bench, runtime)
