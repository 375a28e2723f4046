"""Between a row of the account table and an `Account`.

Ciphertext is bound to the row's identifier and the generation under which it was written.
"""

import json
from collections.abc import Mapping
from typing import Any, Final

from sqlalchemy import Row

from connector.account import (
    Account,
    Active,
    Attempt,
    ConsentRequired,
    Grant,
    Lease,
    Pending,
    SealedTokens,
    State,
    Terms,
    Trouble,
)
from connector.secret import Secret
from connector.vault.envelope import Place
from connector.vault.vault import Vault

TABLE: Final = "account"
SEALED_COLUMNS: Final = ("access_token_sealed", "refresh_token_sealed", "extra_sealed")
TERMS_COLUMNS: Final = (
    "token_type",
    "scope",
    "minted_at",
    "expires_at",
    "lifetime",
    "consented_at",
    "consent_ends_at",
)
ATTEMPT_COLUMNS: Final = (
    "attempt_sent_at",
    "attempt_first_sent_at",
    "attempt_count",
    "attempt_fingerprint",
)
TROUBLE_COLUMNS: Final = ("last_error", "failing_since", "failures", "retry_at")
NO_TOKENS: Final[dict[str, object]] = dict.fromkeys(SEALED_COLUMNS)
NO_ATTEMPT: Final[dict[str, object]] = {
    "attempt_sent_at": None,
    "attempt_first_sent_at": None,
    "attempt_count": 0,
    "attempt_fingerprint": None,
    "attempt_fence": None,
}
NO_LEASE: Final[dict[str, object]] = {"lease_owner": None, "lease_until": None}
NO_TROUBLE: Final[dict[str, object]] = {
    "last_error": None,
    "failing_since": None,
    "failures": 0,
    "retry_at": None,
}


def place(account_id: str, field: str, generation: int, bound_to: str) -> Place:
    """Give the place of one sealed column; see `binding` for what it is bound to."""
    return Place(table=TABLE, row=account_id, field=field, generation=generation, bound_to=bound_to)


def binding(provider: str, fingerprint: str | None) -> str:
    """Give what the tokens of a grant are bound to besides their place (CHECKLIST 110).

    So that whoever writes to the database cannot have them sent to another server, by saying that
    they belong to another provider or registration.

    Args:
        provider: its name in the configuration, which holds no space.
        fingerprint: of the client registration that the tokens were issued to.
    """
    return f"{provider} {fingerprint or ''}"


def binding_of(account: Account) -> str:
    """Give what the tokens of an account are bound to; see `binding`."""
    return binding(account.provider, account.grant.fingerprint if account.grant else None)


def read_account(row: Row[Any]) -> Account:
    """Make an account of a row."""
    return Account(
        id=row.id,
        name=row.name,
        provider=row.provider,
        state=_read_state(row),
        generation=row.generation,
        created_at=row.created_at,
        attempt=_read_attempt(row),
        lease=_read_lease(row),
        trouble=_read_trouble(row),
    )


def sealed_values(row: Row[Any]) -> tuple[object, ...]:
    """Give the sealed columns of a row as they are."""
    return row.access_token_sealed, row.refresh_token_sealed, row.extra_sealed


def seal_tokens(
    vault: Vault,
    account_id: str,
    generation: int,
    access_token: Secret,
    *,
    bound_to: str,
    refresh_token: Secret | None,
    extra: Mapping[str, object],
) -> SealedTokens:
    """Seal tokens for the generation under which they will be written.

    Args:
        vault: what seals.
        account_id: of the row.
        generation: that the row will have.
        access_token: what the token endpoint answered.
        bound_to: see `binding`.
        refresh_token: the one to keep: the new one, or the old one where none came.
        extra: further fields to keep.
    """

    def sealed(field: str, secret: Secret) -> bytes:
        return vault.seal_secret(secret, place(account_id, field, generation, bound_to))

    return SealedTokens(
        access_token=sealed("access_token", access_token),
        refresh_token=sealed("refresh_token", refresh_token) if refresh_token else None,
        extra=sealed("extra", Secret(json.dumps(dict(extra)))) if extra else None,
    )


def sealed_columns(sealed: SealedTokens) -> dict[str, object]:
    """Give the columns of sealed tokens."""
    return {
        "access_token_sealed": sealed.access_token,
        "refresh_token_sealed": sealed.refresh_token,
        "extra_sealed": sealed.extra,
    }


def terms_columns(terms: Terms) -> dict[str, object]:
    """Give the columns of terms."""
    return {
        "token_type": terms.token_type,
        "scope": None if terms.scope is None else " ".join(terms.scope),
        "minted_at": terms.minted_at,
        "expires_at": terms.expires_at,
        "lifetime": terms.lifetime,
        "consented_at": terms.consented_at,
        "consent_ends_at": terms.consent_ends_at,
    }


def trouble_columns(trouble: Trouble | None) -> dict[str, object]:
    """Give the columns of what went wrong."""
    if trouble is None:
        return dict(NO_TROUBLE)
    return {
        "last_error": trouble.message,
        "failing_since": trouble.since,
        "failures": trouble.failures,
        "retry_at": trouble.retry_at,
    }


def attempt_columns(attempt: Attempt | None) -> dict[str, object]:
    """Give the columns of what was sent and is not answered."""
    if attempt is None:
        return dict(NO_ATTEMPT)
    return {
        "attempt_sent_at": attempt.sent_at,
        "attempt_first_sent_at": attempt.first_sent_at,
        "attempt_count": attempt.count,
        "attempt_fingerprint": attempt.token_fingerprint,
        "attempt_fence": attempt.fence,
    }


def _read_state(row: Row[Any]) -> State:
    if row.state == "pending":
        return Pending()
    grant = _read_grant(row)
    if row.state == "active" and grant is not None:
        return Active(grant=grant)
    return ConsentRequired(reason=row.reason or "unknown", since=row.state_since, grant=grant)


def _read_grant(row: Row[Any]) -> Grant | None:
    if row.access_token_sealed is None:
        return None
    return Grant(
        terms=Terms(
            token_type=row.token_type,
            scope=None if row.scope is None else tuple(row.scope.split()),
            minted_at=row.minted_at,
            expires_at=row.expires_at,
            lifetime=row.lifetime,
            consented_at=row.consented_at,
            consent_ends_at=row.consent_ends_at,
        ),
        sealed=SealedTokens(
            access_token=bytes(row.access_token_sealed),
            refresh_token=_optional_bytes(row.refresh_token_sealed),
            extra=_optional_bytes(row.extra_sealed),
        ),
        fingerprint=row.fingerprint,
        subject=row.subject,
        subject_name=row.subject_name,
    )


def _read_attempt(row: Row[Any]) -> Attempt | None:
    if row.attempt_sent_at is None:
        return None
    return Attempt(
        sent_at=row.attempt_sent_at,
        first_sent_at=row.attempt_first_sent_at,
        count=row.attempt_count,
        token_fingerprint=row.attempt_fingerprint,
        fence=row.attempt_fence,
    )


def _read_lease(row: Row[Any]) -> Lease | None:
    if row.lease_owner is None:
        return None
    return Lease(owner=row.lease_owner, until=row.lease_until, fence=row.lease_fence)


def _read_trouble(row: Row[Any]) -> Trouble | None:
    if row.last_error is None:
        return None
    return Trouble(
        message=row.last_error,
        since=row.failing_since or 0.0,
        failures=row.failures,
        retry_at=row.retry_at or 0.0,
    )


def _optional_bytes(value: object) -> bytes | None:
    return bytes(value) if isinstance(value, (bytes, memoryview)) else None
