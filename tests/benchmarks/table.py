"""A table of measurements: median, spread, the ratio to the first row, and what else is told."""

import statistics
from collections.abc import Mapping, Sequence


def print_table(
    title: str,
    unit: str,
    rows: Sequence[tuple[str, Sequence[float]]],
    *,
    more: Mapping[str, Sequence[str]] | None = None,
) -> None:
    """Print one table.

    Args:
        title: what was measured.
        unit: of the numbers.
        rows: a name and its measurements; ratios are to the first row's median.
        more: further columns by their names, with a text for each row.
    """
    columns = more or {}
    medians = [statistics.median(values) for _, values in rows]
    digits = _digits(min(min(values) for _, values in rows))
    heads = ["what", f"median ({unit})", "min", "max", "ratio", *columns]
    print(f"\n## {title}\n")
    print(f"| {' | '.join(heads)} |")
    print("|---|" + "---:|" * (len(heads) - 1))
    for i, (name, values) in enumerate(rows):
        numbers = [f"{number:.{digits}f}" for number in (medians[i], min(values), max(values))]
        cells = [name, *numbers, f"{medians[i] / medians[0]:.2f}"]
        print(f"| {' | '.join(cells + [texts[i] for texts in columns.values()])} |")


def _digits(least: float) -> int:
    """Give so many decimals that the smallest number of a table shows two digits at least."""
    return next((digits for digits in (1, 2, 3) if least >= 10.0**-digits), 4) + (least < 1)
