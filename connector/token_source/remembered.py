"""An access token in memory, with all that is needed to serve it without asking the store."""

import random
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Final, Self

from connector.account import Account
from connector.errors import Refused
from connector.oauth.authorization_server import at_path
from connector.oauth.token import (
    AccessToken,
    Freshness,
    default_min_ttl,
    freshness,
    refresh_margin,
)
from connector.providers.provider import Provider
from connector.store.accounts import AccountStore

#: A token that was minted in the future shows that the clock was set back since: how long it lives
#: is not known any more. Clocks that are kept by NTP never differ so much.
CLOCK_TOLERANCE: Final = 60.0
#: What lives for less than a second is never had fresh ahead of need: only who asks gets a new one.
SHORTEST_RENEWED_AHEAD: Final = 1.0
#: A slow refresh does not withhold a token that works for longer than this.
REFRESHING_PATIENCE: Final = 5.0
#: A token that an API rejects so soon after its refresh would be rejected after the next one too.
REJECTION_SPACING: Final = 60.0
#: A token that is exchanged for the next one must not run out: renewal begins at half its life.
EXCHANGE_MARGIN_SHARE: Final = 0.5


@dataclass(frozen=True, slots=True, kw_only=True)
class Remembered:
    """A token in memory.

    Attributes:
        token: as callers get it.
        account_id: whose it is.
        generation: of the account when it was written.
        provider: its name in the configuration.
        base_url: of the provider's API, filled in for this account.
        minted_at: when it was asked for.
        expires_at: when it ends; None: unknown.
        lifetime: seconds that it lives in all; None: unknown.
        margin: how long before its end it is renewed early, jitter included.
        fresh_from: before then the clock was set back.
        fresh_until: until when it is served with the default ``min_ttl`` and nothing else to do.
    """

    token: AccessToken
    account_id: str
    generation: int
    provider: str
    base_url: str | None
    minted_at: float
    expires_at: float | None
    lifetime: float | None
    margin: float
    fresh_from: float
    fresh_until: float

    def freshness(self, now: float, min_ttl: float | None) -> Freshness:
        """Tell what may be done with it."""
        if now < self.fresh_from and self.expires_at is not None:
            return Freshness.EXPIRED
        needed = default_min_ttl(self.lifetime) if min_ttl is None else min_ttl
        return freshness(now, self.expires_at, min_ttl=needed, margin=self.margin)

    @property
    def renew_at(self) -> float:
        """When early renewal begins; infinite: never."""
        if self.expires_at is None:
            return float("inf")
        if self.lifetime is not None and self.lifetime < SHORTEST_RENEWED_AHEAD:
            return float("inf")
        return self.expires_at - self.margin

    def is_alive(self, now: float) -> bool:
        """Tell whether it still works, as far as is known."""
        return self.expires_at is None or self.expires_at > now

    def patience(self, now: float) -> float | None:
        """Give how long (s) to wait for a refresh while this works; None: it does not, so wait."""
        if self.expires_at is None or not self.is_alive(now):
            return None
        return min(REFRESHING_PATIENCE, (self.expires_at - now) / 2)

    def is_just_minted(self, now: float) -> bool:
        """Tell whether it was refreshed (not consented) so lately that another would be no better.

        A short token may rightly be rejected soon: half its life is the bound then.
        """
        spacing = REJECTION_SPACING
        if self.lifetime is not None:
            spacing = min(spacing, self.lifetime / 2)
        return self.generation > 1 and 0 <= now - self.minted_at < spacing

    def marked(self, now: float, min_ttl: float | None) -> Self:
        """Give it with a token that says so where it lives less than was asked for."""
        is_short = self.freshness(now, min_ttl) is Freshness.EXPIRED
        return replace(self, token=replace(self.token, is_short=is_short))

    def kept_quiet(self, until: float) -> Self:
        """Give it such that it counts as fresh until the provider may be asked again."""
        if self.expires_at is None:
            return self
        last = self.expires_at - default_min_ttl(self.lifetime)
        return replace(self, fresh_until=max(self.fresh_until, min(until, last)))


def remember(account: Account, accounts: AccountStore, provider: Provider) -> Remembered:
    """Open the access token of an active account.

    Args:
        account: as it was read.
        accounts: opens its token.
        provider: of the account.

    Raises:
        Refused: the token is of a type that we must not use (RFC 6749 §7.1).
        VaultSealed: it does not open.
    """
    assert account.grant is not None  # noqa: S101 - only active accounts come here
    terms, scheme = account.grant.terms, provider.api.scheme
    if terms.token_type.lower() not in {"bearer", scheme.lower()}:
        raise Refused(f"account {account.name} has a token of type {terms.token_type!r}")
    margin = _margin(provider, terms.lifetime)
    expires_at = terms.expires_at
    return Remembered(
        token=AccessToken(
            value=accounts.open_access_token(account).reveal(),
            token_type=terms.token_type,
            expires_at=None if expires_at is None else datetime.fromtimestamp(expires_at, UTC),
            scope=None if terms.scope is None else " ".join(terms.scope),
        ),
        account_id=account.id,
        generation=account.generation,
        provider=account.provider,
        base_url=_base_url(account, accounts, provider),
        minted_at=terms.minted_at,
        expires_at=expires_at,
        lifetime=terms.lifetime,
        margin=margin,
        fresh_from=float("-inf") if expires_at is None else terms.minted_at - CLOCK_TOLERANCE,
        fresh_until=float("inf") if expires_at is None else expires_at - margin,
    )


def _margin(provider: Provider, lifetime: float | None) -> float:
    """Give the early-refresh margin, spread so that tokens minted together are renewed apart."""
    if lifetime is None:
        return 0.0
    margin = (
        refresh_margin(lifetime, provider.longest_margin)
        if provider.exchange is None
        else lifetime * EXCHANGE_MARGIN_SHARE
    )
    least = default_min_ttl(lifetime)  # later than that no caller would be served as it is
    return max(least, margin - random.uniform(0, max(0.0, margin - least) / 2))  # noqa: S311


def _base_url(account: Account, accounts: AccountStore, provider: Provider) -> str | None:
    """Fill in ``{answer.NAME}`` from the further fields of the token answer."""
    text = provider.api.base_url
    if text is None or "{answer." not in text:
        return text
    extra = accounts.open_extra(account)
    for name in extra:
        value = at_path(extra, name)
        if isinstance(value, str):
            text = text.replace(f"{{answer.{name}}}", value)
    return text
