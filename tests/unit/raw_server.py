"""A server on loopback that answers scripted bytes, and keeps what it received to the byte.

It speaks no HTTP of its own, so that a test can drip, cut, reset, redirect, or answer without end.
"""

import asyncio
import gzip
import json
import socket
import ssl
import struct
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from urllib.parse import parse_qsl, urlsplit


@dataclass(frozen=True, slots=True, kw_only=True)
class Received:
    """One request, as it came."""

    method: str
    target: str
    headers: tuple[tuple[str, str], ...]
    body: bytes

    def header(self, name: str) -> str | None:
        """Give a header's value; it must not occur twice."""
        values = [value for key, value in self.headers if key.lower() == name.lower()]
        assert len(values) <= 1, values
        return values[0] if values else None

    @property
    def form(self) -> list[tuple[str, str]]:
        return parse_qsl(self.body.decode(), keep_blank_values=True, strict_parsing=True)

    @property
    def query(self) -> list[tuple[str, str]]:
        return parse_qsl(urlsplit(self.target).query, keep_blank_values=True)


class Exchange:
    """One connection, given to a script."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self._writer = writer

    async def write(self, data: bytes) -> None:
        self._writer.write(data)
        await self._writer.drain()

    async def until_closed(self) -> None:
        """Wait until the client hangs up."""
        while await self._reader.read(65536):
            pass

    def reset(self) -> None:
        """End the connection with RST instead of FIN."""
        sock = self._writer.get_extra_info("socket")
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self._writer.transport.abort()

    async def read_request(self) -> Received | None:
        """Read a whole request; None where the client has hung up."""
        try:
            head = (await self._reader.readuntil(b"\r\n\r\n")).decode("latin-1")
        except asyncio.IncompleteReadError:
            return None
        first, *lines = head.removesuffix("\r\n\r\n").split("\r\n")
        method, target, _ = first.split(" ", 2)
        headers = tuple(
            (name, value.strip()) for name, _, value in (x.partition(":") for x in lines)
        )
        length = {name.lower(): value for name, value in headers}.get("content-length", "0")
        body = await self._reader.readexactly(int(length))
        return Received(method=method, target=target, headers=headers, body=body)


Script = Callable[[Exchange], Awaitable[None]]


class RawServer:
    """Listens on 127.0.0.1; each request is answered by the next script, the last one again."""

    def __init__(self, tls: ssl.SSLContext | None = None) -> None:
        self.received: list[Received] = []
        self.connections = 0
        self.before_reading: Script | None = None
        self._scripts: list[Script] = [answer()]
        self._tls = tls
        self._tasks: set[asyncio.Task[None]] = set()
        self._server: asyncio.Server | None = None
        self.origin = ""

    def will(self, *scripts: Script) -> None:
        """Say what is done with the next requests."""
        self._scripts = list(scripts)

    async def start(self) -> None:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0, ssl=self._tls)
        port = self._server.sockets[0].getsockname()[1]
        self.origin = f"{'https' if self._tls else 'http'}://127.0.0.1:{port}"

    async def stop(self) -> None:
        assert self._server is not None
        self._server.close()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await self._server.wait_closed()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        self.connections += 1
        try:
            await self._converse(Exchange(reader, writer))
        except (OSError, asyncio.CancelledError):
            pass  # the client, or the test, has ended it
        finally:
            writer.transport.abort()

    async def _converse(self, exchange: Exchange) -> None:
        if self.before_reading is not None:
            await self.before_reading(exchange)
            return
        while (request := await exchange.read_request()) is not None:
            self.received.append(request)
            script = self._scripts.pop(0) if len(self._scripts) > 1 else self._scripts[0]
            await script(exchange)


def answer(
    status: int = 200, body: object = b"{}", headers: Mapping[str, str] | None = None
) -> Script:
    """Answer whole, and keep the connection open as HTTP/1.1 does."""
    content = body if isinstance(body, bytes) else json.dumps(body).encode()
    lines = {"Content-Type": "application/json", "Content-Length": str(len(content))}
    lines |= headers or {}
    head = "".join(f"{name}: {value}\r\n" for name, value in lines.items())
    return raw(f"HTTP/1.1 {status} Whatever\r\n{head}\r\n".encode() + content)


def zipped(body: bytes) -> Script:
    """Answer with gzip, though nobody asked for it."""
    return answer(body=gzip.compress(body), headers={"Content-Encoding": "gzip"})


def raw(data: bytes, then: Script | None = None) -> Script:
    """Send these bytes, and then do something else."""

    async def script(exchange: Exchange) -> None:
        await exchange.write(data)
        if then is not None:
            await then(exchange)

    return script


def endless(start: bytes, chunk: bytes) -> Script:
    """Send without end, as fast as the client takes it."""

    async def script(exchange: Exchange) -> None:
        await exchange.write(start)
        while True:
            await exchange.write(chunk)

    return script


def dripping(start: bytes, chunk: bytes) -> Script:
    """Send without end and slowly, so that no single wait is long."""

    async def script(exchange: Exchange) -> None:
        await exchange.write(start)
        while True:
            await exchange.write(chunk)
            await asyncio.sleep(0.005)

    return script


async def silence(exchange: Exchange) -> None:
    """Never answer."""
    await exchange.until_closed()


async def hang_up(_exchange: Exchange) -> None:
    """Close without (another) word."""
    raise ConnectionAbortedError


async def reset(exchange: Exchange) -> None:
    """Close with RST."""
    exchange.reset()


def closed_port() -> int:
    """Give a port that nobody listens on."""
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        port: int = sock.getsockname()[1]
        return port
