"""What came of the refreshes of an account, over HTTP and in whatever process refreshes."""

import httpx2
import pytest

from connector import errors
from connector.runtime import Runtime
from tests.unit.workbench import ACCOUNT, Workbench

PATH = f"/v1/refreshes?account={ACCOUNT}"


async def test_each_request_to_the_token_endpoint_is_listed(
    bench: Workbench, runtime: Runtime, unix: httpx2.AsyncClient
) -> None:
    bench.clock.advance(3600)
    await runtime.tokens.get(ACCOUNT)
    bench.clock.advance(60)
    bench.fault("status", status=503)
    with pytest.raises(errors.TemporarilyUnavailable):
        await runtime.tokens.refresh(ACCOUNT)
    await runtime.refresh_history.flush()
    listed = (await unix.get(PATH)).json()
    assert listed == [
        {
            "at": "2027-01-15T09:01:00.000Z",
            "seconds": 0.0,
            "outcome": "unavailable",
            "error": "http_503",
        },
        {"at": "2027-01-15T09:00:00.000Z", "seconds": 0.0, "outcome": "granted", "error": None},
    ]
    assert (await unix.get(f"{PATH}&limit=1")).json() == listed[:1]


@pytest.mark.usefixtures("runtime")
async def test_of_a_process_that_only_refreshes_too(
    bench: Workbench, unix: httpx2.AsyncClient
) -> None:
    bench.clock.advance(3600)
    async with bench.runtime() as command:
        await command.tokens.get(ACCOUNT)
    (row,) = (await unix.get(PATH)).json()
    assert row["outcome"] == "granted"


@pytest.mark.parametrize(
    ("query", "status", "detail"),
    [
        ("", 400, "account is needed"),
        (f"account={ACCOUNT}&limit=0", 400, "from 1 to 500"),
        (f"account={ACCOUNT}&limit=501", 400, "from 1 to 500"),
        (f"account={ACCOUNT}&limit=x", 400, "from 1 to 500"),
        ("account=acme/none", 404, "acme/none"),
    ],
)
async def test_what_cannot_be_listed(
    unix: httpx2.AsyncClient, query: str, status: int, detail: str
) -> None:
    answer = await unix.get(f"/v1/refreshes?{query}")
    assert answer.status_code == status
    assert detail in answer.json()["detail"]
