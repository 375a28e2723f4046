"""What the provider remembers of its people and tokens, and the knobs that end them.

Permissions belong to the person's connection with the app, not to a token: declining one takes it
from every token at once. Each token remembers why it died, for the error that says so.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Literal

from connector.simulator.call import Subject
from connector.simulator.facebook import error as graph_error
from connector.simulator.facebook.error import GraphError
from connector.simulator.oauth.expiring import Expiring
from connector.simulator.opaque import fingerprint, new_token
from connector.simulator.people import PEOPLE, Profile, known_person
from connector.simulator.state import State

Kind = Literal["short", "long", "app"]
Death = Literal["password_changed", "logged_out", "app_removed"]

# How the provider's user tokens begin.
TOKEN_PREFIX = "EAA"

# Every app has it, nobody can decline it.
PUBLIC_PROFILE = "public_profile"

PERMISSIONS: dict[str, str] = {
    "email": "Your email address",
    "ads_read": "Ads read: see how your ads do",
    "ads_management": "Ads management: change your ads",
    "business_management": "Manage your business",
}


class UnknownPermissionError(ValueError):
    """A knob was turned for a permission that does not exist."""


@dataclass(slots=True, kw_only=True, eq=False)
class AppConnection:
    """A person's connection with the app."""

    permissions: dict[str, str] = field(default_factory=dict)
    """Name to `granted` or `declined`."""
    is_connected: bool = False
    data_access_expires_at: float = 0.0

    def has(self, permission: str) -> bool:
        """Whether a permission is granted now."""
        return self.is_connected and self.permissions.get(permission) == "granted"


@dataclass(slots=True, kw_only=True, eq=False)
class DialogCode:
    """A code that the dialog gave."""

    redirect_uri: str
    person: Profile
    expires_at: float
    is_used: bool = False


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


class Provider:
    """The provider's memory; the knobs may be turned from any thread."""

    def __init__(self, state: State) -> None:
        self.state = state
        self.codes: Expiring[DialogCode] = Expiring()
        self._tokens: dict[str, GraphToken] = {}
        self._connections = {name: AppConnection() for name in PEOPLE}

    def connection(self, person: Profile) -> AppConnection:
        """A person's connection with the app, made or not."""
        return self._connections[person.name]

    def issue(
        self,
        kind: Kind,
        person: Profile | None,
        *,
        expires_at: float | None,
        parent: GraphToken | None = None,
    ) -> GraphToken:
        """A new token: the first after a login, or one exchanged for its parent."""
        prefix = TOKEN_PREFIX if person else f"{self.state.settings.app_id}|"
        token = GraphToken(
            value=new_token(prefix, padding=self.state.settings.token_padding),
            kind=kind,
            person=person,
            family=parent.family if parent else new_token("family_")[:16],
            generation=parent.generation + 1 if parent else 0,
            issued_at=self.state.clock.now(),
            expires_at=expires_at,
        )
        self._tokens[token.value] = token
        return token

    def find(self, value: str) -> GraphToken | None:
        """The token with this value, dead or alive; the app's id and secret are one too."""
        settings = self.state.settings
        if value == f"{settings.app_id}|{settings.app_secret}":
            return GraphToken(
                value=value,
                kind="app",
                person=None,
                family=settings.app_id,
                generation=0,
                issued_at=0.0,
                expires_at=None,
            )
        return self._tokens.get(value)

    def death_of(self, token: GraphToken) -> GraphError | None:
        """Why a token no longer works, or None if it does."""
        now, subject = self.state.clock.now(), token.subject()
        if token.death == "password_changed":
            return graph_error.password_changed(subject)
        if token.death == "logged_out":
            return graph_error.logged_out(subject)
        if token.death == "app_removed" and token.person is not None:
            app_id = self.state.settings.app_id
            return graph_error.app_removed(token.person.id, app_id, subject)
        if token.expires_at is not None and token.expires_at <= now:
            return graph_error.session_expired(token.expires_at, now, subject)
        return None

    # Knobs

    def expire_tokens(self, person: str) -> int:
        """End a person's tokens as if their time were over (190/463); returns how many."""
        now = self.state.clock.now()

        def end(token: GraphToken) -> None:
            token.expires_at = now

        return self._each_living(person, end)

    def change_password(self, person: str) -> int:
        """End a person's tokens by a new password (190/460); returns how many."""
        return self._kill(person, "password_changed")

    def log_out(self, person: str) -> int:
        """End a person's tokens by logging out (190/467); returns how many."""
        return self._kill(person, "logged_out")

    def remove_app(self, person: str) -> int:
        """Take the app out of a person's account (190/458); returns how many tokens died."""
        with self.state.lock:
            killed = self._kill(person, "app_removed")
            self._connections[person] = AppConnection()
            return killed

    def decline(self, person: str, permission: str) -> None:
        """Withdraw one permission, from the tokens already given too.

        Raises:
            UnknownPersonError: no such person.
            UnknownPermissionError: no such permission.
        """
        if permission not in PERMISSIONS:
            message = f"no permission {permission!r}; there are {', '.join(PERMISSIONS)}"
            raise UnknownPermissionError(message)
        with self.state.lock:
            self.connection(known_person(person)).permissions[permission] = "declined"

    def expire_data_access(self, person: str) -> None:
        """Let the 90 days of data access be over now; tokens stay valid.

        Raises:
            UnknownPersonError: no such person.
        """
        with self.state.lock:
            self.connection(known_person(person)).data_access_expires_at = self.state.clock.now()

    def summary(self) -> dict[str, object]:
        """What there is, without a secret."""
        with self.state.lock:
            return {
                name: {
                    "is_connected": connection.is_connected,
                    "permissions": dict(connection.permissions),
                    "data_access_expires_at": connection.data_access_expires_at,
                    "valid_tokens": len(self._living(name)),
                }
                for name, connection in self._connections.items()
            }

    def _living(self, person: str) -> list[GraphToken]:
        return [
            token
            for token in self._tokens.values()
            if token.person and token.person.name == person and self.death_of(token) is None
        ]

    def _each_living(self, person: str, end: Callable[[GraphToken], None]) -> int:
        with self.state.lock:
            living = self._living(known_person(person).name)
            for token in living:
                end(token)
            return len(living)

    def _kill(self, person: str, death: Death) -> int:
        def end(token: GraphToken) -> None:
            token.death = death

        return self._each_living(person, end)
