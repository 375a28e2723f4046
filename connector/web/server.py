"""uvicorn on sockets that we bind ourselves, in the event loop that is already running.

Binding first means: a port that is taken is told before anything else happens, and a Unix socket
never exists with a mode wider than 0600 (uvicorn's own would).
"""

import asyncio
import contextlib
import errno
import os
import socket
from collections.abc import Generator, Iterable
from functools import partial
from pathlib import Path
from typing import Final

import uvicorn
from starlette.types import ASGIApp, Receive, Scope, Send

from connector.store.audit_entry import acting_as
from connector.web.bounded import LARGEST_HEAD, BoundedProtocol
from connector.web.connections import IDLE_TIME, Connections
from connector.web.peer import actor_of_trusted

#: Requests waiting to be accepted; more than a person's browser or a host's jobs ever open at once.
BACKLOG: Final = 512
#: The event loop accepts so many before it does anything else.
_ACCEPTED_AT_ONCE: Final = 64
#: Connections of a listener whose owner sets no number.
MOST_CONNECTIONS: Final = 128
#: Open answers are given this long at the end (seconds).
SHUTDOWN_TIME: Final = 5


class PortTaken(OSError):
    """Another program listens on the port."""


class Server:
    """Serves one application on some sockets.

    Args:
        app: the application.
        sockets: bound, not yet listening.
        most: connections that may be open at once.
    """

    def __init__(
        self, app: ASGIApp, sockets: Iterable[socket.socket], *, most: int = MOST_CONNECTIONS
    ) -> None:
        self.connections = Connections(most)
        config = uvicorn.Config(
            app,
            http=partial(BoundedProtocol, bounds=self.connections),  # type: ignore[arg-type]
            ws="none",
            backlog=_ACCEPTED_AT_ONCE,
            log_config=None,
            access_log=False,
            lifespan="off",
            server_header=False,
            proxy_headers=False,
            timeout_graceful_shutdown=SHUTDOWN_TIME,
            timeout_keep_alive=IDLE_TIME,
            h11_max_incomplete_event_size=LARGEST_HEAD,
        )
        self._server = _QuietServer(config)
        self._sockets = list(sockets)
        self._task: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Begin to serve; returns when connections are accepted."""
        self._task = asyncio.create_task(self._server.serve(sockets=self._sockets))
        while not self._server.started:
            if self._task.done():
                await self._task
                return
            await asyncio.sleep(0.005)
        for one in self._sockets:
            one.listen(BACKLOG)  # uvicorn has made it as short as what is accepted at once
        self.connections.start()

    async def aclose(self) -> None:
        """Finish open answers and stop."""
        if self._task is None:
            return
        self._server.should_exit = True
        await self._task
        self._task = None
        await self.connections.aclose()


class _QuietServer(uvicorn.Server):
    """Leaves signals to the program that it runs in."""

    @contextlib.contextmanager
    def capture_signals(self) -> Generator[None, None, None]:
        yield


class Switch:
    """An application that may be exchanged: a request goes on with the one that it came to.

    Args:
        app: the application; may be replaced.
    """

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass on."""
        await self.app(scope, receive, send)


class TrustedPeer:
    """Marks requests of a listener that only this user can reach (a Unix socket, 0600).

    Args:
        app: the application.
    """

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass on, marked, and act for whoever asks."""
        if scope["type"] != "http":
            return
        with acting_as(actor_of_trusted(scope)):
            await self._app({**scope, "connector.trusted_peer": True}, receive, send)


def bind_loopback(host: str, port: int) -> list[socket.socket]:
    """Bind a TCP port on loopback; for ``localhost`` on both families where they are there.

    Args:
        host: ``localhost`` or a loopback address.
        port: 0 for any free one.

    Raises:
        PortTaken: another program listens there.
        OSError: the address does not exist here.
    """
    addresses = ["127.0.0.1", "::1"] if host == "localhost" else [host.strip("[]")]
    sockets: list[socket.socket] = []
    try:
        for address in addresses:
            family = socket.AF_INET6 if ":" in address else socket.AF_INET
            try:
                sockets.append(_bind(family, address, port))
            except OSError as error:
                if error.errno == errno.EADDRINUSE:
                    raise PortTaken(error.errno, f"port {port} is taken") from None
                if not sockets:
                    raise
                continue  # no IPv6 on this host
            port = sockets[0].getsockname()[1]
    except BaseException:
        for one in sockets:
            one.close()
        raise
    return sockets


def bind_unix(path: Path) -> socket.socket:
    """Bind a Unix socket, 0600 from the start; a stale one is replaced.

    Raises:
        PortTaken: another process listens there.
        OSError: it cannot be made.
    """
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    if path.is_socket():
        if is_listening(path):
            raise PortTaken(errno.EADDRINUSE, f"another daemon listens on {path}")
        path.unlink()
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    before = os.umask(0o177)
    try:
        listener.bind(str(path))
    except BaseException:
        listener.close()
        raise
    finally:
        os.umask(before)
    return listener


def is_listening(path: Path) -> bool:
    """Tell whether somebody accepts connections on a Unix socket."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
        probe.settimeout(1.0)
        try:
            probe.connect(str(path))
        except OSError:
            return False
    return True


def _bind(family: socket.AddressFamily, address: str, port: int) -> socket.socket:
    # the protocol is named: asyncio turns Nagle's algorithm off only where it sees TCP
    listener = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if family is socket.AF_INET6:
            listener.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        listener.bind((address, port))
        listener.listen(BACKLOG)
    except BaseException:
        listener.close()
        raise
    return listener
