"""Grants and the tokens that descend from them.

A family is everything that one consent led to: its access tokens, and a tree of refresh tokens,
each a child of the one that it was issued for. Guarded by the state's lock.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field

from connector.simulator.call import Subject
from connector.simulator.opaque import fingerprint, new_token
from connector.simulator.people import Profile
from connector.simulator.settings import Settings

# A family's dead access tokens are swept once it has this many, so that long runs stay small.
ACCESS_TOKENS_KEPT = 64


@dataclass(slots=True, kw_only=True, eq=False)
class Grant:
    """One consent (or one client_credentials request, which has no person)."""

    family: str
    client_id: str
    person: Profile | None
    scope: tuple[str, ...]
    created_at: float
    auth_time: float
    nonce: str | None = None
    revoked: str | None = None
    """Why it ended, or None while it lasts."""
    generation: int = -1
    """The number of the newest refresh token; -1 before the first."""
    access_tokens: "list[AccessToken]" = field(default_factory=list)


@dataclass(slots=True, kw_only=True, eq=False)
class AccessToken:
    """An access token and what it allows."""

    value: str = field(repr=False)
    grant: Grant
    scope: tuple[str, ...]
    issued_at: float
    expires_at: float

    def is_valid(self, now: float) -> bool:
        """Whether a resource server takes it."""
        return self.grant.revoked is None and now < self.expires_at


@dataclass(slots=True, kw_only=True, eq=False)
class RefreshToken:
    """A refresh token, its place in the family and what became of it."""

    value: str = field(repr=False)
    grant: Grant
    generation: int
    parent: "RefreshToken | None"
    issued_at: float
    expires_at: float | None
    replaced_at: float | None = None
    """When it was first used in a way that replaced it."""
    is_child_used: bool = False
    """Whether any token that was issued for it has been used since."""
    answer: dict[str, object] | None = field(default=None, repr=False)
    """What its use was answered, for the mode that repeats the answer."""

    def subject(self) -> Subject:
        """What the ledger says of a request made with it."""
        person = self.grant.person
        return Subject(
            client_id=self.grant.client_id,
            person=person.name if person else None,
            refresh_token=fingerprint(self.value),
            generation=self.generation,
            family=self.grant.family,
        )


class Grants:
    """All families."""

    def __init__(self) -> None:
        self._families: dict[str, Grant] = {}
        self._access_tokens: dict[str, AccessToken] = {}
        self._refresh_tokens: dict[str, RefreshToken] = {}

    def __iter__(self) -> Iterator[Grant]:
        return iter(list(self._families.values()))

    def add(self, grant: Grant) -> Grant:
        """Take a new grant in."""
        self._families[grant.family] = grant
        return grant

    def issue_access_token(
        self, grant: Grant, scope: tuple[str, ...], settings: Settings, *, now: float
    ) -> AccessToken:
        """A new access token; what it does to the older ones is `retire_access_tokens`."""
        token = AccessToken(
            value=new_token("at_", padding=settings.token_padding),
            grant=grant,
            scope=scope,
            issued_at=now,
            expires_at=now + settings.access_token_lifetime,
        )
        if len(grant.access_tokens) >= ACCESS_TOKENS_KEPT:
            self._sweep(grant, now)
        grant.access_tokens.append(token)
        self._access_tokens[token.value] = token
        return token

    def issue_refresh_token(
        self, grant: Grant, settings: Settings, *, parent: RefreshToken | None, now: float
    ) -> RefreshToken:
        """The first refresh token of a grant, or the successor of `parent`."""
        grant.generation += 1
        expires_at = None
        if settings.refresh_token_lifetime is not None:
            is_sliding = settings.refresh_token_expiry == "sliding"
            start = now if is_sliding else grant.created_at
            expires_at = start + settings.refresh_token_lifetime
        token = RefreshToken(
            value=new_token("rt_", padding=settings.token_padding),
            grant=grant,
            generation=grant.generation,
            parent=parent,
            issued_at=now,
            expires_at=expires_at,
        )
        self._refresh_tokens[token.value] = token
        return token

    def find_access_token(self, value: str) -> AccessToken | None:
        """The access token with this value, living or dead."""
        return self._access_tokens.get(value)

    def find_refresh_token(self, value: str) -> RefreshToken | None:
        """The refresh token with this value, living or dead."""
        return self._refresh_tokens.get(value)

    def retire_access_tokens(self, grant: Grant, *, at: float) -> int:
        """End the access tokens issued so far at a given time; returns how many it shortened."""
        shortened = [token for token in grant.access_tokens if token.expires_at > at]
        for token in shortened:
            token.expires_at = at
        return len(shortened)

    def revoke(self, grant: Grant, reason: str) -> bool:
        """End a family, all its tokens included; False if it had ended before."""
        if grant.revoked is not None:
            return False
        grant.revoked = reason
        return True

    def _sweep(self, grant: Grant, now: float) -> None:
        living = [token for token in grant.access_tokens if token.is_valid(now)]
        for token in grant.access_tokens:
            if not token.is_valid(now):
                del self._access_tokens[token.value]
        grant.access_tokens = living
