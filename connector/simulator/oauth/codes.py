"""Authorization codes, pushed requests and device codes, as the server remembers them."""

from dataclasses import dataclass

from connector.simulator.oauth.authorization_request import AuthorizationRequest
from connector.simulator.oauth.grants import Grant
from connector.simulator.people import Profile


@dataclass(slots=True, kw_only=True, eq=False)
class Code:
    """An authorization code and all that it is bound to (RFC 6749 §4.1.2)."""

    request: AuthorizationRequest
    person: Profile
    auth_time: float
    expires_at: float
    grant: Grant | None = None
    """What it was redeemed for; a second use ends that."""


@dataclass(slots=True, kw_only=True, eq=False)
class PushedRequest:
    """An authorization request that was pushed ahead (RFC 9126 §2.2)."""

    request: AuthorizationRequest
    expires_at: float


@dataclass(slots=True, kw_only=True, eq=False)
class Device:
    """A device authorization that a person has or has not decided on (RFC 8628 §3.2)."""

    user_code: str
    client_id: str
    scope: tuple[str, ...]
    interval: float
    """Seconds that the client has to leave between two polls; grows with slow_down."""
    expires_at: float
    is_allowed: bool | None = None
    """None until the person decides."""
    person: Profile | None = None
    auth_time: float = 0.0
    polled_at: float | None = None
    is_redeemed: bool = False
