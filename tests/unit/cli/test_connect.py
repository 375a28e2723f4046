"""``connector connect``: what is refused, and what is left behind where nobody consents."""

import json
import socket
from collections.abc import Iterator
from contextlib import contextmanager

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
    assert commands.run("audit", "--event", "consent", "--json") == 0
    started, refused = json.loads(commands.out)
    assert (started["event"], started["through"]) == ("consent.started", "connector connect")
    assert (refused["event"], refused["outcome"]) == ("consent.refused", "abandoned")


def test_an_account_of_another_provider(commands: Commands) -> None:
    commands.bench.connect_apart()
    for option in ((), ("--device",)):
        assert commands.run("connect", "facebook", *CONNECT[2:], *option) in {2, 7}
        assert "authorize" not in commands.out
    assert states(commands) == {"acme/ads": "active"}
    assert commands.run("connect", "facebook", *CONNECT[2:]) == 7
    assert "type first: connector forget acme/ads" in commands.err
    assert commands.run("token", "acme/ads") == 0


class TestNobodyCanTakeTheAnswer:
    """The problem names the provider's own key, and a remedy that fits."""

    def test_the_port_is_taken(self, commands: Commands) -> None:
        with socket.socket() as holder:
            holder.bind(("127.0.0.1", 0))
            holder.listen()
            port = holder.getsockname()[1]
            commands.configure(replace=(":49152", f":{port}"))
            assert commands.run(*CONNECT) == 2
            assert f"providers.acme.redirect_uri: http://127.0.0.1:{port}/call" in commands.err
            assert "the port is taken (stop the program that holds it, or" in commands.err
            with in_place_of_the_daemon(commands):
                assert commands.run(*CONNECT) == 2, "it holds another port"
            commands.configure(f"[daemon]\nport = {port}", replace=(":49152", f":{port}"))
            assert commands.run(*CONNECT) == 2
            assert "start the daemon (connector serve)" in commands.err
            with in_place_of_the_daemon(commands):
                assert commands.run(*CONNECT) == 7
        assert states(commands) == {}

    def test_it_is_public(self, commands: Commands) -> None:
        commands.configure(replace=("http://127.0.0.1:49152", "https://connector.example"))
        assert commands.run(*CONNECT) == 2
        assert "providers.acme.redirect_uri: https://connector.example/cal" in commands.err
        assert "is not on this machine (start the daemon that stands behind it" in commands.err


@contextmanager
def in_place_of_the_daemon(commands: Commands) -> Iterator[None]:
    """Listen on the daemon's Unix socket."""
    path = commands.bench.folder / "connector.sock"
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(path))
        listener.listen()
        yield
    path.unlink()
