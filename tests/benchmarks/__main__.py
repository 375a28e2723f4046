"""Runs all benchmarks, or those named: ``python -m tests.benchmarks [startup …]``."""

import sys
from importlib import import_module

BENCHMARKS = ("startup", "refresher", "cached", "single_flight", "slow_neighbour")


def main() -> None:
    """Run the benchmarks and print their tables."""
    for name in sys.argv[1:] or BENCHMARKS:
        import_module(f"tests.benchmarks.{name}").main()


if __name__ == "__main__":
    main()
