"""``connector exec``: runs a program that is given tokens.

The program takes the place of this process (execve(2)), so that its signals, its terminal and its
exit status are its own. A token reaches it through the environment or a pipe, never through its
arguments, which every user of the machine can read (CHECKLIST 157, 175); with ``--endpoint`` it
asks for tokens itself, see `endpoint`.
"""

import math
import os
import re
from typing import TYPE_CHECKING, Final

import click

from connector.cli.asking import asking, warn_if_short
from connector.cli.endpoint_process import start_endpoint
from connector.cli.options import common_options, option
from connector.cli.replacing import Inheritance, become
from connector.cli.session import load, run_async
from connector.errors import ConfigurationError, Problem

if TYPE_CHECKING:
    from connector.settings import Settings

DEFAULT_VARIABLE: Final = "CONNECTOR_TOKEN"
_DEFAULT_FD_VARIABLE: Final = "CONNECTOR_TOKEN_FD"
_VARIABLE: Final = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")


@click.command(context_settings={"allow_interspersed_args": False})
@click.argument("command", nargs=-1, required=True, type=click.UNPROCESSED)
@option(
    "--account",
    "accounts",
    multiple=True,
    required=True,
    help="An account whose token is given; may be repeated.",
)
@option(
    "--env",
    "variables",
    multiple=True,
    metavar="[ACCOUNT=]NAME",
    help="The variable that tells the token; CONNECTOR_TOKEN by default. Of several accounts each"
    " needs one.",
)
@option(
    "--fd",
    "by_fd",
    is_flag=True,
    help="Give each token through a pipe; the variable tells its number (CONNECTOR_TOKEN_FD by"
    " default).",
)
@option(
    "--endpoint",
    "by_endpoint",
    is_flag=True,
    help="Give no token but an address to ask for them, as long as COMMAND runs: CONNECTOR_URL and"
    " CONNECTOR_KEY.",
)
@option("--min-ttl", type=click.FloatRange(min=0), help="Least remaining life in seconds.")
@common_options
def exec(  # noqa: A001 - the command's name
    command: tuple[str, ...],
    accounts: tuple[str, ...],
    variables: tuple[str, ...],
    min_ttl: float | None,
    config: str | None,
    *,
    by_fd: bool,
    by_endpoint: bool,
) -> None:
    """Run COMMAND with an access token.

    By default the token stands in the environment variable CONNECTOR_TOKEN. Whatever COMMAND starts
    inherits its environment, crash reports may show it, and the same user can read it: where
    COMMAND can read a file descriptor, prefer --fd (read once, to the end), and where it runs for
    longer than a token lives, --endpoint:

    printf 'header = "Authorization: Bearer %s"' "$CONNECTOR_KEY" |
    curl --config - "$CONNECTOR_URL/v1/accounts/ACCOUNT/token"

    COMMAND takes the place of this process: signals, terminal and exit status are its own. It does
    not get the variables that the configuration names for secrets. Where no token can be had,
    COMMAND is not started, and the exit status says why as that of connector token does; 127:
    there is no such command, 126: it cannot be run.
    """
    inheritance = Inheritance.note()
    accounts = tuple(dict.fromkeys(accounts))
    if min_ttl is not None and not math.isfinite(min_ttl):
        raise click.BadParameter("is not a number of seconds", param_hint="--min-ttl")
    if by_endpoint and (by_fd or variables):
        raise click.UsageError("--endpoint gives no token: leave out --fd and --env")
    names = {} if by_endpoint else _names(accounts, variables, by_fd=by_fd)
    settings = load(config)
    environment = _environment(settings)
    if by_endpoint:
        environment |= start_endpoint(settings, accounts, min_ttl)
    else:
        for account, value in run_async(_tokens(settings, accounts, min_ttl)).items():
            environment[names[account]] = _piped(account, value) if by_fd else value
    become(command, environment, inheritance)


async def _tokens(
    settings: "Settings", accounts: tuple[str, ...], min_ttl: float | None
) -> dict[str, str]:
    values = {}
    async with asking(settings) as ask:
        for account in accounts:
            token = await ask.token(account, min_ttl)
            warn_if_short(token, min_ttl)
            values[account] = token.value
    return values


def _names(accounts: tuple[str, ...], variables: tuple[str, ...], *, by_fd: bool) -> dict[str, str]:
    """Give the variable of each account.

    Raises:
        UsageError: one has none, two have the same, or what was given is no name.
    """
    names: dict[str, str] = {}
    if len(accounts) == 1 and not variables:
        names[accounts[0]] = _DEFAULT_FD_VARIABLE if by_fd else DEFAULT_VARIABLE
    for text in variables:
        account, has_account, name = text.rpartition("=")
        if not has_account:
            if len(accounts) > 1:
                raise click.UsageError(f"of several accounts, say whose: --env ACCOUNT={name}")
            account = accounts[0]
        if account not in accounts:
            raise click.UsageError(f"--env {text}: name the account too: --account {account}")
        if account in names:
            raise click.UsageError(f"there are two --env for {account}")
        if not _VARIABLE.fullmatch(name):
            raise click.UsageError(f"--env {text}: {name!r} is no name of a variable")
        names[account] = name
    missing = [account for account in accounts if account not in names]
    if missing:
        raise click.UsageError(f"of several accounts each needs --env {missing[0]}=NAME")
    if len(set(names.values())) < len(names):
        raise click.UsageError("each account needs a variable of its own")
    return names


def _environment(settings: "Settings") -> dict[str, str]:
    """Give what the program gets: nothing that holds our secrets, or leads to them."""
    from connector.jobs.child_run import OWN_VARIABLES

    hidden = settings.hidden_variables | OWN_VARIABLES
    return {name: value for name, value in os.environ.items() if name not in hidden}


def _piped(account: str, token: str) -> str:
    """Put a token into a pipe, and give the number of the end that is inherited.

    Nothing waits for whoever reads: all of the token must fit, which is told before the program
    is started.

    Raises:
        ConfigurationError: it does not fit.
    """
    reading, writing = os.pipe()
    os.set_blocking(writing, False)
    content = token.encode()
    try:
        written = os.write(writing, content)
    except BlockingIOError:
        written = 0
    os.close(writing)
    if written < len(content):
        os.close(reading)
        message = f"the token of {account} is larger than a pipe holds: {len(content)} bytes"
        remedy = "use --endpoint, or no --fd"
        raise ConfigurationError([Problem("connector exec", "--fd", message, remedy)])
    # the kernel gave the lowest number that is free: some shells read from one digit only (<&3)
    os.set_inheritable(reading, True)  # noqa: FBT003 - the interface has it so
    return str(reading)
