"""``connector dashboard``: a one-time code for the dashboard, and its address."""

import asyncio

import click

from connector.cli.browser import has_browser, open_browser
from connector.cli.options import common_options, option
from connector.cli.session import load, opened, run_async
from connector.duration import format_duration


@click.command()
@option("--no-browser", is_flag=True, help="Print the address instead of opening it.")
@common_options
def dashboard(config: str | None, *, no_browser: bool) -> None:
    """Print a code that signs a person in to the dashboard, once, and open its address.

    Whoever types it acts as the user who runs this. It is good for five minutes, and never stands
    in an address: there the browser's history would keep it.
    """
    from connector.errors import TemporarilyUnavailable
    from connector.store.audit_entry import Entry, process_actor
    from connector.store.dashboard_codes import CODE_LIFETIME, DashboardCodes

    settings = load(config)
    daemon = settings.daemon
    host = f"[{daemon.host}]" if ":" in daemon.host else daemon.host
    url = f"{daemon.public_url or f'http://{host}:{daemon.port}'}/login"

    async def work() -> None:
        async with opened(settings) as runtime:
            if not daemon.public_url and not await _is_listening(daemon.host, daemon.port):
                reason = f"no daemon listens on {host}:{daemon.port}; type: connector serve"
                raise TemporarilyUnavailable(reason)
            user = process_actor("").name
            code = await DashboardCodes(runtime.database).make(user, now=runtime.now())
            runtime.trail.note(Entry(event="dashboard.code_made"))
        life = format_duration(CODE_LIFETIME)
        click.echo(f"Address: {url}")
        click.echo(f"Code:    {code.reveal()}    (good for {life}, once)")
        if no_browser:
            return
        if not has_browser() or not await open_browser(url, settings.hidden_variables):
            click.echo("There is no browser here; open the address in one.", err=True)

    run_async(work())


async def _is_listening(host: str, port: int) -> bool:
    """Tell whether somebody accepts connections at an address of this host."""
    try:
        async with asyncio.timeout(2.0):
            _reader, writer = await asyncio.open_connection(host, port)
    except (OSError, TimeoutError):
        return False
    writer.close()
    return True
