"""Every token that is given out is in the audit trail, summed up by account, actor and token."""

import asyncio
import sys
import threading
from collections.abc import AsyncIterator, Iterator
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import httpx2
import pytest
from starlette.applications import Starlette

from connector import errors
from connector.connector import Connector
from connector.oauth.token import AccessToken
from connector.runtime import Runtime
from connector.secret import Secret
from connector.store.audit_entry import Actor, Entry, acting_as
from connector.token_source.memory import TokenMemory
from connector.token_source.releases import Releases
from connector.token_source.remembered import Remembered
from connector.web.app import make_app
from connector.web.known_keys import KnownKeys
from connector.web.refusals import MOST_PEERS, Refusals
from connector.web.run_starter import RunStarter
from connector.web.server import TrustedPeer
from tests.unit.audited import audited
from tests.unit.jobs.bench import Jobs
from tests.unit.jobs.test_runs import ME
from tests.unit.workbench import ACCOUNT, Workbench, run_apart, workbench


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[Workbench]:
    with workbench(tmp_path) as made:
        yield made


@pytest.fixture
async def runtime(bench: Workbench) -> AsyncIterator[Runtime]:
    async with bench.runtime(has_background=True) as opened:
        await bench.connect(opened)
        yield opened


async def releases(runtime: Runtime) -> list[tuple[str, str, int]]:
    """Give account, actor and count of what was given out."""
    await runtime.trail.collect()
    rows = await audited(runtime, "token.released")
    return [(row.account, row.actor, row.times) for row in rows]


def written(bench: Workbench) -> list[tuple[str, str | None, int]]:
    """Give account, program and count of what other processes have written."""

    async def read() -> list[tuple[str, str | None, int]]:
        async with bench.runtime() as runtime:
            rows = await audited(runtime, "token.released")
            return [(row.account, row.through, row.times) for row in rows]

    return run_apart(read)


