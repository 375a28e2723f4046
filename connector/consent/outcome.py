"""What became of a consent, written down for another process that waits for its end."""

import json
from datetime import UTC, datetime

from connector import errors
from connector.consent.values import CompletedConsent
from connector.store.accounts import AccountStore
from connector.store.consents import ConsentRecord
from connector.token_source.verdict import Verdict, moment

CONNECTED = "connected"


def unavailable(verdict: Verdict, *, now: float, then: str = "") -> errors.TemporarilyUnavailable:
    """Give the error for an answer without tokens; it says when a next try makes sense.

    Args:
        verdict: what the answer comes to.
        now: seconds since the epoch.
        then: what the person is to do besides, if anything.
    """
    return errors.TemporarilyUnavailable(verdict.message + then, moment(now + verdict.retry_in))


def describe(result: CompletedConsent | errors.ConnectorError) -> tuple[str, str]:
    """Give what is written down: the outcome's name, and the rest of it."""
    if isinstance(result, CompletedConsent):
        scopes = {"missing_scopes": result.missing_scopes, "can_refresh": result.can_refresh}
        return CONNECTED, json.dumps(scopes)
    about: dict[str, object] = {"reason": getattr(result, "reason", str(result))}
    if isinstance(result, errors.TemporarilyUnavailable) and result.retry_at is not None:
        about["retry_at"] = result.retry_at.timestamp()
    if isinstance(result, errors.ConfigurationError):
        about["problems"] = result.problems
    return result.problem_type(), json.dumps(about)


async def restore(record: ConsentRecord, accounts: AccountStore) -> CompletedConsent:
    """Give what was written down as if it had happened here.

    Args:
        record: with an outcome.
        accounts: of the store.

    Raises:
        ConnectorError: that ended the consent.
    """
    about = json.loads(record.message or "{}")
    reason = str(about.get("reason", "another process could not complete it"))
    if record.outcome == CONNECTED:
        return CompletedConsent(
            account=await accounts.require(record.account),
            missing_scopes=tuple(about.get("missing_scopes", ())),
            can_refresh=bool(about.get("can_refresh", True)),
        )
    if record.outcome == errors.ConfigurationError.problem_type():
        raise errors.ConfigurationError(errors.Problem(*one) for one in about["problems"])
    if record.outcome == errors.RegistrationRejected.problem_type():
        raise errors.RegistrationRejected(record.provider, reason)
    if record.outcome == errors.TemporarilyUnavailable.problem_type():
        at = about.get("retry_at")
        retry_at = None if at is None else datetime.fromtimestamp(at, UTC)
        raise errors.TemporarilyUnavailable(reason, retry_at)
    raise errors.ConsentNotGiven(record.account, reason)
