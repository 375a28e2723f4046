"""A daemon whose log is read as it is written, and which is told to reload."""

import signal
import subprocess
import threading

import httpx2

from .installation import PATIENCE, Installation

RELOAD_ENDS = ("reload.done", "reload.refused")


class Log:
    """What a daemon prints, as it prints it."""

    def __init__(self, daemon: "subprocess.Popen[str]") -> None:
        self.lines: list[str] = []
        self._changed = threading.Condition()
        self._thread = threading.Thread(target=self._read, args=(daemon,), daemon=True)
        self._thread.start()

    def _read(self, daemon: "subprocess.Popen[str]") -> None:
        assert daemon.stderr is not None
        for line in daemon.stderr:
            with self._changed:
                self.lines.append(line)
                self._changed.notify_all()

    def count(self, *actions: str) -> int:
        return sum(any(action in line for action in actions) for line in self.lines)

    def wait_for(self, count: int, *actions: str) -> None:
        with self._changed:
            assert self._changed.wait_for(lambda: self.count(*actions) >= count, PATIENCE), "".join(
                self.lines
            )


class Served:
    """A daemon, and its log."""

    def __init__(self, installation: Installation) -> None:
        self.installation = installation
        self.process = installation.serve()
        self.log = Log(self.process)
        self.reloads = 0

    def reload(self) -> str:
        """Have it read its configuration again; give how that ended."""
        self.reloads += 1
        self.process.send_signal(signal.SIGHUP)
        self.log.wait_for(self.reloads, *RELOAD_ENDS)
        return next(end for line in reversed(self.log.lines) for end in RELOAD_ENDS if end in line)

    def change(self, before: str, after: str) -> None:
        """Change the configuration."""
        config = self.installation.folder / "config.toml"
        text = config.read_text()
        assert before in text
        config.write_text(text.replace(before, after))

    def client(self) -> httpx2.Client:
        """Give a client of its Unix socket."""
        socket = self.installation.folder / "connector.sock"
        transport = httpx2.HTTPTransport(uds=str(socket))
        return httpx2.Client(transport=transport, base_url="http://connector", timeout=PATIENCE)

    def stop(self) -> int:
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(PATIENCE)
