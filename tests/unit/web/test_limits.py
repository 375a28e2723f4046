"""What is too large or too slow over real connections, and who is answered meanwhile."""

import asyncio
import json
from collections.abc import AsyncIterator, Callable

import pytest
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route

from connector.web import bounded, connections, limits
from connector.web.app import BugGuard, _unusable
from connector.web.body import LARGEST_BODY, UnusableBody, read_object
from connector.web.limits import LONGEST_TARGET, MOST_HEADERS, SizeLimits
from connector.web.server import Server, bind_loopback

MOST = 8


async def _greet(_request: Request) -> Response:
    return PlainTextResponse("hello\n")


async def _give_much(_request: Request) -> Response:
    return PlainTextResponse(b" " * 2**26)  # more than the kernel's buffers hold


async def _take(request: Request) -> Response:
    return PlainTextResponse(f"{len(await read_object(request))}\n")


async def _take_form(request: Request) -> Response:
    """As a page of a form does: it does not count itself."""
    return PlainTextResponse(f"{len(await request.body())}\n")


class Daemon:
    """A server of three routes, and raw connections to it."""

    def __init__(self) -> None:
        self.held = asyncio.Event()
        app = Starlette(
            routes=[
                Route("/", _greet),
                Route("/held", self._hold),
                Route("/large", _give_much),
                Route("/object", _take, methods=["POST"]),
                Route("/form", _take_form, methods=["POST"]),
            ],
            middleware=[Middleware(BugGuard), Middleware(SizeLimits)],
            exception_handlers={UnusableBody: _unusable},
        )
        (self.socket,) = bind_loopback("127.0.0.1", 0)
        self.server = Server(app, [self.socket], most=MOST)
        self.port: int = self.socket.getsockname()[1]
        self._writers: list[asyncio.StreamWriter] = []

    async def _hold(self, _request: Request) -> Response:
        await self.held.wait()
        return PlainTextResponse("held\n")

    async def open(self, first: bytes = b"") -> "Line":
        reader, writer = await asyncio.open_connection("127.0.0.1", self.port)
        self._writers.append(writer)
        writer.write(first)
        return Line(reader, writer)

    async def aclose(self) -> None:
        self.held.set()
        for writer in self._writers:
            writer.close()
        await self.server.aclose()


