"""What becomes of errors, and of output that cannot be written."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from .conftest import Commands

PYTHON = f"{sys.executable} -m connector"


def shell(line: str, folder: Path) -> subprocess.CompletedProcess[str]:
    """Run a line of shell; its status is that of the first command of a pipe."""
    environment = {name: v for name, v in os.environ.items() if not name.startswith("CONNECTOR_")}
    return subprocess.run(
        ["/bin/bash", "-c", f"{line}; exit ${{PIPESTATUS[0]}}"],
        cwd=folder,
        env=environment | {"XDG_CONFIG_HOME": str(folder), "PYTHONPATH": os.getcwd()},  # noqa: PTH109
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.mark.parametrize(
    "line",
    [
        "providers | true",
        "--help | true",
        "providers facebook | true",
        "providers --json | true",
        "providers >&-",
        "providers facebook >&-",
        "providers <&-",
        "providers >/dev/null 2>&-",
    ],
)
def test_nobody_reads(tmp_path: Path, line: str) -> None:
    command, _, rest = line.partition(" | ")
    pipe = f" | (exec <&-; {rest})" if rest else ""
    done = shell(f"{PYTHON} {command}{pipe}", tmp_path)
    assert (done.returncode, done.stderr) == (0, "")


def test_the_disk_is_full(tmp_path: Path) -> None:
    done = shell(f"{PYTHON} providers >/dev/full", tmp_path)
    assert (done.returncode, done.stderr) == (1, "connector: No space left on device\n")


def test_the_vault_never_takes_the_place_of_standard_output(commands: Commands) -> None:
    """SQLite would write into what is file 1; other output would end in the vault."""
    folder = commands.bench.folder
    done = shell(f"{PYTHON} accounts >&-", folder)
    assert (done.returncode, done.stderr) == (0, "")
    assert commands.run("accounts") == 0


@pytest.mark.parametrize("command", ["token acme/ads", "accounts", "accounts --config c.toml"])
def test_the_working_folder_is_gone(tmp_path: Path, command: str) -> None:
    (tmp_path / "gone").mkdir()
    done = shell(f"cd gone && rmdir ../gone && {PYTHON} {command}", tmp_path)
    assert done.returncode == 2, done.stderr
    assert "Traceback" not in done.stderr
    assert "bug" not in done.stderr


@pytest.mark.parametrize(
    ("typed", "meant"),
    [("conect", "connect"), ("account", "accounts"), ("docter", "doctor"), ("server", "serve")],
)
def test_the_nearest_command_is_named(commands: Commands, typed: str, meant: str) -> None:
    assert commands.run(typed) == 2
    assert commands.err.endswith(f"No such command '{typed}'. Did you mean {meant}?\n")


def test_a_command_that_is_like_none(commands: Commands) -> None:
    assert commands.run("zzz") == 2
    assert commands.err.endswith("No such command 'zzz'.\n")


class TestDebug:
    def test_the_status_and_the_message_are_the_usual_ones(self, commands: Commands) -> None:
        assert commands.run("token", "acme/none") == 6
        usual = commands.err
        assert commands.run("token", "acme/none", "--debug") == 6
        assert commands.err.startswith("Traceback")
        assert commands.err.endswith(usual)

    def test_a_bug(self, commands: Commands, monkeypatch: pytest.MonkeyPatch) -> None:
        def fail(_path: object) -> None:
            raise ZeroDivisionError

        monkeypatch.setattr("connector.settings.load_settings", fail)
        assert commands.run("accounts") == 1
        assert commands.err.startswith("connector: this is a bug: ZeroDivisionError.")
        assert commands.run("accounts", "--debug") == 1
        assert "Traceback" in commands.err
