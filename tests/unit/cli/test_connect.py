"""``connector connect``: what is refused, and what is left behind where nobody consents."""

import json

import pytest

from .conftest import Commands

CONNECT = ("connect", "acme", "--account", "acme/ads", "--no-browser", "--timeout", "1")


@pytest.fixture(autouse=True)
def _any_port(commands: Commands) -> None:
    commands.configure(replace=(":49152", ""))


def states(commands: Commands) -> dict[str, str]:
    """Give the accounts and their states."""
    assert commands.run("accounts", "--json") == 0
    return {one["account"]: one["state"] for one in json.loads(commands.out)}


@pytest.mark.parametrize("option", [(), ("--device",)])
def test_nobody_answers(commands: Commands, option: tuple[str, ...]) -> None:
    assert commands.run(*CONNECT, *option) == 7
    assert "nobody answered within 1 s; nothing was changed" in commands.err
    assert states(commands) == {}


def test_an_account_of_another_provider(commands: Commands) -> None:
    commands.bench.connect_apart()
    for option in ((), ("--device",)):
        assert commands.run("connect", "facebook", *CONNECT[2:], *option) in {2, 7}
        assert "authorize" not in commands.out
    assert states(commands) == {"acme/ads": "active"}
    assert commands.run("connect", "facebook", *CONNECT[2:]) == 7
    assert "type first: connector forget acme/ads" in commands.err
    assert commands.run("token", "acme/ads") == 0
