"""Revoking over HTTP."""

import httpx2
import pytest

from connector.runtime import Runtime
from tests.unit.workbench import ACCOUNT, FACEBOOK, Workbench

PATH = f"/v1/accounts/{ACCOUNT}"


async def test_ends_here_and_there(unix: httpx2.AsyncClient, bench: Workbench) -> None:
    token = (await unix.get(f"{PATH}/token")).json()["access_token"]
    answer = await unix.post(f"{PATH}/revoke")
    assert (answer.status_code, answer.json()) == (
        200,
        {"account": ACCOUNT, "confirmed": True, "offered": True, "cause": None, "retry_at": None},
    )
    found = bench.simulator.state.grants.find_access_token(token)
    assert found is None or not found.is_valid(bench.clock.now())
    refused = await unix.get(f"{PATH}/token")
    assert refused.status_code == 409, "at once, though memory had it"
    assert refused.json()["reason"] == "revoked by its owner here"
    assert (await unix.get(PATH)).json()["state"] == "consent_required"
    again = await unix.post(f"{PATH}/revoke")
    assert (again.status_code, again.json()["confirmed"]) == (200, True)


async def test_the_provider_is_away(
    unix: httpx2.AsyncClient, runtime: Runtime, bench: Workbench
) -> None:
    bench.simulator.stop()
    answer = await unix.post(f"{PATH}/revoke")
    bench.simulator.start()
    assert answer.status_code == 202
    body = answer.json()
    assert (body["confirmed"], body["retry_at"]) == (False, "2027-01-15T08:01:00Z")
    assert body["cause"]
    assert (await unix.get(PATH)).json()["state"] == "consent_required"
    assert len(await runtime.revocations.all()) == 1


@pytest.mark.parametrize("name", ["acme/none", FACEBOOK, "A"])
async def test_an_unknown_account(unix: httpx2.AsyncClient, name: str) -> None:
    answer = await unix.post(f"/v1/accounts/{name}/revoke")
    assert (answer.status_code, answer.json()["type"][-15:]) == (404, "unknown-account")
