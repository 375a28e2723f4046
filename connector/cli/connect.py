"""``connector connect``: the one-time consent, on this machine."""

import click

from connector.cli.options import account_name, common_options, option
from connector.cli.session import load, run_async


@click.command()
@click.argument("provider")
@option(
    "--account",
    required=True,
    callback=account_name,
    help="The account's name, such as acme/facebook.",
)
@option(
    "--no-browser",
    is_flag=True,
    help="Print the URL instead of opening it; the address of the final page may be pasted here.",
)
@option("--device", is_flag=True, help="Use the device grant: a code to type on another device.")
@option(
    "--timeout",
    type=click.FloatRange(min=1, max=600),
    default=300,
    show_default=True,
    help="Seconds to wait for the person.",
)
@common_options
def connect(
    provider: str,
    account: str,
    timeout: float,
    config: str | None,
    *,
    no_browser: bool,
    device: bool,
) -> None:
    """Let a person consent to PROVIDER for an account, once, in a browser.

    Exits when the account is active.
    """
    from connector.cli.consenting import Wish, consent

    settings = load(config)
    wish = Wish(
        provider=provider,
        account=account,
        may_open=not no_browser,
        use_device=device,
        timeout=timeout,
    )
    run_async(consent(settings, wish))
