"""One installation of Connector in a folder of its own, driven as a person or a script drives it.

Every command is a real process. What a process prints is kept, so that the canary test can search
all of it.
"""

import os
import signal
import socket
import sqlite3
import subprocess
import sys
import time
from contextlib import closing
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from connector.simulator import Person, Simulator

from .forked import Forked, Nursery

#: No command takes longer on a busy machine.
PATIENCE = 60.0


class Installation:
    """A folder with a configuration, and the processes that were started in it.

    Args:
        folder: is there.
        simulator: its providers.
        nursery: commands are forked from it; None: each is a new program.
    """

    def __init__(
        self, folder: Path, simulator: Simulator, *, nursery: Nursery | None = None
    ) -> None:
        self.folder = folder
        self.simulator = simulator
        self.nursery = nursery
        self.port = free_port()
        self.environment = {
            name: value for name, value in os.environ.items() if not name.startswith("CONNECTOR_")
        }
        for name in ("DISPLAY", "WAYLAND_DISPLAY", "BROWSER"):
            self.environment.pop(name, None)
        self.printed: list[str] = []
        self._processes: list[subprocess.Popen[str]] = []
        (folder / "ads.secret").write_text(simulator.client.client_secret)
        (folder / "facebook.secret").write_text(simulator.app.app_secret)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        for process in self._processes:
            if process.poll() is None:
                process.kill()
            self.finish(process)

    def configure(self, extra: str = "", *, providers: str | None = None) -> None:
        """Write config.toml: vault, daemon, the simulator's two providers, and what is given."""
        text = f"""
            [vault]
            url = "sqlite:///vault.db"
            seal = "file:root.key"
            [daemon]
            port = {self.port}
            """
        text += self.providers() if providers is None else providers
        lines = (text + extra).splitlines()
        (self.folder / "config.toml").write_text("\n".join(line.strip() for line in lines))

    def providers(self) -> str:
        """Give the tables of the simulator's two providers."""
        simulator = self.simulator
        origins = (
            f'dialog_origin = "{simulator.dialog_url}", graph_origin = "{simulator.graph_url}"'
        )
        return f"""
            [providers.ads]
            title = "Ads platform"
            issuer = "{simulator.issuer}"
            client_id = "{simulator.client.client_id}"
            client_secret = "file:ads.secret"
            scopes = ["ads_read"]
            api_origins = ["{simulator.url}"]
            api = {{ base_url = "{simulator.api_url}/" }}
            refresh_token = {{ rotation = "strict_family" }}
            [providers.facebook]
            client_id = "{simulator.app.app_id}"
            client_secret = "file:facebook.secret"
            redirect_uri = "http://localhost/callback/facebook"
            variables = {{ {origins} }}
            """

    def run(
        self,
        *arguments: str,
        input_text: str | None = None,
        environment: dict[str, str] | None = None,
    ) -> subprocess.CompletedProcess[str]:
        """Run one command to its end."""
        whole = self.environment | (environment or {})
        process = self._started(*arguments, environment=whole, takes_input=input_text is not None)
        with process:
            try:
                out, err = process.communicate(input_text, timeout=PATIENCE)
            except BaseException:
                process.kill()
                raise
        done = subprocess.CompletedProcess(process.args, process.returncode, out, err)
        self.printed += [done.stdout, done.stderr]
        return done

    def start(self, *arguments: str, takes_input: bool = False) -> subprocess.Popen[str]:
        """Start one command."""
        process = self._started(*arguments, environment=self.environment, takes_input=takes_input)
        self._processes.append(process)
        return process

    def _started(
        self, *arguments: str, environment: dict[str, str], takes_input: bool
    ) -> subprocess.Popen[str]:
        if self.nursery is not None and self.nursery.can_run(environment):
            return Forked(
                self.nursery,
                arguments,
                cwd=self.folder,
                env=environment,
                takes_input=takes_input,
            )
        return subprocess.Popen(
            [sys.executable, "-m", "connector", *arguments],
            cwd=self.folder,
            env=environment,
            stdin=subprocess.PIPE if takes_input else subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            bufsize=1,
        )

    def finish(self, process: subprocess.Popen[str]) -> tuple[int, str, str]:
        """Wait for a process; give exit status, standard output and standard error."""
        out, err = process.communicate(timeout=PATIENCE)
        self.printed += [out, err]
        if process in self._processes:
            self._processes.remove(process)
        return process.returncode, out, err

    def begin_connect(
        self, provider: str, account: str, *options: str, takes_input: bool = False
    ) -> tuple[subprocess.Popen[str], str]:
        """Start ``connector connect --no-browser``; give the process and the URL it printed."""
        process = self.start(
            "connect",
            provider,
            "--account",
            account,
            "--no-browser",
            *options,
            takes_input=takes_input,
        )
        assert process.stdout is not None
        url = process.stdout.readline().strip()
        assert url.startswith("http"), self.finish(process)
        return process, url

    def connect(self, provider: str, account: str, *, person: str = "ada") -> None:
        """Take a person through a whole consent."""
        process, url = self.begin_connect(provider, account)
        with Person(person) as somebody:
            page = somebody.deliver(somebody.consent(url))
        assert page.status == 200, page.text
        status, _, err = self.finish(process)
        assert status == 0, err

    def serve(self, *options: str) -> "subprocess.Popen[str]":
        """Start the daemon; returns when it listens."""
        process = self.start("serve", *options)
        ends_at = time.monotonic() + PATIENCE
        while not self.is_listening():
            assert process.poll() is None, self.finish(process)
            assert time.monotonic() < ends_at, "the daemon does not listen"
            time.sleep(0.02)  # polls a port that another process opens
        return process

    def is_listening(self) -> bool:
        """Tell whether the daemon accepts connections on its Unix socket."""
        with socket.socket(socket.AF_UNIX) as probe:
            try:
                probe.connect(str(self.folder / "connector.sock"))
            except OSError:
                return False
        return True

    def stop(self, process: "subprocess.Popen[str]") -> tuple[int, str, str]:
        """Stop the daemon in order."""
        process.send_signal(signal.SIGTERM)
        return self.finish(process)

    def rows(self, query: str, *, database: str = "ads.db") -> list[tuple[Any, ...]]:
        """Read from a database in the folder."""
        with closing(sqlite3.connect(self.folder / database)) as connection:
            return connection.execute(query).fetchall()

    def write(self, statement: str, *rows: tuple[object, ...], database: str = "vault.db") -> None:
        """Write to a database in the folder, once or for each of some rows."""
        with closing(sqlite3.connect(self.folder / database, timeout=PATIENCE)) as connection:
            for row in rows or ((),):
                connection.execute(statement, row)
            connection.commit()


def free_port() -> int:
    """Give a TCP port that nobody listens on now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
    return port
