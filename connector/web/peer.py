"""Who is at the other end of a connection to the Unix socket, by the kernel's word (unix(7)).

The socket is 0600, so it is our own user or root; which of them, the audit trail tells.
"""

import asyncio
import os
import socket
import struct
from functools import lru_cache
from typing import Final

from starlette.types import Scope
from uvicorn.protocols.http.h11_impl import H11Protocol

from connector.store.audit_entry import Actor

_UID: Final = "uid:"
#: ``struct ucred``: process, user, group.
_CREDENTIALS: Final = struct.Struct("3i")
#: The command line says so of itself; whoever else sends it is no other user for that.
_OUR_HEADER: Final = b"connector-config"
#: Which command it is, where it is not ``connector token``.
_COMMAND_HEADER: Final = b"connector-command"
#: Those that ask a daemon; nothing else that is sent gets into the audit trail.
_COMMANDS: Final = frozenset({b"exec", b"git-credential", b"docker-credential"})


class PeerProtocol(H11Protocol):
    """HTTP whose requests bear the user at the other end in the place of an address.

    No URL is logged, since some hold secrets.
    """

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Take a connection."""
        super().connection_made(transport)
        self.access_log = False
        user = _user_of(transport.get_extra_info("socket"))
        if user is not None:
            self.client = f"{_UID}{user}", 0


def actor_of_trusted(scope: Scope) -> Actor:
    """Give who sent a request over the Unix socket."""
    host = (scope.get("client") or ("", 0))[0]
    # where the kernel does not tell, only our own user can have opened it, or root
    user = host.removeprefix(_UID) if host.startswith(_UID) else str(os.getuid())
    headers = dict(scope["headers"])
    if _OUR_HEADER not in headers:
        return _trusted(user, "api")
    command = headers.get(_COMMAND_HEADER)
    return _trusted(user, f"connector {command.decode() if command in _COMMANDS else 'token'}")


def actor_of_stranger(scope: Scope) -> Actor:
    """Give who sent a request over TCP."""
    return _stranger((scope.get("client") or ("unknown", 0))[0])


def actor_of_key(name: str) -> Actor:
    """Give the holder of an API key."""
    return _holder(name)


@lru_cache(maxsize=256)
def _holder(name: str) -> Actor:
    return Actor(kind="key", name=name, through="api")


@lru_cache(maxsize=16)
def _trusted(user: str, through: str) -> Actor:
    return Actor(kind="uid", name=user, through=through)


@lru_cache(maxsize=16)
def _stranger(host: str) -> Actor:
    return Actor(kind="peer", name=host, through="tcp")


def _user_of(connection: socket.socket | None) -> int | None:
    """Ask the kernel; None where it does not tell."""
    option = getattr(socket, "SO_PEERCRED", None)
    if connection is None or connection.family != socket.AF_UNIX or option is None:
        return None
    found = connection.getsockopt(socket.SOL_SOCKET, option, _CREDENTIALS.size)
    _process, user, _group = _CREDENTIALS.unpack(found)
    return int(user)
