"""A daemon on this machine, asked over its Unix socket; the standard library only.

Beneath the thin client and ``connector token``. Nothing is sent to a socket that another user
listens on: whoever may write to its folder could have put one of their own in its place (CHECKLIST
153). Importing this module imports next to nothing.
"""

from __future__ import annotations

import os
import sys

TYPE_CHECKING = False
if TYPE_CHECKING:
    import _socket as sockets
    from collections.abc import Mapping

#: The daemon answers within a refresh's deadline and the wait for a lease (seconds).
TIMEOUT = 80.0
#: The socket's name where the configuration does not say otherwise.
SOCKET_NAME = "connector.sock"
#: No answer to this client is larger.
LARGEST_ANSWER = 1024 * 1024


class DaemonUnreachable(Exception):
    """No daemon answers on the socket, or it serves another configuration."""


class Answer:
    """An HTTP answer.

    Attributes:
        status: the HTTP status.
        headers: names in lower case.
        body: as it came.
    """

    __slots__ = ("body", "headers", "status")

    def __init__(self, status: int, headers: dict[str, str], body: bytes) -> None:
        self.status = status
        self.headers = headers
        self.body = body


def find_socket(config: str | None) -> str:
    """Give where the daemon's socket is, without reading the configuration.

    Args:
        config: the configuration file, where it was named.
    """
    named = os.environ.get("CONNECTOR_SOCKET")
    if named:
        return named
    config = config or os.environ.get("CONNECTOR_CONFIG") or ""
    return os.path.join(os.path.dirname(config), SOCKET_NAME)  # noqa: PTH118, PTH120 - pathlib costs 10 ms


def open_socket(path: str) -> sockets.socket:
    """Connect to a daemon.

    Raises:
        DaemonUnreachable: nobody listens there, or another user does.
    """
    # the C module beneath `socket`: the Python one around it costs 10 ms to import
    import _socket

    connection = _socket.socket(_socket.AF_UNIX, _socket.SOCK_STREAM)
    connection.settimeout(TIMEOUT)
    try:
        connection.connect(path)
        owner = _owner(connection, path)
        is_trusted = _is_trusted(owner, path)
    except OSError as error:
        connection.close()
        raise DaemonUnreachable(f"no daemon listens on {path}: {error.strerror}") from None
    if not is_trusted:
        connection.close()
        raise DaemonUnreachable(f"the socket {path} is another user's ({owner}): nothing was sent")
    return connection


def exchange(
    connection: sockets.socket, method: str, path: str, headers: Mapping[str, str]
) -> Answer:
    """Send one request without a body and read the answer (RFC 9112).

    Raises:
        DaemonUnreachable: the connection ended, or what came is no answer of a daemon.
        OSError: the connection failed.
    """
    lines = [f"{method} {path} HTTP/1.1", "Host: connector", "Content-Length: 0"]
    lines += [f"{name}: {value}" for name, value in headers.items()]
    connection.sendall(("\r\n".join(lines) + "\r\n\r\n").encode())
    data = b""
    while b"\r\n\r\n" not in data:
        data += _receive(connection, len(data))
    head, _, body = data.partition(b"\r\n\r\n")
    status_line, *fields = head.decode("latin-1").split("\r\n")
    answer_headers = {}
    for field in fields:
        name, _, value = field.partition(":")
        answer_headers[name.strip().lower()] = value.strip()
    try:
        status = int(status_line.split(" ", 2)[1])
        length = int(answer_headers["content-length"])
    except (IndexError, ValueError, KeyError):
        raise DaemonUnreachable("what answers on the socket is no daemon of ours") from None
    while len(body) < length:
        body += _receive(connection, len(body))
    return Answer(status, answer_headers, body[:length])


def _owner(connection: sockets.socket, path: str) -> int:
    """Give the user who listens, by the kernel's word where it tells (unix(7)), else the file's."""
    import _socket

    option = getattr(_socket, "SO_PEERCRED", None)
    if option is None:
        return os.stat(path).st_uid  # noqa: PTH116 - pathlib costs 10 ms
    # `struct ucred`: process, user, group
    return int.from_bytes(connection.getsockopt(_socket.SOL_SOCKET, option, 12)[4:8], sys.byteorder)


def _is_trusted(owner: int, path: str) -> bool:
    """Tell whether a daemon may be whose it is: ours, or the superuser's.

    The superuser, who may ask anybody's, asks that of whoever owns the folder of the socket.
    """
    user = os.geteuid()
    if owner in {user, 0}:
        return True
    return user == 0 and owner == os.stat(os.path.dirname(path) or ".").st_uid  # noqa: PTH116, PTH120


def _receive(connection: sockets.socket, so_far: int) -> bytes:
    chunk = connection.recv(64 * 1024)
    if not chunk:
        raise DaemonUnreachable("the daemon closed the connection")
    if so_far > LARGEST_ANSWER:
        raise DaemonUnreachable("what answers on the socket is no daemon of ours")
    return chunk
