"""``connector vault``: what is sealed is verified, and sealed anew under a new data key."""

import io
import json
import sqlite3
from contextlib import closing

import pytest
from rich.console import Console

from connector.cli.main import run
from tests.unit.cli.conftest import Commands


def change(commands: Commands, statement: str) -> None:
    with closing(sqlite3.connect(commands.bench.folder / "vault.db")) as database:
        database.execute(statement)
        database.commit()


def test_nothing_is_sealed_yet(commands: Commands) -> None:
    assert commands.run("vault", "verify") == 0
    assert commands.out == "nothing is sealed yet\n"


def test_what_opens_is_counted_by_key(commands: Commands) -> None:
    commands.bench.connect_apart()
    assert commands.run("vault", "verify") == 0
    assert commands.out == "values that open: 2 with data key 1\n"
    assert commands.err == ""


def test_what_does_not_open_is_named(commands: Commands) -> None:
    commands.bench.connect_apart()
    change(commands, "UPDATE account SET refresh_token_sealed = access_token_sealed")
    assert commands.run("vault", "verify") == 5
    assert commands.out == "values that open: 1 with data key 1\n"
    first, second = commands.err.splitlines()
    assert first.startswith("connector: acme/ads: the refresh_token of account ")
    assert first.endswith(", generation 1 does not open: changed, or from another place")
    assert second.startswith("connector: The vault is sealed: one sealed value does not open")


def test_programs_read_what_opens_and_what_does_not(commands: Commands) -> None:
    commands.bench.connect_apart()
    assert commands.run("vault", "verify", "--json") == 0
    assert json.loads(commands.out) == {"values_by_data_key": {"1": 2}, "failures": []}
    change(commands, "UPDATE account SET refresh_token_sealed = access_token_sealed")
    assert commands.run("vault", "verify", "--json") == 5
    told = json.loads(commands.out)
    assert told["values_by_data_key"] == {"1": 1}
    (failure,) = told["failures"]
    assert failure["account"] == "acme/ads"
    assert "the refresh_token of account" in failure["reason"]


@pytest.mark.parametrize("value", ["CAST(x'80ff' AS TEXT)", "7"])
def test_what_is_no_ciphertext_at_all_costs_one_account(commands: Commands, value: str) -> None:
    commands.bench.connect_apart()
    commands.bench.connect_apart("acme/two")
    spoil = "UPDATE account SET access_token_sealed = {} WHERE name = 'acme/ads'"
    change(commands, spoil.format(value))
    for command in ("verify", "rotate"):
        assert commands.run("vault", command) == 5
        assert "values that open: 3 with data key" in commands.out
        assert "connector: acme/ads: the access_token of account " in commands.err
        assert "acme/two" not in commands.err
    assert commands.run("token", "acme/ads") == 5
    assert commands.run("token", "acme/two") == 0
    assert commands.run("accounts") == 0
    assert "acme/ads" in commands.out
    assert "acme/two" in commands.out


def test_a_rotation_seals_everything_anew(commands: Commands) -> None:
    commands.bench.connect_apart()
    assert commands.run("vault", "rotate") == 0, commands.err
    assert commands.out.splitlines() == [
        "data key 2 made: new values are sealed with it",
        "values sealed anew: 2",
        "values that open: 2 with data key 2",
    ]
    assert commands.run("vault", "rotate", "--resume") == 0
    assert commands.out.splitlines() == [
        "values sealed anew: 0",
        "values that open: 2 with data key 2",
    ]
    assert commands.run("token", "acme/ads") == 0
    assert commands.run("refresh", "acme/ads") == 0
    assert commands.run("vault", "verify") == 0
    assert commands.out.endswith("2 with data key 2\n")
    assert commands.run("audit", "--event", "vault", "--json") == 0
    rows = json.loads(commands.out)[1:]
    assert [(row["event"], row["count"], row["detail"]) for row in rows] == [
        ("vault.key_made", 1, {"key": 2}),
        ("vault.resealed", 2, {"key": 2}),
        ("vault.resealed", 0, {"key": 2}),
    ]
    assert commands.run("audit", "--verify") == 0


def test_one_that_was_cut_off_is_resumed(
    commands: Commands, monkeypatch: pytest.MonkeyPatch
) -> None:
    commands.bench.connect_apart()

    async def cut_off(*_: object) -> int:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr("connector.store.sealed_values.SealedValues.reseal", cut_off)
        assert commands.run("vault", "rotate") == 130
    assert commands.run("vault", "verify") == 0
    assert commands.out == "values that open: 2 with data key 1\n"
    assert commands.run("vault", "rotate", "--resume") == 0
    assert commands.out.splitlines() == [
        "values sealed anew: 2",
        "values that open: 2 with data key 2",
    ]


def test_what_others_still_write_under_an_older_key_is_told(
    commands: Commands, monkeypatch: pytest.MonkeyPatch
) -> None:
    commands.bench.connect_apart()
    assert commands.run("vault", "rotate") == 0
    commands.bench.connect_apart("acme/two")
    monkeypatch.setattr("connector.store.sealed_values.MOST_PASSES", 0)
    assert commands.run("vault", "rotate") == 4
    assert "data key 2" in commands.out
    assert "connector vault rotate --resume" in commands.err


def test_what_does_not_open_is_left_and_told(commands: Commands) -> None:
    commands.bench.connect_apart()
    change(commands, "UPDATE account SET refresh_token_sealed = access_token_sealed")
    assert commands.run("vault", "rotate") == 5
    assert "values sealed anew: 1\nvalues that open: 1 with data key 2\n" in commands.out
    assert "connector: acme/ads: the refresh_token of account " in commands.err


def test_a_bar_on_a_terminal(commands: Commands, monkeypatch: pytest.MonkeyPatch) -> None:
    commands.bench.connect_apart()
    screen = io.StringIO()
    console = Console(file=screen, force_terminal=True, width=120, force_interactive=True)
    monkeypatch.setattr("rich.console.Console", lambda: console)
    assert commands.run("vault", "rotate") == 0
    shown = screen.getvalue()
    assert "sealing anew" in shown
    assert "1/1 rows" in shown
    assert commands.out.endswith("values that open: 2 with data key 2\n")


def test_the_help_says_how_it_goes_on(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["vault", "rotate", "--help"]) == 0
    assert "--resume" in capsys.readouterr().out
