"""How a pull's run fails, in words: what was asked, and what came; never a token."""

from typing import Final

#: So many parts in a row that fail alike tell that more would.
_ALIKE: Final = 3
#: So many parts are named, with as much of what was said of each.
_NAMED: Final = 3
_LONGEST_NAME: Final = 80
_LONGEST_REASON: Final = 300


class PullFailed(Exception):
    """A run, or a part of it, cannot go on; says why, and what to do about it.

    Args:
        words: what happened.
        remedy: what to do; empty: nothing is known.
        asked: the request that it happened to, see `sending.told`; empty: none is meant.
    """

    def __init__(self, words: str, remedy: str = "", *, asked: str = "") -> None:
        self.words = words.rstrip(".")
        self.reason = f"{asked}: {self.words}" if asked else self.words
        self.remedy = remedy.rstrip(".")
        super().__init__(f"{self.reason}. {self.remedy}." if remedy else self.reason)


class Unusable(PullFailed):
    """No usable answer came, as often as was tried: the API may be away for every part."""


class RunFailed(PullFailed):
    """What failed concerns every part: none is tried any more."""


class PartFailures:
    """The parts that a run could not pull, and whether it should try the others.

    Three in a row that fail alike end the run early in two cases: where nothing was pulled before
    them, for then the declaration is wrong, and where no usable answer comes, for then the API is
    away. Others that fail are reasons of their own.

    Args:
        parts: how many there are, whatever becomes of them.
    """

    def __init__(self, parts: int) -> None:
        self._parts = parts
        self._failures: list[tuple[str, PullFailed]] = []
        self._in_a_row: list[PullFailed] = []
        self._has_pulled = False

    def __bool__(self) -> bool:
        return bool(self._failures)

    def note_success(self) -> None:
        """Note that a part was pulled."""
        self._has_pulled = True
        self._in_a_row = []

    def note(self, part: str, failure: PullFailed) -> None:
        """Note that a part could not be pulled."""
        self._failures.append((part, failure))
        self._in_a_row = [*self._in_a_row[1 - _ALIKE :], failure]

    @property
    def are_general(self) -> bool:
        """Tell whether the other parts would fail too."""
        last = self._in_a_row
        if len(last) < _ALIKE:
            return False
        if all(isinstance(failure, Unusable) for failure in last):
            return True
        return not self._has_pulled and len({failure.words for failure in last}) == 1

    def error(self, waiting: int) -> PullFailed:
        """Give the error of the run.

        Args:
            waiting: so many other parts wait for their rate limits.
        """
        failures = [failure for _, failure in self._failures]
        named = [part[:_LONGEST_NAME] for part, _ in self._failures[:_NAMED]]
        rest = len(failures) - len(named)
        more = f" and {rest} more" if rest else ""
        first = failures[0]
        if len({failure.words for failure in failures}) == 1:
            said = f"{', '.join(named)}{more}: {first.reason[:_LONGEST_REASON]}"
        else:
            pairs = zip(named, failures, strict=False)
            told = [f"{name}: {failure.reason[:_LONGEST_REASON]}" for name, failure in pairs]
            said = "; ".join(told) + more.replace(" and", "; and")
        reason = f"{len(failures)} of {self._parts} parts could not be pulled: {said}"
        if waiting:
            reason += f"; {waiting} more wait for their rate limits"
        if self.are_general:
            reason += f"; the run ended early, for {_ALIKE} in a row failed alike"
        # not for one broken part: a run that is tried again would pull all others anew
        is_away = self.are_general or not self._has_pulled
        is_away = is_away and all(isinstance(failure, Unusable) for failure in self._in_a_row)
        return (Unusable if is_away else PullFailed)(reason, first.remedy)
