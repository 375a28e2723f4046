"""``connector providers NAME``: what is known, and what only the provider's metadata tells."""

import json

from .conftest import Commands

DISCOVERED = ("authorization_endpoint", "token_endpoint", "revocation")


def test_a_discovered_provider(commands: Commands) -> None:
    assert commands.run("providers", "acme") == 0
    for key in DISCOVERED:
        assert f"{key}: by discovery\n" in commands.out
    assert commands.run("providers", "acme", "--json") == 0
    view = json.loads(commands.out)
    assert [view[key] for key in DISCOVERED] == [None, None, None]


def test_one_that_is_written_down(commands: Commands) -> None:
    endpoints = {"authorization_endpoint": "a", "token_endpoint": "t"}
    lines = [f'{key} = "https://acme.example/{value}"' for key, value in endpoints.items()]
    commands.configure(acme="\n".join(lines))
    assert commands.run("providers", "acme") == 0
    assert "token_endpoint: https://acme.example/t\n" in commands.out
    assert "revocation: none offered\n" in commands.out
