"""The conditional updates of grants, built once, with parameters for what differs.

To build an UPDATE of forty columns costs several times what a database takes to execute it, and
these are executed for every refresh. A column's new value is the parameter ``new_`` and its name.
"""

from collections.abc import Mapping
from typing import Any, Final

from sqlalchemy import BindParameter, ColumnElement, Double, bindparam, case, or_, update
from sqlalchemy.sql.dml import ReturningUpdate

from connector.store.account_rows import (
    ATTEMPT_COLUMNS,
    NO_ATTEMPT,
    NO_LEASE,
    NO_TROUBLE,
    SEALED_COLUMNS,
    TERMS_COLUMNS,
    TROUBLE_COLUMNS,
)
from connector.store.due import CLAIM_TIME
from connector.store.tables import ACCOUNT

#: Longer than the deadline of a token request (30 s) plus the commit after it.
LEASE_DURATION: Final = 45.0

_COLUMNS: Final = ACCOUNT.c
_CONSENT_COLUMNS: Final = (
    "provider",
    "state",
    "reason",
    "state_since",
    "fingerprint",
    "subject",
    "subject_name",
)
_SAME_GENERATION: Final = (
    _COLUMNS.id == bindparam("of_account"),
    _COLUMNS.generation == bindparam("of_generation"),
)

Parameters = Mapping[str, object]
Statement = ReturningUpdate[Any]


def parameters(account_id: str, generation: int, **new: object) -> dict[str, object]:
    """Give the parameters of a statement: whose row, which generation is compared, new values."""
    named = {f"new_{name}": value for name, value in new.items()}
    return {"of_account": account_id, "of_generation": generation, **named}


def take_lease(clock: ColumnElement[float]) -> Statement:
    """Make the statement that takes a lease and records an attempt.

    Its further parameters: ``known_failures``, ``gone_owner``, ``patience`` (see `GrantStore`).

    Args:
        clock: the time of leases.
    """
    patience = bindparam("patience", type_=Double)
    return (
        update(ACCOUNT)
        .where(
            *_SAME_GENERATION,
            _COLUMNS.state == "active",
            _COLUMNS.failures == bindparam("known_failures"),
            or_(
                _COLUMNS.lease_owner.is_(None),
                _COLUMNS.lease_until <= clock - patience,
                _COLUMNS.lease_until > clock + LEASE_DURATION + 1,  # of another boot
                _COLUMNS.lease_owner == bindparam("gone_owner"),
            ),
        )
        .values(
            **_new(*ATTEMPT_COLUMNS, "lease_owner")
            | {
                "lease_until": clock + LEASE_DURATION,
                "lease_fence": _COLUMNS.lease_fence + 1,
                "attempt_fence": _COLUMNS.lease_fence + 1,
            }
        )
        .returning(*_COLUMNS)
    )


def _new(*names: str) -> dict[str, BindParameter[Any]]:
    return {name: bindparam(f"new_{name}", type_=_COLUMNS[name].type) for name in names}


_WRITTEN: Final = {
    **_new("due_at", *SEALED_COLUMNS, *TERMS_COLUMNS),
    **NO_LEASE,
    **NO_ATTEMPT,
    **NO_TROUBLE,
    "generation": _COLUMNS.generation + 1,
}

#: Writes the tokens of a consent.
ACTIVATE: Final[Statement] = (
    update(ACCOUNT)
    .where(*_SAME_GENERATION)
    .values(**_WRITTEN | _new(*_CONSENT_COLUMNS))
    .returning(*_COLUMNS)
)

#: Writes the tokens of a refresh; one that had been given up lives again.
RENEW: Final[Statement] = (
    update(ACCOUNT)
    .where(*_SAME_GENERATION)
    .values(
        **_WRITTEN
        | {
            "state": "active",
            "reason": None,
            "state_since": case(
                (_COLUMNS.state == "active", _COLUMNS.state_since),
                else_=bindparam("new_minted_at", type_=_COLUMNS.minted_at.type),
            ),
        }
    )
    .returning(*_COLUMNS)
)

_UNDER_LEASE: Final = (
    update(ACCOUNT)
    .where(*_SAME_GENERATION, _COLUMNS.lease_fence == bindparam("known_fence"))
    .returning(*_COLUMNS)
)

#: Gives a lease back.
SETTLE: Final[Statement] = _UNDER_LEASE.values(
    **NO_LEASE, **_new(*ATTEMPT_COLUMNS, "attempt_fence", *TROUBLE_COLUMNS)
)

#: The same, of an account that may be due: it is due again when it may be tried again.
SETTLE_DUE: Final[Statement] = SETTLE.values(
    due_at=case(
        (
            _COLUMNS.due_at < bindparam("new_retry_at", type_=Double) + CLAIM_TIME,
            bindparam("new_retry_at", type_=Double),
        ),
        else_=_COLUMNS.due_at,
    )
)

#: Ends a grant; its ciphertext stays.
END: Final[Statement] = (
    update(ACCOUNT)
    .where(*_SAME_GENERATION)
    .values(
        **NO_LEASE,
        **NO_ATTEMPT,
        **NO_TROUBLE,
        **_new("reason", "state_since"),
        state="consent_required",
    )
    .returning(*_COLUMNS)
)

#: Takes back an end, of the account called ``account_name`` that ended for just this ``why``.
UNDO_END: Final[Statement] = (
    update(ACCOUNT)
    .where(
        _COLUMNS.name == bindparam("account_name"),
        _COLUMNS.state == "consent_required",
        _COLUMNS.reason == bindparam("why"),
        _COLUMNS.access_token_sealed.is_not(None),
    )
    .values(state="active", reason=None)
    .returning(*_COLUMNS)
)
