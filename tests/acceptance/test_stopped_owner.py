"""An owner of a lease is stopped (SIGSTOP) until long after its lease has ended, and goes on then.

Somebody else refreshes meanwhile; the answer that comes late replaces nothing that is newer, and is
kept where nobody has anything newer.
"""

import asyncio
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import pytest

from connector.simulator import Settings
from connector.simulator.settings import Rotation
from tests.acceptance.callers import Caller, Callers
from tests.acceptance.real_time import real_time_workbench
from tests.unit.workbench import ACCOUNT, REFRESH, Workbench, in_thread, run_apart

#: Seconds, so that nobody waits for 45 of them; the same for all processes.
CONSTANTS: Final = {
    "connector.store.grant_statements:LEASE_DURATION": 1.5,
    "connector.token_source.unanswered:REPLAY_PERIOD": 0.5,
}
#: Seconds; a machine may be busy.
PATIENCE: Final = 30.0


@pytest.fixture(params=["sqlite", "postgres"])
def postgres_or_none(request: pytest.FixtureRequest) -> str | None:
    """Where the vault is."""
    if request.param == "sqlite":
        return None
    url: str = request.getfixturevalue("postgres_vault_url")
    return url


@pytest.fixture
def bench(rotation: Rotation, postgres_or_none: str | None, tmp_path: Path) -> Iterator[Workbench]:
    settings = Settings(rotation=rotation, grace_seconds=600)
    with real_time_workbench(tmp_path, settings, postgres_url=postgres_or_none) as made:
        made.connect_apart(is_expired=True)
        yield made


async def ask_until_it_ends(caller: Caller) -> str:
    """Ask until there is a token, or an error that is not about the other owner."""
    async with asyncio.timeout(PATIENCE):
        while True:
            heard = await caller.ask(ACCOUNT)
            if not heard.errors:
                return heard.tokens[ACCOUNT]
            if not heard.errors[ACCOUNT].startswith("TemporarilyUnavailable"):
                return heard.errors[ACCOUNT]
            await asyncio.sleep(0.05)  # by the real time, as the other processes


def stored(bench: Workbench) -> tuple[str, int, str]:
    """Give state, generation and access token that the store has; the refresh token works."""

    async def read() -> tuple[str, int, str]:
        async with bench.runtime() as runtime:
            account = await runtime.accounts.require(ACCOUNT)
            token = runtime.accounts.open_access_token(account).reveal()
            await runtime.tokens.refresh(ACCOUNT)
            return account.state_name, account.generation, token

    return run_apart(read)


@pytest.mark.parametrize("rotation", ["grace"])
async def test_another_owner_works_and_the_late_answer_replaces_nothing(
    bench: Workbench, callers: Callers
) -> None:
    async with (
        callers.one(bench.config, constants=CONSTANTS) as owner,
        callers.one(bench.config, constants=CONSTANTS) as other,
    ):
        bench.fault("hold", when="after", grant_type="refresh_token")
        late = asyncio.create_task(owner.ask(ACCOUNT))
        await bench.held()
        owner.signal(signal.SIGSTOP)
        bench.release()
        token = await ask_until_it_ends(other)
        owner.signal(signal.SIGCONT)
        heard = await late
        assert (heard.errors, heard.tokens) == ({}, {ACCOUNT: token})
    sent = bench.simulator.ledger.records(REFRESH)
    assert [record.outcome for record in sent] == ["issued", "replayed"]
    assert await in_thread(stored, bench) == ("active", 2, token)


@pytest.mark.parametrize("rotation", ["strict"])
async def test_the_late_answer_is_kept_where_another_owner_had_given_up(
    bench: Workbench, callers: Callers
) -> None:
    """The other one sent the token that was spent: the late answer is the only one that works."""
    async with (
        callers.one(bench.config, constants=CONSTANTS) as owner,
        callers.one(bench.config, constants=CONSTANTS) as other,
    ):
        bench.fault("hold", when="after", grant_type="refresh_token")
        late = asyncio.create_task(owner.ask(ACCOUNT))
        await bench.held()
        owner.signal(signal.SIGSTOP)
        bench.release()
        assert "rotation lost" in await ask_until_it_ends(other)
        owner.signal(signal.SIGCONT)
        heard = await late
        assert heard.errors == {}
        assert await ask_until_it_ends(other) == heard.tokens[ACCOUNT]
    sent = bench.simulator.ledger.records(REFRESH)
    assert [record.outcome for record in sent] == ["issued", "reuse_detected"]
    assert await in_thread(stored, bench) == ("active", 2, heard.tokens[ACCOUNT])
