"""``connector serve``: the daemon."""

import os

import click

from connector.cli.core_dumps import forbid_core_dumps
from connector.cli.options import common_options, config_path, is_debugging, option
from connector.cli.session import run_async


@click.command()
@option(
    "--log-format",
    type=click.Choice(["console", "json"]),
    default="console",
    show_default=True,
    help="How log lines on standard error look.",
)
@common_options
def serve(log_format: str, config: str | None) -> None:
    """Run the daemon: HTTP API, scheduled jobs, and the page at which consents end.

    It stops in order on SIGINT and SIGTERM, and reads its configuration again on SIGHUP.
    """
    from connector.daemon import Daemon, ServiceManager, hold_hang_ups
    from connector.log import LogFormat, configure_logging
    from connector.settings import load_settings

    hold_hang_ups()
    manager = ServiceManager.take_from(os.environ)
    level = "DEBUG" if is_debugging() else "INFO"
    style: LogFormat = "json" if log_format == "json" else "console"
    configure_logging(level, style, is_threaded=True)
    settings = load_settings(config_path(config))
    forbid_core_dumps()

    async def work() -> None:
        await Daemon(settings, manager).run()

    run_async(work())
