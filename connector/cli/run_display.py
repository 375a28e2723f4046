"""What is shown while a job's runs are under way; showing it can end no run.

On a terminal a bar counts the accounts that have ended and the records that were committed, with a
line below for each account under way: where it is, pages, records, their rate, how long it has
waited for rate limits, and the time left where that can be told. A line is printed above it for
each account that has ended, and the same lines alone anywhere else; there, from the
fifth second on, a line a second goes to standard error, so that who waits sees something move.
"""

import asyncio
import contextlib
import os
import sys
import threading
import time
from collections.abc import Callable, Iterator
from datetime import timedelta
from types import TracebackType
from typing import IO, Final, Self

import click
from rich.console import Console
from rich.progress import BarColumn, Progress, SpinnerColumn, Task, TaskID, TextColumn
from rich.text import Text

from connector.cli.main import printable_line
from connector.jobs.order import Result
from connector.jobs.run_figures import AccountFigures, RunFigures, count

#: So many accounts under way have a line of their own; a terminal has no more lines.
_LINES: Final = 12
#: What is left of a long name of an account on a narrow terminal (characters).
_SHORTEST_NAME: Final = 16
#: From here on there is room for a longer bar (columns).
_WIDE: Final = 120
#: How often what has happened is told where there is no terminal (seconds).
_INTERVAL: Final = 1.0
#: Runs that are over by then tell their end alone (seconds).
_QUIET: Final = 5.0


class RunDisplay:
    """Shows a job's runs; a context manager.

    Args:
        job: the job's name.
        accounts: how many there are.
        console: what is shown on; else standard output.
        now: gives seconds of a clock that nobody sets.
    """

    def __init__(
        self,
        job: str,
        accounts: int,
        console: Console | None = None,
        now: Callable[[], float] = time.monotonic,
    ) -> None:
        console = console or Console()
        self._job = job
        self._name_width = max(_SHORTEST_NAME, console.width // 4)
        self._now = now
        self._figures = RunFigures(accounts, now)
        self._progress: Progress | None = None
        self._tasks: dict[str, TaskID] = {}
        self._ticker: _Ticker | None = None
        if console.is_terminal and not console.is_dumb_terminal:
            self._progress = _make_progress(console)
            self._all = self._progress.add_task(job, total=accounts, told=self._told())
        else:
            self._ticker = _Ticker(job, self._figures)

    def __enter__(self) -> Self:
        if self._progress is not None:
            with while_read():
                self._progress.start()
        if self._ticker is not None:
            self._ticker.start()
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
        if self._ticker is not None:
            self._ticker.stop()
        if kind is asyncio.CancelledError:  # Ctrl-C
            records = count(self._figures.records, "record")
            text = f"connector: {self._job} was stopped; what was committed stays ({records})"
            with contextlib.suppress(OSError):
                click.echo(printable_line(text), err=True)

    def note(self, account: str, result: Result) -> None:
        """Take what an account's run has committed, and where it is."""
        figures = self._figures.note(account, result)
        if self._progress is None:
            return
        if account not in self._tasks and len(self._tasks) < _LINES:
            name = shortened(printable_line(account), self._name_width)
            self._tasks[account] = self._progress.add_task(f"  {name}", total=None, told="")
        if account in self._tasks:
            self._progress.update(
                self._tasks[account],
                total=None if figures.done is None else 1.0,
                completed=figures.done or 0.0,
                told=_told_of(figures, self._now()),
            )
        self._progress.update(self._all, told=self._told())

    def end(self, account: str, line: str) -> None:
        """Print the line of an account whose run has ended."""
        self._figures.end(account)
        if self._progress is not None:
            if account in self._tasks:
                self._progress.remove_task(self._tasks.pop(account))
            self._progress.update(self._all, completed=self._figures.ended, told=self._told())
        self.line(line)

    def line(self, text: str) -> None:
        """Print a line, as long as somebody reads."""
        with while_read():
            if self._progress is None:
                click.echo(printable_line(text))
            else:
                self._progress.console.print(Text(printable_line(text)), soft_wrap=True)

    def _told(self) -> str:
        figures = self._figures
        return f"{figures.ended}/{figures.accounts} accounts, {count(figures.records, 'record')}"


def shortened(name: str, width: int) -> str:
    """Give a name, its middle left out where it is longer than a width."""
    if len(name) <= width:
        return name
    end = (width - 1) * 2 // 3  # accounts of one job often begin alike
    return f"{name[: width - 1 - end]}…{name[-end:]}"


class _Ticker(threading.Thread):
    """Tells once a second what has happened, on standard error; nothing where nothing has."""

    def __init__(self, job: str, figures: RunFigures, stream: IO[str] | None = None) -> None:
        super().__init__(name="progress of a job", daemon=True)
        self._job = job
        self._figures = figures
        self._stream = stream
        self._stopped = threading.Event()

    def run(self) -> None:
        told = 0
        pause = _QUIET
        while not self._stopped.wait(pause):
            pause = _INTERVAL
            if self._figures.records + self._figures.pages == told:
                continue
            told = self._figures.records + self._figures.pages
            line = printable_line(f"{self._job}: {self._figures.summary()}")
            with contextlib.suppress(OSError):
                click.echo(line, file=self._stream, err=self._stream is None)

    def stop(self) -> None:
        """Stop, and wait for the line that is being told."""
        self._stopped.set()
        self.join()


class _Elapsed(TextColumn):
    """The time that a job has taken, on its own line alone."""

    def __init__(self) -> None:
        super().__init__("")

    def render(self, task: Task) -> Text:
        seconds = int(task.elapsed or 0)
        return Text("" if task.description.startswith(" ") else str(timedelta(seconds=seconds)))


def _make_progress(console: Console) -> Progress:
    return Progress(
        SpinnerColumn(),
        TextColumn("{task.description}", markup=False),
        BarColumn(bar_width=24 if console.width >= _WIDE else 10),
        TextColumn("{task.fields[told]}", markup=False),
        _Elapsed(),
        console=console,
        transient=True,
    )


def _told_of(figures: AccountFigures, now: float) -> str:
    """Say of an account what there is to say."""
    told = []
    if figures.pages:
        told.append(count(figures.pages, "page"))
    told += [count(figures.records, "record"), f"{figures.rate(now):,.0f}/s"]
    if figures.waited >= 1:
        told.append(f"waited {figures.waited:.0f} s")
    left = figures.left(now)
    if left is not None:
        told.append(f"{timedelta(seconds=round(left))} left")
    if figures.text:
        told.append(printable_line(figures.text))
    return ", ".join(told)


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
