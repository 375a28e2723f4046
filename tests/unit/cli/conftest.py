"""Commands in this process, on a configuration with a job."""

import logging
from collections.abc import Iterator
from pathlib import Path

import pytest

from connector.cli.main import run
from tests.unit.user_code import write_module
from tests.unit.workbench import Workbench, workbench

JOB = """
[jobs.pull]
account = "acme/*"
run = "pulls:pull"
destination = { to = "sqlite:///ads.db", table = "t", key = ["id"] }
"""


class Commands:
    """Runs commands and keeps what they print.

    Attributes:
        out, err: what the last one printed.
    """

    def __init__(self, bench: Workbench, capsys: pytest.CaptureFixture[str]) -> None:
        self.bench = bench
        self._capsys = capsys
        self.out = self.err = ""
        self.configure()

    def configure(self, more: str = JOB, **changes: object) -> None:
        """Write the configuration, with a job."""
        self.bench.configure(more=more, **changes)  # type: ignore[arg-type]

    def write(self, code: str, module: str = "pulls") -> None:
        """Write a module of the user's."""
        write_module(self.bench.folder / f"{module}.py", code)

    def run(self, *arguments: str) -> int:
        """Run a command; give its exit status."""
        status = run([*arguments, "--config", str(self.bench.config)])
        self.out, self.err = self._capsys.readouterr()
        return status


@pytest.fixture
def commands(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> Iterator[Commands]:
    monkeypatch.setattr("connector.log.configure_logging", lambda *_: None)
    logging.getLogger("connector").setLevel(logging.NOTSET)
    with workbench(tmp_path) as bench:
        yield Commands(bench, capsys)
