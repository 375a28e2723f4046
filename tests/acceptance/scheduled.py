"""A daemon that keeps time for jobs, and its runs as they stand in the vault."""

import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import closing
from typing import Any, Self

from tests.unit.workbench import Workbench

from .installation import PATIENCE


class Scheduled:
    """A daemon on a vault of SQLite; it is killed at the end if it still goes on.

    Args:
        bench: its configuration, which is written.
    """

    def __init__(self, bench: Workbench) -> None:
        self.bench = bench
        self._log = bench.folder.with_name(f"{bench.folder.name}.log")

    def __enter__(self) -> Self:
        with self._log.open("wb") as log:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "connector", "serve"],
                cwd=self.bench.folder,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
            )
        return self

    def __exit__(self, *_: object) -> None:
        self.process.kill()
        self.process.wait()

    def stop(self) -> None:
        """Stop it in order."""
        self.process.terminate()
        assert self.process.wait(PATIENCE) == 0, self.log()

    def log(self) -> str:
        return self._log.read_text()

    def count(self, action: str) -> int:
        """Tell how often something stands in its log."""
        return self.log().count(action)

    def wait_for(self, is_so: Callable[[], object]) -> None:
        ends_at = time.monotonic() + PATIENCE
        while not is_so():
            assert time.monotonic() < ends_at, self.log()
            assert self.process.poll() is None, self.log()
            time.sleep(0.05)  # polls what another process does

    def runs(self, condition: str = "1 = 1") -> list[dict[str, Any]]:
        """Give rows of runs, the oldest first."""
        query = f"SELECT * FROM run WHERE {condition} ORDER BY due_at, account"  # noqa: S608
        path = self.bench.folder / "vault.db"
        with closing(sqlite3.connect(path, timeout=PATIENCE)) as connection:
            connection.row_factory = sqlite3.Row
            return [dict(row) for row in connection.execute(query)]
