"""The history of runs as a table, and what one of them has said."""

from collections.abc import Iterator, Sequence
from typing import Final

from connector.cli.main import printable_line
from connector.cli.session import opened
from connector.moment import rfc3339
from connector.settings import Settings
from connector.store.run_history import RunHistory
from connector.store.run_logs import LogLine
from connector.store.runs import Run

_FIRST: Final = ("started", "job", "account", "outcome", "records", "took")
#: These have a column only where there is something to tell.
_FIGURES: Final = ("pages", "bytes", "tokens", "retries", "rejected", "waited", "attempt", "lane")
_LAST: Final = ("host", "run", "error")


def table_of(runs: Sequence[Run]) -> tuple[tuple[str, ...], list[list[str]]]:
    """Give the columns and the rows of runs."""
    figures = tuple(name for name in _FIGURES if any(_tells(run, name) for run in runs))
    return (*_FIRST, *figures, *_LAST), [_row(run, figures) for run in runs]


async def log_lines(settings: Settings, run: str) -> list[LogLine] | None:
    """Give what a run has said; None: there is no such run.

    Raises:
        VaultSealed, TemporarilyUnavailable: as `open_runtime`.
    """
    async with opened(settings) as runtime:
        if "\0" in run or await RunHistory(runtime.database).get(run) is None:
            return None
        return await runtime.runs.logs.of_run(run)


def log_text(lines: Sequence[LogLine]) -> Iterator[str]:
    """Give a log as lines for people; those that are not kept are counted."""
    number = 0
    for line in lines:
        left_out = line.number - number - 1
        if left_out:
            yield f"… {left_out} lines are not kept …"
        number = line.number
        yield printable_line(f"{rfc3339(line.at)} {line.kind:8} {line.text}")


def _row(run: Run, figures: Sequence[str]) -> list[str]:
    took = "-" if run.finished_at is None else f"{run.finished_at - run.started_at:.1f} s"
    started = "-" if run.outcome == "queued" else rfc3339(run.started_at) or "-"
    first = [started, run.job, run.account, run.outcome, str(run.records)]
    told = [_figure(run, name) for name in figures]
    return [*first, took, *told, run.host or "-", run.id, printable_line(run.error or "-")]


def _tells(run: Run, name: str) -> bool:
    return bool(getattr(run, name)) if name != "attempt" else run.attempt > 1


def _figure(run: Run, name: str) -> str:
    value = getattr(run, name)
    if not value:
        return "-"
    return f"{value:.1f} s" if name == "waited" else str(value)
