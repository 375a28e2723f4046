"""``connector revoke``: which accounts it means."""

import pytest

from .conftest import Commands


def test_an_account_has_one_provider(commands: Commands) -> None:
    commands.bench.connect_apart()
    assert commands.run("revoke", "acme/ads", "--provider", "facebook") == 2
    assert "--provider goes with --all" in commands.err
    assert commands.run("token", "acme/ads") == 0


@pytest.mark.parametrize(("name", "remedy"), [("acmee", "did you mean acme?"), ("x", "known: ac")])
def test_an_unknown_provider(commands: Commands, name: str, remedy: str) -> None:
    assert commands.run("revoke", "--all", "--provider", name, "--yes") == 2
    assert f"there is no provider {name!r}" in commands.err
    assert remedy in commands.err


def test_a_provider_that_is_not_configured_any_more(commands: Commands) -> None:
    commands.bench.connect_apart()
    commands.configure(replace=("[providers.acme]", "[providers.other]"))
    assert commands.run("revoke", "--all", "--provider", "acme", "--yes") == 4
    assert "acme/ads: revoked here" in commands.out


def test_nothing_to_revoke(commands: Commands) -> None:
    assert commands.run("revoke", "--all", "--provider", "acme") == 0
    assert commands.out == "nothing to revoke\n"


def test_all_of_a_provider(commands: Commands) -> None:
    commands.bench.connect_apart()
    assert commands.run("revoke", "--all", "--provider", "facebook", "--yes") == 0
    assert commands.run("token", "acme/ads") == 0
    assert commands.run("revoke", "--all", "--provider", "acme", "--yes") == 0
    assert commands.run("token", "acme/ads") == 3
