"""``connector demo``: the whole story on this machine, against the simulator, in under a minute."""

import click

from connector.cli.options import common_options, option

__all__ = ["demo"]


@click.command()
@option(
    "--no-browser",
    is_flag=True,
    help="Do not open a browser: play the person over the same pages and forms.",
)
@option(
    "--keep",
    type=click.Path(file_okay=False),
    help="Keep vault, configuration and pulled rows in this new folder.",
)
@common_options
def demo(keep: str | None, config: str | None, *, no_browser: bool) -> None:  # noqa: ARG001
    """See the whole story on this machine, against the simulator, in under a minute.

    Consent in a browser, the refresh token sealed in a vault, access tokens minted as they run out,
    scheduled jobs pulling ads insights into a database, and what a revocation looks like.
    """
    from connector.cli.demo.story import tell

    raise click.exceptions.Exit(tell(keep, may_open=not no_browser))
