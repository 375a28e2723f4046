"""What the provider remembers of its people and tokens, and the knobs that end them.

Permissions belong to the person's connection with the app, not to a token: declining one takes it
from every token at once. Each token remembers why it died, for the error that says so.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Literal

from connector.simulator.facebook.call_log import CallLog
from connector.simulator.facebook.ending import Ending
from connector.simulator.facebook.error import GraphError
from connector.simulator.facebook.refusals import Refusals
from connector.simulator.facebook.report_runs import ReportRuns
from connector.simulator.facebook.signed_request import signed_request
from connector.simulator.facebook.tokens import Death, GraphToken, Kind
from connector.simulator.oauth.expiring import Expiring
from connector.simulator.opaque import new_token
from connector.simulator.people import PEOPLE, Profile, known_person
from connector.simulator.state import State

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
class _Doom:
    """How a person's tokens will die, and when."""

    death: Death
    calls_left: int


class Provider(Ending):
    """The provider's memory; the knobs may be turned from any thread."""

    def __init__(self, state: State) -> None:
        self.state = state
        self.refusals = Refusals(state)
        """What is to be refused, throttles among it."""
        self.calls = CallLog(state)
        """Every Graph call and what was said to it."""
        self.reports = ReportRuns(state)
        """Report runs, and how the next ones go."""
        self.codes: Expiring[DialogCode] = Expiring()
        self._dooms: dict[str, _Doom] = {}
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
        return token.error(self.state.settings.app_id, self.state.clock.now())

    def count_call(self, token: GraphToken) -> None:
        """A call is made with a token: the last that it may be, if a test said so."""
        person = token.person
        if person is None or person.name not in self._dooms:
            return
        doom = self._dooms[person.name]
        doom.calls_left -= 1
        if doom.calls_left < 0:
            self.end_tokens(person.name, doom.death)

    # Knobs

    def grant(
        self,
        person: str,
        *,
        kind: Literal["short", "long", "system"] = "long",
        permissions: Sequence[str] = ("ads_read",),
        lifetime: float | None = None,
    ) -> dict[str, object]:
        """A login without its pages, or a token for a system user; returns the token answer.

        Args:
            person: Who grants.
            kind: A system user's token never expires, unless `lifetime` says so.
            permissions: What is granted, beside what already is.
            lifetime: Seconds; None: as a token of this kind has it.

        Raises:
            UnknownPersonError: no such person.
            UnknownPermissionError: no such permission.
        """
        profile, settings = known_person(person), self.state.settings
        for permission in permissions:
            _check_permission(permission)
        usual = {"short": settings.short_lived_lifetime, "long": settings.long_lived_lifetime}
        seconds = usual.get(kind) if lifetime is None else lifetime
        with self.state.lock:
            now = self.state.clock.now()
            connection = self.connection(profile)
            connection.is_connected = True
            connection.permissions |= dict.fromkeys(permissions, "granted")
            connection.data_access_expires_at = now + settings.data_access_lifetime
            expires_at = None if seconds is None else now + seconds
            token = self.issue(kind, profile, expires_at=expires_at)
        answer: dict[str, object] = {"access_token": token.value, "token_type": "bearer"}
        return answer if seconds is None else {**answer, "expires_in": int(seconds)}

    def end_tokens(self, person: str, death: Death, *, after: int = 0) -> int:
        """End a person's tokens; see `Ending`."""
        known_person(person)
        with self.state.lock:
            self._dooms.pop(person, None)
            if after > 0:
                self._dooms[person] = _Doom(death=death, calls_left=after)
                return 0
            living = self._living(person)
            for token in living:
                if death == "expired":
                    token.expires_at = self.state.clock.now()
                else:
                    token.death = death
            if death == "app_removed":
                self._connections[person] = AppConnection()
            return len(living)

    def revoke(self, token: GraphToken) -> None:
        """End one token."""
        token.death = "invalid"

    def signed_request(self, person: str) -> str:
        """What the real provider POSTs to an app's deauthorise callback for a person.

        Raises:
            UnknownPersonError: no such person.
        """
        secret, now = self.state.settings.app_secret, self.state.clock.now()
        return signed_request(known_person(person).id, secret, now=now)

    def decline(self, person: str, permission: str) -> None:
        """Withdraw one permission, from the tokens already given too.

        Raises:
            UnknownPersonError: no such person.
            UnknownPermissionError: no such permission.
        """
        _check_permission(permission)
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


def _check_permission(permission: str) -> None:
    if permission not in PERMISSIONS:
        message = f"no permission {permission!r}; there are {', '.join(PERMISSIONS)}"
        raise UnknownPermissionError(message)