class Line:
    """A connection of a caller."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self.writer = writer

    async def answer(self) -> tuple[int, dict[str, str], bytes]:
        """Give status, header fields and body of the next answer."""
        head = await self.head()
        async with asyncio.timeout(10):
            status_line, *fields = head.decode().strip().split("\r\n")
            headers = dict(field.lower().split(": ", 1) for field in fields)
            body = await self._reader.readexactly(int(headers["content-length"]))
        return int(status_line.split()[1]), headers, body

    async def head(self) -> bytes:
        """Give the head of the next answer."""
        async with asyncio.timeout(10):
            return await self._reader.readuntil(b"\r\n\r\n")

    async def problem(self) -> tuple[int, str]:
        status, headers, body = await self.answer()
        assert headers["content-type"] == "application/problem+json"
        return status, json.loads(body)["type"].rpartition(":")[2]

    async def flood(self) -> int:
        """Send until that is refused, half a GiB at most; give how many bytes were taken."""
        for i in range(8192):
            self.writer.write(b" " * 65_536)
            try:
                await self.writer.drain()
            except ConnectionError:
                return i * 65_536
        return 2**29

    async def rest(self) -> bytes:
        """Give what comes until the connection ends; nothing if it was cut off."""
        async with asyncio.timeout(10):
            try:
                return await self._reader.read()
            except ConnectionResetError:
                return b""


@pytest.fixture
async def daemon() -> AsyncIterator[Daemon]:
    made = Daemon()
    await made.server.start()
    yield made
    await made.aclose()


async def until(is_so: Callable[[], bool]) -> None:
    """Wait for what the other end of a connection brings about."""
    async with asyncio.timeout(30):
        while not is_so():  # noqa: ASYNC110 - it is no event of ours
            await asyncio.sleep(0.01)


def get(path: str = "/", *more: str) -> bytes:
    return "\r\n".join([f"GET {path} HTTP/1.1", "Host: x", *more, "", ""]).encode()


def post(path: str, length: int | None, *more: str) -> bytes:
    size = "Transfer-Encoding: chunked" if length is None else f"Content-Length: {length}"
    kind = "Content-Type: application/json"
    return "\r\n".join([f"POST {path} HTTP/1.1", "Host: x", kind, size, *more, "", ""]).encode()


async def test_a_long_target(daemon: Daemon) -> None:
    line = await daemon.open(get("/?" + "x" * (LONGEST_TARGET - 2)))
    assert (await line.answer())[0] == 200
    line.writer.write(get("/?" + "x" * LONGEST_TARGET))
    assert await line.problem() == (414, "uri-too-long")


async def test_many_header_fields(daemon: Daemon) -> None:
    line = await daemon.open(get("/", *[f"X-{i}: 1" for i in range(MOST_HEADERS - 1)]))
    assert (await line.answer())[0] == 200
    line.writer.write(get("/", *[f"X-{i}: 1" for i in range(MOST_HEADERS)]))
    assert await line.problem() == (431, "request-header-fields-too-large")


@pytest.mark.parametrize("size", [20_000, 200_000, 5_000_000])
async def test_a_large_head_is_not_taken_in(daemon: Daemon, size: int) -> None:
    line = await daemon.open(b"GET / HTTP/1.1\r\nHost: x\r\nX: " + b"x" * size)
    assert await line.problem() == (431, "request-header-fields-too-large")
    assert await line.rest() == b""


async def test_what_is_no_http(daemon: Daemon) -> None:
    line = await daemon.open(b"\x16\x03\x01\x02\x00 TLS\r\n\r\n")
    assert await line.problem() == (400, "bad-request")
    assert await line.rest() == b""


@pytest.mark.parametrize("path", ["/object", "/form"])
async def test_a_body_is_counted_whatever_it_claims(daemon: Daemon, path: str) -> None:
    chunk = b"1000\r\n" + b" " * 4096 + b"\r\n"
    line = await daemon.open(post(path, None) + chunk * (LARGEST_BODY // 4096 + 1))
    assert await line.problem() == (413, "content-too-large")


async def test_an_endless_body_is_answered_and_then_cut_off(daemon: Daemon) -> None:
    """Its sender gets the answer; what follows is taken in for a little, and no more."""
    line = await daemon.open(post("/object", 10**9) + b" " * 200_000)
    assert await line.problem() == (413, "content-too-large")
    assert await line.flood() < 32 * 2**20  # the kernel's buffers hold some as well


async def test_a_body_that_no_route_wants_is_cut_off(daemon: Daemon) -> None:
    line = await daemon.open(get("/", f"Content-Length: {10**9}"))
    assert (await line.answer())[2] == b"hello\n"
    assert await line.flood() < 32 * 2**20


async def test_the_rest_of_a_body_leaves_the_connection_usable(daemon: Daemon) -> None:
    line = await daemon.open(get("/", "Content-Length: 9") + b"1234")
    assert (await line.answer())[0] == 200
    line.writer.write(b"56789" + get())
    assert (await line.answer())[2] == b"hello\n"
    line.writer.write(get())
    assert (await line.answer())[2] == b"hello\n"


async def test_a_slow_body(daemon: Daemon, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "BODY_TIME", 0.2)
    line = await daemon.open(post("/object", 10) + b"{")
    assert await line.problem() == (408, "request-timeout")
    line = await daemon.open(post("/object", 2))
    line.writer.write(b"{}")
    assert (await line.answer())[2] == b"0\n"


async def test_who_hangs_up_in_the_middle_of_a_body_is_no_bug(
    daemon: Daemon, caplog: pytest.LogCaptureFixture
) -> None:
    line = await daemon.open(post("/object", 10) + b"{")
    other = await daemon.open(get("/held"))
    line.writer.close()
    daemon.held.set()
    assert (await other.answer())[2] == b"held\n"
    await until(lambda: len(daemon.server.connections) == 1)
    assert caplog.text == ""


async def test_a_slow_head(daemon: Daemon, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bounded, "HEAD_TIME", 0.1)
    monkeypatch.setattr(connections, "HEAD_TIME", 0.1)
    silent = await daemon.open()
    slow = await daemon.open(b"GET / HT")
    kept = await daemon.open(get())
    assert (await kept.answer())[0] == 200
    kept.writer.write(b"GET / HT")  # the next request of a kept connection is as slow
    assert await slow.problem() == (408, "request-timeout")
    assert await kept.problem() == (408, "request-timeout")
    assert await silent.rest() == b""
    assert daemon.server.connections.timed_out == 3


async def test_who_takes_no_answer_is_cut_off(
    daemon: Daemon, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What uvicorn has written, it waits for ever to be taken."""
    monkeypatch.setattr(bounded, "IDLE_TIME", 0.1)
    line = await daemon.open(get("/large"))
    await until(lambda: len(daemon.server.connections) == 1)
    await until(lambda: len(daemon.server.connections) == 0)
    line.writer.close()


async def test_slow_connections_hold_up_nobody(daemon: Daemon) -> None:
    for _ in range(5 * MOST):
        await daemon.open(b"GET / HT")
        line = await daemon.open(get())
        assert (await line.answer())[0] == 200
    assert len(daemon.server.connections) <= MOST


async def test_no_room_is_told(daemon: Daemon) -> None:
    busy = [await daemon.open(get("/held")) for _ in range(MOST)]
    await until(lambda: not daemon.server.connections._strangers)
    line = await daemon.open(get())
    assert await line.problem() == (503, "temporarily-unavailable")
    daemon.held.set()
    for one in busy:
        assert (await one.answer())[2] == b"held\n"
    line = await daemon.open(get())
    assert (await line.answer())[0] == 200


async def test_there_is_nothing_to_upgrade_to(
    daemon: Daemon, caplog: pytest.LogCaptureFixture
) -> None:
    line = await daemon.open(get("/", "Connection: upgrade", "Upgrade: websocket"))
    assert (await line.answer())[2] == b"hello\n"
    assert caplog.text == ""


async def test_a_head_goes_out_with_its_body(
    daemon: Daemon, monkeypatch: pytest.MonkeyPatch
) -> None:
    written: list[bytes] = []
    connection_made = bounded.BoundedProtocol.connection_made

    def noting(protocol: bounded.BoundedProtocol, transport: asyncio.Transport) -> None:
        connection_made(protocol, transport)
        write = transport.write

        def note(data: bytes) -> None:
            written.append(data)
            write(data)

        monkeypatch.setattr(transport, "write", note)

    monkeypatch.setattr(bounded.BoundedProtocol, "connection_made", noting)
    line = await daemon.open(get() + get("/nowhere") + get().replace(b"GET", b"HEAD"))
    assert (await line.answer())[2] == b"hello\n"
    assert (await line.answer())[0] == 404
    head = await line.head()
    assert head.startswith(b"HTTP/1.1 200 ")
    whole = [data for data in written if data]
    assert [data.partition(b"\r\n\r\n")[2] for data in whole] == [b"hello\n", b"Not Found", b""]
    line.writer.write(get())
    assert (await line.answer())[2] == b"hello\n"  # nothing was left over
