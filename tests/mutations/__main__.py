"""``python -m tests.mutations [--write] [--new] [--jobs N] [PART …]``: try the mutations.

With PART only those whose module or guard has it in them, with ``--new`` only those that
docs/mutations.md does not have; with ``--write`` their lines there are written. The exit status is
1 where one survives.
"""

import argparse
import sys
import time

from tests.mutations.page import PAGE, line, page
from tests.mutations.runner import BROKEN, SURVIVED, Outcome, run
from tests.mutations.tables import TABLES


def main() -> int:
    """Run them."""
    parser = argparse.ArgumentParser(prog="python -m tests.mutations")
    parser.add_argument("--write", action="store_true", help="write docs/mutations.md")
    parser.add_argument("--new", action="store_true", help="only those that the page has not")
    parser.add_argument("--jobs", type=int, default=2, help="how many at once (2)")
    parser.add_argument("part", nargs="*", help="only those with one of these in module or guard")
    options = parser.parse_args()
    before = PAGE.read_text() if PAGE.exists() else ""
    chosen = [
        one
        for table in TABLES
        for one in table.mutations
        if (not options.new or f"| {one.guard} |" not in before)
        and (not options.part or any(part in f"{one.path} {one.guard}" for part in options.part))
    ]

    def tell(outcome: Outcome) -> None:
        sys.stdout.write(f"{line(outcome)}\n")
        sys.stdout.flush()

    outcomes = run(chosen, jobs=options.jobs, tell=tell, now=time.monotonic)
    survived = [one for one in outcomes if one.red == SURVIVED or one.red.startswith(BROKEN)]
    sys.stdout.write(f"{len(outcomes)} mutations, {len(survived)} survived\n")
    for outcome in survived:
        sys.stdout.write(f"{line(outcome)}\n")
    if options.write:
        PAGE.write_text(page(TABLES, outcomes, before))
    return 1 if survived else 0


if __name__ == "__main__":
    sys.exit(main())
