"""How a token gets to a program; `tests/acceptance/test_exec.py` runs real ones."""

import os

import pytest

from connector.cli.exec import _piped
from connector.errors import ConfigurationError
from tests.unit.workbench import ACCOUNT

from .conftest import Commands


def test_a_long_token_waits_in_the_pipe_for_whoever_reads_it() -> None:
    number = int(_piped(ACCOUNT, "x" * 5000))
    assert os.get_inheritable(number)
    with os.fdopen(number, "rb") as pipe:
        assert pipe.read() == b"x" * 5000, "to the end: nobody holds the other one open"


def test_a_token_that_no_pipe_holds_is_refused_before_anything_starts() -> None:
    before = len(os.listdir("/dev/fd"))  # noqa: PTH208 - of this process, now
    with pytest.raises(ConfigurationError, match=r"larger than a pipe.*use --endpoint"):
        _piped(ACCOUNT, "x" * (2 << 20))
    assert len(os.listdir("/dev/fd")) == before  # noqa: PTH208 - as before


def test_the_token_that_is_given_stands_in_the_audit_trail(
    commands: Commands, monkeypatch: pytest.MonkeyPatch
) -> None:
    given: dict[str, str] = {}

    def become(_command: object, environment: dict[str, str], _inheritance: object) -> None:
        given.update(environment)

    monkeypatch.setattr("connector.cli.exec.become", become)
    value = commands.bench.connect_apart()
    assert commands.run("exec", "--account", ACCOUNT, "--config", "x", "true") == 2
    options = ("--account", ACCOUNT, "--config", str(commands.bench.config))
    assert commands.run("exec", *options, "--", "true", "--") == 0, commands.err
    assert given["CONNECTOR_TOKEN"] == value
    assert commands.run("audit", "--json") == 0
    assert "connector exec" in commands.out
