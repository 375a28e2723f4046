"""``connector connect --device``: shows the code that the person types on another device."""

import asyncio

import click

from connector.consent import CompletedConsent
from connector.consent.consent_notes import outcome_of
from connector.consent.device import begin_device, poll_device
from connector.duration import format_duration
from connector.errors import ConsentNotGiven
from connector.oauth.token import TokenSet
from connector.providers.client import ProviderClient
from connector.runtime import Runtime


async def consent_by_device(
    runtime: Runtime, provider: str, account: str, timeout_seconds: float
) -> CompletedConsent:
    """Take a person through the device grant (RFC 8628).

    Raises:
        ConnectorError: whatever prevented it; nothing was lost.
    """
    client = await runtime.directory.get_for_consent(provider)
    new_account = await runtime.consents.new_accounts.begin(account, provider)
    notes = runtime.consents.notes
    notes.started_on_device(account, provider)
    try:
        tokens = await _ask(client, runtime, account, timeout_seconds)
        completed = await runtime.consents.activate(
            client, account, tokens, client.provider.scopes, nonce=None, kept={}
        )
    except BaseException as error:
        notes.refused_on_device(account, provider, outcome_of(error))
        await runtime.consents.new_accounts.take_back(new_account)
        raise
    notes.given(completed)
    return completed


async def _ask(
    client: ProviderClient, runtime: Runtime, account: str, timeout_seconds: float
) -> TokenSet:
    """Show the code and wait until the person has typed it."""
    authorization = await begin_device(client, now=runtime.now())
    left = format_duration(authorization.expires_at - runtime.now())
    click.echo(f"On any device, open {authorization.verification_uri}")
    click.echo(f"and type the code {authorization.user_code} (good for {left}).")
    try:
        async with asyncio.timeout(timeout_seconds):
            return await poll_device(client, authorization, account, now=runtime.now)
    except TimeoutError:
        reason = f"nobody answered within {format_duration(timeout_seconds)}; nothing was changed"
        raise ConsentNotGiven(account, reason, "abandoned") from None
