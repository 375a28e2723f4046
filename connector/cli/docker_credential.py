"""``connector docker-credential``: gives docker an access token as a registry's password.

The protocol is docker's own (docs.docker.com, "docker login", credential stores), which podman and
others speak too: the operation as the last argument, a server's address on standard input, JSON on
standard output, and an error's text there too, with exit status 1. docker looks for a program named
``docker-credential-NAME``: a script of two lines calls this command.
"""

import json
import sys
from typing import TYPE_CHECKING, Final, NoReturn

import click

from connector import __version__
from connector.cli.asking import asking
from connector.cli.credential_giving import (
    DEFAULT_USERNAME,
    check_origin,
    credential_options,
    origin_asked_for,
    read_request,
)
from connector.cli.session import load, run_async
from connector.errors import OriginRefused, Refused

if TYPE_CHECKING:
    from connector.settings import Settings

#: The protocol's own words: docker then goes on without a password.
NOT_FOUND: Final = "credentials not found in native keychain"
_KEEPS_NOTHING: Final = (
    "connector keeps no passwords: the account's token is given, and connector revoke ends it"
)


@click.command("docker-credential")
@click.argument("operation", type=click.Choice(["get", "list", "store", "erase", "version"]))
@credential_options
def docker_credential(
    operation: str, account: str, hosts: tuple[str, ...], username: str | None, config: str | None
) -> None:
    """Give docker a token as the password of a registry.

    Write an executable file docker-credential-connector into a folder of PATH:

    \b
    #!/bin/sh
    exec connector docker-credential --account acme/google --host europe-docker.pkg.dev "$@"

    and name it in ~/.docker/config.json: {"credHelpers": {"europe-docker.pkg.dev": "connector"}}.
    docker login and logout are refused, for nothing is kept.
    """  # noqa: D301 - click's mark of lines that stay as they are
    name = username or DEFAULT_USERNAME
    if operation == "version":
        click.echo(f"docker-credential-connector (connector) {__version__}")
    elif operation in {"store", "erase"}:
        sys.stdin.buffer.read()  # docker waits until it has written
        _fail(_KEEPS_NOTHING)
    elif operation == "list":
        click.echo(json.dumps({f"https://{host}": name for host in hosts}))
    else:
        _get(load(config), account, hosts, name)


def _get(settings: "Settings", account: str, hosts: tuple[str, ...], username: str) -> None:
    try:
        server = read_request().strip("\n")
        origin = _origin(server)
    except Refused:
        _fail(NOT_FOUND)

    async def get() -> str:
        async with asking(settings) as ask:
            await check_origin(ask, settings, account, origin, hosts)
            return (await ask.token(account)).value

    try:
        secret = run_async(get())
    except OriginRefused:
        _fail(NOT_FOUND)
    click.echo(json.dumps({"ServerURL": server, "Username": username, "Secret": secret}))


def _origin(server: str) -> str:
    """Give the origin of a registry: a host, or a URL of it; https where it does not say."""
    scheme, separator, rest = server.partition("://")
    if not separator:
        scheme, rest = "https", server
    return origin_asked_for(scheme, rest.partition("/")[0])


def _fail(message: str) -> NoReturn:
    click.echo(message)
    raise click.exceptions.Exit(1)
