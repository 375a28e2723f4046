"""``connector token``: prints the access token and a newline, nothing else."""

import math
import sys

import click

from connector.cli.options import common_options, option
from connector.cli.session import load, opened, run_async


@click.command()
@click.argument("account")
@option("--min-ttl", type=click.FloatRange(min=0), help="Least remaining life in seconds.")
@option("--header", is_flag=True, help="Print a whole Authorization header line.")
@option(
    "--strict",
    is_flag=True,
    help="Where the refresh fails, fail too rather than print a token with less life left.",
)
@common_options
def token(
    account: str, min_ttl: float | None, config: str | None, *, header: bool, strict: bool
) -> None:
    """Print an access token of ACCOUNT and a newline, nothing else.

    The token lives at least --min-ttl seconds more: by default a tenth of its lifetime, at most 60.
    Where that is more than a fresh token lives, a fresh one is printed, with --strict as well.
    """
    if min_ttl is not None and math.isnan(min_ttl):
        raise click.BadParameter("is not a number of seconds", param_hint="--min-ttl")
    settings = load(config)

    async def work() -> None:
        async with opened(settings) as runtime:
            token = await runtime.tokens.get(account, min_ttl, is_strict=strict)
            client = runtime.settings.providers
            scheme = client[(await runtime.accounts.require(account)).provider].api.scheme
            if token.is_short:
                click.echo("connector: the token lives less than was asked for", err=True)
            runtime.releases.note(account, token)  # written at the end: nobody waits for that
            click.echo(f"Authorization: {scheme} {token.value}" if header else token.value)
            sys.stdout.flush()

    run_async(work())
