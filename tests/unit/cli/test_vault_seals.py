"""``connector vault status``, and ``connector vault rotate --seal``."""

import json
import os
import re
from pathlib import Path

import pytest

from connector import Connector
from connector.cli.main import run
from connector.vault import environment, terminal
from tests.unit.cli.conftest import Commands
from tests.unit.vault.transit_server import TOKEN, TransitServer

KEY = "00" * 32


@pytest.fixture(autouse=True)
def _apart(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(environment, "_taken", {})
    monkeypatch.setattr(terminal, "has_terminal", lambda: False)
    for name in ("CONNECTOR_VAULT_PASSPHRASE", "CONNECTOR_VAULT_NEW_PASSPHRASE"):
        monkeypatch.delenv(name, raising=False)


def configure(commands: Commands, seal: str) -> None:
    config = commands.bench.config
    config.write_text(re.sub(r'seal = "[^"]*"', f'seal = "{seal}"', config.read_text()))


def status(commands: Commands, code: int = 0) -> dict[str, object]:
    assert commands.run("vault", "status", "--json") == code, commands.err
    found: dict[str, object] = json.loads(commands.out)
    return found


def test_it_moves_to_a_key_file_which_is_made(commands: Commands) -> None:
    commands.bench.connect_apart()
    assert commands.run("vault", "rotate", "--seal", "file:other/new.key") == 0, commands.err
    key = commands.bench.folder / "other" / "new.key"
    assert key.stat().st_mode & 0o777 == 0o600
    first, second, third, line = commands.out.splitlines()
    assert first == f"the vault opens with the file {key}"
    assert second.startswith("it does not open with the file ")
    assert third == f"Write into [vault] of {commands.bench.config}:"
    assert line == 'seal = "file:other/new.key"'
    assert commands.run("token", "acme/ads") == 5
    assert "vault.seal names another seal" in commands.err
    assert f"This vault was sealed with the file {key}" in commands.err
    configure(commands, "file:other/new.key")
    assert commands.run("token", "acme/ads") == 0
    assert commands.run("audit", "--event", "vault.seal_changed", "--json") == 0
    (row,) = json.loads(commands.out)
    assert (row["outcome"], row["through"]) == ("file", "connector vault rotate")
    assert row["detail"] == {"kept": False, "seal": f"the file {key}"}
    assert commands.run("audit", "--verify") == 0, "the root key is the same"


def test_each_of_several_seals_opens(commands: Commands, monkeypatch: pytest.MonkeyPatch) -> None:
    commands.bench.connect_apart()
    monkeypatch.setenv("OTHER_KEY", KEY)
    assert commands.run("vault", "rotate", "--seal", "env:OTHER_KEY", "--keep") == 0
    assert "any more" not in commands.out
    assert commands.run("token", "acme/ads") == 0
    configure(commands, "env:OTHER_KEY")
    assert commands.run("token", "acme/ads") == 0


def test_a_passphrase_is_changed(commands: Commands, monkeypatch: pytest.MonkeyPatch) -> None:
    commands.bench.connect_apart()
    monkeypatch.setenv("CONNECTOR_VAULT_PASSPHRASE", "the first words")
    assert commands.run("vault", "rotate", "--seal", "passphrase") == 0, commands.err
    configure(commands, "passphrase")
    monkeypatch.setenv("CONNECTOR_VAULT_PASSPHRASE", "the first words")
    assert commands.run("vault", "rotate", "--seal", "passphrase") == 5
    assert "CONNECTOR_VAULT_NEW_PASSPHRASE" in commands.err
    monkeypatch.setenv("CONNECTOR_VAULT_PASSPHRASE", "the first words")
    monkeypatch.setenv("CONNECTOR_VAULT_NEW_PASSPHRASE", "other words")
    assert commands.run("vault", "rotate", "--seal", "passphrase") == 0, commands.err
    assert commands.out == "the vault opens with a passphrase\n", "no line: it is configured"
    monkeypatch.setenv("CONNECTOR_VAULT_PASSPHRASE", "the first words")
    assert commands.run("token", "acme/ads") == 5
    monkeypatch.setenv("CONNECTOR_VAULT_PASSPHRASE", "other words")
    assert commands.run("token", "acme/ads") == 0
    assert "CONNECTOR_VAULT_PASSPHRASE" not in os.environ


def test_what_stands_above_the_configuration_is_told(
    commands: Commands, monkeypatch: pytest.MonkeyPatch
) -> None:
    commands.bench.connect_apart()
    monkeypatch.setenv("CONNECTOR_VAULT_SEAL", "file:root.key")
    assert commands.run("vault", "rotate", "--seal", "file:new.key") == 0
    assert "CONNECTOR_VAULT_SEAL is set, and stands above it" in commands.err


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--keep"], "--keep goes with --seal"),
        (["--seal", "file:x", "--resume"], "leave out --seal"),
        (["--seal", "wax"], "'wax' is no seal"),
        (["--seal", "passphrase:my secret"], "never stands in the configuration"),
    ],
)
def test_what_makes_no_sense_is_refused(
    commands: Commands, options: list[str], message: str
) -> None:
    commands.bench.connect_apart()
    before = status(commands)
    assert commands.run("vault", "rotate", *options) == 2
    assert message in commands.err
    assert "secret" not in commands.err
    assert status(commands) == before


