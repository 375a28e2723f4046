"""``connector accounts import``: tokens of another program become active accounts, or none do."""

import io
import json
import sys
from collections.abc import Mapping
from pathlib import Path

import pytest

from connector.account import Account
from connector.secret import Secret
from tests.unit.cli.conftest import Commands
from tests.unit.workbench import run_apart

LATER = "2999-01-01T00:00:00Z"


def granted(commands: Commands, person: str = "ada") -> str:
    """Give a refresh token that the simulator takes."""
    return str(commands.bench.simulator.grant(person, scope="ads_read")["refresh_token"])


def written(commands: Commands, *entries: Mapping[str, object]) -> Path:
    path = commands.bench.folder / "tokens.json"
    path.write_text(json.dumps(list(entries)))
    path.chmod(0o600)
    return path


def accounts(commands: Commands) -> list[Account]:
    async def read() -> list[Account]:
        async with commands.bench.runtime() as runtime:
            return await runtime.accounts.all()

    return run_apart(read)


def test_a_refresh_token_is_enough(commands: Commands) -> None:
    entry = {"provider": "acme", "account": "acme/one", "refresh_token": granted(commands)}
    assert commands.run("accounts", "import", str(written(commands, entry))) == 0, commands.err
    assert commands.out == "imported: 1 account\n"
    assert "must not use them again" in commands.err
    (account,) = accounts(commands)
    assert account.state_name == "active"
    assert commands.bench.refreshes == 0
    assert commands.run("token", "acme/one") == 0, commands.err
    assert len(commands.out) > 10
    assert commands.bench.refreshes == 1


def test_csv_from_standard_input(commands: Commands, monkeypatch: pytest.MonkeyPatch) -> None:
    text = f"account,refresh_token,scope\nacme/one,{granted(commands)},ads_read\n"
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(text.encode())))
    assert commands.run("accounts", "import", "-", "--provider", "acme") == 0, commands.err
    assert accounts(commands)[0].grant.terms.scope == ("ads_read",)  # type: ignore[union-attr]


def test_the_first_refreshes_are_told_and_their_failures_undo_nothing(commands: Commands) -> None:
    path = written(
        commands,
        {"provider": "acme", "account": "acme/good", "refresh_token": granted(commands)},
        {"provider": "acme", "account": "acme/bad", "refresh_token": "spent"},
    )
    assert commands.run("accounts", "import", str(path), "--refresh") == 3
    assert commands.out.splitlines() == ["imported: 2 accounts", "acme/good: refreshed"]
    assert "connector: acme/bad: " in commands.err
    assert {one.name: one.state_name for one in accounts(commands)} == {
        "acme/good": "active",
        "acme/bad": "consent_required",
    }


def test_a_token_that_works_is_given_without_a_refresh(commands: Commands) -> None:
    """Its expiry is that of the access token."""
    entry = {
        "provider": "acme",
        "account": "acme/one",
        "refresh_token": granted(commands),
        "access_token": "still-good",
        "expiry": LATER,
    }
    assert commands.run("accounts", "import", str(written(commands, entry))) == 0, commands.err
    assert commands.run("token", "acme/one") == 0
    assert commands.out == "still-good\n"
    assert commands.bench.refreshes == 0


def test_no_token_is_given_where_none_can_be_had(commands: Commands) -> None:
    """There never was an access token: nothing empty is served in its place."""
    entry = {"provider": "acme", "account": "acme/one", "refresh_token": granted(commands)}
    assert commands.run("accounts", "import", str(written(commands, entry))) == 0
    commands.bench.fault("status", status=503)
    assert commands.run("token", "acme/one") == 4
    assert commands.out == ""


def test_what_a_provider_exchanges_is_its_long_lived_token(commands: Commands) -> None:
    entry = {"provider": "facebook", "account": "acme/fb", "access_token": "long-lived",
             "expiry": LATER}  # fmt: skip
    assert commands.run("accounts", "import", str(written(commands, entry))) == 0, commands.err
    (account,) = accounts(commands)
    terms = account.grant.terms if account.grant else None
    assert terms is not None
    assert terms.expires_at is not None
    assert terms.lifetime is not None
    assert commands.run("token", "acme/fb") == 0
    assert commands.out == "long-lived\n"


