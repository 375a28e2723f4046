"""git itself, and docker's script, given passwords: as real processes."""

import base64
import http.server
import json
import os
import re
import shutil
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from .installation import PATIENCE, Installation

pytestmark = pytest.mark.traced

PAGE = (Path(__file__).parents[2] / "docs" / "reference" / "clients.md").read_text()
COMMIT = "0123456789abcdef0123456789abcdef01234567"
GIT = shutil.which("git") or ""
CONNECTOR = f"{sys.executable} -m connector"


class GitServer:
    """A repository over plain HTTP, for whoever has the right password."""

    def __init__(self) -> None:
        self.passwords: list[str] = []
        self.accepted = ""
        outer = self

        class Answer(http.server.BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                sent = self.headers.get("Authorization", "")
                password = base64.b64decode(sent.removeprefix("Basic ")).decode().partition(":")[2]
                if sent:
                    outer.passwords.append(password)
                is_right = sent != "" and password == outer.accepted
                self.send_response(200 if is_right else 401)
                self.send_header("WWW-Authenticate", 'Basic realm="git"')
                self.send_header("Content-Type", "text/plain")
                body = f"{COMMIT}\trefs/heads/main\n".encode() if is_right else b""
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_: object) -> None:
                """Say nothing."""

        self._server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Answer)
        self.host = f"127.0.0.1:{self._server.server_port}"
        self._thread = threading.Thread(target=self._server.serve_forever)
        self._thread.start()

    def stop(self) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()


@pytest.fixture
def server() -> Iterator[GitServer]:
    made = GitServer()
    yield made
    made.stop()


@pytest.mark.skipif(not GIT, reason="git is not installed")
def test_git(installation: Installation, server: GitServer) -> None:
    installation.connect("ads", "acme/ads")
    server.accepted = installation.run("token", "acme/ads").stdout.strip()
    answered = f"!{CONNECTOR} git-credential --account acme/ads --host {server.host}"

    def ls_remote() -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [
                GIT,
                "-c",
                f"credential.http://{server.host}.helper={answered}",
                "ls-remote",
                f"http://{server.host}/repo.git",
            ],
            cwd=installation.folder,
            env=installation.environment
            | {
                "GIT_TERMINAL_PROMPT": "0",
                "GIT_CONFIG_NOSYSTEM": "1",
                "HOME": str(installation.folder),
            },
            capture_output=True,
            text=True,
            timeout=PATIENCE,
            check=False,
        )

    done = ls_remote()
    assert (done.returncode, done.stderr) == (0, "")
    assert f"{COMMIT}\trefs/heads/main" in done.stdout
    assert set(server.passwords) == {server.accepted}

    rejected, server.accepted = server.accepted, "another"
    assert ls_remote().returncode != 0
    fresh = installation.run("token", "acme/ads").stdout.strip()
    assert fresh != rejected, "git said that the password was refused: one refresh"
    server.accepted = fresh
    assert ls_remote().returncode == 0


def test_the_script_for_docker(installation: Installation) -> None:
    """As the page has it."""
    installation.connect("ads", "acme/ads")
    (script,) = re.findall(r"```shell\n(#!/bin/sh\n[^`]*docker-credential [^`]*)```", PAGE)
    path = installation.folder / "docker-credential-connector"
    path.write_text(script.replace("exec connector", f"exec {CONNECTOR}"))
    path.chmod(0o755)
    account, host = re.findall(r"--account (\S+) --host (\S+)", script)[0]
    path.write_text(path.read_text().replace(account, "acme/ads"))

    def ask(operation: str, server: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [path, operation],
            cwd=installation.folder,
            env=installation.environment | {"PATH": os.environ["PATH"]},
            input=server,
            capture_output=True,
            text=True,
            timeout=PATIENCE,
            check=False,
        )

    given = ask("get", host)
    assert given.returncode == 0, given.stderr
    token = installation.run("token", "acme/ads").stdout.strip()
    assert json.loads(given.stdout)["Secret"] == token
    refused = ask("get", "other.example")
    assert (refused.returncode, refused.stdout) == (
        1,
        "credentials not found in native keychain\n",
    )


def test_closed_streams(installation: Installation) -> None:
    """Whoever asks without asking gets nothing; whoever has gone is no failure."""
    installation.connect("ads", "acme/ads")
    options = "--account acme/ads --host git.example"

    def shell(line: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            ["/bin/bash", "-c", f"{line}; exit ${{PIPESTATUS[1]}}"],
            cwd=installation.folder,
            env=installation.environment,
            capture_output=True,
            text=True,
            timeout=PATIENCE,
            check=False,
        )

    asked = r"printf 'protocol=https\nhost=git.example\n\n'"
    for end in ("get <&-", "get </dev/null"):
        done = shell(f"true | {CONNECTOR} git-credential {options} {end}")
        assert (done.returncode, done.stdout) == (6, ""), end
        assert "Traceback" not in done.stderr
    gone = shell(f"{asked} | {CONNECTOR} git-credential {options} get | (exec <&-; true)")
    assert (gone.returncode, gone.stderr) == (0, "")
    assert shell(f"{asked} | {CONNECTOR} git-credential {options} get >&-").returncode == 0
