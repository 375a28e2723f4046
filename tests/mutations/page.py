"""The table of mutations as a page, and as lines for a terminal."""

import re
from collections.abc import Iterable, Sequence
from typing import Final

from tests.mutations.mutation import ROOT, Table
from tests.mutations.runner import BROKEN, SURVIVED, Outcome

PAGE: Final = ROOT / "docs" / "mutations.md"
_ROW: Final = re.compile(r"^\| (.+?) \| `\S+` \| (.+) \|$", re.MULTILINE)

_HEAD: Final = """\
# What each guard is for

Each line is a guard that was taken out of the code, and the test that then went red first.
`make mutations` runs them all again and writes this page; a unit test holds every line to the code
as it is, so that a guard that is moved or rewritten has to be moved here as well.

"""


def line(outcome: Outcome) -> str:
    """Give an outcome for a terminal."""
    mutation = outcome.mutation
    return f"{mutation.path}: {mutation.guard} → {outcome.red} ({outcome.seconds:.0f} s)"


def page(tables: Sequence[Table], outcomes: Iterable[Outcome], before: str) -> str:
    """Give the whole page.

    Args:
        tables: all of them.
        outcomes: what was run now.
        before: the page as it was; its lines stay for what was not run.
    """
    red: dict[str, str] = dict(_ROW.findall(before))
    red |= {outcome.mutation.guard: _test(outcome.red) for outcome in outcomes}
    guards = [one.guard for table in tables for one in table.mutations]
    noticed = sum(red.get(guard, SURVIVED) not in {SURVIVED, BROKEN} for guard in guards)
    parts = [_HEAD + f"{len(guards)} guards, {noticed} noticed.\n"]
    for table in tables:
        rows = [
            f"| {one.guard} | `{one.path.removeprefix('connector/')}` | {red[one.guard]} |"
            for one in table.mutations
            if one.guard in red
        ]
        head = f"## {table.title}\n\n| Taken out | Module | Red test |\n|---|---|---|\n"
        parts.append(head + "\n".join(rows) + "\n")
    return "\n".join(parts)


def _test(red: str) -> str:
    """Name a test by file and function; its parameters say less than they take room."""
    if red.startswith(BROKEN):
        return BROKEN
    path, _, test = red.partition("::")
    name = test.partition("[")[0].replace("::", ".")
    return f"`{path.removeprefix('tests/')}` `{name}`" if name else red
