"""``--json`` before a subcommand."""

import json

import pytest

from .conftest import Commands


@pytest.mark.parametrize(
    "arguments", [("jobs", "history", "--json"), ("jobs", "--json", "history")], ids=" ".join
)
def test_holds_for_a_subcommand_that_lists(commands: Commands, arguments: tuple[str, ...]) -> None:
    assert commands.run(*arguments) == 0
    assert json.loads(commands.out) == []


@pytest.mark.parametrize(
    "arguments",
    [
        ("accounts", "--json", "rename", "acme/ads", "acme/new"),
        ("jobs", "--json", "pause", "pull"),
        ("jobs", "--json", "run", "pull"),
    ],
    ids=" ".join,
)
def test_is_refused_by_one_that_lists_nothing(
    commands: Commands, arguments: tuple[str, ...]
) -> None:
    commands.bench.connect_apart()
    assert commands.run(*arguments) == 2
    assert f"{arguments[2]} lists nothing: leave out --json" in commands.err
    assert commands.run("token", "acme/ads") == 0, "nothing was renamed"


def test_from_the_environment(commands: Commands, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CONNECTOR_JOBS_JSON", "1")
    assert commands.run("jobs", "history") == 0
    assert json.loads(commands.out) == []
    assert commands.run("jobs", "pause", "pull") == 0
    assert commands.out == "pull: paused\n"
