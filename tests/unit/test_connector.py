"""The public objects: from threads, from loops, from forked children, and at the end."""

import asyncio
import gc
import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from connector import connector as module
from connector import errors
from connector.connector import Connector, get_access_token
from connector.oauth.token import AccessToken
from tests.unit.workbench import ACCOUNT, Workbench, run_apart, workbench

OTHER = "acme/other"


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[Workbench]:
    with workbench(tmp_path) as made:
        yield made


@pytest.fixture
def value(bench: Workbench) -> str:
    """The access token of an account that is connected."""
    return bench.connect_apart()


@pytest.fixture
def connector(bench: Workbench, value: str) -> Iterator[Connector]:
    assert value
    with Connector.open(bench.config) as opened:
        yield opened


def generation(bench: Workbench, name: str) -> int:
    async def read() -> int:
        async with bench.runtime() as runtime:
            return (await runtime.accounts.require(name)).generation

    return run_apart(read)


def own_threads() -> list[str]:
    return [thread.name for thread in threading.enumerate() if thread.name == "connector"]


class TestTokens:
    def test_gives_a_token(self, bench: Workbench, connector: Connector, value: str) -> None:
        token = connector.get_token(ACCOUNT)
        assert (token.value, token.token_type, token.scope) == (value, "Bearer", "ads_read")
        assert token.expires_in is not None
        assert 3590 < token.expires_in <= 3600
        assert connector.get_access_token(ACCOUNT, min_ttl=60) == value
        assert value not in repr(token)
        assert bench.refreshes == 0

    def test_fifty_threads_make_one_request(self, bench: Workbench, connector: Connector) -> None:
        bench.connect_apart(OTHER, person="grace", is_expired=True)
        bench.simulator.change({"rotation": "strict_family"})
        barrier = threading.Barrier(50)

        def ask(_: int) -> str:
            barrier.wait()
            return connector.get_access_token(OTHER)

        with ThreadPoolExecutor(50) as pool:
            assert len(set(pool.map(ask, range(50)))) == 1
        assert bench.refreshes == 1

    def test_a_token_in_memory_needs_neither_loop_nor_disk(
        self, connector: Connector, value: str
    ) -> None:
        connector.get_token(ACCOUNT)
        portal, tokens = connector._portal, connector._runtime.tokens
        portal.call(tokens.check_store())
        begun, done = threading.Event(), threading.Event()

        async def block() -> None:
            begun.set()
            done.wait()

        blocking = threading.Thread(target=lambda: portal.call(block()))
        blocking.start()
        begun.wait()
        try:
            assert connector.get_access_token(ACCOUNT) == value
        finally:
            done.set()
            blocking.join()

    def test_strict(self, bench: Workbench, connector: Connector) -> None:
        bench.fault("status", times=None)
        assert connector.get_token(ACCOUNT, 5000).is_short
        with pytest.raises(errors.TemporarilyUnavailable) as caught:
            connector.get_token(ACCOUNT, 5000, strict=True)
        assert caught.value.retry_at is not None

    def test_errors_arrive_as_they_are(self, bench: Workbench, connector: Connector) -> None:
        with pytest.raises(errors.UnknownAccount, match=ACCOUNT):
            connector.get_token("acme/adz")
        bench.connect_apart(OTHER, person="grace", is_expired=True)
        bench.simulator.state.revoke("grace")
        with pytest.raises(errors.ConsentRequired) as caught:
            connector.get_access_token(OTHER)
        assert caught.value.account == OTHER

    async def test_inside_a_running_loop(self, connector: Connector, value: str) -> None:
        assert connector.get_access_token(ACCOUNT) == value


class TestOpen:
    def test_every_problem_of_the_configuration(self, bench: Workbench) -> None:
        bench.config.write_text('[vault]\nseal = "paper"\n[daemon]\nport = "x"\n')
        for open_it in (Connector.open, Connector.open_async):
            with pytest.raises(errors.ConfigurationError) as caught:
                open_it(bench.config)
            assert len(caught.value.problems) == 2

    def test_what_cannot_be_opened_leaves_no_thread(self, bench: Workbench) -> None:
        (bench.folder / "vault.db").unlink()
        with pytest.raises(errors.VaultSealed):
            Connector.open(bench.config)
        assert own_threads() == []


class TestClose:
    def test_twice_is_as_good_as_once(self, connector: Connector) -> None:
        connector.close()
        connector.close()
        assert own_threads() == []

    def test_nothing_is_given_afterwards(self, bench: Workbench, connector: Connector) -> None:
        connector.get_token(ACCOUNT)
        connector._portal.call(connector._runtime.tokens.check_store())
        auth = connector.auth(ACCOUNT)
        connector.close()
        with pytest.raises(RuntimeError, match="closed"):
            connector.get_token(ACCOUNT)
        with pytest.raises(RuntimeError, match="closed"):
            connector.credential_now(ACCOUNT, None)
        with pytest.raises(RuntimeError, match="closed"):
            asyncio.run(connector.credential(ACCOUNT, None))
        assert repr(auth)
        assert bench.refreshes == 0

    def test_a_refresh_under_way_commits_and_its_caller_gets_it(
        self, bench: Workbench, connector: Connector
    ) -> None:
        bench.connect_apart(OTHER, person="grace", is_expired=True)
        bench.fault("hold", when="after")
        tokens: list[AccessToken] = []
        asking = threading.Thread(target=lambda: tokens.append(connector.get_token(OTHER)))
        asking.start()
        bench.simulator.gates["gate"].wait_until_held()
        closing = threading.Thread(target=connector.close)
        closing.start()
        bench.release()
        closing.join()
        asking.join()
        assert len(tokens) == 1
        assert generation(bench, OTHER) == 2

    def test_what_is_dropped_is_closed(self, bench: Workbench, value: str) -> None:
        assert Connector.open(bench.config).get_access_token(ACCOUNT) == value
        gc.collect()
        assert own_threads() == []


