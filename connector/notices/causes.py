"""Which causes are open, by what the store says: a pure function of the facts and the time."""

from collections.abc import Collection, Iterator
from typing import Final

from connector.account import HELD
from connector.notice import (
    FAILED_RUNS,
    PAST,
    STEPS,
    AccountFacts,
    Cause,
    Facts,
    JobFacts,
    Kind,
    ProviderFacts,
)

DAY: Final = 86_400.0
#: The refreshes of an account that have failed for so long are somebody's to look at (seconds).
FAILING_LIMIT: Final = DAY
#: A provider that was left alone for so long is down, and not hiccuping (seconds).
UNAVAILABLE_LIMIT: Final = 900.0


def open_causes(
    facts: Facts, *, halted: Collection[str] = (), idle: Collection[str] = (), now: float
) -> list[Cause]:
    """Give the causes that are open now, each with a key of its own.

    Args:
        facts: what the store says.
        halted: providers of which people know already that something is wrong, or was until just
            now: what fails for that reason is no cause of its own.
        idle: providers whose grants end when they are idle alone: what they say of an end moves
            on with each refresh.
        now: seconds since the epoch.
    """
    of_providers = [cause for one in facts.providers for cause in _of_provider(one, now)]
    quiet = {cause.provider for cause in of_providers} | set(halted)
    causes = of_providers
    for account in facts.accounts:
        found = _of_account(account, now, is_quiet=account.provider in quiet)
        is_idle = account.provider in idle
        causes += [one for one in found if not (is_idle and one.kind == "consent_ends")]
    causes += [
        _of_job(job, "job_failing")
        for job in facts.jobs
        if job.failures >= FAILED_RUNS and job.provider not in quiet
    ]
    causes += [_of_job(job, "consent_required") for job in facts.jobs if job.is_refused]
    return list({cause.key: cause for cause in causes}.values())


def level_of(consented_at: float, ends_at: float, now: float) -> int:
    """Give how near the end of a consent is: 0, then 1 for each of `STEPS`, and `PAST`.

    A step that is longer than the whole consent tells nobody anything.

    Args:
        consented_at: when it began.
        ends_at: when it ends.
        now: all in seconds since the epoch.
    """
    left = ends_at - now
    if left <= 0:
        return PAST
    reached = [
        level
        for level, days in enumerate(STEPS, start=1)
        if left <= days * DAY < ends_at - consented_at
    ]
    return max(reached, default=0)


def _of_provider(facts: ProviderFacts, now: float) -> Iterator[Cause]:
    if facts.rejected is not None:
        yield Cause(
            key=f"registration_rejected/{facts.provider}",
            kind="registration_rejected",
            since=facts.since,
            provider=facts.provider,
            reason=facts.message,
        )
    elif min(now, facts.until) - facts.since >= UNAVAILABLE_LIMIT:
        yield Cause(
            key=f"provider_unavailable/{facts.provider}",
            kind="provider_unavailable",
            since=facts.since,
            provider=facts.provider,
            reason=facts.message,
        )


def _of_account(facts: AccountFacts, now: float, *, is_quiet: bool) -> Iterator[Cause]:
    if facts.state == "consent_required":
        yield _account_cause(facts, "consent_required", facts.state_since, facts.reason)
        return
    if facts.state != "active":
        return
    if facts.consent_ends_at is not None and facts.consented_at is not None:
        level = level_of(facts.consented_at, facts.consent_ends_at, now)
        if level:
            yield _account_cause(
                facts, "consent_ends", now, None, level=level, ends_at=facts.consent_ends_at
            )
    if facts.failing_since is None:
        return
    if facts.retry_at is not None and facts.retry_at >= HELD:
        yield _account_cause(facts, "refresh_held", facts.failing_since, facts.last_error)
    elif now - facts.failing_since >= FAILING_LIMIT and not is_quiet:
        yield _account_cause(facts, "refresh_failing", facts.failing_since, facts.last_error)


def _account_cause(
    facts: AccountFacts,
    kind: Kind,
    since: float,
    reason: str | None,
    *,
    level: int = 0,
    ends_at: float | None = None,
) -> Cause:
    return Cause(
        key=f"{kind}/{facts.id}",
        kind=kind,
        since=since,
        account_id=facts.id,
        account=facts.name,
        provider=facts.provider,
        reason=reason,
        level=level,
        ends_at=ends_at,
    )


def _of_job(facts: JobFacts, kind: Kind) -> Cause:
    return Cause(
        key=f"{kind}/{facts.account_id}/{facts.job}",
        kind=kind,
        since=facts.since,
        account_id=facts.account_id,
        account=facts.account,
        provider=facts.provider,
        job=facts.job,
        reason=facts.error,
    )
