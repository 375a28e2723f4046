"""What the authorization server remembers, and the knobs that tests turn on it.

One lock guards it: every act holds it for its whole, short run, and so does every knob, so that
a test thread always finds a consistent state.
"""

from collections.abc import Mapping
from threading import RLock

from connector.simulator.clock import Clock
from connector.simulator.oauth.codes import Code, Device, PushedRequest
from connector.simulator.oauth.expiring import Expiring
from connector.simulator.oauth.grants import Grant, Grants
from connector.simulator.oauth.signing import SigningKeys
from connector.simulator.options import as_json, changed
from connector.simulator.people import known_person
from connector.simulator.settings import Settings


class State:
    """The settings in force, and everything that was issued."""

    def __init__(self, settings: Settings, clock: Clock, lock: RLock) -> None:
        self.lock = lock
        self.clock = clock
        self.origin = ""
        """scheme://host:port once the server is bound."""
        self.grants = Grants()
        self.codes: Expiring[Code] = Expiring()
        self.pushed_requests: Expiring[PushedRequest] = Expiring()
        self.devices: Expiring[Device] = Expiring()
        self.keys = SigningKeys()
        self._settings = settings

    @property
    def settings(self) -> Settings:
        """The settings in force; assign another value to change them."""
        return self._settings

    @settings.setter
    def settings(self, settings: Settings) -> None:
        with self.lock:
            self._settings = settings

    @property
    def issuer(self) -> str:
        """The issuer identifier (RFC 8414 §2)."""
        return f"{self.origin}/oauth"

    def change(self, changes: Mapping[str, object]) -> Settings:
        """Replace the named settings, values as in JSON.

        Raises:
            SettingsError: a name is unknown or a value does not fit; nothing is changed.
        """
        with self.lock:
            self._settings = changed(self._settings, changes)
            return self._settings

    def revoke(self, person: str, *, reason: str = "revoked") -> int:
        """End every grant of a person, as if they had withdrawn it; returns how many ended.

        Raises:
            UnknownPersonError: no such person.
        """
        with self.lock:
            return sum(self.grants.revoke(grant, reason) for grant in self._grants_of(person))

    def expire_access_tokens(self, person: str) -> int:
        """End a person's access tokens now, whatever expires_in said; returns how many ended.

        Raises:
            UnknownPersonError: no such person.
        """
        with self.lock:
            now = self.clock.now()
            return sum(
                self.grants.retire_access_tokens(grant, at=now) for grant in self._grants_of(person)
            )

    def rotate_signing_key(self, *, is_old_published: bool = True) -> str:
        """Sign ID tokens with a new key; returns its `kid`."""
        with self.lock:
            return self.keys.rotate(is_old_published=is_old_published)

    def summary(self) -> dict[str, object]:
        """What there is, without a secret."""
        with self.lock:
            now = self.clock.now()
            return {
                "now": now,
                "settings": as_json(self._settings),
                "grants": [_summary(grant, now) for grant in self.grants],
            }

    def _grants_of(self, person: str) -> list[Grant]:
        known = known_person(person)
        return [grant for grant in self.grants if grant.person is known]


def _summary(grant: Grant, now: float) -> dict[str, object]:
    return {
        "family": grant.family,
        "client_id": grant.client_id,
        "person": grant.person.name if grant.person else None,
        "scope": list(grant.scope),
        "created_at": grant.created_at,
        "revoked": grant.revoked,
        "generation": grant.generation,
        "valid_access_tokens": sum(token.is_valid(now) for token in grant.access_tokens),
    }
