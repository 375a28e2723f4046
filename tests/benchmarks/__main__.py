"""Runs all benchmarks, or those named: ``python -m tests.benchmarks [startup …]``.

One that fails does not keep the others from being run; the exit status then is 1.
"""

import sys
import traceback
from collections.abc import Sequence
from importlib import import_module

BENCHMARKS = (
    "startup",
    "refresher",
    "cached",
    "single_flight",
    "slow_neighbour",
    "token_route",
    "due",
    "memory",
    "vault",
    "rotation",
    "pulls",
)


def main(names: Sequence[str] = ()) -> int:
    """Run benchmarks and print their tables; give the exit status.

    Args:
        names: of modules beside this one; by default all.
    """
    failed = []
    for name in names or BENCHMARKS:
        try:
            import_module(f"tests.benchmarks.{name}").main()
        except Exception:  # noqa: BLE001 - whatever it is, the next one is measured
            traceback.print_exc()
            failed.append(name)
        sys.stdout.flush()
    if failed:
        sys.stderr.write(f"failed: {', '.join(failed)}\n")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
