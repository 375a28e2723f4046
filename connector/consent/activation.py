"""Makes an account active with the tokens that a person consented to."""

from collections.abc import Callable, Mapping
from typing import Final

from connector import errors
from connector.account import first_terms, lacks_scopes, needed_extra
from connector.consent.exchange import check_same_person, identify_person
from connector.consent.values import CompletedConsent
from connector.oauth.token import TokenSet
from connector.providers.client import ProviderClient
from connector.secret import Secret
from connector.store.accounts import AccountStore
from connector.store.grants import Consent, GrantStore, NewTokens
from connector.token_source.terms_due import keep_alive_at

#: Somebody else may write while the code is exchanged; each try reads anew.
WRITE_TRIES: Final = 5


class Activation:
    """Writes the tokens of consents.

    Args:
        accounts, grants: of the store.
        now: gives seconds since the epoch.
    """

    def __init__(
        self, *, accounts: AccountStore, grants: GrantStore, now: Callable[[], float]
    ) -> None:
        self._accounts = accounts
        self._grants = grants
        self._now = now

    async def activate(
        self,
        client: ProviderClient,
        name: str,
        tokens: TokenSet,
        scopes: tuple[str, ...],
        nonce: Secret | None,
        kept: Mapping[str, str],
    ) -> CompletedConsent:
        """Learn who consented, and write the tokens of a consent.

        Args:
            client: of the provider.
            name: of the account.
            tokens: what the provider granted.
            scopes: that were asked for.
            nonce: of the request; set where an ID token was asked for.
            kept: parameters of the answer that are kept with the account.

        Raises:
            ConsentNotGiven: another person consented, or at another provider than the account's,
                or the ID token must not be believed.
            TemporarilyUnavailable: who consented could not be learned, or the store cannot be had.
        """
        person = await identify_person(client, tokens, nonce=nonce, account=name, now=self._now())
        terms = first_terms(tokens, scopes, client.provider.lifetimes)
        id_token = tokens.id_token.reveal() if tokens.id_token else None
        new = NewTokens(
            tokens=tokens,
            terms=terms,
            due_at=keep_alive_at(client.provider, terms),
            refresh_token=tokens.refresh_token,
            extra={**kept, **needed_extra(tokens.extra, id_token)},
        )
        consent = Consent(
            provider=client.provider.name,
            fingerprint=client.fingerprint,
            subject=person.subject if person else None,
            subject_name=person.name if person else None,
        )
        for _ in range(WRITE_TRIES):
            account = await self._accounts.begin(name, client.provider.name, now=self._now())
            check_same_person(account, consent)
            active = await self._grants.activate(account, new, consent)
            if active is not None:
                can_refresh = tokens.refresh_token is not None or bool(client.provider.exchange)
                missing = lacks_scopes(terms, scopes)
                return CompletedConsent(
                    account=active, missing_scopes=missing, can_refresh=can_refresh
                )
        raise errors.TemporarilyUnavailable(
            f"account {name} was written by others all the time; consent again"
        )
