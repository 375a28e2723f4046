"""The refresher: what is wanted is fresh before anybody asks; what nobody wants is left alone."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from connector import errors
from connector.refresher import Refresher
from connector.runtime import Runtime
from connector.simulator.person import Person
from tests.unit.workbench import ACCOUNT, FACEBOOK, Workbench, someone, workbench


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[Workbench]:
    with workbench(tmp_path) as made:
        yield made


@pytest.fixture
async def runtime(bench: Workbench) -> AsyncIterator[Runtime]:
    async with bench.runtime() as opened:
        yield opened


@pytest.fixture
def refresher(bench: Workbench, runtime: Runtime) -> Refresher:
    return Refresher(runtime.due, runtime.tokens, now=bench.clock.now)


async def test_a_token_that_is_used_is_renewed_ahead(
    bench: Workbench, runtime: Runtime, refresher: Refresher
) -> None:
    await bench.connect(runtime)
    first = await runtime.tokens.get(ACCOUNT)
    await runtime.tokens.check_store()
    assert await refresher.refresh_due() == 0
    bench.clock.advance(3600 - 100)
    assert await refresher.refresh_due() == 1
    assert bench.refreshes == 1
    renewed = await runtime.tokens.get(ACCOUNT)
    assert renewed.value != first.value
    assert not renewed.is_short
    assert await refresher.refresh_due() == 0


async def test_what_nobody_uses_is_not_minted(
    bench: Workbench, runtime: Runtime, refresher: Refresher
) -> None:
    await bench.connect(runtime)
    await runtime.tokens.get(ACCOUNT)
    await runtime.tokens.check_store()
    for _ in range(24):
        bench.clock.advance(3600)
        await refresher.refresh_due()
    assert bench.refreshes == 1, "the first was wanted; what was minted then is not"


async def test_used_in_one_process_and_renewed_by_another(
    bench: Workbench, runtime: Runtime, refresher: Refresher
) -> None:
    async with bench.runtime() as other:
        await bench.connect(other)
        await other.tokens.get(ACCOUNT)
        await other.tokens.check_store()
        bench.clock.advance(3600 - 100)
        assert await refresher.refresh_due() == 1
        await other.tokens.check_store()
        assert not (await other.tokens.get(ACCOUNT)).is_short
    assert bench.refreshes == 1
    assert runtime.tokens.memory.names() == [], "memory is for those who ask"


async def test_a_use_is_written_down_once_for_each_mint(
    bench: Workbench, runtime: Runtime, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A row written on every read is what others suffer from."""
    await bench.connect(runtime)
    noted = []
    note_used = runtime.due.note_used

    async def note(used: list[object]) -> None:
        noted.append(len(used))
        await note_used(used)  # type: ignore[arg-type]

    monkeypatch.setattr(runtime.due, "note_used", note)
    for _ in range(5):
        for _ in range(100):
            await runtime.tokens.get(ACCOUNT)
        await runtime.tokens.check_store()
    assert noted == [1]


async def test_a_use_that_could_not_be_written_down_is_told_of_again(
    bench: Workbench, runtime: Runtime, monkeypatch: pytest.MonkeyPatch
) -> None:
    await bench.connect(runtime)
    noted = []
    note_used = runtime.due.note_used

    async def note(used: list[object]) -> None:
        noted.append(len(used))
        if len(noted) == 1:
            raise errors.TemporarilyUnavailable("the disk is full")
        await note_used(used)  # type: ignore[arg-type]

    monkeypatch.setattr(runtime.due, "note_used", note)
    for _ in range(3):
        await runtime.tokens.get(ACCOUNT)
        await runtime.tokens.check_store()
        assert runtime.tokens.memory.hit(ACCOUNT) is not None, "it may be served nevertheless"
    assert noted == [1, 1]


async def test_tokens_that_were_minted_together_are_renewed_apart(
    bench: Workbench, runtime: Runtime
) -> None:
    names = [f"acme/{number}" for number in range(10)]
    for name in names:
        await bench.connect(runtime, name)
        await runtime.tokens.get(name)
    found = [runtime.tokens.memory.get(name) for name in names]
    margins = sorted(one.margin for one in found if one is not None)
    assert margins[-1] - margins[0] > 10
    assert 60 <= margins[0] <= margins[-1] <= 300


