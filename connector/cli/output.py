"""Tables and JSON on standard output: rich on a terminal, plain columns anywhere else."""

import json
import sys
from collections.abc import Sequence

import click


def print_json(value: object) -> None:
    """Print a value as JSON."""
    click.echo(json.dumps(value, indent=2, ensure_ascii=False))


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

    table = Table(box=box.SIMPLE_HEAD, header_style="bold", pad_edge=False)
    for column in columns:
        table.add_column(column, overflow="fold")
    for row in rows:
        table.add_row(*(Text(cell, style=_STYLES.get(cell, "")) for cell in row))
    Console().print(table)


_STYLES = {
    "active": "green",
    "pending": "yellow",
    "consent_required": "bold red",
    "succeeded": "green",
    "failed": "red",
    "interrupted": "yellow",
    "running": "cyan",
}
