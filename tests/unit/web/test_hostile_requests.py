"""Bytes that are no honest request, sent to the daemon's own server: nothing gets in.

Without a good key there is nothing but refusals, or a closed connection; no answer is a failure of
ours, the process lives on, and neither an answer nor the log holds a secret.
"""

import asyncio
import logging
from collections.abc import AsyncIterator

import pytest
from starlette.applications import Starlette

from connector.runtime import Runtime
from connector.web.server import Server, bind_loopback
from tests.hostile_requests import bad_keys, hostile_requests, is_refusal, statuses
from tests.unit.workbench import ACCOUNT

from .test_access import BASE, make

HOST = BASE.removeprefix("http://")
REQUESTS = 4_000
AT_ONCE = 40
#: A request that does not end is not answered; so long is waited for that (seconds).
PATIENCE = 0.5


@pytest.fixture
async def address(app: Starlette) -> AsyncIterator[tuple[str, int]]:
    """The daemon's application on a port of its own, by the daemon's own server."""
    (listener,) = bind_loopback("127.0.0.1", 0)
    address: tuple[str, int] = listener.getsockname()
    server = Server(app, [listener])
    await server.start()
    yield address
    await server.aclose()


async def sent(address: tuple[str, int], request: bytes) -> bytes:
    """Send some bytes; give all that comes until the server hangs up, or waits for more."""
    reader, writer = await asyncio.open_connection(*address)
    answer = b""
    try:
        writer.write(request)
        async with asyncio.timeout(PATIENCE):
            while more := await reader.read(65536):
                answer += more
    except (TimeoutError, ConnectionError):
        pass  # it waits for the rest, or has hung up on what is too much
    finally:
        writer.close()
    return answer


@pytest.mark.timeout(120)
async def test_without_a_good_key_there_are_only_refusals(
    address: tuple[str, int], runtime: Runtime, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    key = (await make(runtime, "admin")).removeprefix("Bearer ")
    token = (await runtime.tokens.get(ACCOUNT)).value
    places = asyncio.Semaphore(AT_ONCE)
    told: set[int] = set()

    async def try_one(request: bytes) -> None:
        async with places:
            answer = await sent(address, request)
        assert is_refusal(answer), (request[:500], answer[:500])
        assert token.encode() not in answer
        assert key.encode() not in answer
        told.update(statuses(answer))

    requests = hostile_requests(REQUESTS, host=HOST, keys=bad_keys(key), seed=20_261_126)
    await asyncio.gather(*map(try_one, requests))
    assert told >= {200, 400, 401, 403, 404, 405}, "they came as far as they should"
    good = f"GET /v1/accounts/{ACCOUNT}/token HTTP/1.1\r\nHost: {HOST}\r\nConnection: close\r\n"
    answer = await sent(address, f"{good}Authorization: Bearer {key}\r\n\r\n".encode())
    assert statuses(answer) == [200]
    assert token.encode() in answer
    logged = [record for record in caplog.records if record.name.startswith(("conn", "uvi"))]
    assert [record for record in logged if record.levelno >= logging.ERROR] == []
    text = "\n".join(f"{record.getMessage()} {record.args}" for record in caplog.records)
    assert token not in text
    assert key not in text
    accounts = await runtime.accounts.all()
    assert [account.state_name for account in accounts] == ["active"]


async def key_header(runtime: Runtime, *scopes: str) -> str:
    return f"Authorization: {await make(runtime, *scopes)}"


def bugs(caplog: pytest.LogCaptureFixture) -> list[str]:
    """Give what was logged as a failure of ours."""
    return [
        record.getMessage()
        for record in caplog.records
        if record.name.startswith(("connector", "uvicorn", "asyncio"))
        and record.levelno >= logging.ERROR
    ]


@pytest.mark.parametrize("body", [b"zz\r\n", b"2\r\n{}junk", b"5\r\n{}"])
async def test_a_body_that_turns_out_to_be_none_is_no_bug(
    address: tuple[str, int], runtime: Runtime, caplog: pytest.LogCaptureFixture, body: bytes
) -> None:
    """Whoever answers the request meanwhile is not told of a failure of theirs."""
    head = f"POST /v1/consents HTTP/1.1\r\nHost: {HOST}\r\nContent-Type: application/json\r\n"
    for key in (await key_header(runtime, "consent:create"), "X: y"):
        request = f"{head}Transfer-Encoding: chunked\r\n{key}\r\n\r\n".encode() + body
        answer = await sent(address, request)
        assert statuses(answer) in ([400], [401], [])
    assert bugs(caplog) == []


@pytest.mark.parametrize("path", ["/v1/consents", "/login"])
async def test_a_caller_who_hangs_up_in_the_middle_of_a_body_is_no_bug(
    address: tuple[str, int], runtime: Runtime, caplog: pytest.LogCaptureFixture, path: str
) -> None:
    key = await key_header(runtime, "admin")
    head = (
        f"POST {path} HTTP/1.1\r\nHost: {HOST}\r\n{key}\r\nContent-Length: 9\r\n"
        "Content-Type: application/x-www-form-urlencoded\r\n\r\n"
    )
    _, writer = await asyncio.open_connection(*address)
    writer.write(head.encode() + b"{")
    await writer.drain()
    await sent(address, f"GET /healthz HTTP/1.1\r\nHost: {HOST}\r\n\r\n".encode())
    writer.close()
    await sent(address, f"GET /healthz HTTP/1.1\r\nHost: {HOST}\r\n\r\n".encode())
    assert bugs(caplog) == []


async def test_no_path_leads_on_by_the_host_that_a_request_names(
    address: tuple[str, int], runtime: Runtime
) -> None:
    key = await key_header(runtime, "admin")
    for path in ("/consent/x/", "/connect/x/", "/v1/accounts/", "/v1/jobs/", "/healthz/"):
        request = f"GET {path} HTTP/1.1\r\nHost: {HOST}\r\n{key}\r\nConnection: close\r\n\r\n"
        assert statuses(await sent(address, request.encode())) == [404], path
