"""Checks of the accounts: what keeps them from giving tokens, and whose consent ends soon."""

from collections.abc import AsyncIterator
from typing import Final

from connector import errors
from connector.account import Account, Active, ConsentRequired, Pending
from connector.accounts_view import last_error
from connector.cli.checkup.finding import Finding, ok, warning
from connector.duration import format_duration
from connector.errors import ConnectorError
from connector.runtime import Runtime
from connector.token_source.verdict import check_registration

#: A consent that ends within two weeks is worth a word now.
SOON: Final = 14 * 86_400.0


async def check_accounts(runtime: Runtime, accounts: list[Account]) -> AsyncIterator[Finding]:
    """Check each account, and what is owed of revoked ones."""
    for account in accounts:
        yield await _find_mismatch(runtime, account) or _check_account(account, runtime.now())
    for debt in await runtime.revocations.all():
        yield warning(
            f"account {debt.account}",
            f"its provider has not confirmed the revocation: {debt.last_error or 'not tried yet'}",
            "the daemon keeps trying; the person can remove the access at the provider",
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
            return warning(subject, "nobody has consented yet", command)
        case ConsentRequired(reason=reason):
            return warning(subject, f"needs consent: {reason}", command)
        case Active(grant=grant):
            ends = grant.terms.consent_ends_at
            if ends is not None and ends - now < SOON:
                return warning(
                    subject, f"its consent ends in {format_duration(ends - now)}", command
                )
            if account.trouble is not None and account.trouble.is_held:
                remedy = f"type: connector refresh {account.name}, or connect it again"
                return warning(subject, account.trouble.message, remedy)
            trouble = last_error(account)
            if trouble is not None:
                return warning(subject, trouble, "nothing is lost; it is tried again")
    return ok(subject, "is active")
