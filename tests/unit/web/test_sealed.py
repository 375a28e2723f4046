"""A vault that does not open while the daemon runs: told as what it is, and of one account only."""

import httpx2
import pytest
from sqlalchemy import text

from connector.runtime import Runtime
from tests.unit.workbench import ACCOUNT, Workbench

PATH = f"/v1/accounts/{ACCOUNT}/token"


async def test_a_token_that_does_not_open_is_503_and_no_other_account_suffers(
    unix: httpx2.AsyncClient,
    bench: Workbench,
    runtime: Runtime,
    caplog: pytest.LogCaptureFixture,
) -> None:
    await bench.connect(runtime, "beta/one", person="grace")
    damage = text("UPDATE account SET access_token_sealed = x'00' WHERE name = :name")
    async with runtime.database.write() as connection:
        await connection.execute(damage, {"name": ACCOUNT})
    runtime.tokens.forget(ACCOUNT)
    answer = await unix.get(PATH)
    assert answer.status_code == 503
    assert answer.headers["content-type"] == "application/problem+json"
    assert answer.json()["type"].endswith(":vault-sealed")
    for word in ("Traceback", "connector/", "InvalidTag", "x00"):
        assert word not in answer.text
    assert (await unix.get("/v1/accounts/beta/one/token")).status_code == 200
    assert (await unix.get("/v1/accounts")).status_code == 200
    assert [record for record in caplog.records if record.exc_info] == []
