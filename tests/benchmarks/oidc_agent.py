"""oidc-agent (https://github.com/indigo-dc/oidc-agent), asked for a token over its Unix socket.

A program in C that keeps tokens of one user in memory. It takes one request on a connection, so
that each costs a connection too. Where it is not installed, that is told instead.
"""

import json
import os
import shutil
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from connector.simulator import Simulator

#: Neither of them takes longer to be there.
PATIENCE: Final = 20.0
_REQUEST: Final = json.dumps(
    {"request": "access_token", "account": "ads", "min_valid_period": 0}
).encode()


def why_not() -> str | None:
    """Tell why it cannot be measured; None: it can."""
    if not _program("oidc-agent") or not _program("oidc-gen"):
        return "it is not installed (the package oidc-agent-cli)"
    return None


@contextmanager
def running(simulator: Simulator) -> Iterator[tuple[int, Path]]:
    """Run one that has a token of the simulator; give its process and its socket."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "agent.sock"
        environment = {"HOME": folder, "PATH": os.environ["PATH"], "OIDC_SOCK": str(path)}
        (Path(folder) / ".oidc-agent").mkdir(mode=0o700)
        with subprocess.Popen(
            [_program("oidc-agent"), "--console", "--socket-path", str(path)],
            env=environment,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        ) as process:
            try:
                _wait(path)
                _take_up_account(simulator, environment)
                yield process.pid, path
            finally:
                process.kill()


def ask(path: Path) -> float:
    """Ask for the token once; give the time that it took (seconds)."""
    began = time.perf_counter()
    with socket.socket(socket.AF_UNIX) as connection:
        connection.settimeout(PATIENCE)
        connection.connect(str(path))
        connection.sendall(_REQUEST)
        answer = connection.recv(65536)
    took = time.perf_counter() - began
    assert json.loads(answer)["access_token"]
    return took


def _program(name: str) -> str:
    return shutil.which(name) or ""


def _wait(path: Path) -> None:
    ends_at = time.monotonic() + PATIENCE
    while not path.is_socket():
        assert time.monotonic() < ends_at, "oidc-agent does not listen"
        time.sleep(0.02)  # polls a socket that another process opens


def _take_up_account(simulator: Simulator, environment: dict[str, str]) -> None:
    answer = simulator.grant("ada", scope="openid offline_access ads_read")
    subprocess.run(
        [
            *(
                _program("oidc-gen"),
                "ads",
                "--manual",
                "--confirm-yes",
                "--prompt=none",
                "--pw-env",
            ),
            *("--issuer", simulator.issuer, "--redirect-uri", "http://localhost:4242"),
            *("--client-id", simulator.client.client_id),
            *("--client-secret", simulator.client.client_secret),
            *("--scope", "ads_read", "--refresh-token", str(answer["refresh_token"])),
        ],
        env=environment | {"OIDC_ENCRYPTION_PW": "of no account"},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        timeout=PATIENCE,
        check=True,
    )
