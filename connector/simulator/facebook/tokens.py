"""Access tokens of the Graph API, and the ways in which they die."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Literal

from connector.simulator.call import Subject
from connector.simulator.facebook import error as graph_error
from connector.simulator.facebook.error import GraphError
from connector.simulator.opaque import fingerprint
from connector.simulator.people import Profile

Kind = Literal["short", "long", "system", "app"]
Death = Literal[
    "expired",
    "password_changed",
    "logged_out",
    "app_removed",
    "checkpointed",
    "unconfirmed",
    "session_ended",
    "invalid",
]


@dataclass(slots=True, kw_only=True, eq=False)
class GraphToken:
    """An access token and where it comes from."""

    value: str = field(repr=False)
    kind: Kind
    person: Profile | None
    """None: the app itself."""
    family: str
    """Shared by all tokens that were exchanged from one login."""
    generation: int
    """How many exchanges lie between the login and this one."""
    issued_at: float
    expires_at: float | None
    death: Death | None = None

    def subject(self) -> Subject:
        """What the ledger says of a call made with it."""
        return Subject(
            person=self.person.name if self.person else None,
            refresh_token=fingerprint(self.value),
            generation=self.generation,
            family=self.family,
        )

    def error(self, app_id: str, now: float) -> GraphError | None:
        """Why it no longer works, or None if it does."""
        subject = self.subject()
        if self.death == "app_removed" and self.person is not None:
            return graph_error.app_removed(self.person.id, app_id, subject)
        if self.death in _ERRORS:
            return _ERRORS[self.death](subject)
        if self.expires_at is not None and self.expires_at <= now:
            return graph_error.session_expired(self.expires_at, now, subject)
        return None


_ERRORS: Mapping[Death | None, Callable[[Subject], GraphError]] = {
    "password_changed": graph_error.password_changed,
    "logged_out": graph_error.logged_out,
    "checkpointed": graph_error.checkpointed,
    "unconfirmed": graph_error.unconfirmed,
    "session_ended": graph_error.session_ended,
    "invalid": graph_error.token_invalid,
}
