"""Whether a job is run for an account: it selects it, and the grant suffices (CHECKLIST 45)."""

from connector.account import Account, Active, lacks_scopes
from connector.jobs.end_writer import selects
from connector.jobs.endings import NOT_SELECTED, RunEnding, not_granted
from connector.settings import JobSettings


def refusal_of(job: JobSettings, account: Account) -> RunEnding | None:
    """Give how a run ends that is not begun; None: it is.

    What waited in the queue may be of a configuration that held before, or of another name.
    """
    if not selects(job, account):
        return NOT_SELECTED
    missing = missing_scopes(job, account)
    return not_granted(missing) if missing else None


def missing_scopes(job: JobSettings, account: Account) -> tuple[str, ...]:
    """Give the scopes that a job needs and an account was not granted.

    None where the provider never told what it granted, or nobody has consented.
    """
    if not isinstance(account.state, Active):
        return ()
    return lacks_scopes(account.state.grant.terms, job.scopes)
