"""What one process writes, the others act on: at once where they wait for it, else within 2 s."""

import asyncio
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from time import monotonic

import pytest

from connector import errors
from connector.account import Account
from connector.runtime import Runtime, open_runtime
from connector.settings import load_settings
from connector.store.changes import UNCOUNTED
from connector.token_source.memory import STALENESS_BOUND
from tests.unit.workbench import ACCOUNT, Workbench

#: Nobody would wait so long for a word that is lost: whoever ends sooner was told.
FOREVER = 600.0


@pytest.fixture(params=["sqlite", "postgres"], autouse=True)
async def _database(request: pytest.FixtureRequest, bench: Workbench) -> None:
    """Keep the vault in a database of either kind."""
    if request.param == "sqlite":
        return
    url = request.getfixturevalue("postgres_url")
    vault = f'allow_plaintext_secrets = true\n[vault]\nurl = "{url}"\n'
    vault += "allow_volatile_journal = true\n"
    bench.configure(replace=("[vault]\n", vault))
    settings = load_settings(bench.config)
    made = await open_runtime(settings, has_background=False, create=True, now=bench.clock.now)
    await made.aclose()


@pytest.fixture
async def runtime(_database: None, bench: Workbench) -> AsyncIterator[Runtime]:
    async with bench.runtime() as opened:
        yield opened


@pytest.fixture
def _patient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("connector.token_source.refresh.LONGEST_WAIT", FOREVER)


def _waiting(runtime: Runtime) -> asyncio.Event:
    """Tell when a runtime has come to wait for another owner."""
    waiting = asyncio.Event()
    wait = runtime.tokens._refresh._wait

    async def tell(seconds: float, *, account: str, since: int) -> None:
        if since != UNCOUNTED:
            waiting.set()
        await wait(seconds, account=account, since=since)

    runtime.tokens._refresh._wait = tell  # type: ignore[assignment]
    return waiting


@pytest.mark.usefixtures("_patient")
class TestWhoWaits:
    async def test_gets_the_winners_token(
        self, bench: Workbench, runtime: Runtime, account: Account
    ) -> None:
        bench.clock.advance(3600)
        bench.fault("hold", when="after")
        async with AsyncExitStack() as stack:
            others = [await stack.enter_async_context(bench.runtime()) for _ in range(3)]
            first = asyncio.create_task(runtime.tokens.get(account.name))
            await bench.held()
            are_waiting = [_waiting(one) for one in others]
            waiting = [asyncio.create_task(one.tokens.get(account.name)) for one in others]
            for is_waiting in are_waiting:
                await is_waiting.wait()
            bench.release()
            async with asyncio.timeout(30):
                assert set(await asyncio.gather(*waiting)) == {await first}
        assert bench.refreshes == 1

    async def test_gets_the_winners_error(
        self, bench: Workbench, runtime: Runtime, account: Account
    ) -> None:
        bench.clock.advance(3600)
        bench.fault("status", gate="gate", retry_after="120")
        async with bench.runtime() as other:
            first = asyncio.create_task(runtime.tokens.get(account.name))
            await bench.held()
            is_waiting = _waiting(other)
            second = asyncio.create_task(other.tokens.get(account.name))
            await is_waiting.wait()
            bench.release()
            async with asyncio.timeout(30):
                for task in (first, second):
                    with pytest.raises(errors.TemporarilyUnavailable, match="HTTP 503"):
                        await task
        assert bench.refreshes == 1

    async def test_does_not_wait_for_what_was_over_before(
        self, bench: Workbench, runtime: Runtime, account: Account
    ) -> None:
        """What a caller has read a moment ago may be old by now."""
        async with bench.runtime() as other:
            await other.tokens.refresh(account.name)
        await runtime.changes.has_changed()
        async with asyncio.timeout(30):
            renewed = await runtime.tokens._refresh.run(ACCOUNT, 1, known=account)
        assert (renewed.generation, bench.refreshes) == (2, 1)


async def test_what_a_person_revokes_is_not_served_by_a_daemon_after_two_seconds(
    bench: Workbench, runtime: Runtime, account: Account
) -> None:
    command = [sys.executable, "-m", "connector", "--config", str(bench.config), "revoke", ACCOUNT]
    async with bench.runtime(has_background=True) as daemon:
        await daemon.tokens.get(account.name)
        await daemon.tokens.check_store()
        assert daemon.tokens.memory.hit(ACCOUNT) == await runtime.tokens.get(ACCOUNT)
        await asyncio.to_thread(subprocess.run, command, check=True, capture_output=True)
        revoked_at = monotonic()
        while daemon.tokens.memory.hit(ACCOUNT) is not None:
            assert monotonic() - revoked_at < STALENESS_BOUND
            await asyncio.sleep(0.01)
        with pytest.raises(errors.ConsentRequired, match="revoked"):
            await daemon.tokens.get(ACCOUNT)
