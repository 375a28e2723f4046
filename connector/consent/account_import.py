"""Makes active accounts of what another program kept: checked whole, then written whole.

A refresh token alone is enough: the access token comes with the first refresh. A provider that
exchanges access tokens has no refresh tokens: there the long-lived token is what is brought. Who
consented is not known, so that any person may reconnect such an account.
"""

import difflib
from collections.abc import Callable, Mapping
from typing import Final

from connector.account import Terms
from connector.consent.accounts_file import NEVER, Entry, Reject
from connector.errors import ConfigurationError, Problem
from connector.oauth.token import TokenSet
from connector.providers.client import ProviderDirectory
from connector.providers.provider import Provider
from connector.secret import Secret
from connector.store.brought_accounts import BroughtAccount, BroughtAccounts
from connector.token_source.terms_due import keep_alive_at

#: Ends before any clock: there is no token to be served.
_NEVER_ALIVE: Final = 0.0


class AccountImport:
    """Imports accounts.

    Args:
        directory: of the configured providers.
        brought: writes them.
        now: gives seconds since the epoch.
    """

    def __init__(
        self,
        directory: ProviderDirectory,
        brought: BroughtAccounts,
        *,
        now: Callable[[], float],
    ) -> None:
        self._directory = directory
        self._brought = brought
        self._now = now

    async def check(self, entries: list[Entry], reject: Reject) -> None:
        """Say what stands in the way of entries that are well-formed.

        Raises:
            TemporarilyUnavailable: the database cannot be had.
        """
        taken = await self._brought.taken({entry.account for entry in entries})
        lines: dict[str, int] = {}
        for entry in entries:
            name, line = entry.account, entry.line
            if name in lines:
                reject(line, f"names {name}, as line {lines[name]} does", "")
            lines.setdefault(name, line)
            if name in taken:
                remedy = f"leave it out, or type first: connector forget {name}"
                reject(line, f"names {name}, and there is such an account", remedy)
            provider = self._directory.providers.get(entry.provider)
            if provider is None:
                reject(line, *self._unknown(entry.provider))
                continue
            for message, remedy in _problems(entry, provider, self._now()):
                reject(line, message, remedy)

    async def write(self, entries: list[Entry]) -> None:
        """Write entries that were checked.

        Raises:
            ConfigurationError: a provider's metadata is wrong.
            TemporarilyUnavailable: it, or the database, cannot be had; nothing was written.
        """
        names = sorted({entry.provider for entry in entries})
        fingerprints = {name: await self._directory.fingerprint(name) for name in names}
        now = self._now()
        await self._brought.add(
            [self._account(entry, fingerprints, now) for entry in entries], now=now
        )

    def _account(self, entry: Entry, fingerprints: Mapping[str, str], now: float) -> BroughtAccount:
        provider = self._directory.providers[entry.provider]
        tokens = TokenSet(
            access_token=entry.access_token or Secret(""),
            token_type="Bearer",  # noqa: S106 - the name of a scheme
            sent_at=now,
            expires_at=entry.expiry if entry.access_token else _NEVER_ALIVE,
        )
        is_alive = tokens.expires_at is not None and tokens.expires_at > now
        terms = Terms(
            token_type=tokens.token_type,
            scope=entry.scope,
            minted_at=now,
            expires_at=tokens.expires_at,
            lifetime=tokens.lifetime if is_alive else None,
            consented_at=now,
            consent_ends_at=entry.consent_ends_at,
        )
        # how long it has been idle nobody knows: it is used as soon as a daemon runs
        is_dying = provider.exchange is None and provider.lifetimes.idle is not None
        return BroughtAccount(
            name=entry.account,
            provider=entry.provider,
            fingerprint=fingerprints[entry.provider],
            terms=terms,
            access_token=tokens.access_token,
            refresh_token=entry.refresh_token,
            due_at=now if is_dying else keep_alive_at(provider, terms),
        )

    def _unknown(self, name: str) -> tuple[str, str]:

        known = sorted(self._directory.providers)
        nearest = difflib.get_close_matches(name, known, n=1)
        remedy = (
            f"did you mean {nearest[0]}?" if nearest else f"known: {', '.join(known) or 'none'}"
        )
        return f"names an unknown provider: {name[:40]!r}", remedy


def read_problems(source: str, problems: list[tuple[int, str, str]]) -> ConfigurationError:
    """Make one error of all problems of a file, in the order of its lines."""
    return ConfigurationError(
        Problem(source, f"line {line}", message, remedy)
        for line, message, remedy in sorted(problems, key=lambda problem: problem[0])
    )


def _problems(entry: Entry, provider: Provider, now: float) -> list[tuple[str, str]]:
    """Say what is wrong with an entry for its provider."""
    found = []
    has_access_token = entry.access_token is not None
    is_dated = entry.expiry is not None or entry.is_endless
    if is_dated and not has_access_token:
        remedy = "leave it out; the end of a refresh token is consent_ends_at"
        found.append(("has an expiry, which is of an access token, and no access_token", remedy))
    if has_access_token and not is_dated:
        remedy = f'write when the access token ends, or "{NEVER}"'
        found.append(("has an access_token, and no expiry", remedy))
    if provider.exchange is not None:
        if entry.refresh_token is not None:
            remedy = "give its long-lived token as access_token"
            found.append((f"has a refresh_token, and {provider.name} has none", remedy))
        elif not has_access_token:
            found.append(("has no access_token", f"give the long-lived token of {provider.name}"))
        if has_access_token and entry.expiry is not None and entry.expiry <= now:
            remedy = "only a new consent brings one: connector connect"
            found.append(("has a long-lived token that has ended", remedy))
    elif entry.refresh_token is None and not (has_access_token and entry.is_endless):
        remedy = f'an access token alone is enough only with the expiry "{NEVER}"'
        found.append(("has no refresh_token", remedy))
    if entry.consent_ends_at is not None and entry.consent_ends_at <= now:
        remedy = "only a new consent brings one: connector connect"
        found.append(("has a refresh token that has ended (consent_ends_at)", remedy))
    return found
