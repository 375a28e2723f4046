"""People are told: by a command, by a signed webhook and by Apprise, once, and of the end once."""

import base64
import json
import secrets
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from standardwebhooks.webhooks import Webhook

from connector.simulator import Simulator

from .installation import PATIENCE, Installation

pytestmark = pytest.mark.traced

#: Writes each notice to a line of a file, and says whether it was given a secret.
HOOK = """
import os, sys
line = sys.stdin.read()
assert "ADS_SECRET" not in os.environ
with open("told", "a") as file:
    file.write(line)
"""


class Receiver:
    """An HTTP server that keeps what it is sent.

    Attributes:
        requests: path, headers in lower case, body.
        status: what it answers.
    """

    def __init__(self) -> None:
        self.requests: list[tuple[str, dict[str, str], bytes]] = []
        self.status = 204
        receiver = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["content-length"]))
                headers = {name.lower(): value for name, value in self.headers.items()}
                receiver.requests.append((self.path, headers, body))
                self.send_response(receiver.status)
                self.send_header("content-length", "0")
                self.end_headers()

            def log_message(self, *_: object) -> None:
                """Print nothing."""

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.port = self.server.server_port
        self._thread = threading.Thread(target=self.server.serve_forever)
        self._thread.start()

    def close(self) -> None:
        self.server.shutdown()
        self._thread.join()
        self.server.server_close()


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    running = Receiver()
    yield running
    running.close()


def told(folder: Path, count: int) -> list[dict[str, Any]]:
    """Wait until a hook has been told so often, and give what it was told."""
    ends_at = time.monotonic() + PATIENCE
    path = folder / "told"
    while not path.exists() or len(path.read_text().splitlines()) < count:
        assert time.monotonic() < ends_at, path.read_text() if path.exists() else "told nothing"
        time.sleep(0.05)  # polls a file that another process writes
    return [json.loads(line) for line in path.read_text().splitlines()]


def test_a_grant_that_ends_is_told_of_once_and_so_is_its_return(
    installation: Installation, simulator: Simulator, receiver: Receiver
) -> None:
    key = "whsec_" + base64.b64encode(secrets.token_bytes(32)).decode()
    installation.environment |= {"HOOK_KEY": key, "ADS_SECRET": simulator.client.client_secret}
    (installation.folder / "hook.py").write_text(HOOK)
    ads = installation.providers().replace("file:ads.secret", "env:ADS_SECRET")
    installation.configure(
        f"""
        [notify]
        command = ["python3", "hook.py"]
        urls = ["json://127.0.0.1:{receiver.port}/apprise"]
        webhooks = [{{ url = "http://127.0.0.1:{receiver.port}/hook", secret = "env:HOOK_KEY" }}]
        """,
        providers=ads,
    )
    installation.connect("ads", "acme/ads")
    daemon = installation.serve()
    assert simulator.state.revoke("ada", reason="revoked") == 1
    refused = installation.run("refresh", "acme/ads")
    assert refused.returncode == 3, refused.stderr
    (needed,) = told(installation.folder, 1)
    assert (needed["type"], needed["kind"]) == ("notice.opened", "consent_required")
    assert (needed["account"], needed["provider"]) == ("acme/ads", "ads")
    assert needed["command"] == "connector connect ads --account acme/ads"
    assert needed["url"] == f"http://127.0.0.1:{installation.port}/accounts/acme/ads"
    assert "invalid_grant" in needed["reason"]
    assert needed["resolved"] is False
    installation.connect("ads", "acme/ads")
    again = told(installation.folder, 2)
    assert [one["type"] for one in again] == ["notice.opened", "notice.resolved"]
    assert again[0]["notice"] == again[1]["notice"]
    ends_at = time.monotonic() + PATIENCE
    while len(receiver.requests) < 4 and time.monotonic() < ends_at:
        time.sleep(0.05)  # polls what another process sends
    installation.stop(daemon)
    assert len(told(installation.folder, 2)) == 2
    hooks = [one for one in receiver.requests if one[0] == "/hook"]
    verified = [Webhook(key).verify(body, headers) for _, headers, body in hooks]
    assert verified == again
    assert [headers["webhook-id"] for _, headers, _ in hooks] == [one["id"] for one in again]
    shown = [json.loads(body) for path, _, body in receiver.requests if path == "/apprise"]
    assert [one["title"] for one in shown] == [one["title"] for one in again]
    printed = "".join(installation.printed)
    assert key not in printed
    assert "/apprise" not in printed


def test_a_vault_that_does_not_open_is_told_of_once_and_that_it_opens_again(
    installation: Installation,
) -> None:
    """A supervisor starts the daemon again and again."""
    (installation.folder / "hook.py").write_text(HOOK)
    installation.configure('[notify]\ncommand = ["python3", "hook.py"]\n')
    assert installation.run("init").returncode in {0, 2}
    installation.connect("ads", "acme/ads")
    key = installation.folder / "root.key"
    right = key.read_bytes()
    key.write_text("00" * 32 + "\n")
    for _ in range(3):
        status, _, err = installation.finish(installation.start("serve"))
        assert status == 5, err
    (sealed,) = told(installation.folder, 1)
    assert (sealed["type"], sealed["kind"]) == ("notice.opened", "vault_sealed")
    assert sealed["command"] == "connector vault status"
    key.write_bytes(right)
    daemon = installation.serve()
    assert [one["type"] for one in told(installation.folder, 2)] == [
        "notice.opened",
        "notice.resolved",
    ]
    installation.stop(daemon)
    assert len(told(installation.folder, 2)) == 2
