"""``connector notices``: shows what people must know, and tries the channels that tell them."""

import asyncio
import secrets
import time
from typing import TYPE_CHECKING

import click

from connector.cli.main import printable_line
from connector.cli.options import common_options, json_option, option
from connector.cli.output import print_json, print_table
from connector.cli.session import load, opened, run_async

if TYPE_CHECKING:
    from connector.notices.wording import Message
    from connector.settings import Settings

#: Exit status where a channel did not take the trial: later it may.
_NOT_TOLD = 4


@click.group(invoke_without_command=True)
@option("--all", "is_all", is_flag=True, help="Show also what is over.")
@common_options
@json_option
@click.pass_context
def notices(context: click.Context, config: str | None, *, is_all: bool, json: bool) -> None:
    """Show what people must know now: consents that are needed or end, and what fails."""
    if context.invoked_subcommand is not None:
        return
    settings = load(config)

    async def work() -> list["Message"]:
        async with opened(settings) as runtime:
            await runtime.notices.look()
            return await (runtime.notices.all() if is_all else runtime.notices.open())

    found = run_async(work())
    if json:
        print_json([dict(message.body) for message in found])
        return
    columns = ("since", "severity", "notice", "type")
    print_table(columns, [_row(message) for message in found], empty="There is nothing to tell.")


@notices.command()
@common_options
@json_option
def test(config: str | None, *, json: bool) -> None:
    """Send a trial through every channel of [notify], and say what became of it.

    The exit status is 0 where each took it, and 4 where one did not.
    """
    settings = load(config)
    outcomes = run_async(_try_all(settings))
    if json:
        print_json(
            [
                {"channel": name, "told": reason is None, "reason": reason}
                for name, reason in outcomes.items()
            ]
        )
    else:
        for name, reason in outcomes.items():
            click.echo(f"{name}: {'told' if reason is None else printable_line(reason)}")
    if any(outcomes.values()):
        raise click.exceptions.Exit(_NOT_TOLD)


async def _try_all(settings: "Settings") -> dict[str, str | None]:
    """Give for each channel why it did not take a trial; None: it did.

    Raises:
        ConfigurationError: a channel is not as it should be, or there is none.
    """
    from connector.errors import ConfigurationError, Problem
    from connector.jobs.child_run import OWN_VARIABLES
    from connector.notices.channel import try_to_send
    from connector.notices.channels import make_channels
    from connector.notices.wording import trial

    hidden = settings.hidden_variables | OWN_VARIABLES
    channels = make_channels(settings, hidden_variables=hidden)
    if not channels:
        remedy = 'add: command = ["…"], webhooks or urls'
        raise ConfigurationError([Problem(settings.path.name, "notify", "has no channel", remedy)])
    now = time.time()
    message = trial(id=secrets.token_hex(8), address=settings.daemon.address, now=now)
    try:
        reasons = await asyncio.gather(
            *(try_to_send(channel, message, now=now) for channel in channels)
        )
    finally:
        for channel in channels:
            await channel.aclose()
    return {channel.name: reason for channel, reason in zip(channels, reasons, strict=True)}


def _row(message: "Message") -> list[str]:
    body = message.body
    return [
        str(body["since"]),
        message.severity,
        printable_line(message.title),
        str(body["command"] or ""),
    ]
