"""An account: one grant by one resource owner at one provider, and what may become of it.

The state is a sum type, so that what cannot be is not written: a `Pending` account has no tokens,
an `Active` one has, and one in `ConsentRequired` may keep its ciphertext until the person
reconnects. Everything here is a value or a pure function; times are seconds since the epoch.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final, Literal

from connector.oauth.token import TokenSet
from connector.providers.provider import Lifetimes

#: `Trouble.retry_at` of a grant that is not refreshed until a person confirms it: the last second
#: that a calendar has.
HELD: Final = 253_402_300_799.0

StateName = Literal["pending", "active", "consent_required"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Terms:
    """What is known of a grant's tokens without opening them.

    Attributes:
        token_type: of the access token.
        scope: what was granted; None where the provider never told.
        minted_at: when the access token was asked for.
        expires_at: when the access token ends; None: when the API says so.
        lifetime: seconds that the access token lives in all, where known.
        consented_at: when the person consented.
        consent_ends_at: when the person must consent again at the latest; None: no known end.
    """

    token_type: str
    scope: tuple[str, ...] | None
    minted_at: float
    expires_at: float | None
    lifetime: float | None
    consented_at: float
    consent_ends_at: float | None


@dataclass(frozen=True, slots=True, kw_only=True)
class SealedTokens:
    """The tokens of a grant as the store keeps them: ciphertext, bound to row and generation."""

    access_token: bytes
    refresh_token: bytes | None
    extra: bytes | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Attempt:
    """A refresh that was about to be sent, or was sent, and has not been settled.

    Attributes:
        sent_at: when the last request was sent.
        first_sent_at: when this refresh token was first sent.
        count: how many times it was sent.
        token_fingerprint: keyed digest of the refresh token that was sent.
        fence: of the lease under which it was sent.
    """

    sent_at: float
    first_sent_at: float
    count: int
    token_fingerprint: str
    fence: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Lease:
    """The right, limited in time and numbered by a fence, to refresh one account.

    Attributes:
        owner: who has it (see `store.owner`).
        until: when it ends, by the database's clock.
        fence: rises with every lease of this account.
    """

    owner: str
    until: float
    fence: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Grant:
    """The tokens of an account and what they are bound to.

    Attributes:
        terms: what is known of them.
        sealed: their ciphertext.
        fingerprint: of the client registration that they were issued to.
        subject: the provider's stable identifier of the person, where known.
        subject_name: a name of the person, for people.
    """

    terms: Terms
    sealed: SealedTokens
    fingerprint: str
    subject: str | None = None
    subject_name: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Pending:
    """Consent was asked for and has not been given yet."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Active:
    """There are tokens, and they are kept alive."""

    grant: Grant


@dataclass(frozen=True, slots=True, kw_only=True)
class ConsentRequired:
    """Only a person can bring it back.

    Attributes:
        reason: why, in a few words.
        since: when it came to this.
        grant: the tokens that it had, kept until the person reconnects; None once revoked.
    """

    reason: str
    since: float
    grant: Grant | None = None


State = Pending | Active | ConsentRequired


@dataclass(frozen=True, slots=True, kw_only=True)
class Trouble:
    """What went wrong with the last refreshes; empty after a success.

    Attributes:
        message: the last error, for people.
        since: when the first of this row of failures happened.
        failures: how many there were.
        retry_at: not before then is the provider asked again.
    """

    message: str
    since: float
    failures: int
    retry_at: float

    @property
    def is_held(self) -> bool:
        """Whether a person has to confirm the next refresh (``connector refresh``)."""
        return self.retry_at >= HELD


@dataclass(frozen=True, slots=True, kw_only=True)
class Account:
    """One row of the store, as the rest of the program sees it.

    Attributes:
        id: its immutable identifier; ciphertext is bound to it, so that renaming is free.
        name: the key of every call.
        provider: the provider's name in the configuration.
        state: see `State`.
        generation: rises with every write of tokens.
        created_at: when it was first asked for.
        attempt: an unsettled refresh, if any.
        lease: the last lease that was taken, ended or not.
        trouble: what went wrong last, if anything.
    """

    id: str
    name: str
    provider: str
    state: State
    generation: int
    created_at: float
    attempt: Attempt | None = None
    lease: Lease | None = None
    trouble: Trouble | None = None

    @property
    def state_name(self) -> StateName:
        """The state's name as the public face has it."""
        if isinstance(self.state, Pending):
            return "pending"
        return "active" if isinstance(self.state, Active) else "consent_required"

    @property
    def grant(self) -> Grant | None:
        """The tokens, if there are any."""
        return None if isinstance(self.state, Pending) else self.state.grant


def first_terms(tokens: TokenSet, requested: tuple[str, ...], lifetimes: Lifetimes) -> Terms:
    """Give the terms of a new grant.

    Args:
        tokens: what the code exchange answered.
        requested: the scopes that were asked for, which hold where the answer names none
            (RFC 6749 §5.1).
        lifetimes: of the provider.
    """
    expires_at = _expiry(tokens, lifetimes.access_token)
    return Terms(
        token_type=tokens.token_type,
        scope=tokens.scope if tokens.scope is not None else requested or None,
        minted_at=tokens.sent_at,
        expires_at=expires_at,
        lifetime=None if expires_at is None else expires_at - tokens.sent_at,
        consented_at=tokens.sent_at,
        consent_ends_at=_consent_end(tokens, None, tokens.sent_at, lifetimes),
    )


def renewed_terms(previous: Terms, tokens: TokenSet, lifetimes: Lifetimes) -> Terms:
    """Give the terms of a grant after a refresh.

    A scope that the answer does not name stays (RFC 6749 §6); so does the last known lifetime.
    """
    expires_at = _expiry(tokens, lifetimes.access_token or previous.lifetime)
    return Terms(
        token_type=tokens.token_type,
        scope=tokens.scope if tokens.scope is not None else previous.scope,
        minted_at=tokens.sent_at,
        expires_at=expires_at,
        lifetime=None if expires_at is None else expires_at - tokens.sent_at,
        consented_at=previous.consented_at,
        consent_ends_at=_consent_end(
            tokens, previous.consent_ends_at, previous.consented_at, lifetimes
        ),
    )


def lacks_scopes(terms: Terms, requested: tuple[str, ...]) -> tuple[str, ...]:
    """Give the scopes that were asked for and not granted; none where the provider never told."""
    if terms.scope is None:
        return ()
    return tuple(scope for scope in requested if scope not in terms.scope)


def needed_extra(extra: Mapping[str, object], id_token: str | None) -> dict[str, object]:
    """Give the further fields of a token answer that are kept, sealed (CHECKLIST 46)."""
    return dict(extra) | ({"id_token": id_token} if id_token else {})


def _expiry(tokens: TokenSet, lifetime: float | None) -> float | None:
    if tokens.expires_at is not None:
        return tokens.expires_at
    return None if lifetime is None else tokens.sent_at + lifetime


def _consent_end(
    tokens: TokenSet, previous: float | None, consented_at: float, lifetimes: Lifetimes
) -> float | None:
    """Give the earliest known end of the consent.

    The answer's own word on the refresh token counts first; where a refresh brought none, what was
    known stays. A hard end counts from the consent. An idle end is no end of the consent: it is
    kept away by refreshing.
    """
    hard_end = None if lifetimes.consent is None else consented_at + lifetimes.consent
    told = tokens.refresh_token_expires_at
    if told is None and tokens.refresh_token is None:
        told = previous
    ends = [end for end in (hard_end, told) if end is not None]
    return min(ends) if ends else None
