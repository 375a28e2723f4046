"""A mutation: one guard taken out of the code."""

import ast
from dataclasses import dataclass
from pathlib import Path
from typing import Final

ROOT: Final = Path(__file__).parents[2]


class MutationError(Exception):
    """A mutation does not fit the code any more; says which."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Mutation:
    """One guard taken out.

    Attributes:
        guard: what is not done any more, in words.
        path: of the module, from the root of the tree.
        old: the piece of the code; it occurs once.
        new: what stands in its place.
        tests: those that are run, in this order; the first red one ends the run.
    """

    guard: str
    path: str
    old: str
    new: str
    tests: tuple[str, ...]

    def applied(self, text: str) -> str:
        """Give the module's text without the guard.

        Raises:
            MutationError: its piece is not there, or not once, or what comes of it is no Python.
        """
        count = text.count(self.old)
        if count != 1:
            raise MutationError(f"{self.path}: found {count} times, not once: {self.old!r}")
        mutated = text.replace(self.old, self.new)
        try:
            ast.parse(mutated)
        except SyntaxError as error:
            raise MutationError(f"{self.path}: no Python: {self.new!r}: {error}") from None
        return mutated

    def check(self) -> None:
        """See that it fits the code as it is.

        Raises:
            MutationError: it does not, or a test that it names is not there.
        """
        self.applied((ROOT / self.path).read_text())
        for test in self.tests:
            if not (ROOT / test.partition("::")[0]).exists():
                raise MutationError(f"{self.path}: there is no {test}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Table:
    """The mutations of some modules.

    Attributes:
        title: what they are about.
        mutations: in the order of the code.
    """

    title: str
    mutations: tuple[Mutation, ...]


def of(path: str, *rows: tuple[str, str, str, tuple[str, ...] | str]) -> tuple[Mutation, ...]:
    """Make the mutations of one module.

    Args:
        path: of the module.
        rows: guard, old text, new text, tests (or the one test).
    """
    return tuple(
        Mutation(
            guard=guard,
            path=path,
            old=old,
            new=new,
            tests=(tests,) if isinstance(tests, str) else tests,
        )
        for guard, old, new, tests in rows
    )