async def test_a_grant_that_dies_idle_is_kept_alive(bench: Workbench) -> None:
    bench.configure(acme='refresh_token = { rotation = "none", idle = "10d" }')
    async with bench.runtime() as runtime:
        await bench.connect(runtime)
        refresher = Refresher(runtime.due, runtime.tokens, now=bench.clock.now)
        for _ in range(79):
            bench.clock.advance(86_400 / 10)
            assert await refresher.refresh_due() == 0
        bench.clock.advance(86_400 / 10)
        assert await refresher.refresh_due() == 1
        bench.clock.advance(8 * 86_400)
        assert await refresher.refresh_due() == 1
    assert bench.refreshes == 2


async def test_a_token_that_is_exchanged_is_renewed_at_half_its_life(bench: Workbench) -> None:
    async with bench.runtime() as runtime:
        with someone() as ada:
            await _consent(bench, runtime, ada)
        refresher = Refresher(runtime.due, runtime.tokens, now=bench.clock.now)
        bench.clock.advance(29 * 86_400)
        assert await refresher.refresh_due() == 0
        bench.clock.advance(86_400)
        assert await refresher.refresh_due() == 1
        account = await runtime.accounts.require(FACEBOOK)
        assert account.grant is not None
        assert account.grant.terms.expires_at is not None
        assert account.grant.terms.expires_at > bench.clock.now() + 59 * 86_400


async def _consent(bench: Workbench, runtime: Runtime, ada: Person) -> None:
    await bench.consent(runtime, ada, FACEBOOK, provider="facebook")


async def test_what_was_issued_to_another_registration_is_not_sent(
    bench: Workbench, runtime: Runtime
) -> None:
    await bench.connect(runtime)
    await runtime.tokens.get(ACCOUNT)
    await runtime.tokens.check_store()
    bench.clock.advance(3600 - 100)
    bench.configure(replace=(bench.simulator.client.client_id, "another"))
    async with bench.runtime() as edited:
        refresher = Refresher(edited.due, edited.tokens, now=bench.clock.now)
        assert await refresher.refresh_due() == 1
    assert bench.refreshes == 0


async def test_a_failure_is_tried_again_and_stops_no_other(
    bench: Workbench, runtime: Runtime, refresher: Refresher
) -> None:
    for name in ("acme/one", "acme/two"):
        await bench.connect(runtime, name)
        await runtime.tokens.get(name)
    await runtime.tokens.check_store()
    bench.clock.advance(3600 - 100)
    bench.fault("status", status=503)
    assert await refresher.refresh_due() == 2
    assert bench.refreshes == 2
    bench.clock.advance(2)
    assert await refresher.refresh_due() == 1
    assert bench.refreshes == 3
    accounts = await runtime.accounts.all()
    assert [account.generation for account in accounts] == [2, 2]


async def test_many_at_once_are_bounded(
    bench: Workbench, runtime: Runtime, refresher: Refresher
) -> None:
    names = [f"acme/{number}" for number in range(60)]
    for name in names:
        await bench.connect(runtime, name)
        await runtime.tokens.get(name)
    await runtime.tokens.check_store()
    bench.clock.advance(3600 - 100)
    bench.fault("hold", gate="all", times=None)
    refreshing = asyncio.create_task(refresher.refresh_due())
    await bench.held("all", 32)
    assert bench.refreshes == 32, "the rest of the room is for other providers"
    bench.simulator.faults.clear()
    bench.release("all")
    assert await refreshing == 60
    assert bench.refreshes == 60


async def test_it_runs_until_it_is_closed(
    bench: Workbench, runtime: Runtime, refresher: Refresher
) -> None:
    await bench.connect(runtime)
    await runtime.tokens.get(ACCOUNT)
    await runtime.tokens.check_store()
    bench.clock.advance(3600 - 100)
    bench.fault("hold")
    refresher.start()
    await bench.held()
    closing = asyncio.create_task(refresher.aclose())
    await closing
    bench.release()
    await runtime.tokens._flights.drain()
    account = await runtime.accounts.require(ACCOUNT)
    assert account.generation == 2, "what was sent is committed"


@pytest.mark.parametrize("value", ["CAST(x'80ff' AS TEXT)", "x'01'", "7"])
async def test_one_that_is_damaged_keeps_no_other_from_being_renewed(
    bench: Workbench, runtime: Runtime, refresher: Refresher, value: str
) -> None:
    for name in ("acme/one", "acme/two"):
        await bench.connect(runtime, name)
        await runtime.tokens.get(name)
    await runtime.tokens.check_store()
    async with runtime.database.write() as connection:
        spoil = "UPDATE account SET refresh_token_sealed = {} WHERE name = 'acme/one'"
        await connection.exec_driver_sql(spoil.format(value))
    bench.clock.advance(3600 - 100)
    assert await refresher.refresh_due() == 2
    assert bench.refreshes == 1
    assert (await runtime.accounts.require("acme/two")).generation == 2
