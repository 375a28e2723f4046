"""Starts the process that answers beside a program which was given an endpoint.

The program takes our place, so its endpoint is a process of its own, as ssh-agent(1) has it: it is
the program's child, in a session of its own, and ends when its parent does. The socket is made here
and the secret goes through a pipe, never through arguments or the environment (CHECKLIST 157).
"""

import json
import secrets
import subprocess
import sys
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from connector.settings import Settings

#: As much chance as an API key has (CHECKLIST 146).
_SECRET_BYTES: Final = 32
READY: Final = "ready\n"
HOST: Final = "127.0.0.1"


def start_endpoint(
    settings: "Settings", accounts: tuple[str, ...], min_ttl: float | None
) -> dict[str, str]:
    """Start it, and give the variables that lead to it.

    Args:
        settings: the configuration.
        accounts: whose tokens it gives.
        min_ttl: that of a request which names none, in seconds.

    Raises:
        SystemExit: it has said why it cannot give them.
    """
    from connector.web.server import bind_loopback

    (listener,) = bind_loopback(HOST, 0)
    secret = secrets.token_urlsafe(_SECRET_BYTES)
    order = {
        "config": str(settings.path),
        "accounts": accounts,
        "min_ttl": min_ttl,
        "secret": secret,
        "listener": listener.fileno(),
    }
    with listener:
        # -P: a module in the working folder must not shadow ours
        process = subprocess.Popen(
            [sys.executable, "-P", "-m", "connector.cli.endpoint"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            pass_fds=[listener.fileno()],
            text=True,
        )
        assert process.stdin is not None  # noqa: S101 - they are pipes
        assert process.stdout is not None  # noqa: S101
        try:
            with process.stdin:
                process.stdin.write(json.dumps(order))
        except BrokenPipeError:
            pass  # it has ended, and says why with its status
        with process.stdout:
            is_ready = process.stdout.readline() == READY
        if not is_ready:
            sys.exit(process.wait())
        port = listener.getsockname()[1]
    return {"CONNECTOR_URL": f"http://{HOST}:{port}", "CONNECTOR_KEY": secret}
