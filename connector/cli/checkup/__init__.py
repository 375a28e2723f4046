"""The checks behind ``connector doctor``; each gives findings and goes on, whatever it finds."""

import os
import stat
from collections.abc import AsyncIterator
from dataclasses import dataclass
from email.utils import parsedate_to_datetime
from pathlib import Path
from typing import Final, Literal

from connector import errors
from connector.account import Account, Active, ConsentRequired, Pending
from connector.accounts_view import last_error
from connector.cli.options import config_path
from connector.cli.session import opened
from connector.duration import format_duration
from connector.errors import ConfigurationError, ConnectorError, RegistrationRejected
from connector.journal_folder import volatile_type
from connector.oauth.wire import WireAnswer
from connector.runtime import Runtime, configured_seal
from connector.settings import Settings, load_settings
from connector.store.halts import Halt, HaltStore
from connector.token_source.verdict import check_registration

Verdict = Literal["ok", "warning", "problem"]

#: Assertions and expiries suffer from a clock that is off by more (CHECKLIST 174).
LARGEST_SKEW: Final = 60.0
#: A consent that ends within two weeks is worth a word now.
SOON: Final = 14 * 86_400.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """What one check found.

    Attributes:
        subject: what was checked.
        verdict: whether it is as it should be.
        message: what was found.
        remedy: what to do.
        exit_code: of the error behind a problem.
    """

    subject: str
    verdict: Verdict
    message: str
    remedy: str = ""
    exit_code: int = 2

    def view(self) -> dict[str, str]:
        """Give it as a JSON object."""
        return {
            "subject": self.subject,
            "verdict": self.verdict,
            "message": self.message,
            "remedy": self.remedy,
        }


async def examine(config: str | None) -> list[Finding]:
    """Run all checks, as far as each lets the next ones be run."""
    findings: list[Finding] = []
    try:
        settings = load_settings(config_path(config))
    except ConfigurationError as error:
        return _misconfigured(error)
    findings.append(_ok("configuration", f"{settings.path} has no problems"))
    findings.extend(_check_host(settings))
    try:
        async with opened(settings) as runtime:
            findings.extend([finding async for finding in _check_open(runtime)])
    except ConfigurationError as error:
        findings.extend(_misconfigured(error))
    except ConnectorError as error:
        findings.append(_problem("vault", error))
    return findings


def _misconfigured(error: ConfigurationError) -> list[Finding]:
    return [
        Finding(
            subject="configuration",
            verdict="problem",
            message=str(problem._replace(remedy="")),
            remedy=problem.remedy,
        )
        for problem in error.problems
    ]


def _check_host(settings: Settings) -> list[Finding]:
    """Check what surrounds the vault: variables that are missing, files that others may read."""
    findings = [
        _warning("environment", f"{name} is not set", f"export {name}=…")
        for name in sorted(settings.secret_variables)
        if name not in os.environ
    ]
    for path in _secret_files(settings):
        mode = stat.S_IMODE(path.stat().st_mode) if path.exists() else 0
        if mode & 0o077:
            remedy = f"type: chmod 600 {path}"
            findings.append(_warning("secrets", f"{path} may be read by others", remedy))
    return findings


def _secret_files(settings: Settings) -> list[Path]:
    references = [
        reference
        for registration in settings.registrations.values()
        for reference in (registration.client_secret, registration.private_key)
        if reference is not None and reference.kind == "file"
    ]
    return [reference.folder / Path(reference.name).expanduser() for reference in references]


