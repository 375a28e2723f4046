"""``connector revoke``: revokes accounts at their provider and here."""

import difflib
from typing import TYPE_CHECKING

import click

from connector.cli.options import common_options, option
from connector.cli.session import load, opened, run_async
from connector.errors import (
    ConfigurationError,
    ConnectorError,
    Problem,
    TemporarilyUnavailable,
)

if TYPE_CHECKING:
    from connector.revoke import Destroyed
    from connector.settings import Settings


@click.command()
@click.argument("account", required=False)
@option("--all", "every", is_flag=True, help="Revoke every account.")
@option("--provider", help="With --all: only accounts of this provider.")
@option("--yes", is_flag=True, help="With --all: do not ask.")
@common_options
def revoke(
    account: str | None, provider: str | None, config: str | None, *, every: bool, yes: bool
) -> None:
    """Revoke ACCOUNT at its provider, destroy its tokens here, and keep it in need of consent."""
    if (account is None) == (not every):
        raise click.UsageError("name one ACCOUNT, or give --all")
    if provider is not None and not every:
        raise click.UsageError("--provider goes with --all: an ACCOUNT has one provider")
    settings = load(config)

    async def names() -> list[str]:
        if account is not None:
            return [account]
        async with opened(settings) as runtime:
            found = await runtime.accounts.all()
        if provider is not None:
            _check_provider(settings, provider, {one.provider for one in found})
        return [one.name for one in found if one.grant and provider in {None, one.provider}]

    selected = run_async(names())
    if not selected:
        click.echo("nothing to revoke")
        return
    if every and not yes:
        click.confirm(f"Revoke {len(selected)} accounts: {', '.join(selected)}?", abort=True)
    failure = run_async(_revoke_all(settings, selected))
    if failure is not None:
        raise failure


def _check_provider(settings: "Settings", name: str, used: set[str]) -> None:
    """Refuse a provider that is neither configured nor that of an account.

    Raises:
        ConfigurationError: names the nearest.
    """
    known = sorted(used | settings.providers.keys())
    if name not in known:
        nearest = difflib.get_close_matches(name, known, n=1)
        remedy = f"did you mean {nearest[0]}?" if nearest else f"known: {', '.join(known)}"
        problem = Problem("revoke", "--provider", f"there is no provider {name!r}", remedy)
        raise ConfigurationError([problem])


async def _revoke_all(settings: "Settings", names: list[str]) -> ConnectorError | None:
    """Revoke each; one that fails does not stop the others, the last failure is given back.

    All are destroyed here before any provider is asked: whatever stops this, none can be used, and
    the daemon revokes the others.
    """
    failure: ConnectorError | None = None

    def fail(name: str, error: ConnectorError) -> None:
        nonlocal failure
        failure = error
        if len(names) > 1:
            click.echo(f"connector: {name}: {error}", err=True)

    async with opened(settings) as runtime:
        destroyed: dict[str, Destroyed] = {}
        for name in names:
            try:
                destroyed[name] = await runtime.revoker.destroy(name)
            except ConnectorError as error:
                fail(name, error)
                continue
            click.echo(f"{name}: revoked here")
        for name, one in destroyed.items():
            try:
                outcome = await runtime.revoker.confirm(one)
            except ConnectorError as error:
                fail(name, error)
                continue
            if not outcome.is_offered:
                click.echo(
                    f"connector: {name}: the provider offers no revocation; "
                    "the person can remove the access there",
                    err=True,
                )
            elif not outcome.is_confirmed:
                failure = TemporarilyUnavailable(
                    f"the provider of {name} has not confirmed ({outcome.cause}); "
                    "the daemon tries again",
                    outcome.retry_at,
                )
    return failure