class TestMemory:
    NOW = 500.0

    @pytest.fixture
    def memory(self) -> TokenMemory:
        made = TokenMemory(now=lambda: self.NOW)
        made.confirm(made.moment())
        return made

    def remembered(self, generation: int = 1, account_id: str = "one") -> Remembered:
        return Remembered(
            token=AccessToken(value=f"token {generation}"),
            account_id=account_id,
            generation=generation,
            provider="acme",
            base_url=None,
            minted_at=0,
            expires_at=1000,
            lifetime=1000,
            margin=200,
            fresh_from=0,
            fresh_until=800,
        )

    def told(self, memory: TokenMemory) -> list[tuple[str, str, int]]:
        return [(name, one.token.value, count) for name, one, count in memory.released()]

    def test_it_counts_what_it_serves(self, memory: TokenMemory) -> None:
        memory.put("a", self.remembered())
        memory.put("b", self.remembered())
        memory.put("c", self.remembered())
        for _ in range(5):
            assert memory.hit("a") is not None
        assert memory.hit("b", 10) is not None
        assert memory.hit("b", 10_000) is None
        assert memory.hit("none") is None
        assert self.told(memory) == [("a", "token 1", 5), ("b", "token 1", 1)]
        assert self.told(memory) == []
        assert memory.hit("a") is not None
        assert self.told(memory) == [("a", "token 1", 1)]

    def test_what_others_take_is_not_counted_here(self, memory: TokenMemory) -> None:
        """`Releases.note` does, who knows for whom it is."""
        memory.put("a", self.remembered())
        assert memory.fresh("a") is not None
        assert self.told(memory) == []

    def test_a_token_that_was_replaced_or_forgotten_is_told_still(
        self, memory: TokenMemory
    ) -> None:
        memory.put("a", self.remembered(1))
        memory.hit("a")
        memory.put("a", self.remembered(2))
        memory.hit("a")
        memory.hit("a")
        memory.put("b", self.remembered(1))
        memory.hit("b")
        memory.forget("b")
        memory.forget("b")
        assert sorted(self.told(memory)) == [
            ("a", "token 1", 1),
            ("a", "token 2", 2),
            ("b", "token 1", 1),
        ]
        assert self.told(memory) == []

    def test_keeping_a_token_quiet_loses_nothing(self, memory: TokenMemory) -> None:
        memory.put("a", self.remembered())
        memory.hit("a")
        memory.put("a", self.remembered().kept_quiet(850))
        memory.hit("a")
        assert sum(count for _, _, count in self.told(memory)) == 2

    def test_what_is_not_taken_stays(self, memory: TokenMemory) -> None:
        for name in ("a", "b", "c"):
            memory.put(name, self.remembered())
            memory.hit(name)
        assert next(iter(memory.released()))[0] == "a"
        assert [name for name, _, _ in self.told(memory)] == ["b", "c"]

    def test_threads_are_all_counted(self, memory: TokenMemory) -> None:
        """Switching as often as can be."""
        memory.put("a", self.remembered())
        told: list[int] = []
        is_over = threading.Event()

        def collect() -> None:
            while not is_over.is_set():
                told.extend(count for _, _, count in memory.released())

        def ask() -> None:
            for _ in range(20_000):
                memory.hit("a")

        threads = [threading.Thread(target=ask) for _ in range(4)]
        collector = threading.Thread(target=collect)
        before = sys.getswitchinterval()
        sys.setswitchinterval(1e-6)
        try:
            for thread in (collector, *threads):
                thread.start()
            for thread in threads:
                thread.join()
        finally:
            sys.setswitchinterval(before)
            is_over.set()
            collector.join()
        told.extend(count for _, _, count in memory.released())
        assert sum(told) == 80_000

    def test_notes_are_counted_from_any_thread(self, memory: TokenMemory) -> None:
        memory.put("a", self.remembered())
        counted = Releases(memory, lambda _secret: "f")

        def note() -> None:
            for _ in range(5_000):
                counted.note("a", self.remembered().token)

        threads = [threading.Thread(target=note) for _ in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        (entry,) = counted.collect()
        assert entry == Entry(
            event="token.released",
            account="a",
            account_id="one",
            outcome="given",
            fingerprint="f",
            count=20_000,
        )


class TestFaces:
    def test_connector(self, bench: Workbench) -> None:
        bench.connect_apart()
        with Connector.open(bench.config) as connector:
            for _ in range(50):
                connector.get_token(ACCOUNT)
                connector.get_access_token(ACCOUNT, 60)
            connector.credential_now(ACCOUNT, None)
        assert sum(count for _, _, count in written(bench)) == 101
        assert {(name, through) for name, through, _ in written(bench)} == {(ACCOUNT, "library")}

    def test_threads_that_wait_for_one_answer_are_counted_each(self, bench: Workbench) -> None:
        bench.connect_apart(is_expired=True)
        with Connector.open(bench.config) as connector:
            threads = [
                threading.Thread(target=connector.get_token, args=(ACCOUNT,)) for _ in range(20)
            ]
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join()
        assert bench.refreshes == 1
        assert sum(count for _, _, count in written(bench)) == 20

    async def test_async_connector(self, bench: Workbench) -> None:
        await asyncio.to_thread(bench.connect_apart)
        async with Connector.open_async(bench.config) as connector:
            for _ in range(10):
                await connector.get_token(ACCOUNT)
                await connector.get_access_token(ACCOUNT)
            await connector.credential(ACCOUNT, None)
        found = await asyncio.to_thread(written, bench)
        assert sum(count for _, _, count in found) == 21

    async def test_what_is_not_given_is_not_counted(
        self, bench: Workbench, runtime: Runtime
    ) -> None:
        await runtime.revoker.revoke(ACCOUNT, at_provider=False)
        runtime.tokens.forget(ACCOUNT)
        async with Connector.open_async(bench.config) as connector:
            with pytest.raises(errors.ConsentRequired):
                await connector.get_token(ACCOUNT)
        assert await releases(runtime) == []

    async def test_a_job(self, bench: Workbench, runtime: Runtime) -> None:
        jobs = Jobs(bench, runtime)
        jobs.write(ME)
        with closing(jobs), acting_as(Actor(kind="uid", name="7", through="api")):  # who began it
            ending = await jobs.runner.run(jobs.job(), ACCOUNT, due_at=None)
        assert ending is not None
        assert ending.outcome == "succeeded"
        await runtime.trail.collect()
        (row,) = await audited(runtime, "token.released")
        (run,) = await runtime.runs.history("pull", limit=1)
        assert (row.actor, row.through) == ("job:pull", f"run {run.id}")
        assert row.times == 1, "it holds its token for a second"
        assert row.fingerprint == runtime.accounts.fingerprint(
            Secret((await runtime.tokens.get(ACCOUNT)).value)
        )


class TestDaemon:
    @pytest.fixture
    def app(self, bench: Workbench, runtime: Runtime) -> Iterator[Starlette]:
        with closing(Jobs(bench, runtime)) as jobs:
            starter = RunStarter(jobs.make_queue())
            yield make_app(runtime, starter, KnownKeys(runtime.api_keys, now=runtime.now))

    @pytest.fixture
    async def unix(self, app: Starlette) -> AsyncIterator[httpx2.AsyncClient]:
        transport = httpx2.ASGITransport(app=TrustedPeer(app), client=("uid:7", 0))
        async with httpx2.AsyncClient(transport=transport, base_url="http://connector") as client:
            yield client

    @pytest.fixture
    async def tcp(self, app: Starlette) -> AsyncIterator[httpx2.AsyncClient]:
        transport = httpx2.ASGITransport(app=app, client=("127.0.0.9", 4711))
        base_url = "http://127.0.0.1:8470"
        async with httpx2.AsyncClient(transport=transport, base_url=base_url) as client:
            yield client

    async def test_who_asks_over_the_socket(
        self, runtime: Runtime, unix: httpx2.AsyncClient
    ) -> None:
        path = f"/v1/accounts/{ACCOUNT}"
        for _ in range(3):
            assert (await unix.get(f"{path}/token")).status_code == 200
        config = {"Connector-Config": str(runtime.settings.path), "Accept": "text/plain"}
        assert (await unix.get(f"{path}/token", headers=config)).status_code == 200
        first = (await unix.get(f"{path}/token")).json()["access_token"]
        second = (await unix.post(f"{path}/refresh")).json()["access_token"]
        await runtime.trail.collect()
        rows = await audited(runtime, "token.released")
        assert {(row.actor, row.through, row.fingerprint): row.times for row in rows} == {
            ("uid:7", "api", runtime.accounts.fingerprint(Secret(first))): 4,
            ("uid:7", "connector token", runtime.accounts.fingerprint(Secret(first))): 1,
            ("uid:7", "api", runtime.accounts.fingerprint(Secret(second))): 1,
        }
        assert {row.outcome for row in rows} == {"given"}

    async def test_who_revokes_over_the_socket(
        self, runtime: Runtime, unix: httpx2.AsyncClient
    ) -> None:
        assert (await unix.post(f"/v1/accounts/{ACCOUNT}/revoke")).status_code == 200
        for row in await audited(runtime, "revocation"):
            assert (row.actor, row.through) == ("uid:7", "api")
        (revoked,) = await audited(runtime, "account.revoked")
        assert (revoked.actor, revoked.through) == ("uid:7", "api")

    async def test_who_is_refused_over_tcp(self, runtime: Runtime, tcp: httpx2.AsyncClient) -> None:
        """However often, in one row for each reason."""
        for _ in range(30):
            assert (await tcp.get(f"/v1/accounts/{ACCOUNT}/token")).status_code == 401
        assert (await tcp.get("/healthz", headers={"Host": "evil.example"})).status_code == 403
        foreign = {"Origin": "https://evil.example"}
        assert (await tcp.get("/connect/x", headers=foreign)).status_code == 403
        assert await audited(runtime, "access") == [], "once in an interval"
        await runtime.trail.collect()
        rows = await audited(runtime, "access")
        assert {row.outcome: row.times for row in rows} == {
            "no_key": 30,
            "foreign_host": 1,
            "foreign_page": 1,
        }
        assert {(row.actor, row.through) for row in rows} == {("peer:127.0.0.9", "tcp")}

    def test_many_addresses_are_told_as_one(self) -> None:
        refusals = Refusals()
        for number in range(1000):
            peer = Actor(kind="peer", name=f"127.0.{number // 256}.{number % 256}", through="tcp")
            refusals.note(peer, "no_key")
            refusals.note(peer, "foreign_host")
        entries = list(refusals.collect())
        assert len(entries) == 2 * (MOST_PEERS + 1)
        assert sum(entry.count for entry in entries) == 2000
        others = [entry for entry in entries if entry.actor and entry.actor.name == "others"]
        assert {entry.count for entry in others} == {1000 - MOST_PEERS}


class TestCollecting:
    async def test_once_in_each_interval(
        self, bench: Workbench, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        async with bench.runtime() as runtime:
            token = await bench_token(bench, runtime)
            is_written = asyncio.Event()
            append = runtime.audit.append

            async def append_and_tell(*arguments: object, **named: object) -> None:
                await append(*arguments, **named)  # type: ignore[arg-type]
                is_written.set()

            monkeypatch.setattr(runtime.audit, "append", append_and_tell)
            runtime.trail.start(0.01)
            runtime.trail.start(0.01)
            for _ in range(2):
                is_written.clear()
                runtime.releases.note(ACCOUNT, token)
                async with asyncio.timeout(20):
                    await is_written.wait()
            rows = await audited(runtime, "token.released")
            assert [row.times for row in rows] == [1, 1]

    async def test_at_the_end(self, bench: Workbench) -> None:
        async with bench.runtime() as runtime:
            runtime.releases.note(ACCOUNT, await bench_token(bench, runtime))
        async with bench.runtime() as again:
            assert len(await audited(again, "token.released")) == 1

    async def test_while_the_trail_cannot_be_written_the_counts_stay_and_add_up(
        self, runtime: Runtime, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """What is kept in memory does not grow with the time."""
        names = [f"acme/{number}" for number in range(700)]
        memory, present = runtime.tokens.memory, await runtime.tokens.obtain(ACCOUNT)
        for name in names:
            memory.put(name, replace(present, account_id=name))
        memory.confirm(memory.moment())

        async def fail(*_: object, **__: object) -> None:
            raise errors.TemporarilyUnavailable("away")

        with monkeypatch.context() as patch:
            patch.setattr(runtime.audit, "append", fail)
            for _ in range(10):
                for name in names:
                    assert memory.hit(name) is not None
                await runtime.trail.collect()
            assert len(runtime.trail._kept) <= 200
        counts = await releases(runtime)
        assert sum(count for _, _, count in counts) == 7000
        assert len(counts) <= 900

    async def test_the_collector_goes_on_after_a_bug(
        self, bench: Workbench, caplog: pytest.LogCaptureFixture
    ) -> None:
        async with bench.runtime() as runtime:
            calls = asyncio.Semaphore(0)

            def broken() -> list[Entry]:
                calls.release()
                if not caplog.records:
                    raise ZeroDivisionError
                return []

            runtime.trail.collect_from(broken)
            runtime.trail.start(0)
            for _ in range(3):
                async with asyncio.timeout(20):
                    await calls.acquire()
        assert "failed by a bug" in caplog.text


async def bench_token(bench: Workbench, runtime: Runtime) -> AccessToken:
    await bench.connect(runtime)
    return await runtime.tokens.get(ACCOUNT)
