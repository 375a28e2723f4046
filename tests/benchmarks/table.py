"""A table of measurements: median, spread, and the ratio to the first row."""

import statistics
from collections.abc import Sequence


def print_table(title: str, unit: str, rows: Sequence[tuple[str, Sequence[float]]]) -> None:
    """Print one table.

    Args:
        title: what was measured.
        unit: of the numbers.
        rows: a name and its measurements; ratios are to the first row's median.
    """
    print(f"\n## {title}\n")
    print(f"| what | median ({unit}) | min | max | ratio |")
    print("|---|---:|---:|---:|---:|")
    base = statistics.median(rows[0][1])
    for name, values in rows:
        median = statistics.median(values)
        print(
            f"| {name} | {median:.1f} | {min(values):.1f} | {max(values):.1f} |"
            f" {median / base:.2f} |"
        )
