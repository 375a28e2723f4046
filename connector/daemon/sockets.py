"""What a daemon holds while it serves: listening sockets, and the lock beside a SQLite vault."""

import contextlib
import errno
import fcntl
import os
import socket
from collections.abc import Iterator
from pathlib import Path

from connector.errors import ConfigurationError, Problem
from connector.settings import Settings
from connector.web.server import PortTaken, bind_loopback, bind_unix


class Sockets:
    """Bound sockets.

    Args:
        tcp: on loopback.
        unix: at most one.
        path: of that one's file.
    """

    def __init__(
        self, tcp: list[socket.socket], unix: list[socket.socket], path: Path | None
    ) -> None:
        self.tcp = tcp
        self.unix = unix
        self._path = path
        self._inode = None if path is None else _inode(path)

    def close(self) -> None:
        """Close them, and remove the file of the one that is ours, not of a successor's.

        A second call removes nothing: by then a successor's file may have our inode's number.
        """
        if self._path is not None and self._inode is not None:
            if _inode(self._path) == self._inode:
                self._path.unlink(missing_ok=True)
            self._inode = None
        _close(self.tcp, self.unix)


def bind(settings: Settings) -> Sockets:
    """Bind what a configuration names.

    Raises:
        ConfigurationError: something is taken or cannot be bound.
    """
    daemon, source = settings.daemon, settings.path.name
    try:
        tcp = bind_loopback(daemon.host, daemon.port)
    except OSError as error:
        message = f"{daemon.host}:{daemon.port} cannot be listened on: {error.strerror}"
        remedy = "stop the program that holds it, or set another port"
        raise ConfigurationError([Problem(source, "daemon.port", message, remedy)]) from None
    if daemon.socket is None:
        return Sockets(tcp, [], None)
    try:
        unix = [bind_unix(daemon.socket)]
    except OSError as error:
        _close(tcp)
        message = f"{daemon.socket} cannot be listened on: {error.strerror or error}"
        remedy = (
            "stop the other daemon"
            if isinstance(error, PortTaken)
            else "set daemon.socket to a short path in a folder of yours"
        )
        raise ConfigurationError([Problem(source, "daemon.socket", message, remedy)]) from None
    return Sockets(tcp, unix, daemon.socket)


@contextlib.contextmanager
def sole_daemon(database: Path | None) -> Iterator[None]:
    """Hold a lock beside a SQLite vault, so that a second daemon on it is refused.

    Args:
        database: the vault's file; None: it is no file, and several daemons may share it.

    Raises:
        ConfigurationError: another daemon has it.
    """
    if database is None:
        yield
        return
    path = database.with_name(f"{database.name}.daemon")
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            if error.errno not in {errno.EWOULDBLOCK, errno.EACCES}:
                raise
            message = f"another daemon serves {database}"
            remedy = "stop it; several daemons need a Postgres vault"
            raise ConfigurationError([Problem("daemon", "", message, remedy)]) from None
        yield
    finally:
        os.close(descriptor)


def _inode(path: Path) -> int | None:
    """Tell which file a path names."""
    try:
        return path.stat().st_ino
    except OSError:
        return None


def _close(*groups: list[socket.socket]) -> None:
    for group in groups:
        for one in group:
            one.close()
