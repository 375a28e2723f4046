"""Requests for consent that a person is still looking at.

Each is shown in one browser, decided once, and forgotten when nobody comes back to it.
"""

from dataclasses import dataclass
from typing import Generic, TypeVar

from connector.simulator.opaque import new_token

_S = TypeVar("_S")

# As long as a person may take over two pages.
INTERACTION_LIFETIME = 1800.0


@dataclass(slots=True, kw_only=True)
class Interaction(Generic[_S]):
    """One request for consent, from the first page to the decision."""

    id: str
    subject: _S
    """What is asked: an authorization request, or a device's."""
    started_at: float
    session: str | None = None
    """The session in which it may be decided."""


class Interactions(Generic[_S]):
    """The open ones of one server."""

    def __init__(self) -> None:
        self._open: dict[str, Interaction[_S]] = {}

    def begin(self, subject: _S, *, now: float) -> Interaction[_S]:
        """Open one; those that nobody came back to are forgotten on the way."""
        for old in list(self._open.values()):
            if now - old.started_at <= INTERACTION_LIFETIME:
                break
            del self._open[old.id]
        interaction = Interaction(id=new_token("ask_"), subject=subject, started_at=now)
        self._open[interaction.id] = interaction
        return interaction

    def find(self, identity: str | None, *, now: float) -> Interaction[_S] | None:
        """The open one with this id, unless it took too long."""
        interaction = self._open.get(identity or "")
        if interaction is not None and now - interaction.started_at > INTERACTION_LIFETIME:
            del self._open[interaction.id]
            return None
        return interaction

    def finish(self, interaction: Interaction[_S]) -> None:
        """It is decided, and cannot be decided again."""
        self._open.pop(interaction.id, None)
