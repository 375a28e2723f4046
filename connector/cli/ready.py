"""``connector ready``: whether the daemon on this machine should be sent calls."""

import contextlib
import json
import tomllib
from pathlib import Path
from typing import Final

import click

from connector.cli.options import common_options, config_path, option

#: A daemon that is ready says so within a second; one that is busy, a little later (seconds).
PATIENCE: Final = 5.0


@click.command()
@option(
    "--socket",
    type=click.Path(),
    envvar="CONNECTOR_SOCKET",
    help="The daemon's Unix socket; else what the configuration says.",
)
@common_options
def ready(socket: str | None, config: str | None) -> None:
    """Tell whether the daemon should be sent calls, as /readyz does, over its Unix socket.

    For health checks: exit status 0, or 4 and a line on standard error that says what is not ready.
    A configuration that is being edited does not matter.
    """
    from connector.errors import TemporarilyUnavailable
    from connector.local_daemon import DaemonUnreachable, exchange, open_socket

    path = socket or _socket_of(config_path(config))
    try:
        connection = open_socket(path)
        with contextlib.closing(connection):
            connection.settimeout(PATIENCE)
            answer = exchange(connection, "GET", "/readyz", {})
    except DaemonUnreachable as error:
        message = f"the daemon does not answer: {error}; start it with: connector serve"
        raise TemporarilyUnavailable(message) from None
    except OSError as error:
        raise TemporarilyUnavailable(f"the daemon does not answer: {error}") from None
    if answer.status != 200:
        detail = f"HTTP {answer.status}"
        with contextlib.suppress(ValueError, LookupError, TypeError):
            detail = str(json.loads(answer.body)["detail"])
        raise TemporarilyUnavailable(f"the daemon on {path} is {detail}")


def _socket_of(config: str | None) -> str:
    """Give the path of the daemon's socket; of a configuration that cannot be read, the usual one.

    Raises:
        ConfigurationError: there is no configuration, or it says that there is no socket.
    """
    from connector.errors import ConfigurationError, Problem
    from connector.local_daemon import SOCKET_NAME
    from connector.settings import find_configuration

    file = find_configuration(config)
    name: object = SOCKET_NAME
    with contextlib.suppress(OSError, ValueError, AttributeError):
        name = tomllib.loads(file.read_text()).get("daemon", {}).get("socket", SOCKET_NAME)
    if not name:
        remedy = "set daemon.socket, or ask /readyz over TCP with an API key"
        problem = Problem(file.name, "daemon.socket", "there is none to ask over", remedy)
        raise ConfigurationError([problem])
    return str(file.parent / Path(str(name)).expanduser())
