"""``connector keys``: makes, lists and revokes the API keys of the daemon."""

from typing import TYPE_CHECKING

import click

from connector.account_name import AccountGlob, parse_glob
from connector.api_key import SCOPES, check_key_name
from connector.cli.options import common_options, json_option, option
from connector.cli.output import print_json, print_table
from connector.cli.session import load, opened, run_async
from connector.duration import format_duration, parse_duration

if TYPE_CHECKING:
    from connector.api_key import ApiKey


@click.group(invoke_without_command=True)
@common_options
@json_option
@click.pass_context
def keys(context: click.Context, config: str | None, *, json: bool) -> None:
    """List the API keys of the daemon, revoked ones too."""
    if context.invoked_subcommand is not None:
        return
    settings = load(config)

    async def work() -> tuple[list["ApiKey"], float]:
        async with opened(settings) as runtime:
            return await runtime.api_keys.all(), runtime.now()

    found, now = run_async(work())
    if json:
        print_json([_view(key, now) for key in found])
        return
    columns = ("key", "state", "accounts", "scopes", "last used")
    print_table(
        columns,
        [_row(key, now) for key in found],
        empty="No keys yet. Type: connector keys create NAME --accounts GLOB --scope token:read",
    )


def _name(_context: click.Context, parameter: click.Parameter, value: str) -> str:
    try:
        return check_key_name(value)
    except ValueError as error:
        raise click.BadParameter(str(error), param=parameter) from None


def _globs(
    _context: click.Context, parameter: click.Parameter, value: tuple[str, ...]
) -> tuple[AccountGlob, ...]:
    try:
        return tuple(parse_glob(text) for text in value)
    except ValueError as error:
        raise click.BadParameter(str(error), param=parameter) from None


def _lifetime(
    _context: click.Context, parameter: click.Parameter, value: str | None
) -> float | None:
    try:
        lifetime = None if value is None else parse_duration(value)
    except ValueError as error:
        raise click.BadParameter(str(error), param=parameter) from None
    if lifetime is not None and lifetime <= 0:
        raise click.BadParameter("it would be over at once", param=parameter)
    return lifetime


@keys.command()
@click.argument("name", callback=_name)
@option(
    "--accounts",
    multiple=True,
    required=True,
    callback=_globs,
    help="Which accounts: a name, or a glob (* within a segment, ** across). May be repeated.",
)
@option(
    "--scope",
    "scopes",
    multiple=True,
    required=True,
    type=click.Choice(SCOPES),
    help="What for. May be repeated.",
)
@option(
    "--expires", callback=_lifetime, help="How long it is good for, such as 90d. Else: for ever."
)
@common_options
def create(
    name: str,
    accounts: tuple[AccountGlob, ...],
    scopes: tuple[str, ...],
    expires: float | None,
    config: str | None,
) -> None:
    """Make the API key NAME and print it, this once.

    Only its hash is kept. With it programs call the daemon over TCP: Authorization: Bearer KEY.
    """
    from connector.api_key import new_key
    from connector.store.audit_entry import Entry

    settings = load(config)
    made = new_key()

    async def work() -> None:
        async with opened(settings) as runtime:
            now = runtime.now()
            await runtime.api_keys.add(
                made,
                name=name,
                accounts=accounts,
                scopes=frozenset(scopes),
                now=now,
                expires_at=None if expires is None else now + expires,
            )
            globs = " ".join(glob.text for glob in accounts)
            detail = {"name": name, "accounts": globs, "scopes": " ".join(sorted(set(scopes)))}
            runtime.trail.note(Entry(event="key.created", detail=detail))

    run_async(work())
    click.echo(made.text)
    click.echo("connector: it is shown this once; keep it where secrets are kept", err=True)


@keys.command()
@click.argument("name")
@common_options
def revoke(name: str, config: str | None) -> None:
    """Revoke the API key NAME: a daemon takes it no more, within two seconds."""
    from connector.store.audit_entry import Entry

    settings = load(config)

    async def work() -> bool:
        async with opened(settings) as runtime:
            is_new = await runtime.api_keys.revoke(name, now=runtime.now())
            if is_new:
                runtime.trail.note(Entry(event="key.revoked", detail={"name": name}))
            return is_new

    is_new = run_async(work())
    click.echo(f"key {name} is revoked" if is_new else f"key {name} was revoked before")


def _state(key: "ApiKey", now: float) -> str:
    if key.revoked_at is not None:
        return "revoked"
    if key.expires_at is None:
        return "active"
    left = key.expires_at - now
    return f"active, ends in {format_duration(left)}" if left > 0 else "expired"


def _view(key: "ApiKey", now: float) -> dict[str, object]:
    from connector.moment import rfc3339

    return {
        "key": key.name,
        "id": key.id,
        "state": _state(key, now).partition(",")[0],
        "accounts": [glob.text for glob in key.accounts],
        "scopes": sorted(key.scopes),
        "created_at": rfc3339(key.created_at),
        "expires_at": rfc3339(key.expires_at),
        "revoked_at": rfc3339(key.revoked_at),
        "last_used_at": rfc3339(key.last_used_at),
    }


def _row(key: "ApiKey", now: float) -> list[str]:
    used = "never" if key.last_used_at is None else f"{format_duration(now - key.last_used_at)} ago"
    accounts = " ".join(glob.text for glob in key.accounts)
    return [key.name, _state(key, now), accounts, " ".join(sorted(key.scopes)), used]
