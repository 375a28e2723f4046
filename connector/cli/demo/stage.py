"""The processes of the demonstration: simulator, daemon, and commands; all real, all on loopback.

Each is started from here and ended here; nothing else on this machine is touched.
"""

import contextlib
import json
import os
import queue
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Final, cast

#: A process that is asked to stop is killed after this long (seconds).
STOPPING_TIME: Final = 15.0

_CONFIGURATION: Final = """\
# Made by `connector demo`; the two providers are the simulator on this machine.

[vault]
url = "sqlite:///vault.db"
seal = "file:root.key"

[daemon]
port = {port}

# Facebook-like: no refresh token; a short-lived token is exchanged for a 60-day one.
[providers.facebook]
client_id = "{app_id}"
client_secret = "file:facebook.secret"
redirect_uri = "http://localhost/callback/facebook"
variables = {{ dialog_origin = "{dialog_url}", graph_origin = "{graph_url}" }}

# Standard OAuth 2.0: access tokens of {lifetime} s, a refresh token that works once.
[providers.ads]
title = "Ads platform"
issuer = "{issuer}"
client_id = "{client_id}"
client_secret = "file:ads.secret"
scopes = ["ads_read"]
api_origins = ["{origin}"]
api = {{ base_url = "{api_url}/" }}
refresh_token = {{ rotation = "strict_family" }}

[jobs.facebook_insights]
provider = "facebook"
account = "demo/*"
schedule = "every {interval}s"
jitter = "0"
run = "connector.cli.demo.pulls:facebook_insights"
options = {{ until = "{until}" }}
destination = {{ to = "sqlite:///ads.db", table = "facebook", key = ["date_start", "ad_id"] }}

[jobs.ads_insights]
provider = "ads"
account = "demo/*"
schedule = "every {interval}s"
jitter = "0"
run = "connector.cli.demo.pulls:ads_insights"
options = {{ until = "{until}" }}
destination = {{ to = "sqlite:///ads.db", table = "ads", key = ["date", "ad_id"] }}
"""

Place = dict[str, str]
Event = dict[str, object]


class Stage:
    """Runs the processes in one folder.

    Args:
        folder: of the configuration.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._processes: list[subprocess.Popen[str]] = []
        self._environment = os.environ | {"CONNECTOR_CONFIG": str(folder / "config.toml")}

    def start_simulator(self, *, lifetime: int) -> Place:
        """Start the simulator; give where everything is."""
        process = self._start(
            "connector.simulator",
            "--port=0",
            "--json",
            f"--access-token-lifetime={lifetime}",
            "--rotation=strict_family",
        )
        assert process.stdout is not None  # noqa: S101 - piped
        return cast("Place", json.loads(process.stdout.readline()))

    def write_configuration(
        self, place: Place, *, lifetime: int, interval: int, until: str
    ) -> None:
        """Write the configuration and the two client secrets."""
        text = _CONFIGURATION.format(
            **place,
            origin=place["url"],
            port=_free_port(),
            lifetime=lifetime,
            interval=interval,
            until=until,
        )
        (self.folder / "config.toml").write_text(text)
        for name, secret in (("facebook", "app_secret"), ("ads", "client_secret")):
            path = self.folder / f"{name}.secret"
            path.touch(mode=0o600)
            path.write_text(place[secret])

    def run(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        """Run one command of the command line to its end."""
        return subprocess.run(  # noqa: S603 - our own command line
            [sys.executable, "-m", "connector", *arguments],
            env=self._environment,
            cwd=self.folder,
            capture_output=True,
            text=True,
            check=False,
            timeout=60,
        )

    def start_command(self, *arguments: str) -> subprocess.Popen[str]:
        """Start one command of the command line."""
        return self._start("connector", *arguments)

    def start_daemon(self) -> "queue.Queue[Event]":
        """Start the daemon; its log lines arrive in the queue, an empty one at its end."""
        process = self._start("connector", "serve", "--log-format=json")
        events: queue.Queue[Event] = queue.Queue()
        threading.Thread(target=_read_events, args=(process, events), daemon=True).start()
        return events

    def close(self) -> None:
        """End every process that was started here, the last one first."""
        for process in reversed(self._processes):
            stop(process)

    def _start(self, module: str, *arguments: str) -> subprocess.Popen[str]:
        process = subprocess.Popen(  # noqa: S603 - our own programs
            [sys.executable, "-m", module, *arguments],
            env=self._environment,
            cwd=self.folder,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            bufsize=1,
        )
        self._processes.append(process)
        return process


def stop(process: "subprocess.Popen[str]") -> int:
    """End a process in order, or kill it; give its exit status."""
    if process.poll() is None:
        process.send_signal(signal.SIGTERM)
    try:
        process.wait(STOPPING_TIME)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
    for stream in (process.stdout, process.stderr):
        if stream is not None:
            with contextlib.suppress(OSError, ValueError):
                stream.close()
    return process.returncode


def _read_events(process: "subprocess.Popen[str]", events: "queue.Queue[Event]") -> None:
    for event in _events(process):
        events.put(event)
    events.put({})


def _events(process: "subprocess.Popen[str]") -> Iterator[Event]:
    assert process.stderr is not None  # noqa: S101 - piped
    with contextlib.suppress(ValueError, OSError):  # closed while we read
        for line in process.stderr:
            try:
                yield cast("Event", json.loads(line))
            except ValueError:
                yield {"action": "output", "message": line.rstrip()}


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
    return port
