"""What a failure of the database means to a caller.

Away, full, locked, read-only or failing over is `TemporarilyUnavailable`: nothing is lost. Damaged,
or closed to us, is `VaultSealed`: somebody must act. A broken constraint is left to the caller, who
knows what it means; anything else is a bug. No message holds SQL, a parameter or a password.
"""

import sqlite3
from typing import Final

from sqlalchemy.exc import (
    DatabaseError,
    DBAPIError,
    InterfaceError,
    InternalError,
    OperationalError,
    ProgrammingError,
)
from sqlalchemy.exc import TimeoutError as PoolTimeout

from connector.errors import TemporarilyUnavailable, VaultSealed

#: SQLSTATE of what only an operator can mend: no right, no table, no schema, no such database.
_CLOSED_TO_US: Final = frozenset({"42501", "42P01", "3F000", "3D000"})
_LONGEST_REASON: Final = 200


class Converted:
    """Turns the driver's errors into ours within a ``with`` block.

    Args:
        description: the database's name, for people.
    """

    def __init__(self, description: str) -> None:
        self._description = description

    def __enter__(self) -> None:
        """Nothing to prepare."""

    def __exit__(self, _kind: object, error: BaseException | None, _trace: object) -> None:
        if isinstance(error, DBAPIError | PoolTimeout | sqlite3.Error | OSError):
            cause = getattr(error, "orig", None) or error
            if _is_damaged(error, cause):
                raise VaultSealed(
                    f"the database {self._description} is damaged or is none: {reason(cause)}",
                    "Nothing was written. Stop Connector and restore the database from a backup.",
                ) from None
            if _is_closed_to_us(error, cause):
                raise VaultSealed(
                    f"the database {self._description} cannot be used: {reason(cause)}",
                    "Check vault.url, and the rights of its user.",
                ) from None
            if _is_away(error):
                raise TemporarilyUnavailable(
                    f"the database {self._description} failed: {reason(cause)}{_hint(error, cause)}"
                ) from None


def _is_damaged(error: BaseException, cause: BaseException) -> bool:
    """SQLite reports a damaged file, or one that is no database, with the base class alone."""
    return type(cause) is sqlite3.DatabaseError and isinstance(error, DatabaseError | sqlite3.Error)


def _is_closed_to_us(error: BaseException, cause: BaseException) -> bool:
    if getattr(cause, "sqlstate", None) in _CLOSED_TO_US:
        return True
    # before there is a connection: the URL holds an option that is none
    return isinstance(error, ProgrammingError) and error.statement is None


def _is_away(error: BaseException) -> bool:
    return isinstance(
        error,
        OperationalError | InterfaceError | InternalError | PoolTimeout | OSError | sqlite3.Error,
    ) or (isinstance(error, DBAPIError) and error.connection_invalidated)


def _hint(error: BaseException, cause: BaseException) -> str:
    """Say where to look when a server refuses a connection: it gives no code, and may mean a user.

    A password, a user, a database that is not there, or no place left: a daemon waits for all of
    them, a person should look.
    """
    is_refused = (
        isinstance(error, DBAPIError) and error.statement is None and "FATAL:" in str(cause)
    )
    return " (check user, password and database in vault.url)" if is_refused else ""


def reason(cause: BaseException) -> str:
    """Give the driver's own words, one line, without statement and parameters."""
    lines = str(cause).strip().splitlines()
    return (lines[0] if lines else type(cause).__name__)[:_LONGEST_REASON]