class TestAsync:
    async def test_gives_tokens(self, bench: Workbench) -> None:
        value = await asyncio.to_thread(bench.connect_apart)
        async with Connector.open_async(bench.config) as connector:
            assert await connector.get_access_token(ACCOUNT) == value
            token = await connector.get_token(ACCOUNT, 5000, strict=True)
            assert token.value != value
            credential = await connector.credential(ACCOUNT, None)
            assert credential.token.value == token.value
        assert own_threads() == []
        assert bench.refreshes == 1

    async def test_only_while_it_is_open(self, bench: Workbench) -> None:
        connector = Connector.open_async(bench.config)
        with pytest.raises(RuntimeError, match="open it first"):
            await connector.get_token(ACCOUNT)
        async with connector:
            pass
        await connector.aclose()
        with pytest.raises(RuntimeError, match="open it first"):
            await connector.get_token(ACCOUNT)


class TestOneLiner:
    @pytest.fixture(autouse=True)
    def _fresh(self, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
        default = module._Default()
        monkeypatch.setattr(module, "_default", default)
        yield
        if default._connector is not None:
            default._connector.close()

    def test_uses_the_configuration_that_the_environment_names(
        self, bench: Workbench, value: str, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("CONNECTOR_CONFIG", str(bench.config))
        with ThreadPoolExecutor(20) as pool:
            tokens = set(pool.map(lambda _: get_access_token(ACCOUNT, min_ttl=60), range(20)))
        assert tokens == {value}
        assert own_threads() == ["connector"], "one Connector for all threads"

    def test_says_what_to_do_without_one(
        self, bench: Workbench, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("CONNECTOR_CONFIG", str(bench.folder / "none.toml"))
        with pytest.raises(errors.ConfigurationError, match="connector init"):
            get_access_token(ACCOUNT)


class Script:
    """A Python program of its own, with the configuration of a test."""

    def __init__(self, bench: Workbench, code: str) -> None:
        path = bench.folder / "script.py"
        path.write_text(code)
        self.process = subprocess.Popen(
            [sys.executable, "-W", "error", str(path)],
            env={**os.environ, "CONNECTOR_CONFIG": str(bench.config)},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            stdin=subprocess.PIPE,
            text=True,
        )

    def end(self) -> list[str]:
        """Wait for its end and give the lines that it printed."""
        out, err = self.process.communicate(timeout=60)
        assert (self.process.returncode, err) == (0, "")
        return out.splitlines()


FORKING = """
import os, sys
from connector import Connector
connector = Connector.open()
first = connector.get_access_token("acme/ads")
read, write = os.pipe()
child = os.fork()
if child == 0:
    tokens = [connector.get_access_token("acme/ads"), connector.get_access_token("acme/other")]
    os.write(write, " ".join(tokens).encode())
    {end}
assert os.waitpid(child, 0)[1] == 0
mine, other = os.read(read, 10_000).decode().split()
assert mine == first
assert connector.get_access_token("acme/ads") == first
assert connector.get_access_token("acme/other") == other
assert connector.get_token("acme/ads", 7200).value != first
connector.close()
print("done")
"""


@pytest.mark.parametrize("end", ["sys.exit(0)", "os._exit(0)", "connector.close(); sys.exit(0)"])
def test_a_forked_child_has_connections_of_its_own(bench: Workbench, value: str, end: str) -> None:
    assert value
    bench.simulator.change({"rotation": "strict_family"})
    bench.connect_apart(OTHER, person="grace", is_expired=True)
    assert Script(bench, FORKING.format(end=end)).end() == ["done"]
    assert bench.refreshes == 2, "the child's, which the parent uses, and the parent's own"
    assert bench.simulator.ledger.count(outcome="reuse_detected") == 0


LEAVING = """
import sys, threading
from connector import get_access_token
threading.Thread(target=get_access_token, args=["acme/ads"], daemon=True).start()
sys.stdin.readline()
print("leaving", flush=True)
"""


def test_an_interpreter_that_ends_commits_a_refresh_under_way(bench: Workbench) -> None:
    bench.connect_apart(is_expired=True)
    bench.fault("hold", when="after")
    script = Script(bench, LEAVING)
    bench.simulator.gates["gate"].wait_until_held(timeout=60)
    assert script.process.stdin is not None
    assert script.process.stdout is not None
    script.process.stdin.write("\n")
    script.process.stdin.flush()
    assert script.process.stdout.readline() == "leaving\n"
    bench.release()
    script.end()
    assert generation(bench, ACCOUNT) == 2
    assert bench.refreshes == 1