def test_it_is_of_the_configured_registration(commands: Commands) -> None:
    """Tokens are sent to no other server than this one (the fingerprint that a consent writes)."""
    commands.bench.connect_apart("acme/consented")
    entry = {"provider": "acme", "account": "acme/brought", "refresh_token": granted(commands)}
    assert commands.run("accounts", "import", str(written(commands, entry))) == 0
    fingerprints = {one.grant.fingerprint for one in accounts(commands) if one.grant}
    assert len(fingerprints) == 1


def test_what_dies_idle_is_due_at_once(commands: Commands) -> None:
    """Nobody knows how long it has been idle."""
    import sqlite3
    from contextlib import closing

    commands.configure(acme='refresh_token = { rotation = "strict", idle = "30d" }')
    entry = {"provider": "acme", "account": "acme/one", "refresh_token": granted(commands)}
    assert commands.run("accounts", "import", str(written(commands, entry))) == 0
    with closing(sqlite3.connect(commands.bench.folder / "vault.db")) as database:
        ((due_at, created_at),) = database.execute("SELECT due_at, created_at FROM account")
    assert due_at == created_at


@pytest.mark.parametrize(
    ("entry", "problem"),
    [
        ({"provider": "acne", "refresh_token": "r"}, "did you mean acme?"),
        ({}, "has no refresh_token"),
        ({"access_token": "a", "expiry": LATER}, "has no refresh_token"),
        ({"refresh_token": "r", "expiry": LATER}, "has an expiry, which is of an access token"),
        ({"refresh_token": "r", "access_token": "a"}, "has an access_token, and no expiry"),
        ({"refresh_token": "r", "consent_ends_at": 1}, "has a refresh token that has ended"),
        ({"provider": "facebook", "refresh_token": "r"}, "give its long-lived token as access"),
        ({"provider": "facebook"}, "has no access_token"),
        ({"provider": "facebook", "access_token": "a", "expiry": 1}, "that has ended"),
        ({"provider": "facebook", "access_token": "a"}, "has an access_token, and no expiry"),
        ({"account": "acme/here", "refresh_token": "r"}, "connector forget acme/here"),
        ({"account": "acme/good", "refresh_token": "r"}, "names acme/good, as line 1 does"),
    ],
)
def test_nothing_is_written_unless_all_is_good(
    entry: dict[str, object], problem: str, commands: Commands
) -> None:
    commands.bench.connect_apart("acme/here")
    good = {"provider": "acme", "account": "acme/good", "refresh_token": granted(commands)}
    whole = {"provider": "acme", "account": "acme/one"} | entry
    assert commands.run("accounts", "import", str(written(commands, good, whole))) == 2
    told = commands.err.splitlines()
    assert len(told) == 1
    assert "tokens.json: line 1: " in told[0]
    assert problem in told[0]
    assert [one.name for one in accounts(commands)] == ["acme/here"]


def test_an_access_token_alone_that_has_no_end(commands: Commands) -> None:
    entry = {"provider": "acme", "account": "acme/one", "access_token": "a", "expiry": "never"}
    assert commands.run("accounts", "import", str(written(commands, entry)), "--refresh") == 0
    assert commands.run("token", "acme/one") == 0
    assert commands.out == "a\n"


def test_a_file_that_others_can_read_is_told(commands: Commands) -> None:
    path = written(commands)
    path.chmod(0o640)
    assert commands.run("accounts", "import", str(path)) == 0
    assert f"{path} can be read by others; type: chmod 600 {path}" in commands.err
    assert commands.run("accounts", "import", str(path.with_name("none"))) == 2
    assert "cannot be read: No such file" in commands.err


def test_no_token_is_shown(commands: Commands) -> None:
    entry = {"provider": "acme", "account": "acme/one", "refresh_token": "secret\u00e4",
             "access_token": "secret "}  # fmt: skip
    assert commands.run("accounts", "import", str(written(commands, entry)), "--debug") == 2
    assert "secret" not in commands.out + commands.err


def test_what_has_no_access_token_yet_owes_none(commands: Commands) -> None:
    """Revoked before its first refresh: the provider is told of the refresh token."""
    entry = {"provider": "acme", "account": "acme/one", "refresh_token": granted(commands)}
    assert commands.run("accounts", "import", str(written(commands, entry))) == 0

    async def debt() -> object:
        async with commands.bench.runtime() as runtime:
            account = await runtime.accounts.require("acme/one")
            owed = await runtime.revocations.destroy(
                account, "revoked", now=runtime.now(), is_owed=True
            )
            return owed.tokens if owed else None

    assert run_apart(debt) == {"refresh_token": Secret(str(entry["refresh_token"]))}
