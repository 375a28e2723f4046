"""Errors: what a person reads, and what a program branches on."""

import copy
import pickle
import subprocess
import sys
from datetime import UTC, datetime, timedelta, timezone

import pytest

from connector import errors
from connector.errors import (
    ConfigurationError,
    ConnectorError,
    ConsentNotGiven,
    ConsentRequired,
    OriginRefused,
    Problem,
    Refused,
    RegistrationRejected,
    TemporarilyUnavailable,
    UnknownAccount,
    VaultSealed,
)

MOMENT = datetime(2027, 1, 15, 8, 0, 0, 900_000, tzinfo=timezone(timedelta(hours=1)))

EVERY_ERROR = [
    (
        ConfigurationError(
            [
                Problem("config.toml", "vault.seal", "is no seal", "one of: keyring"),
                Problem("config.toml", "", "is not TOML"),
            ]
        ),
        2,
        "configuration-error",
        "config.toml: vault.seal: is no seal (one of: keyring)\nconfig.toml: is not TOML",
    ),
    (
        ConsentRequired("acme/fb", "nobody has consented yet", provider="facebook"),
        3,
        "consent-required",
        (
            "Account acme/fb needs consent: nobody has consented yet. "
            "Type: connector connect facebook --account acme/fb"
        ),
    ),
    (
        ConsentRequired("a", "revoked", "http://127.0.0.1:8470/connect/x"),
        3,
        "consent-required",
        "Account a needs consent: revoked. Open http://127.0.0.1:8470/connect/x",
    ),
    (
        TemporarilyUnavailable("provider p is unavailable (HTTP 503)", MOMENT),
        4,
        "temporarily-unavailable",
        "provider p is unavailable (HTTP 503). Try again at 2027-01-15T07:00:00Z.",
    ),
    (
        TemporarilyUnavailable("it failed", None, valid_until=MOMENT),
        4,
        "temporarily-unavailable",
        "it failed. Try again later; the present token is good until 2027-01-15T07:00:00Z.",
    ),
    (
        VaultSealed("the key is wrong", "Set CONNECTOR_KEY."),
        5,
        "vault-sealed",
        "The vault is sealed: the key is wrong. Set CONNECTOR_KEY.",
    ),
    (VaultSealed("no key"), 5, "vault-sealed", "The vault is sealed: no key."),
    (Refused("not permitted"), 6, "refused", "Refused: not permitted."),
    (
        UnknownAccount("acme/fb", "acme/facebook"),
        6,
        "unknown-account",
        "There is no account acme/fb. Did you mean acme/facebook?",
    ),
    (
        UnknownAccount("x"),
        6,
        "unknown-account",
        "There is no account x. List them with: connector accounts",
    ),
    (
        OriginRefused("a", "https://evil.example:443"),
        6,
        "origin-refused",
        (
            "The token of account a is not sent to https://evil.example:443: "
            "it is not among the API's origins."
        ),
    ),
    (
        ConsentNotGiven("a", "denied"),
        7,
        "consent-not-given",
        "Consent was not given for account a: denied.",
    ),
    (
        RegistrationRejected("facebook", "invalid_client"),
        8,
        "registration-rejected",
        (
            "Provider facebook rejects our client registration: invalid_client. "
            "Check client_id and client_secret under [providers.facebook]; no account is lost."
        ),
    ),
]
IDS = [f"{type(error).__name__}-{i}" for i, (error, *_) in enumerate(EVERY_ERROR)]


@pytest.mark.parametrize(("error", "exit_code", "problem_type", "message"), EVERY_ERROR, ids=IDS)
def test_what_an_error_says(
    error: ConnectorError, exit_code: int, problem_type: str, message: str
) -> None:
    """158: exit codes are stable and distinct."""
    assert error.exit_code == exit_code
    assert error.problem_type() == problem_type
    assert str(error) == message


def through_pickle(error: ConnectorError) -> object:
    return pickle.loads(pickle.dumps(error))  # noqa: S301 - what we have just dumped


def test_every_error_of_the_tree_is_shown_here() -> None:
    shown = {type(error) for error, *_ in EVERY_ERROR}
    tree = {
        kind
        for kind in vars(errors).values()
        if isinstance(kind, type) and issubclass(kind, ConnectorError)
    }
    assert tree - shown == {ConnectorError}


def test_an_unplanned_error_is_exit_code_one() -> None:
    assert ConnectorError("x").exit_code == 1


@pytest.mark.parametrize(("error", "exit_code", "problem_type", "message"), EVERY_ERROR, ids=IDS)
@pytest.mark.parametrize("again", [copy.copy, copy.deepcopy, through_pickle])
def test_an_error_crosses_processes_whole(
    again: object, error: ConnectorError, exit_code: int, problem_type: str, message: str
) -> None:
    """A process pool breaks on an exception that cannot be unpickled."""
    assert callable(again)
    other = again(error)
    assert type(other) is type(error)
    assert (str(other), other.exit_code, other.problem_type()) == (message, exit_code, problem_type)
    assert vars(other) == vars(error)


@pytest.mark.parametrize(
    "text", ["{account}", "{0}", "100% {x!r}", "{", "}"], ids=["name", "index", "repr", "{", "}"]
)
def test_braces_in_a_reason_are_only_braces(text: str) -> None:
    assert text in str(ConsentNotGiven("a", text))
    assert text in str(ConfigurationError([Problem("f", "k", text)]))


def test_attributes_are_what_programs_branch_on() -> None:
    error = ConsentRequired("a", "revoked", None, provider="p")
    assert (error.account, error.reason, error.connect_url) == ("a", "revoked", None)
    assert error.command == "connector connect p --account a"
    assert UnknownAccount("x").reason == "unknown account x"
    assert (
        OriginRefused("a", "https://b:443").reason == "origin https://b:443 is not the provider's"
    )
    retry = TemporarilyUnavailable("r", MOMENT, valid_until=datetime(2027, 1, 1, tzinfo=UTC))
    assert (retry.retry_at, retry.valid_until) == (MOMENT, datetime(2027, 1, 1, tzinfo=UTC))


def test_messages_survive_without_docstrings() -> None:
    """``python -OO`` strips the templates."""
    program = (
        "from connector.errors import *\n"
        "print(ConsentRequired('a', 'revoked'))\n"
        "print(ConfigurationError([Problem('f', 'k', 'm')]))\n"
    )
    run = subprocess.run(
        [sys.executable, "-OO", "-c", program], check=True, capture_output=True, text=True
    )
    first, second = run.stdout.splitlines()
    assert first.startswith("account: a, reason: revoked, remedy: Type: connector connect")
    assert second == "problems: f: k: m"
