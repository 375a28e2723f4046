"""``connector accounts``: lists them, and renames one."""

import click

from connector.cli.accounts_import import import_
from connector.cli.options import account_name, common_options, json_option
from connector.cli.output import print_json, print_table
from connector.cli.session import load, opened, run_async
from connector.errors import Refused


@click.group(invoke_without_command=True)
@common_options
@json_option
@click.pass_context
def accounts(context: click.Context, config: str | None, *, json: bool) -> None:
    """List the accounts: state, scopes, and how long token and consent have left."""
    if context.invoked_subcommand is not None:
        return
    from connector.accounts_view import account_view

    settings = load(config)

    async def work() -> tuple[list[dict[str, object]], list[list[str]]]:
        async with opened(settings) as runtime:
            found = await runtime.accounts.all()
            now = runtime.now()
        return [account_view(one) for one in found], [_row(one, now) for one in found]

    views, rows = run_async(work())
    if json:
        print_json(views)
        return
    columns = ("account", "provider", "state", "scopes", "token", "consent ends", "last error")
    print_table(
        columns, rows, empty="No accounts yet. Type: connector connect PROVIDER --account NAME"
    )


accounts.add_command(import_)


@accounts.command()
@click.argument("old")
@click.argument("new", callback=account_name)
@common_options
def rename(old: str, new: str, config: str | None) -> None:
    """Give account OLD the name NEW."""
    settings = load(config)

    async def work() -> None:
        async with opened(settings) as runtime:
            account = await runtime.accounts.require(old)
            if not await runtime.accounts.rename(account, new):
                raise Refused(f"there is an account {new} already")

    run_async(work())
    click.echo(f"{old} is now {new}")


def _row(account: "object", now: float) -> list[str]:
    from connector.account import Account, Active
    from connector.accounts_view import last_error
    from connector.duration import format_duration

    assert isinstance(account, Account)  # noqa: S101 - typed so that the module starts fast
    terms = account.grant.terms if account.grant else None
    life = consent = "-"
    if terms is not None and isinstance(account.state, Active):
        life = "no known end"
        if terms.expires_at is not None:
            left = terms.expires_at - now
            life = format_duration(left) if left > 0 else "expired"
        if terms.consent_ends_at is not None:
            consent = format_duration(max(0.0, terms.consent_ends_at - now))
    return [
        account.name,
        account.provider,
        account.state_name,
        " ".join(terms.scope or ()) if terms else "-",
        life,
        consent,
        last_error(account) or "-",
    ]
