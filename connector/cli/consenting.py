"""The consent behind ``connector connect``: shows the URL, waits for the answer, tells its end."""

import asyncio
import sys
from dataclasses import dataclass
from typing import Final

import click

from connector import errors
from connector.cli.browser import has_browser, open_browser
from connector.cli.device import consent_by_device
from connector.cli.session import opened
from connector.cli.waiting import Waiting, listening
from connector.consent import CompletedConsent, StartedConsent
from connector.duration import format_duration
from connector.runtime import Runtime
from connector.settings import Settings

#: An answer that came at the last moment is exchanged by then (30 s) and written.
EXCHANGE_TIME: Final = 40.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Wish:
    """What was asked for on the command line.

    Attributes:
        provider: its name in the configuration.
        account: the account's name.
        may_open: a browser may be opened.
        use_device: the device grant is wanted.
        timeout: seconds to wait for the person.
    """

    provider: str
    account: str
    may_open: bool
    use_device: bool
    timeout: float


async def consent(settings: Settings, wish: Wish) -> None:
    """Take a person through a consent; returns when the account is active.

    Raises:
        ConnectorError: whatever prevented it; nothing was lost.
    """
    async with opened(settings, create=True) as runtime:
        if wish.use_device:
            completed = await consent_by_device(runtime, wish.provider, wish.account, wish.timeout)
        else:
            completed = await _consent_by_redirect(runtime, wish)
        _tell(runtime, completed)


async def _consent_by_redirect(runtime: Runtime, wish: Wish) -> CompletedConsent:
    provider = (await runtime.directory.get_for_consent(wish.provider)).provider
    async with listening(runtime, provider) as waiting:
        started = await runtime.consents.begin(
            wish.provider, wish.account, redirect_uri=waiting.redirect_uri
        )
        try:
            await _show(runtime, wish, await runtime.consents.url(started.id))
            return await _wait(runtime, wish, waiting, started)
        except BaseException:
            await runtime.consents.abandon(started)
            raise


async def _wait(
    runtime: Runtime, wish: Wish, waiting: Waiting, started: StartedConsent
) -> CompletedConsent:
    """Wait for the person; an answer that has come by then is waited for to its end."""
    try:
        async with asyncio.timeout(wish.timeout):
            return await waiting.completed(started, take_paste=not wish.may_open)
    except TimeoutError:
        reason = f"nobody answered within {format_duration(wish.timeout)}"
        if await runtime.consents.abandon(started):
            reason += "; nothing was changed"
            raise errors.ConsentNotGiven(wish.account, reason) from None
    try:
        async with asyncio.timeout(EXCHANGE_TIME):
            return await waiting.completed(started, take_paste=False)
    except TimeoutError:
        raise errors.ConsentNotGiven(wish.account, reason) from None


async def _show(runtime: Runtime, wish: Wish, url: str) -> None:
    """Bring the URL before the person."""
    if wish.may_open and has_browser():
        click.echo(f"Opening your browser. If nothing opens, go to:\n{url}", err=True)
        if await open_browser(url, runtime.settings.hidden_variables):
            return
    elif wish.may_open:
        click.echo("There is no browser here; open this address:", err=True)
    click.echo(url)
    sys.stdout.flush()
    if not wish.may_open:
        click.echo(
            "Open it in any browser. If the last page cannot be loaded, paste its address here.",
            err=True,
        )


def _tell(runtime: Runtime, completed: CompletedConsent) -> None:
    account, grant = completed.account, completed.account.grant
    assert grant is not None  # noqa: S101 - it has just been activated
    parts = [f"{account.name} is connected ({account.provider})"]
    if grant.subject_name:
        parts.append(f"as {grant.subject_name}")
    if grant.terms.scope:
        parts.append(f"with {' '.join(grant.terms.scope)}")
    if grant.terms.expires_at is not None:
        left = format_duration(max(0.0, grant.terms.expires_at - runtime.now()))
        parts.append(f"; the access token is good for {left}")
    click.echo(" ".join(parts).replace(" ;", ";"))
    if completed.missing_scopes:
        missing = " ".join(completed.missing_scopes)
        click.echo(f"connector: asked for and not granted: {missing}", err=True)
    if not completed.can_refresh:
        click.echo(
            "connector: the provider gave no refresh token: when the access token ends, consent "
            "is needed again (connector providers says what to ask for)",
            err=True,
        )
