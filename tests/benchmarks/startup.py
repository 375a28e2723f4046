"""How long a new process takes: the command line must not import what a command does not need."""

import subprocess
import sys
import tempfile
import time
from pathlib import Path

from connector.simulator import Settings, Simulator
from tests.acceptance.installation import Installation
from tests.benchmarks.table import print_table

RUNS = 9

#: What the command line must not have imported when all it does is print its help.
HEAVY = ("sqlmodel", "sqlalchemy", "fastapi", "starlette", "httpx2", "authlib", "rich", "alembic")

#: The least that a program needs to ask a daemon.
OPEN_SOCKET = "import socket; socket.socket(socket.AF_UNIX).connect('connector.sock')"
OPENS_STORE = "connector token (opens the store)"


def main() -> None:
    """Measure, interleaved, so that a noisy machine is noisy for all alike."""
    with (
        tempfile.TemporaryDirectory() as folder,
        Simulator(Settings(access_token_lifetime=3600)) as simulator,
        Installation(Path(folder), simulator) as installation,
    ):
        installation.configure()
        installation.connect("ads", "acme/ads")
        daemon = installation.serve()
        python = [sys.executable]
        connector = [sys.executable, "-m", "connector"]
        commands = {
            "bare Python": [*python, "-c", "pass"],
            "import connector": [*python, "-c", "import connector"],
            "import connector.cli": [*python, "-c", "import connector.cli"],
            "connector --help": [*connector, "--help"],
            "Python opens a Unix socket": [*python, "-c", OPEN_SOCKET],
            "connector token (asks the daemon)": [*connector, "token", "acme/ads"],
            OPENS_STORE: [*connector, "token", "acme/ads"],
            "for comparison: import sqlmodel": [*python, "-c", "import sqlmodel"],
        }
        times: dict[str, list[float]] = {name: [] for name in commands}
        for run in range(RUNS + 1):
            for name, command in commands.items():
                took = _time(command, installation, asks_daemon=name != OPENS_STORE)
                if run:  # the first warms the file cache
                    times[name].append(took)
        installation.stop(daemon)
    print_table("A new process", "ms", list(times.items()))
    print(f"\nImported by the command line, of {', '.join(HEAVY)}: {imported_by_help() or 'none'}")


def imported_by_help() -> list[str]:
    """Give the heavy modules that ``connector --help`` imports."""
    code = (
        "import sys, io, contextlib\n"
        "from connector.cli.main import run\n"
        "with contextlib.redirect_stdout(io.StringIO()):\n"
        "    run(['--help'])\n"
        f"print([name for name in {HEAVY!r} if name in sys.modules])\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    found: list[str] = eval(done.stdout)  # noqa: S307 - a list of names, printed above
    return found


def _time(command: list[str], installation: Installation, *, asks_daemon: bool) -> float:
    unreached = {} if asks_daemon else {"CONNECTOR_SOCKET": "none.sock"}
    began = time.perf_counter()
    subprocess.run(
        command,
        cwd=installation.folder,
        env=installation.environment | unreached,
        check=True,
        capture_output=True,
    )
    return (time.perf_counter() - began) * 1000


if __name__ == "__main__":
    main()
