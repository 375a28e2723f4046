"""``connector refresh``: forces one refresh."""

import click

from connector.cli.options import common_options, option
from connector.cli.session import load, opened, run_async
from connector.duration import format_duration
from connector.errors import TemporarilyUnavailable


@click.command()
@click.argument("account")
@option("--no-wait", is_flag=True, help="Fail at once where a refresh is under way already.")
@common_options
def refresh(account: str, config: str | None, *, no_wait: bool) -> None:
    """Force one refresh of ACCOUNT, or wait for the one that is under way."""
    settings = load(config)

    async def work() -> None:
        async with opened(settings) as runtime:
            before = await runtime.accounts.require(account)
            if no_wait and runtime.grants.lease_remaining(before) > 0:
                raise TemporarilyUnavailable(f"account {account} is being refreshed already")
            try:
                token = await runtime.tokens.refresh(account, ignore_backoff=True)
            except TemporarilyUnavailable as error:
                present = runtime.tokens.memory.get(account)
                if present is None or not present.is_alive(runtime.now()):
                    raise
                raise TemporarilyUnavailable(
                    error.reason, error.retry_at, valid_until=present.token.expires_at
                ) from None
        life = "" if token.expires_in is None else f", good for {format_duration(token.expires_in)}"
        click.echo(f"{account}: refreshed{life}")

    run_async(work())
