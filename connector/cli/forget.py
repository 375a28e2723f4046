"""``connector forget``: removes an account, revoking it first."""

import click

from connector.cli.options import common_options, option
from connector.cli.session import load, opened, run_async


@click.command()
@click.argument("account")
@option("--keep-grant", is_flag=True, help="Do not revoke at the provider.")
@common_options
def forget(account: str, config: str | None, *, keep_grant: bool) -> None:
    """Remove ACCOUNT from the vault, revoking it first."""
    settings = load(config)

    async def work() -> None:
        async with opened(settings) as runtime:
            outcome = await runtime.revoker.revoke(account, at_provider=not keep_grant)
            await runtime.accounts.forget(await runtime.accounts.require(account))
        if keep_grant:
            return
        if not outcome.is_offered:
            click.echo("connector: the provider offers no revocation", err=True)
        elif not outcome.is_confirmed:
            click.echo(
                f"connector: the provider has not confirmed the revocation ({outcome.cause}); "
                "the daemon tries again",
                err=True,
            )

    run_async(work())
    click.echo(f"{account}: forgotten")