def test_status_says_what_is_there(commands: Commands) -> None:
    commands.bench.connect_apart()
    assert commands.run("vault", "rotate", "--seal", "file:new.key", "--keep") == 0
    assert commands.run("vault", "status") == 0
    store, old, new, key = commands.out.splitlines()
    assert store.startswith(f"store: {commands.bench.folder / 'vault.db'} (")
    assert re.fullmatch(r"seal: the file \S+, since \d{4}-\d\d-\d\d, opens here", old)
    assert re.fullmatch(r"seal: the file \S+/new\.key, since \d{4}-\d\d-\d\d", new)
    assert re.fullmatch(r"data key 1: made \d{4}-\d\d-\d\d, 2 values", key)
    found = status(commands)
    assert found["opens"] is True
    assert found["values_under_older_keys"] == 0
    assert found["next"] is None
    assert [one["opens_here"] for one in found["seals"]] == [True, False]  # type: ignore[attr-defined]


def test_status_says_what_a_rotation_has_left(
    commands: Commands, monkeypatch: pytest.MonkeyPatch
) -> None:
    commands.bench.connect_apart()

    async def cut_off(*_: object) -> int:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr("connector.store.sealed_values.SealedValues.reseal", cut_off)
        assert commands.run("vault", "rotate") == 130
    assert commands.run("vault", "status") == 0
    assert "data key 1: made" in commands.out
    assert commands.out.splitlines()[-2:] == [
        "2 values not under the newest data key",
        "Next: type: connector vault rotate --resume",
    ]


def test_status_of_a_vault_that_does_not_open_here(commands: Commands) -> None:
    commands.bench.connect_apart()
    configure(commands, "file:no.key")
    assert commands.run("vault", "status") == 5
    assert "opens here" not in commands.out
    assert "2 values" in commands.out
    assert "The vault is sealed: there is no key in the file" in commands.err
    found = status(commands, 5)
    assert found["opens"] is False
    assert "vault.seal names another seal" in str(found["next"])
    assert not (commands.bench.folder / "no.key").exists()


def test_status_where_there_is_no_vault(commands: Commands) -> None:
    config = commands.bench.config
    config.write_text(config.read_text().replace("[vault]", '[vault]\nurl = "sqlite:///no.db"'))
    assert commands.run("vault", "status") == 5
    assert "connector init" in commands.err


def test_init_writes_the_seal_it_is_given_and_none_that_is_none(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    first, second = tmp_path / "one" / "config.toml", tmp_path / "two" / "config.toml"
    assert run(["init", "--seal", "wax", "--config", str(first)]) == 2
    assert "'wax' is no seal" in capsys.readouterr().err
    assert not first.exists()
    assert run(["init", "--seal", 'file:a "key"', "--config", str(first)]) == 0
    assert (tmp_path / "one" / 'a "key"').exists()
    monkeypatch.setenv("CONNECTOR_VAULT_PASSPHRASE", "six words chosen")
    assert run(["init", "--seal", "passphrase", "--config", str(second)]) == 0
    assert 'seal = "passphrase"' in second.read_text()


def test_init_may_be_typed_again_once_its_seal_can_be_had(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    config = tmp_path / "config.toml"
    monkeypatch.setattr("connector.vault.terminal.has_terminal", lambda: False)
    again = ["init", "--seal", "passphrase", "--config", str(config)]
    assert run(again) == 5
    told = f"Set it in {config}, which is written, and type connector init again."
    assert told in capsys.readouterr().err
    assert 'seal = "passphrase"' in config.read_text()
    assert run(["init", "--config", str(config)]) == 5
    assert "which is written" not in capsys.readouterr().err
    assert run(["init", "--seal", "file:root.key", "--config", str(config)]) == 2
    assert "vault.seal: is passphrase there already" in capsys.readouterr().err
    monkeypatch.setenv("CONNECTOR_VAULT_PASSPHRASE", "six words chosen")
    assert run(again) == 0
    assert not (tmp_path / "root.key").exists()


def test_it_moves_to_transit_and_back(commands: Commands, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("VAULT_TOKEN", TOKEN)
    commands.bench.connect_apart()
    with TransitServer() as server:
        words = f"transit:{server.url}/transit/connector"
        assert commands.run("vault", "rotate", "--seal", words) == 5
        assert "vault write -f transit/keys/connector" in commands.err
        server.make_key("connector")
        assert commands.run("vault", "rotate", "--seal", words) == 0, commands.err
        assert commands.out.splitlines()[-1] == f'seal = "{words}"'
        configure(commands, words)
        assert commands.run("token", "acme/ads") == 0
        server.status = 503
        assert commands.run("token", "acme/ads") == 5
        assert "vault operator unseal" in commands.err
        server.status = None
        assert commands.run("vault", "rotate", "--seal", "file:root.key") == 0
    configure(commands, "file:root.key")
    assert commands.run("token", "acme/ads") == 0


def test_an_address_that_is_none_is_a_problem_of_the_configuration(commands: Commands) -> None:
    configure(commands, "transit:vault.example/transit/connector")
    for command in (("accounts",), ("vault", "status"), ("vault", "rotate", "--seal", "file:x")):
        assert commands.run(*command) == 2
        assert "vault.seal: the address of Transit is not an absolute https URL" in commands.err


def test_a_key_in_the_environment_is_taken_out_of_it_and_told(
    commands: Commands, monkeypatch: pytest.MonkeyPatch
) -> None:
    """CHECKLIST 129: for a command, which is all ours; not for a program that opens it again."""
    commands.bench.connect_apart()
    monkeypatch.setenv("OTHER_KEY", KEY)
    assert commands.run("vault", "rotate", "--seal", "env:OTHER_KEY") == 0
    configure(commands, "env:OTHER_KEY")
    with Connector.open(commands.bench.config) as connector:
        assert connector.get_token("acme/ads").value
    assert os.environ["OTHER_KEY"] == KEY
    commands.run("doctor")
    assert "the environment variable OTHER_KEY can be read by the same user" in commands.out
    assert "OTHER_KEY" not in os.environ
