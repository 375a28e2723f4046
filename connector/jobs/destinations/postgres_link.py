"""A connection to Postgres, and what its failures mean to a person.

Nothing that outlives a transaction is set on it, so that PgBouncer may stand between (transaction
mode): no prepared statements, no session settings, no session locks.
"""

import contextlib
import logging
from collections.abc import Iterator
from typing import Final

import psycopg
from psycopg import errors
from psycopg.conninfo import conninfo_to_dict, make_conninfo

from connector.jobs.destinations.destination import DestinationFailed
from connector.postgres_uri import split_uri

Connection = psycopg.Connection[tuple[object, ...]]

#: A server that does not answer for so long is down (seconds).
CONNECT_TIMEOUT: Final = 10

_DEFAULTS: Final[dict[str, str | int]] = {
    "connect_timeout": CONNECT_TIMEOUT,
    "application_name": "connector",
    "keepalives_idle": 30,
    "tcp_user_timeout": 30_000,
}
#: What a person does about it; the state says where the next run begins.
_REMEDIES: Final[tuple[tuple[type[psycopg.Error], str], ...]] = (
    (errors.DiskFull, "make room on its disk"),
    (errors.ReadOnlySqlTransaction, "it takes no writes: name the primary server"),
    (errors.InsufficientPrivilege, "grant this user what it lacks"),
    (errors.LockNotAvailable, "end what keeps it locked: another transaction is open"),
    (errors.QueryCanceled, "raise statement_timeout of this user"),
    (errors.TooManyConnections, "raise its max_connections, or put PgBouncer before it"),
    (errors.InvalidPassword, "look at the password"),
    (errors.InvalidAuthorizationSpecification, "look at the user and the password"),
    (errors.InvalidCatalogName, "make the database, or name another one"),
    (errors.WrongObjectType, "name a table"),
    (psycopg.IntegrityError, "the table has a rule that a record breaks"),
    (errors.FeatureNotSupported, "something that depends on the table forbids it"),
)


def connect(url: str) -> Connection:
    """Connect.

    Args:
        url: ``postgresql://…``, with its password.

    Raises:
        psycopg.Error: it cannot be.
    """
    given = conninfo_to_dict(url)
    ours = {name: value for name, value in _DEFAULTS.items() if name not in given}
    whole = make_conninfo(url, **ours)
    logging.getLogger("psycopg").setLevel(logging.CRITICAL)  # a lost connection is told by us
    return psycopg.connect(whole, autocommit=True, prepare_threshold=None)


def place_of(url: str) -> str:
    """Give a destination's place as messages name it: no user, no password."""
    return f"postgresql://{split_uri(url).place}"


@contextlib.contextmanager
def telling(place: str) -> Iterator[None]:
    """Turn errors of Postgres into `DestinationFailed`; no value of a record is in them.

    Args:
        place: what is written to, for messages.
    """
    try:
        yield
    except psycopg.Error as error:
        raise DestinationFailed(f"{place}: {explain(error)}") from error


def explain(error: psycopg.Error) -> str:
    """Say what happened and what to do."""
    text = error.diag.message_primary or " ".join(str(error).split()) or type(error).__name__
    for kind, remedy in _REMEDIES:
        if isinstance(error, kind):
            return f"{text}: {remedy}"
    return text


def is_lost(connection: Connection, error: psycopg.Error) -> bool:
    """Tell whether the connection is gone, so that a commit's outcome may not be known."""
    return connection.closed or isinstance(error, (errors.AdminShutdown, errors.CrashShutdown))


@contextlib.contextmanager
def transaction(connection: Connection) -> Iterator[None]:
    """Begin a transaction that is durable when it has been committed, and waits not for ever."""
    with connection.transaction():
        connection.execute(SETTINGS)
        yield


#: What each transaction sets for itself; a role may have commits that do not wait for the disk.
SETTINGS: Final = (
    "SELECT set_config('lock_timeout', '30s', true), set_config('TimeZone', 'UTC', true),"
    " set_config('synchronous_commit', CASE current_setting('synchronous_commit')"
    " WHEN 'off' THEN 'on' ELSE current_setting('synchronous_commit') END, true)"
)
