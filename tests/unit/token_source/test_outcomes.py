"""Observers are told what the token endpoint answered, and nothing that they do harms a token."""

import pytest

from connector import errors
from connector.account import Account
from connector.runtime import Runtime
from connector.token_source.outcomes import OUTCOMES, RefreshOutcome
from tests.unit.workbench import ACCOUNT, Workbench


@pytest.fixture
def told(runtime: Runtime) -> list[RefreshOutcome]:
    outcomes: list[RefreshOutcome] = []
    runtime.refresh_outcomes.tell_to(outcomes.append)
    return outcomes


async def test_tokens(
    bench: Workbench, runtime: Runtime, account: Account, told: list[RefreshOutcome]
) -> None:
    bench.clock.advance(3600)
    await runtime.tokens.get(ACCOUNT)
    (outcome,) = told
    assert outcome == RefreshOutcome(
        account=ACCOUNT,
        account_id=account.id,
        provider="acme",
        sent_at=bench.clock.now(),
        seconds=0.0,
        outcome="granted",
    )
    await runtime.tokens.get(ACCOUNT)
    assert len(told) == 1, "a token in memory is no refresh"


@pytest.mark.parametrize(
    ("fault", "outcome", "error"),
    [
        ({"status": 503}, "unavailable", "http_503"),
        ({"status": 502}, "unknown", "http_502"),
        ({"status": 403, "body": ""}, "unexplained", "http_403"),
        (
            {"status": 400, "body": '{"error": "invalid_scope", "error_description": "canary"}'},
            "refused",
            "invalid_scope",
        ),
    ],
)
async def test_no_tokens(
    bench: Workbench,
    runtime: Runtime,
    account: Account,
    told: list[RefreshOutcome],
    fault: dict[str, object],
    outcome: str,
    error: str,
) -> None:
    bench.clock.advance(3600)
    bench.fault("status", times=None, **fault)
    with pytest.raises(errors.TemporarilyUnavailable):
        await runtime.tokens.refresh(account.name)
    assert {(one.outcome, one.error) for one in told} == {(outcome, error)}
    assert len(told) == bench.refreshes, "each request is told, a second try as well"
    assert outcome in OUTCOMES


async def test_an_observer_that_fails_costs_no_token(
    bench: Workbench, runtime: Runtime, account: Account, told: list[RefreshOutcome]
) -> None:
    def fail(_outcome: RefreshOutcome) -> None:
        raise RuntimeError("canary")

    runtime.refresh_outcomes.tell_to(fail)
    runtime.refresh_outcomes.tell_to(told.append)
    bench.clock.advance(3600)
    assert (await runtime.tokens.get(account.name)).value
    assert len(told) == 2
