"""One request's connection, down to the TCP transport, so that faults can break it.

ASGI has no word for "close without answering"; server.TransportProtocol therefore puts the
asyncio transport into scope["extensions"] under TRANSPORT, and only this module takes it out.
"""

import asyncio
import socket
import struct
from collections.abc import Iterable

from starlette.responses import Response
from starlette.types import Receive, Scope, Send

TRANSPORT = "connector.simulator.transport"

# SO_LINGER on, zero seconds: closing throws unsent data away and answers with RST.
LINGER_ZERO = struct.pack("ii", 1, 0)


class Connection:
    """What can be done with one request's connection."""

    def __init__(self, scope: Scope, receive: Receive, send: Send) -> None:
        self._scope = scope
        self._receive = receive
        self._send = send
        self._transport: asyncio.Transport = scope["extensions"][TRANSPORT]

    async def read_body(self, limit: int) -> bytes | None:
        """The whole body, cut off once it is longer than `limit` bytes; None if the peer left."""
        body = bytearray()
        while len(body) <= limit:
            message = await self._receive()
            if message["type"] == "http.disconnect":
                return None
            body += message.get("body", b"")
            if not message.get("more_body", False):
                break
        return bytes(body)

    async def send(self, response: Response) -> None:
        """Send an answer whole."""
        await response(self._scope, self._receive, self._send)

    async def start(self, status: int, headers: Iterable[tuple[bytes, bytes]]) -> None:
        """Send the status line and the headers; a body written afterwards is their business."""
        await self._send(
            {"type": "http.response.start", "status": status, "headers": list(headers)}
        )

    async def write(self, chunk: bytes) -> bool:
        """Send a part of the body; False once the peer is gone."""
        await self._send({"type": "http.response.body", "body": chunk, "more_body": True})
        return not self._transport.is_closing()

    async def finish(self) -> None:
        """End the body."""
        await self._send({"type": "http.response.body", "body": b"", "more_body": False})

    async def close(self) -> None:
        """Close the TCP connection after what was written; the answer stays unfinished."""
        self._transport.close()
        await self._until_gone()

    async def reset(self) -> None:
        """Close the TCP connection with RST; whatever was not sent yet is lost."""
        peer: socket.socket = self._transport.get_extra_info("socket")
        peer.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, LINGER_ZERO)
        self._transport.abort()
        await self._until_gone()

    async def _until_gone(self) -> None:
        # uvicorn answers 500 for an application that returns before it knows of the closing.
        is_gone = False
        while not is_gone:
            is_gone = (await self._receive())["type"] == "http.disconnect"
