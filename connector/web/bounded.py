"""HTTP connections that take in no more than a request of ours needs, and wait no longer.

uvicorn and h11 do the work; they have no limit of time for a request's head, close nothing that an
answered request goes on sending, answer in plain text, and write each answer in pieces. Sizes and
times: RFC 9110 §15.5.9 (408), RFC 6585 §5 (431).
"""

import asyncio
import json
import sys
from http import HTTPStatus
from typing import Any, Final

import h11
from uvicorn.config import Config
from uvicorn.protocols.http.h11_impl import RequestResponseCycle
from uvicorn.server import ServerState

from connector.web.connections import HEAD_TIME, IDLE_TIME, LINGER_TIME, Connections
from connector.web.peer import PeerProtocol
from connector.web.problems import TYPE_PREFIX

#: A head that is not whole may have so many bytes. What has come is looked at in pieces of this
#: size, so that one that is whole has at most twice as many.
LARGEST_HEAD: Final = 16 * 1024
#: What is taken in of a body after its answer, so that the answer arrives (bytes).
MOST_DISCARDED: Final = 1024 * 1024
#: Problems that are answered here, by status.
_NAMES: Final = {
    400: "bad-request",
    408: "request-timeout",
    431: "request-header-fields-too-large",
    503: "temporarily-unavailable",
}
#: How `access.AccessCheck` marks a request of somebody whom we know, in its scope.
KNOWN: Final = "connector.is_known"


class JoiningConnection(h11.Connection):
    """The server's end of HTTP, whose answers' heads go out with what comes next of each.

    ASGI lets a head wait for the first piece of its body. A write is a good part of what an answer
    costs, and each one more has the caller wait longer.

    Args:
        largest_head: a head that is not whole may have so many bytes.
    """

    def __init__(self, largest_head: int) -> None:
        super().__init__(h11.SERVER, largest_head)
        self._head = b""

    def send(self, event: h11.Event) -> bytes | None:  # type: ignore[override]
        """Give what is to be written now."""
        data = super().send(event)
        if data is None:
            return None
        if type(event) is h11.Response:
            self._head = data
            return b""
        if self._head:
            data, self._head = self._head + data, b""
        return data


class BoundedProtocol(PeerProtocol):
    """One HTTP connection within bounds.

    Args:
        config, server_state, app_state, _loop: uvicorn's.
        bounds: of its listener.
    """

    def __init__(
        self,
        config: Config,
        server_state: ServerState,
        app_state: dict[str, Any],
        _loop: asyncio.AbstractEventLoop | None = None,
        *,
        bounds: Connections,
    ) -> None:
        super().__init__(config, server_state, app_state, _loop)
        self.conn = JoiningConnection(LARGEST_HEAD)
        self.deadline = float("inf")
        self.is_known = False
        self._bounds = bounds
        self._has_begun = True  # that a head has: its time is counted from the connection's start
        self._discarded: int | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Take a connection, if there is room."""
        super().connection_made(transport)
        if not self._bounds.admit(self):
            self._refuse(503, "too many connections")

    def connection_lost(self, exc: Exception | None) -> None:
        """Note that it has ended."""
        self._bounds.forget(self)
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Take in what has come, in pieces."""
        if self._discarded is not None and self._is_discarded(len(data)):
            return
        if len(data) <= LARGEST_HEAD:
            super().data_received(data)
        else:
            for start in range(0, len(data), LARGEST_HEAD):
                if self.transport.is_closing():
                    return
                super().data_received(data[start : start + LARGEST_HEAD])
        if self._is_answering():
            self._has_begun = False
            self._bounds.work(self)
        elif not self._has_begun and self._discarded is None:
            self._has_begun = True
            self._bounds.wait(self, HEAD_TIME)

    def on_response_complete(self) -> None:
        """Wait for the next request, or for the rest of this one."""
        self.is_known = self.is_known or KNOWN in self.scope
        super().on_response_complete()
        if self._is_answering():  # the next request had come already
            return
        if self.conn.their_state is h11.SEND_BODY and not self.transport.is_closing():
            self._unset_keepalive_if_required()
            self._discarded = 0
            self._bounds.wait(self, LINGER_TIME)
            return
        self._has_begun = self.conn.trailing_data[0] != b""
        self._bounds.wait(self, HEAD_TIME if self._has_begun else IDLE_TIME)

    def send_400_response(self, msg: str) -> None:
        """Answer what is no HTTP, or too much of it."""
        error = sys.exception()
        if isinstance(error, h11.RemoteProtocolError) and error.error_status_hint == 431:
            self._refuse(431, f"the head of a request has at most {LARGEST_HEAD} bytes")
        else:
            self._refuse(400, msg)

    def end(self) -> None:
        """Close it: its peer has taken too long."""
        if self.transport.is_closing() or self.transport.get_write_buffer_size():
            self.cut()
        elif self._has_begun and self.conn.trailing_data[0]:
            self._refuse(408, f"the head must have come after {HEAD_TIME:.0f} s")
        else:
            self.transport.close()

    def cut(self) -> None:
        """Close it at once, whatever is on its way."""
        self.transport.abort()

    def _is_answering(self) -> bool:
        cycle: RequestResponseCycle | None = self.cycle  # uvicorn's None has another type
        return cycle is not None and not cycle.response_complete

    def _is_discarded(self, size: int) -> bool:
        """Count what comes after the answer; tell whether it was too much."""
        if self.conn.their_state is not h11.SEND_BODY:
            self._discarded = None
            return False
        assert self._discarded is not None  # noqa: S101 - the caller has looked
        self._discarded += size
        if self._discarded <= MOST_DISCARDED:
            return False
        self.cut()
        return True

    def _refuse(self, status: int, detail: str) -> None:
        """Answer without the application, unless its answer has begun, and close.

        For whoever is answering the request, the caller has hung up: it is no failure of theirs.
        """
        if self.conn.our_state in {h11.IDLE, h11.SEND_RESPONSE}:
            self.transport.write(_answer(status, detail))
        if self._is_answering():
            self.cycle.disconnected = True
            self.cycle.message_event.set()
        self.transport.close()

    def _get_upgrade(self) -> bytes | None:
        """Take no upgrade: there is nothing to upgrade to."""
        return None


def _answer(status: int, detail: str) -> bytes:
    name = _NAMES[status]
    document = {
        "type": f"{TYPE_PREFIX}{name}",
        "title": name.replace("-", " "),
        "status": status,
        "detail": detail,
    }
    body = json.dumps(document)
    lines = [
        f"HTTP/1.1 {status} {HTTPStatus(status).phrase}",
        "Content-Type: application/problem+json",
        f"Content-Length: {len(body)}",
        "Cache-Control: no-store",
        "Connection: close",
    ]
    return ("\r\n".join(lines) + f"\r\n\r\n{body}").encode()
