"""A refresh token that came too late is the last resort of its account (CHECKLIST 58)."""

import asyncio
from pathlib import Path
from typing import Any

import pytest

from connector import errors
from connector.account import Account
from connector.oauth.token import AccessToken
from connector.runtime import Runtime
from connector.secret import Secret
from connector.simulator.oauth.grants import RefreshToken
from connector.store.grant_statements import LEASE_DURATION
from connector.store.grants import GrantStore
from connector.token_source.unanswered import REPLAY_PERIOD
from tests.unit.workbench import ACCOUNT, REFRESH, Workbench


@pytest.fixture(autouse=True)
def _grace(bench: Workbench) -> None:
    bench.simulator.change({"rotation": "grace", "grace_seconds": 600})
    bench.configure(acme='refresh_token = { rotation = "grace", grace = "10m" }')


async def begin_late(bench: Workbench, runtime: Runtime) -> "asyncio.Task[AccessToken]":
    """Have the answer to a refresh held back until others need not wait for it any more."""
    bench.clock.advance(3600)
    bench.fault("hold", when="after")
    late = asyncio.create_task(runtime.tokens.get(ACCOUNT))
    await bench.held()
    bench.clock.advance(LEASE_DURATION + REPLAY_PERIOD)
    return late


async def lose(bench: Workbench, runtime: Runtime) -> tuple[RefreshToken, RefreshToken]:
    """Have a refresh of ours come after a sibling's; give the winner's token and the late one."""
    account = await runtime.accounts.require(ACCOUNT)
    late = await begin_late(bench, runtime)
    async with bench.runtime() as sibling:
        token = await sibling.tokens.get(ACCOUNT)
    bench.release()
    assert await late == token
    current = await runtime.accounts.require(ACCOUNT)
    assert current.generation == account.generation + 1
    kept = await late_token(runtime)
    assert kept is not None
    return known(bench, runtime.accounts.open_refresh_token(current)), known(bench, kept)


async def late_token(runtime: Runtime) -> Secret | None:
    store = runtime.tokens._refresh.settlement.late._store
    return await store.find(await runtime.accounts.require(ACCOUNT))


def known(bench: Workbench, token: Secret | None) -> RefreshToken:
    assert token is not None
    found = bench.simulator.state.grants.find_refresh_token(token.reveal())
    assert found is not None
    return found


def sent(bench: Workbench) -> list[tuple[int | None, str]]:
    """Give the tokens that were sent, by their number in the family, and what came of each."""
    return [(one.generation, one.outcome) for one in bench.simulator.ledger.records(REFRESH)]


async def test_it_saves_an_account_whose_own_is_refused(
    bench: Workbench, runtime: Runtime, account: Account
) -> None:
    winner, late = await lose(bench, runtime)
    winner.expires_at = bench.clock.now()
    bench.clock.advance(3600)
    token = await runtime.tokens.get(ACCOUNT)
    assert bench.simulator.state.grants.find_access_token(token.value)
    assert sent(bench)[2:] == [
        (winner.generation, "invalid_grant"),
        (late.generation, "issued"),
    ]
    current = await runtime.accounts.require(ACCOUNT)
    assert (current.state_name, current.generation) == ("active", account.generation + 2)
    assert (current.attempt, current.trouble) == (None, None)
    assert known(bench, runtime.accounts.open_refresh_token(current)).parent is late
    assert await late_token(runtime) is None


async def test_it_is_tried_once(bench: Workbench, runtime: Runtime, account: Account) -> None:
    winner, late = await lose(bench, runtime)
    bench.simulator.state.revoke("ada")
    bench.clock.advance(3600)
    with pytest.raises(errors.ConsentRequired, match="the provider ended the grant"):
        await runtime.tokens.get(ACCOUNT)
    assert sent(bench)[2:] == [
        (winner.generation, "invalid_grant"),
        (late.generation, "invalid_grant"),
    ]
    with pytest.raises(errors.ConsentRequired):
        await runtime.tokens.refresh(ACCOUNT, ignore_backoff=True)
    assert bench.refreshes == 4
    assert await late_token(runtime) is None
    assert (await runtime.accounts.require(ACCOUNT)).id == account.id


@pytest.mark.usefixtures("account")
async def test_it_goes_once_the_accounts_own_has_worked(bench: Workbench, runtime: Runtime) -> None:
    winner, _ = await lose(bench, runtime)
    bench.clock.advance(3600)
    await runtime.tokens.get(ACCOUNT)
    assert sent(bench)[2:] == [(winner.generation, "issued")]
    assert await late_token(runtime) is None
    bench.simulator.state.revoke("ada")
    bench.clock.advance(3600)
    with pytest.raises(errors.ConsentRequired):
        await runtime.tokens.get(ACCOUNT)
    assert bench.refreshes == 4, "nothing older than the predecessor is sent"