async def _check_open(runtime: Runtime) -> AsyncIterator[Finding]:
    settings = runtime.settings
    seal = configured_seal(settings)
    yield _ok("vault", f"{runtime.database.description} opens, sealed by {seal.description}")
    kind = volatile_type(settings.vault.journal)
    if kind is not None:
        message = (
            f"{settings.vault.journal} is on a {kind}, which a restart of this machine empties"
        )
        yield _warning("journal", message, "name a folder on a disk as vault.journal")
    for name, provider in settings.providers.items():
        if provider.refresh_token.rotation == "grace" and provider.refresh_token.grace == 0:
            yield _no_grace(name)
        async for finding in _check_provider(runtime, name):
            yield finding
    accounts = await runtime.accounts.all()
    for halt in (await HaltStore(runtime.database).all()).values():
        if halt.rejected is not None and not _has_minted(accounts, halt):
            yield _rejected(halt)
    for account in accounts:
        yield await _find_mismatch(runtime, account) or _check_account(account, runtime.now())
    for debt in await runtime.revocations.all():
        yield _warning(
            f"account {debt.account}",
            f"its provider has not confirmed the revocation: {debt.last_error or 'not tried yet'}",
            "the daemon keeps trying; the person can remove the access at the provider",
        )


def _no_grace(name: str) -> Finding:
    return _warning(
        f"provider {name}",
        "its rotation is grace, and no grace time is known: it counts as strict, and a lost answer"
        " can end a grant that sending again would save",
        f"set refresh_token.grace under [providers.{name}], such as"
        ' refresh_token = { rotation = "grace", grace = "30s" }',
    )


async def _check_provider(runtime: Runtime, name: str) -> AsyncIterator[Finding]:
    """Check registration and endpoints; a token endpoint that answers anything is there."""
    subject = f"provider {name}"
    try:
        client = await runtime.directory.get(name)
    except ConnectorError as error:
        yield _problem(subject, error)
        return
    answer = await runtime.wire.send("HEAD", client.server.token_endpoint, {})
    if not isinstance(answer, WireAnswer):
        remedy = "check the network, [http].proxy and [http].ca_file"
        message = f"{client.server.token_endpoint} cannot be reached: {answer.cause}"
        yield Finding(
            subject=subject, verdict="problem", message=message, remedy=remedy, exit_code=4
        )
        return
    yield _ok(subject, f"{client.server.token_endpoint} answers")
    skew = _skew(answer, runtime.now())
    if skew is not None and abs(skew) > LARGEST_SKEW:
        yield _warning(
            "clock", f"is off by {format_duration(skew)} against {name}", "set it by NTP"
        )


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


async def _find_mismatch(runtime: Runtime, account: Account) -> Finding | None:
    """Find what keeps an account from giving tokens though it is active: the configuration."""
    subject = f"account {account.name}"
    if account.provider not in runtime.settings.providers:
        return Finding(
            subject=subject,
            verdict="problem",
            message=f"its provider {account.provider!r} is not configured",
            remedy=f"add [providers.{account.provider}], or type: connector forget {account.name}",
        )
    if not isinstance(account.state, Active):
        return None
    try:
        check_registration(account, await runtime.directory.fingerprint(account.provider))
    except errors.ConsentRequired as error:
        remedy = f"undo that, or type: {error.command}"
        return Finding(
            subject=subject,
            verdict="problem",
            message=f"cannot give a token: {error.reason}",
            remedy=remedy,
            exit_code=error.exit_code,
        )
    except ConnectorError:
        return None  # told of the provider
    return None


def _check_account(account: Account, now: float) -> Finding:
    subject = f"account {account.name}"
    command = f"type: connector connect {account.provider} --account {account.name}"
    match account.state:
        case Pending():
            return _warning(subject, "nobody has consented yet", command)
        case ConsentRequired(reason=reason):
            return _warning(subject, f"needs consent: {reason}", command)
        case Active(grant=grant):
            ends = grant.terms.consent_ends_at
            if ends is not None and ends - now < SOON:
                return _warning(
                    subject, f"its consent ends in {format_duration(ends - now)}", command
                )
            trouble = last_error(account)
            if trouble is not None:
                return _warning(subject, trouble, "nothing is lost; it is tried again")
    return _ok(subject, "is active")


def _ok(subject: str, message: str) -> Finding:
    return Finding(subject=subject, verdict="ok", message=message)


def _warning(subject: str, message: str, remedy: str) -> Finding:
    return Finding(subject=subject, verdict="warning", message=message, remedy=remedy)


def _problem(subject: str, error: ConnectorError) -> Finding:
    return Finding(
        subject=subject, verdict="problem", message=str(error), exit_code=error.exit_code
    )
