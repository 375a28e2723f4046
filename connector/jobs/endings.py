"""How runs end: what is written of it, and what whoever asked for the run is told."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, Final, TypeVar

from connector.errors import ConnectorError
from connector.jobs.order import Result
from connector.store.run_rows import FIGURES, Ending, Figures, Outcome, Run

Told = TypeVar("Told", bound=Figures)

#: How a failure of the child is written in the history; anything else is ``failed``.
_OUTCOMES: Final[dict[str | None, Outcome]] = {
    None: "succeeded",
    "ConsentRequired": "consent_required",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class RunEnding(Ending):
    """How a run ended, for whoever asked for it.

    Attributes:
        kind: of the failure: the name of an error of ours, or another word; None: it succeeded.
        rejection: why the first of the records was set aside that were.
    """

    kind: str | None = None
    rejection: str | None = None

    @property
    def told_rejected(self) -> str:
        """Say how many records were set aside, and why the first of them was."""
        which = "record was" if self.rejected == 1 else "records were"
        told = f"{self.rejected} {which} set aside"
        return told + (f"; the first {self.rejection}" if self.rejection else "")


#: How a run ends for an owner that was not heard of for too long.
TAKEN_OVER: Final = RunEnding(
    outcome="interrupted", error="another process has taken it over", kind="TakenOver"
)


#: How one ends that waited while the configuration, or the account's name, was changed.
NOT_SELECTED: Final = RunEnding(
    outcome="interrupted", error="the job does not select this account any more", kind="Refused"
)


def figures(result: Result) -> Figures:
    """Give how far a child is."""
    return Figures(**_figures(result))


def _figures(result: Result) -> dict[str, Any]:
    return {name: getattr(result, name) for name in FIGURES}


def summed(run: Run, told: Told) -> Told:
    """Add the figures of a run as its owner took it, which are those of the owners before."""
    sums: dict[str, Any] = {name: getattr(run, name) + getattr(told, name) for name in FIGURES}
    return replace(told, **sums)


def failed_by(error: ConnectorError) -> RunEnding:
    """Give the ending of a run that an error of ours kept from going on."""
    return RunEnding(outcome="failed", error=str(error), kind=type(error).__name__)


def not_granted(missing: Sequence[str]) -> RunEnding:
    """Give the ending of a run whose account was granted less than its job needs."""
    error = f"the consent does not grant {', '.join(missing)}"
    return RunEnding(outcome="consent_required", error=error, kind="ConsentRequired")


def ending_of(result: Result, *, interruption: str | None = None) -> RunEnding:
    """Give what is written of a child's result; its error in one line, as lists show it."""
    told = interruption or result.error
    outcome = _OUTCOMES.get(result.kind, "failed")
    return RunEnding(
        kind=result.kind,
        rejection=result.rejection,
        outcome="interrupted" if interruption else outcome,
        **_figures(result),
        error=None if told is None else " ".join(told.split()),
        cursor=result.cursor,
    )
