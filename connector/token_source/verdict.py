"""What stands in the way of a token, in words for people, and how long to wait."""

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final

from connector import errors
from connector.account import Account
from connector.oauth.token_response import (
    Answer,
    NeverSent,
    OutcomeUnknown,
    Refused,
    RefusedUnexplained,
    Unavailable,
)
from connector.token_source.backoff import backoff

#: The registration is broken for all accounts alike: ask again after a minute.
REGISTRATION_PAUSE: Final = 60.0
#: RFC 6749 §5.2: the client is not known, or may not do this.
REGISTRATION_ERRORS: Final = frozenset({"invalid_client", "unauthorized_client"})
GRANT_ENDED: Final = (
    "the provider ended the grant (invalid_grant): it was revoked or has run out, or another"
    " installation has used its refresh token"
)
ROTATION_LOST: Final = (
    "rotation lost: the answer to an earlier refresh never arrived, and the old token is refused"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """What an answer without tokens comes to.

    Attributes:
        message: for people.
        retry_in: seconds to wait.
        rejected: the error by which the registration was rejected, if it was.
    """

    message: str
    retry_in: float
    rejected: str | None = None


def judge(answer: Answer, provider: str, failures: int) -> Verdict:
    """Say what an answer without tokens comes to.

    Args:
        answer: of the token endpoint.
        provider: its name in the configuration.
        failures: how many there have been in a row, this one included.
    """
    wait = backoff(failures)
    match answer:
        case Refused(error=error) if error in REGISTRATION_ERRORS:
            message = f"provider {provider} rejects our client registration: {error}"
            return Verdict(message=message, retry_in=REGISTRATION_PAUSE, rejected=error)
        case Refused(error=error, description=text):
            message = f"provider {provider} answered {error}{_in_brackets(text)}"
        case RefusedUnexplained(status=status, description=text):
            message = f"provider {provider} refused and gave no OAuth error (HTTP {status})"
            message += _in_brackets(text)
        case Unavailable(status=status, retry_after=after):
            message = f"provider {provider} is unavailable (HTTP {status})"
            wait = max(after or 0.0, wait)
        case NeverSent(cause=cause):
            message = f"the token endpoint of {provider} cannot be reached: {cause}"
        case OutcomeUnknown(cause=cause):
            message = f"the answer of {provider} was lost: {cause}"
        case _:
            message = f"provider {provider} gave no usable answer"
    return Verdict(message=message, retry_in=wait)


def check_registration(account: Account, fingerprint: str) -> None:
    """Refuse to use tokens that were issued to another registration or server (CHECKLIST 32, 76).

    Args:
        account: whose tokens they are.
        fingerprint: of the registration as it is configured now.

    Raises:
        ConsentRequired: the configuration has changed since the person consented.
    """
    if account.grant is not None and account.grant.fingerprint != fingerprint:
        raise errors.ConsentRequired(
            account.name,
            "its tokens were issued to another client registration or authorization server",
            provider=account.provider,
        )


def consent_required(account: Account) -> errors.ConsentRequired:
    """Give the error for an account that is pending or has ended."""
    reason = getattr(account.state, "reason", "nobody has consented yet")
    return errors.ConsentRequired(account.name, reason, provider=account.provider)


def moment(seconds: float) -> datetime:
    """Give a moment in UTC from seconds since the epoch."""
    return datetime.fromtimestamp(seconds, UTC)


def _in_brackets(text: str | None) -> str:
    return f" ({text})" if text else ""
