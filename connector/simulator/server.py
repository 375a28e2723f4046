"""uvicorn's HTTP protocol on a loopback socket, in a thread of its own.

The socket listens before start() returns, and nothing of it is left when stop() does. uvicorn's
own Server is not used: it polls ten times a second and waits for open connections at its end.
"""

import asyncio
import socket
import threading
from collections.abc import Callable
from functools import partial

import uvicorn
from starlette.types import ASGIApp, Receive, Scope, Send
from uvicorn.protocols.http.h11_impl import H11Protocol
from uvicorn.server import ServerState

from connector.simulator.connection import TRANSPORT

# Longer than any pause of a test, so that an idle pooled connection is closed by the client.
KEEP_ALIVE_SECONDS = 600

# What the kernel queues while a few hundred callers connect at the same moment.
BACKLOG = 1024


class TransportProtocol(H11Protocol):
    """HTTP/1.1 that shows the application its transport, and logs no URL (they hold secrets)."""

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Wrap the application so that each request's scope has the transport."""
        super().connection_made(transport)
        self.access_log = False
        app = self.app

        async def with_transport(scope: Scope, receive: Receive, send: Send) -> None:
            scope.setdefault("extensions", {})[TRANSPORT] = transport
            await app(scope, receive, send)

        self.app = with_transport


def bind(host: str, port: int) -> socket.socket:
    """A socket bound to a loopback address; port 0 is any free one.

    Raises:
        OSError: the port is taken, or the address is not there.
    """
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    # asyncio turns Nagle's algorithm off only where the protocol is named; it costs 40 ms a request
    listener = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind((host, port))
        listener.listen(BACKLOG)
    except OSError:
        listener.close()
        raise
    return listener


class ServerThread:
    """One application on one bound socket, from start() to stop()."""

    def __init__(
        self, app: ASGIApp, listener: socket.socket, *, on_stop: Callable[[], None]
    ) -> None:
        self._app = app
        self._listener = listener
        self._on_stop = on_stop
        self._ready = threading.Event()
        self._failure: Exception | None = None
        self._ask_to_stop: Callable[[], object] = bool  # does nothing until there is a loop
        self._thread = threading.Thread(target=self._run, name="simulator", daemon=True)

    def start(self) -> None:
        """Start serving; returns once connections are accepted.

        Raises:
            OSError: the socket cannot be served.
        """
        self._thread.start()
        self._ready.wait()
        self._tell_failure()

    def stop(self) -> None:
        """Close every connection, end the thread and wait for its end.

        Raises:
            Exception: whatever ended the thread before.
        """
        self._ask_to_stop()
        self._thread.join()
        self._tell_failure()

    def _tell_failure(self) -> None:
        if self._failure is not None:
            raise self._failure

    def _run(self) -> None:
        try:
            asyncio.run(self._serve())
        except Exception as error:  # noqa: BLE001 - start() or stop() raises it where it is seen
            self._failure = error
        finally:
            self._ready.set()

    async def _serve(self) -> None:
        loop = asyncio.get_running_loop()
        stopping = asyncio.Event()
        config = uvicorn.Config(
            self._app,
            http=TransportProtocol,
            ws="none",
            lifespan="off",
            interface="asgi3",
            log_config=None,
            proxy_headers=False,
            timeout_keep_alive=KEEP_ALIVE_SECONDS,
        )
        config.load()
        state = ServerState()
        server = await loop.create_server(
            lambda: TransportProtocol(config, state, {}), sock=self._listener, backlog=BACKLOG
        )
        self._ask_to_stop = partial(loop.call_soon_threadsafe, stopping.set)
        self._ready.set()
        await stopping.wait()
        # Closing the server at once would break a connection that was accepted a moment ago.
        loop.remove_reader(self._listener)
        self._on_stop()
        await _close_all(state)
        server.close()
        await server.wait_closed()


async def _close_all(state: ServerState) -> None:
    this = asyncio.current_task()
    while True:
        for connection in list(state.connections):
            connection.transport.abort()
        # requests being answered, and connections accepted a moment ago that are not yet known
        others = asyncio.all_tasks() - {this}
        if others:
            await asyncio.wait(others)
        elif state.connections:
            await asyncio.sleep(0)
        else:
            return