@pytest.mark.usefixtures("account")
async def test_its_own_lost_answer_is_asked_for_again_by_another_process(
    bench: Workbench, runtime: Runtime
) -> None:
    winner, late = await lose(bench, runtime)
    winner.expires_at = bench.clock.now()
    bench.clock.advance(3600)
    bench.fault("status", status=401, body='{"error":"invalid_grant"}')
    bench.fault("drop", when="after", times=2)
    with pytest.raises(errors.TemporarilyUnavailable):
        await runtime.tokens.get(ACCOUNT)
    attempt = (await runtime.accounts.require(ACCOUNT)).attempt
    assert attempt is not None
    assert attempt.token_fingerprint == runtime.accounts.fingerprint(Secret(late.value))
    bench.clock.advance(60)
    async with bench.runtime() as other:
        await other.tokens.get(ACCOUNT)
    assert [number for number, _ in sent(bench)[3:]] == [late.generation] * 3


@pytest.mark.usefixtures("account")
async def test_it_is_kept_while_the_provider_is_away(bench: Workbench, runtime: Runtime) -> None:
    winner, late = await lose(bench, runtime)
    winner.expires_at = bench.clock.now()
    bench.clock.advance(3600)
    bench.fault("falsify", status=400, body='{"error":"invalid_grant"}')
    bench.fault("status", status=503)
    with pytest.raises(errors.TemporarilyUnavailable):
        await runtime.tokens.get(ACCOUNT)
    assert await late_token(runtime) == Secret(late.value)
    bench.clock.advance(3600)
    await runtime.tokens.get(ACCOUNT)
    assert sent(bench)[-1] == (late.generation, "issued")


@pytest.mark.usefixtures("account")
async def test_it_takes_the_place_of_one_that_was_refused_before_it_came(
    bench: Workbench, runtime: Runtime
) -> None:
    late = await begin_late(bench, runtime)
    async with bench.runtime() as sibling:
        await sibling.tokens.get(ACCOUNT)
        winner = await sibling.accounts.require(ACCOUNT)
        known(bench, sibling.accounts.open_refresh_token(winner)).expires_at = bench.clock.now()
        bench.clock.advance(3600)
        with pytest.raises(errors.ConsentRequired):
            await sibling.tokens.get(ACCOUNT)
    bench.release()
    assert bench.simulator.state.grants.find_access_token((await late).value)
    current = await runtime.accounts.require(ACCOUNT)
    assert (current.state_name, current.generation) == ("active", winner.generation + 1)
    bench.clock.advance(3600)
    await runtime.tokens.get(ACCOUNT)


@pytest.mark.usefixtures("account")
async def test_it_takes_the_place_of_no_later_one(bench: Workbench, runtime: Runtime) -> None:
    """Two refreshes later it is older than the one before the last."""
    late = await begin_late(bench, runtime)
    async with bench.runtime() as sibling:
        for _ in range(2):
            await sibling.tokens.get(ACCOUNT)
            bench.clock.advance(3600)
        last = await sibling.accounts.require(ACCOUNT)
        known(bench, sibling.accounts.open_refresh_token(last)).expires_at = bench.clock.now()
        with pytest.raises(errors.ConsentRequired):
            await sibling.tokens.get(ACCOUNT)
    bench.release()
    with pytest.raises(errors.ConsentRequired):
        await late
    current = await runtime.accounts.require(ACCOUNT)
    assert (current.state_name, current.generation) == ("consent_required", last.generation)


@pytest.mark.usefixtures("account")
async def test_one_that_was_in_a_journal_is_kept_as_well(
    bench: Workbench, runtime: Runtime, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A sibling on another host, which sees no journal of ours, asks again within the grace."""
    bench.clock.advance(3600)
    apply = GrantStore.apply

    async def fail(*_: Any) -> None:
        raise errors.TemporarilyUnavailable("the database is away")

    monkeypatch.setattr(GrantStore, "apply", fail)
    ours = await runtime.tokens.get(ACCOUNT)
    monkeypatch.setattr(GrantStore, "apply", apply)
    bench.clock.advance(LEASE_DURATION + REPLAY_PERIOD)
    text = bench.config.read_text()
    bench.config.write_text(text.replace("[vault]", f'[vault]\njournal = "{tmp_path}/other"'))
    async with bench.runtime() as elsewhere:
        theirs = await elsewhere.tokens.refresh(ACCOUNT, ignore_backoff=True)
    assert theirs.value != ours.value
    kept = runtime.tokens._refresh.settlement.kept
    assert await kept.replay_held() == [(await runtime.accounts.require(ACCOUNT)).id]
    assert known(bench, await late_token(runtime)).generation == 1
    assert kept.journal.held() == []
