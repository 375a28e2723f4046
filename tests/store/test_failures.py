"""What a failure of the driver becomes, by its class and code; the texts hold no statement."""

import sqlite3
from typing import Any

import psycopg
import pytest
from sqlalchemy import exc

from connector.errors import ConnectorError, TemporarilyUnavailable, VaultSealed
from connector.store.failures import Converted


class _OfPostgres(psycopg.Error):
    def __init__(self, message: str, sqlstate: str | None) -> None:
        super().__init__(message)
        self.sqlstate = sqlstate


def _wrapped(
    kind: type[exc.DBAPIError], cause: BaseException, statement: str | None = "SELECT canary"
) -> exc.DBAPIError:
    parameters: Any = {"p": "canary"}
    return kind(statement, parameters, cause, hide_parameters=True)


AWAY = [
    _wrapped(exc.OperationalError, sqlite3.OperationalError("database is locked")),
    _wrapped(exc.OperationalError, _OfPostgres("the server closed the connection", None)),
    _wrapped(exc.InterfaceError, _OfPostgres("connection already closed", None)),
    _wrapped(exc.InternalError, _OfPostgres("cannot execute in a read-only transaction", "25006")),
    exc.TimeoutError("QueuePool limit of size 5 overflow 10 reached"),
    sqlite3.OperationalError("unable to open database file"),
    ConnectionRefusedError(111, "Connection refused"),
    OSError(28, "No space left on device"),
]
CLOSED = [
    _wrapped(exc.DatabaseError, sqlite3.DatabaseError("database disk image is malformed")),
    sqlite3.DatabaseError("file is not a database"),
    _wrapped(exc.ProgrammingError, _OfPostgres("permission denied for table account", "42501")),
    _wrapped(exc.ProgrammingError, _OfPostgres('relation "account" does not exist', "42P01")),
    _wrapped(exc.ProgrammingError, _OfPostgres('invalid connection option "x"', None), None),
]
BUGS = [
    _wrapped(exc.IntegrityError, sqlite3.IntegrityError("UNIQUE constraint failed")),
    _wrapped(exc.ProgrammingError, _OfPostgres("syntax error", "42601")),
    _wrapped(exc.DataError, _OfPostgres("invalid input", "22P02")),
    exc.InvalidRequestError("a transaction is already begun"),
    ValueError("x"),
]


def _convert(error: BaseException) -> BaseException:
    with pytest.raises(type(error) if error in BUGS else ConnectorError) as caught:  # noqa: SIM117
        with Converted("vault.db"):
            raise error
    return caught.value


def test_a_server_that_refuses_a_connection_says_where_to_look() -> None:
    refused = _OfPostgres('FATAL:  password authentication failed for user "connector"', None)
    told = str(_convert(_wrapped(exc.OperationalError, refused, None)))
    assert "(check user, password and database in vault.url)" in told
    gone = _OfPostgres("FATAL:  terminating connection due to administrator command", "57P01")
    assert "vault.url" not in str(_convert(_wrapped(exc.OperationalError, gone)))


@pytest.mark.parametrize("error", AWAY, ids=str)
def test_what_is_away_comes_back(error: BaseException) -> None:
    ours = _convert(error)
    assert isinstance(ours, TemporarilyUnavailable)
    assert str(ours).startswith("the database vault.db failed: ")
    assert ours.__suppress_context__
    assert "canary" not in str(ours)


@pytest.mark.parametrize("error", CLOSED, ids=str)
def test_what_somebody_must_mend_says_so(error: BaseException) -> None:
    ours = _convert(error)
    assert isinstance(ours, VaultSealed)
    assert ours.remedy
    assert ours.__suppress_context__
    assert "canary" not in str(ours)


@pytest.mark.parametrize("error", BUGS, ids=str)
def test_what_is_a_bug_or_the_callers_matter_is_left_alone(error: BaseException) -> None:
    assert _convert(error) is error


def test_a_connection_that_broke_under_any_error_is_away() -> None:
    error = _wrapped(exc.DataError, _OfPostgres("broken", None))
    error.connection_invalidated = True
    assert isinstance(_convert(error), TemporarilyUnavailable)


def test_only_the_first_line_is_told_and_not_all_of_it() -> None:
    error = _wrapped(exc.OperationalError, _OfPostgres(f"{'a' * 300}\nDETAIL: canary", None))
    ours = _convert(error)
    assert f"{'a' * 200}." in str(ours)
    assert "canary" not in str(ours)


def test_an_error_without_words_is_told_by_its_name() -> None:
    assert "failed: OperationalError." in str(_convert(sqlite3.OperationalError()))
