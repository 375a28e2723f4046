"""The clients of runs: what every call that leaves has, whatever kind of job makes it.

They obey ``[http]``, as the calls to authorization servers do. Loading the certificate authorities
takes a tenth of a second: it is done once, and in the process that runs are forked from.
"""

import functools
import ssl
from dataclasses import dataclass
from typing import Any, Final

import httpx2

#: A request of a job may take this long (seconds) unless a function says otherwise.
REQUEST_TIMEOUT: Final = 60.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Leaving:
    """How calls leave this machine.

    Attributes:
        proxy: URL of a proxy; None: none, whatever the environment names.
        ca_file: PEM file of the certificate authorities to trust instead of the usual ones.
    """

    proxy: str | None = None
    ca_file: str | None = None

    def options(self) -> dict[str, Any]:
        """Give the arguments of a client, sync or async.

        Raises:
            OSError: the file of authorities cannot be read.
        """
        context = usual_authorities()
        if self.ca_file is not None:
            context = ssl.create_default_context(cafile=self.ca_file)
        return {
            "verify": context,
            "proxy": self.proxy or None,
            "trust_env": False,
            "timeout": REQUEST_TIMEOUT,
        }


@functools.cache
def usual_authorities() -> ssl.SSLContext:
    """Give the authorities that httpx2 trusts."""
    return httpx2.create_ssl_context()
