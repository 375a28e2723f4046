"""``connector worker``: more hands for jobs."""

import click

from connector.cli.options import common_options, option
from connector.cli.service import begin, log_format_option
from connector.cli.session import run_async


@click.command()
@option(
    "--concurrency",
    type=click.IntRange(1, 1024),
    help="Runs at once; else daemon.concurrent_runs.",
)
@log_format_option
@common_options
def worker(concurrency: int | None, log_format: str, config: str | None) -> None:
    """Execute runs of jobs from the queue of a Postgres vault, beside its daemons.

    It has the same configuration, seal and root key as they have, and a journal of its own. It
    stops in order on SIGINT and SIGTERM: its runs go back to the queue, where others take them.
    On SIGHUP it reads its configuration again.
    """
    from connector.daemon import Worker

    settings, manager = begin(log_format, config)

    async def work() -> None:
        await Worker(settings, manager, concurrency).run()

    run_async(work())
