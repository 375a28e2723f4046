"""What is shown while a job's runs are under way; showing it can end no run.

On a terminal a bar counts the accounts that have ended and the records that were committed; a line
is printed above it for each account, and the same lines alone anywhere else.
"""

import contextlib
import os
import sys
from collections.abc import Iterator
from types import TracebackType
from typing import Self

import click
from rich.console import Console
from rich.progress import BarColumn, Progress, SpinnerColumn, TextColumn, TimeElapsedColumn
from rich.text import Text

from connector.cli.main import printable_line


class RunDisplay:
    """Shows a job's runs; a context manager.

    Args:
        job: the job's name.
        accounts: how many there are.
        console: what is shown on; else standard output.
    """

    def __init__(self, job: str, accounts: int, console: Console | None = None) -> None:
        console = console or Console()
        self._records: dict[str, int] = {}
        self._progress: Progress | None = None
        if console.is_terminal and not console.is_dumb_terminal:
            self._progress = Progress(
                SpinnerColumn(),
                TextColumn("{task.description}", markup=False),
                BarColumn(),
                TextColumn(
                    "{task.completed}/{task.total} accounts, {task.fields[records]} records"
                ),
                TimeElapsedColumn(),
                console=console,
                transient=True,
            )
            self._task = self._progress.add_task(job, total=accounts, records=0)

    def __enter__(self) -> Self:
        if self._progress is not None:
            with while_read():
                self._progress.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._progress is not None:
            with while_read():
                self._progress.stop()

    def note(self, account: str, records: int) -> None:
        """Note how many records of an account have been committed."""
        self._records[account] = records
        if self._progress is not None:
            self._progress.update(self._task, records=sum(self._records.values()))

    def end(self, line: str) -> None:
        """Print the line of an account whose run has ended."""
        if self._progress is not None:
            self._progress.advance(self._task)
        self.line(line)

    def line(self, text: str) -> None:
        """Print a line, as long as somebody reads."""
        with while_read():
            if self._progress is None:
                click.echo(printable_line(text))
            else:
                self._progress.console.print(Text(printable_line(text)), soft_wrap=True)


@contextlib.contextmanager
def while_read() -> Iterator[None]:
    """Go on where nobody reads any more (EPIPE), or the terminal is gone (EIO)."""
    try:
        yield
    except OSError:
        # what the buffer holds must not fail again when this process ends
        with contextlib.suppress(OSError, ValueError):  # there may be no descriptor
            nowhere = os.open(os.devnull, os.O_WRONLY)
            os.dup2(nowhere, sys.stdout.fileno())
            os.close(nowhere)
