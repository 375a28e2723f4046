"""What a daemon tells the program that runs it, by the protocol of systemd (sd_notify(3)).

One datagram to a Unix socket whose address stands in the environment; without it nothing is told.
Nobody waits for the other end, and children do not get the address.
"""

import contextlib
import logging
import os
import socket
import time
from collections.abc import MutableMapping
from typing import Final, Self

logger = logging.getLogger(__name__)

_VARIABLES: Final = ("NOTIFY_SOCKET", "WATCHDOG_USEC", "WATCHDOG_PID")


class ServiceManager:
    """Whoever runs this daemon.

    Args:
        address: of its socket: a path, or ``@`` and an abstract name (unix(7)); None: nobody.
        watchdog: seconds within which it wants to hear that all is well; None: it does not.

    Attributes:
        watchdog: as given.
    """

    def __init__(self, address: str | None = None, watchdog: float | None = None) -> None:
        self._address = address
        self.watchdog = watchdog if address else None

    @classmethod
    def take_from(cls, environment: MutableMapping[str, str]) -> Self:
        """Take what systemd has put into an environment out of it (sd_watchdog_enabled(3))."""
        address, microseconds, process = (environment.pop(name, "") for name in _VARIABLES)
        is_ours = process in {"", str(os.getpid())}
        seconds = int(microseconds) / 1e6 if microseconds.isdecimal() and is_ours else 0.0
        is_known = address.startswith(("/", "@"))
        return cls(address if is_known else None, seconds or None)

    def ready(self, status: str) -> None:
        """Say that calls are served, at the start and after a reload."""
        self._tell(f"READY=1\nSTATUS={status}")

    def reloading(self) -> None:
        """Say that the configuration is being read again; `ready` ends it."""
        now = time.clock_gettime_ns(time.CLOCK_MONOTONIC) // 1000
        self._tell(f"RELOADING=1\nMONOTONIC_USEC={now}\nSTATUS=reading the configuration again")

    def stopping(self, status: str) -> None:
        """Say that it ends now."""
        self._tell(f"STOPPING=1\nSTATUS={status}")

    def pet(self) -> None:
        """Say that all is well."""
        self._tell("WATCHDOG=1")

    def _tell(self, message: str) -> None:
        if self._address is None:
            return
        name = f"\0{self._address[1:]}" if self._address.startswith("@") else self._address
        try:
            # not inherited by children, as no socket of Python's
            with contextlib.closing(socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)) as sender:
                sender.sendto(message.encode(), socket.MSG_DONTWAIT, name)
        except OSError as error:
            extra = {"action": "service_manager.away", "error": error.strerror or str(error)}
            logger.warning("the service manager cannot be told", extra=extra)
