"""Tables and JSON on standard output: rich on a terminal, plain columns anywhere else.

A table that is wider than its terminal is printed as blocks, a row each: names, times and commands
are never broken, since a person copies them.
"""

import json
import sys
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Final

import click

if TYPE_CHECKING:
    from rich.console import Console


def print_json(value: object) -> None:
    """Print a value as JSON."""
    click.echo(json.dumps(value, indent=2, ensure_ascii=False))


def counted(number: int, thing: str) -> str:
    """Say how many there are of something, with digits that a script can read."""
    return f"{number} {thing}" if number == 1 else f"{number} {thing}s"


def rows_told(counts: Mapping[str, int]) -> str:
    """Say what an export holds, or an import has written, by the kind of its rows."""
    debts = "debt" if counts.get("revocation", 0) == 1 else "debts"
    return (
        f"{counted(counts.get('account', 0), 'account')},"
        f" {counts.get('revocation', 0)} {debts} of revocation,"
        f" {counted(counts.get('paused_job', 0), 'paused job')},"
        f" {counted(counts.get('run', 0), 'run')}"
    )


def print_table(columns: Sequence[str], rows: Sequence[Sequence[str]], *, empty: str) -> None:
    """Print a table; where there are no rows, say what to do next.

    Args:
        columns: the headings.
        rows: their cells, printable.
        empty: printed instead of an empty table.
    """
    if not rows:
        click.echo(empty)
        return
    if sys.stdout.isatty():
        _print_rich(columns, rows)
        return
    table = [list(columns), *map(list, rows)]
    widths = [max(len(row[i]) for row in table) for i in range(len(columns))]
    for row in table:
        cells = [cell.ljust(width) for cell, width in zip(row, widths, strict=True)]
        click.echo("  ".join(cells).rstrip())


def _print_rich(columns: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    from rich import box
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    console = Console()
    if _least_width(columns, rows) > console.width:
        _print_blocks(console, columns, rows)
        return
    table = Table(box=box.SIMPLE_HEAD, header_style="bold", pad_edge=False, padding=(0, 1, 0, 0))
    for column in columns:
        table.add_column(column, overflow="fold", no_wrap=column not in _PROSE)
    for row in rows:
        table.add_row(*(Text(cell, style=_STYLES.get(cell, "")) for cell in row))
    console.print(table)


def _least_width(columns: Sequence[str], rows: Sequence[Sequence[str]]) -> int:
    """Say how wide a terminal must be for a table that breaks nothing but prose."""
    width = 2 * len(columns)  # what stands between columns
    for number, column in enumerate(columns):
        widest = max(len(column), *(len(row[number]) for row in rows))
        width += min(widest, _PROSE_WIDTH) if column in _PROSE else widest
    return width


def _print_blocks(
    console: "Console", columns: Sequence[str], rows: Sequence[Sequence[str]]
) -> None:
    """Print rows as blocks where a table would be too wide: what is not known is left out."""
    from rich.padding import Padding
    from rich.text import Text

    for first, *rest in rows:
        console.print(Text(first, style="bold"))
        told = Text(", ").join(
            Text.assemble((f"{column} ", "dim"), (cell, _STYLES.get(cell, "")))
            for column, cell in zip(columns[1:], rest, strict=True)
            if cell not in {"", "-"}
        )
        console.print(Padding(told, (0, 0, 0, 4), expand=False))


#: Columns of sentences and lists: these may be broken into lines, down to so many characters.
_PROSE: Final = frozenset({"scopes", "last error", "error", "detail", "notice", "title"})
_PROSE_WIDTH: Final = 24
_STYLES = {
    "active": "green",
    "pending": "yellow",
    "consent_required": "bold red",
    "succeeded": "green",
    "failed": "red",
    "interrupted": "yellow",
    "queued": "cyan",
    "running": "cyan",
}
