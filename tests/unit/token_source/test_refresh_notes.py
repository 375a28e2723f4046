"""What the audit trail says of refreshes: what a person may have to ask about, and once."""

import pytest

from connector import errors
from connector.account import Account
from connector.runtime import Runtime
from connector.token_source.gate import SUSPECT_ACCOUNTS
from tests.unit.audited import audited, detail, events
from tests.unit.workbench import ACCOUNT, Workbench

REVOKED = '{"error": "invalid_grant", "error_description": "canary-7f3a"}'


async def many(bench: Workbench, runtime: Runtime, count: int) -> list[str]:
    names = [f"acme/{number}" for number in range(count)]
    for name in names:
        await bench.connect(runtime, name)
    bench.clock.advance(3600)
    return names


async def test_a_refresh_that_brings_tokens_is_not_told(
    bench: Workbench, runtime: Runtime, account: Account
) -> None:
    bench.clock.advance(3600)
    await runtime.tokens.get(account.name)
    assert bench.refreshes == 1
    assert await events(runtime, "refresh") == await events(runtime, "grant") == []


async def test_how_a_rotation_was_lost(
    bench: Workbench, runtime: Runtime, account: Account
) -> None:
    """CHECKLIST 64."""
    refresh_token = runtime.accounts.open_refresh_token(account)
    assert refresh_token is not None
    bench.clock.advance(3600)
    bench.fault("drop", when="after")
    with pytest.raises(errors.ConsentRequired):
        await runtime.tokens.get(ACCOUNT)
    unanswered, ended = [row for row in await audited(runtime) if row.account == ACCOUNT]
    assert (unanswered.event, ended.event) == ("refresh.unanswered", "grant.ended")
    assert ended.outcome == "rotation_lost"
    for row in (unanswered, ended):
        assert row.account_id == account.id
        assert row.fingerprint == runtime.accounts.fingerprint(refresh_token)
    assert detail(unanswered) == {"attempt": 1, "generation": 1, "provider": "acme"}


@pytest.mark.parametrize(
    ("rotation", "outcome"),
    [("strict", "invalid_grant"), ("none", "invalid_grant"), ("strict_family", "suspected_reuse")],
)
async def test_a_grant_that_its_provider_ended(
    bench: Workbench, rotation: str, outcome: str
) -> None:
    bench.configure(acme=f'refresh_token = {{ rotation = "{rotation}" }}')
    async with bench.runtime() as runtime:
        await bench.connect(runtime)
        bench.simulator.state.revoke("ada")
        bench.clock.advance(3600)
        for _ in range(2):
            with pytest.raises(errors.ConsentRequired):
                await runtime.tokens.get(ACCOUNT)
        assert await events(runtime, "grant") == [("grant.ended", outcome)]


async def test_a_registration_that_is_rejected_is_told_once(
    bench: Workbench, runtime: Runtime
) -> None:
    first, second, *_ = await many(bench, runtime, 5)
    secret = bench.simulator.client.client_secret
    bench.simulator.change({"client_secret": "another"})
    for _ in range(3):
        with pytest.raises(errors.RegistrationRejected):
            await runtime.tokens.get(first)
        bench.clock.advance(61)
    assert bench.refreshes == 3
    assert await events(runtime, "registration") == [("registration.rejected", "invalid_client")]
    bench.simulator.change({"client_secret": secret})
    await runtime.tokens.get(first)
    bench.simulator.change({"client_secret": "another"})
    with pytest.raises(errors.RegistrationRejected):
        await runtime.tokens.get(second)
    assert len(await events(runtime, "registration")) == 2


async def test_ends_that_were_taken_back(bench: Workbench, runtime: Runtime) -> None:
    names = await many(bench, runtime, SUSPECT_ACCOUNTS)
    bench.fault("falsify", status=400, body=REVOKED, times=None)
    for name in names:
        with pytest.raises((errors.ConsentRequired, errors.RegistrationRejected)):
            await runtime.tokens.get(name)
    rows = await audited(runtime)
    ended = [row.account for row in rows if row.event == "grant.ended"]
    restored = [row.account for row in rows if row.event == "grant.restored"]
    assert ended == names[:-1]
    assert sorted(restored) == ended
    assert await events(runtime, "registration") == [("registration.rejected", "suspected")]
    assert "canary" not in str(rows), "a provider's words"


async def test_a_grant_that_is_held_is_told_once(
    bench: Workbench, runtime: Runtime, account: Account
) -> None:
    runtime.marks.note(account.id, account.generation + 3)
    bench.clock.advance(3600)
    for _ in range(2):
        with pytest.raises(errors.TemporarilyUnavailable, match="gone back"):
            await runtime.tokens.get(ACCOUNT)
    (held,) = await audited(runtime, "grant")
    assert held.event == "grant.held"
    assert detail(held) == {"generation": 1, "noted": 4, "provider": "acme"}


async def test_an_answer_for_somebody_else(runtime: Runtime, account: Account) -> None:
    """What `end` is told is what is written."""
    with pytest.raises(errors.ConsentRequired):
        await runtime.tokens._refresh.settlement.end(account, "for people", "another_person")
    assert await events(runtime, "grant") == [("grant.ended", "another_person")]


async def test_an_account_without_a_refresh_token(
    bench: Workbench, runtime: Runtime, account: Account
) -> None:
    async with runtime.database.write() as connection:
        await connection.exec_driver_sql("UPDATE account SET refresh_token_sealed = NULL")
    bench.clock.advance(3 * 3600)
    with pytest.raises(errors.ConsentRequired):
        await runtime.tokens.get(account.name)
    assert await events(runtime, "grant") == [("grant.ended", "no_refresh_token")]
