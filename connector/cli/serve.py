"""``connector serve``: the daemon."""

import click

from connector.cli.options import common_options
from connector.cli.service import begin, log_format_option
from connector.cli.session import run_async


@click.command()
@log_format_option
@common_options
def serve(log_format: str, config: str | None) -> None:
    """Run the daemon: HTTP API, scheduled jobs, and the page at which consents end.

    It stops in order on SIGINT and SIGTERM, and reads its configuration again on SIGHUP.
    """
    from connector.daemon import Daemon

    settings, manager = begin(log_format, config)

    async def work() -> None:
        await Daemon(settings, manager).run()

    run_async(work())
