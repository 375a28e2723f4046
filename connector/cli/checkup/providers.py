"""Checks of the providers: registration, endpoints, rotation profile, and their clocks."""

from collections.abc import AsyncIterator
from email.utils import parsedate_to_datetime
from typing import Final

from connector.account import Account
from connector.cli.checkup.finding import Finding, ok, problem, warning
from connector.duration import format_duration
from connector.errors import ConnectorError, RegistrationRejected
from connector.oauth.wire import WireAnswer
from connector.runtime import Runtime
from connector.store.halts import Halt, HaltStore

#: Assertions and expiries suffer from a clock that is off by more (CHECKLIST 174).
LARGEST_SKEW: Final = 60.0


async def check_providers(runtime: Runtime, accounts: list[Account]) -> AsyncIterator[Finding]:
    """Check each provider, and what it said of our registration."""
    for name, provider in runtime.settings.providers.items():
        if provider.refresh_token.rotation == "grace" and provider.refresh_token.grace == 0:
            yield _no_grace(name)
        async for finding in _check_endpoint(runtime, name):
            yield finding
    for halt in (await HaltStore(runtime.database).all()).values():
        if halt.rejected is not None and not _has_minted(accounts, halt):
            yield _rejected(halt)


def _no_grace(name: str) -> Finding:
    return warning(
        f"provider {name}",
        "its rotation is grace, and no grace time is known: it counts as strict, and a lost answer"
        " can end a grant that sending again would save",
        f"set refresh_token.grace under [providers.{name}], such as"
        ' refresh_token = { rotation = "grace", grace = "30s" }',
    )


async def _check_endpoint(runtime: Runtime, name: str) -> AsyncIterator[Finding]:
    """Check registration and endpoints; a token endpoint that answers anything is there."""
    subject = f"provider {name}"
    try:
        client = await runtime.directory.get(name)
    except ConnectorError as error:
        yield problem(subject, error)
        return
    answer = await runtime.wire.send("HEAD", client.server.token_endpoint, {})
    if not isinstance(answer, WireAnswer):
        remedy = "check the network, [http].proxy and [http].ca_file"
        message = f"{client.server.token_endpoint} cannot be reached: {answer.cause}"
        yield Finding(
            subject=subject, verdict="problem", message=message, remedy=remedy, exit_code=4
        )
        return
    yield ok(subject, f"{client.server.token_endpoint} answers")
    skew = _skew(answer, runtime.now())
    if skew is not None and abs(skew) > LARGEST_SKEW:
        yield warning("clock", f"is off by {format_duration(skew)} against {name}", "set it by NTP")


def _skew(answer: WireAnswer, now: float) -> float | None:
    """Give by how many seconds our clock is ahead of the server's, where it tells its time."""
    try:
        return now - parsedate_to_datetime(answer.headers["date"]).timestamp()
    except (KeyError, ValueError, TypeError):
        return None


def _has_minted(accounts: list[Account], halt: Halt) -> bool:
    """Tell whether the provider has issued tokens since it was halted, so that all is well."""
    grants = (account.grant for account in accounts if account.provider == halt.provider)
    return any(grant is not None and grant.terms.minted_at > halt.since for grant in grants)


def _rejected(halt: Halt) -> Finding:
    return Finding(
        subject=f"provider {halt.provider}",
        verdict="problem",
        message=f"rejected our client registration at the last refresh: {halt.rejected}",
        remedy=f"check client_id and client_secret under [providers.{halt.provider}], then type: "
        "connector refresh ACCOUNT; no account is lost",
        exit_code=RegistrationRejected.exit_code,
    )
