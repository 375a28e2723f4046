"""An account as lists and answers show it; the same everywhere, and without a secret."""

from connector.account import Account, ConsentRequired
from connector.moment import rfc3339


def account_view(account: Account) -> dict[str, object]:
    """Give an account as a JSON object; times as RFC 3339 in UTC, or null."""
    terms = account.grant.terms if account.grant else None
    is_ended = isinstance(account.state, ConsentRequired)
    return {
        "account": account.name,
        "provider": account.provider,
        "state": account.state_name,
        "scope": None if terms is None or terms.scope is None else " ".join(terms.scope),
        "access_token_expires_at": None if terms is None or is_ended else rfc3339(terms.expires_at),
        "consent_ends_at": None if terms is None or is_ended else rfc3339(terms.consent_ends_at),
        "last_error": last_error(account),
    }


def last_error(account: Account) -> str | None:
    """Give what is wrong with an account, or None."""
    if isinstance(account.state, ConsentRequired):
        return account.state.reason
    return account.trouble.message if account.trouble else None
