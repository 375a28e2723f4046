"""`python -m connector.simulator`."""

import json
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from connector.simulator.__main__ import main
from connector.simulator.control import Control
from connector.simulator.options import hints
from connector.simulator.simulator import Simulator


@contextmanager
def program(*options: str) -> Iterator["subprocess.Popen[str]"]:
    """The program, killed at the end if it still runs."""
    with subprocess.Popen(
        [sys.executable, "-m", "connector.simulator", "--port", "0", *options],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        try:
            yield process
        finally:
            process.kill()


def first_line(process: "subprocess.Popen[str]") -> str:
    assert process.stdout is not None
    return process.stdout.readline()


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_it_says_where_everything_is_and_stops_when_told(number: signal.Signals) -> None:
    with program("--json", "--rotation", "lazy", "--no-require-pkce") as process:
        places = json.loads(first_line(process))
        assert set(places) == {
            "url",
            "issuer",
            "graph_url",
            "dialog_url",
            "api_url",
            "client_id",
            "client_secret",
            "app_id",
            "app_secret",
            "control_url",
            "control_key",
        }
        control = Control(places["control_url"], places["control_key"])
        settings = control.settings()
        assert settings["rotation"] == "lazy"
        assert settings["require_pkce"] is False
        process.send_signal(number)
        output, errors = process.communicate(timeout=10)
    assert (process.returncode, output, errors) == (0, "", "")


def test_it_speaks_to_people_too() -> None:
    with program("--control-key", "k", "--omit", "scope,expires_in") as process:
        line = first_line(process)
        assert line.startswith("url:            http://127.0.0.1:")
        url = line.split()[1]
        settings = Control(f"{url}/control", "k").settings()
        assert settings["omit"] == ["scope", "expires_in"]
        process.send_signal(signal.SIGTERM)
        assert process.wait(timeout=10) == 0


def test_a_taken_port_is_told_in_one_line(
    simulator: Simulator, capsys: pytest.CaptureFixture[str]
) -> None:
    port = simulator.url.rpartition(":")[2]
    assert main(["--port", port]) == 2
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err == (
        f"simulator: cannot listen on 127.0.0.1 port {port}: Address already in use\n"
    )


@pytest.mark.parametrize(
    ("arguments", "problem"),
    [
        (["--host", "0.0.0.0"], "'0.0.0.0' is not a loopback address"),  # noqa: S104 - refused
        (["--rotation", "often"], "rotation must be one of none, strict"),
        (["--access-token-lifetime", "soon"], "access_token_lifetime must be a number"),
        (["--metadata-overrides", "[]"], "metadata_overrides must be a JSON object"),
        (["--fault", "drop"], "a fault must be a JSON object"),
        (["--fault", '{"endpoint": "token", "kind": "explode"}'], "kind must be one of"),
    ],
)
def test_options_that_make_no_sense(
    arguments: list[str], problem: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(arguments) == 2
    errors = capsys.readouterr().err
    assert errors.startswith("simulator: ")
    assert problem in errors
    assert errors.count("\n") == 1


@pytest.mark.parametrize("port", ["70000", "x", "-1"])
def test_ports_that_are_none(port: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as stopped:
        main(["--port", port])
    assert stopped.value.code == 2
    assert "--port" in capsys.readouterr().err


def test_every_setting_is_an_option(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(["--help"])
    shown = capsys.readouterr().out
    for name in hints():
        assert f"--{name.replace('_', '-')}" in shown


def test_it_runs_in_this_process_until_a_signal(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    reached: list[str] = []

    def wait(signals: tuple[signal.Signals, ...]) -> signal.Signals:
        url = capsys.readouterr().out.split()[1]
        host, port = url.removeprefix("http://").split(":")
        with socket.create_connection((host, int(port))):
            reached.append(url)
        return signals[0]

    monkeypatch.setattr(signal, "sigwait", wait)
    assert main(["--port", "0"]) == 0
    assert len(reached) == 1
