"""Begins and completes consents; see the package's docstring."""

import asyncio
import logging
import secrets
from collections.abc import Callable, Mapping
from typing import Final

from connector import errors
from connector.account_name import check_account_name
from connector.consent.activation import Activation
from connector.consent.consent_notes import ConsentNotes, outcome_of
from connector.consent.exchange import check_answer, exchange_code
from connector.consent.frozen_request import FrozenRequest
from connector.consent.new_accounts import NewAccounts
from connector.consent.opening_url import opening_url
from connector.consent.outcome import describe
from connector.consent.values import (
    CompletedConsent,
    StartedConsent,
    UnknownConsent,
    redirect_path,
)
from connector.oauth.authorization_request import (
    AuthorizationCode,
    hash_state,
    new_request,
)
from connector.oauth.token import TokenSet
from connector.providers.client import ProviderClient, ProviderDirectory
from connector.secret import Secret
from connector.store.accounts import AccountStore
from connector.store.audit_trail import Note
from connector.store.consents import ConsentRecord, ConsentStore
from connector.store.grants import GrantStore

logger = logging.getLogger(__name__)

#: An answer is taken for ten minutes (CHECKLIST 4); a person who needs longer starts again.
CONSENT_LIFETIME: Final = 600.0
#: Consents under way at the end of a process are given this long.
DRAIN_TIME: Final = 35.0


class Consents:
    """Begins and completes consents.

    Args:
        accounts, grants, records: of the store.
        directory: gives the provider's client.
        note: is told of them, for the audit trail.
        now: gives seconds since the epoch.
        token_bytes: source of randomness.
    """

    def __init__(
        self,
        *,
        accounts: AccountStore,
        grants: GrantStore,
        records: ConsentStore,
        directory: ProviderDirectory,
        note: Note,
        now: Callable[[], float],
        token_bytes: Callable[[int], bytes] = secrets.token_bytes,
    ) -> None:
        self.records = records
        self.notes = ConsentNotes(note)
        self.new_accounts = NewAccounts(accounts, now=now)
        self._activation = Activation(accounts=accounts, grants=grants, now=now)
        self._directory = directory
        self._now = now
        self._token_bytes = token_bytes
        self._under_way: set[asyncio.Task[CompletedConsent]] = set()

    async def begin(
        self,
        provider: str,
        account: str,
        *,
        redirect_uri: str | None = None,
        browser_hash: str | None = None,
    ) -> StartedConsent:
        """Begin a consent. The store is written here, before anybody is asked to consent.

        Args:
            provider: its name in the configuration.
            account: the account's name; a new one becomes pending.
            redirect_uri: where the answer will arrive, with the port that was found free; by
                default the provider's.
            browser_hash: of the cookie of the browser whose answer alone is taken; None: begun on
                this machine's command line, answered on its loopback interface.

        Raises:
            ConfigurationError: no such provider, a secret is missing, or the server's metadata or
                our settings do not fit together.
            ConsentNotGiven: the account has tokens of another provider.
            Refused: the account's name breaks the grammar.
            TemporarilyUnavailable: the store, or the server's metadata, cannot be had.
        """
        try:
            check_account_name(account)
        except ValueError as error:
            raise errors.Refused(str(error)) from None
        client = await self._directory.get_for_consent(provider)
        scopes = client.provider.scopes if client.provider.sends_scope else ()
        request = new_request(
            client_id=client.registration.client_id,
            redirect_uri=redirect_uri or client.provider.redirect_uri,
            scopes=scopes,
            use_pkce=client.provider.use_pkce,
            parameters=client.provider.authorization_params,
            token_bytes=self._token_bytes,
        )
        new_account = await self.new_accounts.begin(account, provider)
        frozen = FrozenRequest(
            request=request, fingerprint=client.fingerprint, new_account=new_account
        )
        now = self._now()
        record = ConsentRecord(
            id=secrets.token_hex(16),
            state_hash=hash_state(request.state.reveal()),
            account=account,
            provider=provider,
            request=frozen.dump(),
            created_at=now,
            expires_at=now + CONSENT_LIFETIME,
            browser_hash=browser_hash,
        )
        await self.records.add(record)
        self.notes.started(record)
        logger.info("consent begun", extra=_fields(record, "consent.begun"))
        return StartedConsent(
            id=record.id,
            account=account,
            provider=provider,
            redirect_uri=request.redirect_uri,
            expires_at=record.expires_at,
        )

    async def url(self, consent_id: str) -> str:
        """Give the URL that the person opens, pushing the request first where that is wanted.

        Args:
            consent_id: of a consent that was begun.

        Raises:
            UnknownConsent: there is none of that identifier.
            ConfigurationError, RegistrationRejected, TemporarilyUnavailable: as `opening_url`.
        """
        record = await self.records.get(consent_id)
        if record is None:
            raise UnknownConsent
        client = await self._directory.get(record.provider)
        request = FrozenRequest.load(record.request).request
        return await opening_url(client, request, now=self._now)

    async def find(self, response: Mapping[str, str]) -> ConsentRecord:
        """Find the consent that an answer belongs to.

        Args:
            response: the parameters of the redirect, from `parse_response`.

        Raises:
            UnknownConsent: it belongs to none that still waits.
        """
        record = await self.records.find(hash_state(response.get("state", "")))
        if record is None:
            raise UnknownConsent
        return record

    async def complete(
        self, record: ConsentRecord, response: Mapping[str, str], *, arrived_at: str
    ) -> CompletedConsent:
        """Complete a consent; a caller that gives up does not stop it.

        Args:
            record: from `find`.
            response: the parameters of the redirect.
            arrived_at: path of the redirect; it must be the one that was frozen (CHECKLIST 8).

        Raises:
            UnknownConsent: it is used up or too old.
            ConsentNotGiven: the person or the provider refused, or somebody else consented.
            RegistrationRejected: the provider rejects our client registration.
            TemporarilyUnavailable: the answer to the exchange was lost, or nothing could be sent.
            ConfigurationError: the provider's configuration has changed meanwhile.
        """
        work = asyncio.create_task(self._complete(record, response, arrived_at))
        self._under_way.add(work)
        work.add_done_callback(self._under_way.discard)
        return await asyncio.shield(work)

    async def abandon(self, started: StartedConsent) -> bool:
        """Give up a consent that waits: no answer is taken any more, and a new account goes.

        Returns:
            False where an answer has been taken already, or the store cannot be had.
        """
        try:
            record = await self.records.get(started.id)
            if record is None or not await self.records.consume(record, now=self._now()):
                return False
        except errors.ConnectorError as error:
            logger.warning(str(error), extra=_fields(started, "consent.not_abandoned"))
            return False
        self.notes.refused(record, "abandoned")
        await self.new_accounts.take_back(FrozenRequest.load(record.request).new_account)
        return True

    async def aclose(self) -> None:
        """Let the consents under way come to their end: their codes cannot be used again."""
        if self._under_way:
            await asyncio.wait(self._under_way, timeout=DRAIN_TIME)

    async def _complete(
        self, record: ConsentRecord, response: Mapping[str, str], arrived_at: str
    ) -> CompletedConsent:
        if not await self.records.consume(record, now=self._now()):
            is_late = record.expires_at <= self._now()
            self.notes.refused(record, "expired" if is_late else "used_before")
            raise UnknownConsent
        frozen = FrozenRequest.load(record.request)
        try:
            completed = await self._use(record, frozen, response, arrived_at)
        except errors.ConnectorError as error:
            await self.new_accounts.take_back(frozen.new_account)
            await self._note(record, error)
            self.notes.refused(record, outcome_of(error))
            logger.warning(str(error), extra=_fields(record, "consent.failed"))
            raise
        await self._note(record, completed)
        self.notes.given(completed, record.id)
        logger.info("account connected", extra=_fields(record, "consent.done"))
        return completed

    async def _note(
        self, record: ConsentRecord, result: CompletedConsent | errors.ConnectorError
    ) -> None:
        """Write down what became of a consent; where that fails, it became of it all the same."""
        try:
            await self.records.finish(record, *describe(result))
        except errors.ConnectorError as error:
            logger.warning(str(error), extra=_fields(record, "consent.not_noted"))

    async def _use(
        self,
        record: ConsentRecord,
        frozen: FrozenRequest,
        response: Mapping[str, str],
        arrived_at: str,
    ) -> CompletedConsent:
        if arrived_at != redirect_path(frozen.request.redirect_uri):
            reason = "the answer came to another redirect URI"
            raise errors.ConsentNotGiven(record.account, reason, "wrong_redirect_uri")
        client = await self._directory.get(record.provider)
        if client.fingerprint != frozen.fingerprint:
            reason = "the provider's configuration was changed meanwhile; start again"
            raise errors.ConsentNotGiven(record.account, reason, "configuration_changed")
        answer = check_answer(client, frozen.request, response, record.account)
        return await self._activate(record, client, frozen, answer)

    async def _activate(
        self,
        record: ConsentRecord,
        client: ProviderClient,
        frozen: FrozenRequest,
        answer: AuthorizationCode,
    ) -> CompletedConsent:
        tokens = await exchange_code(client, frozen.request, answer, record.account, now=self._now)
        kept = {
            name: value
            for name, value in answer.parameters.items()
            if name not in {"iss", "scope", "session_state"}
        }
        return await self.activate(
            client, record.account, tokens, frozen.request.scopes, frozen.request.nonce, kept
        )

    async def activate(
        self,
        client: ProviderClient,
        name: str,
        tokens: TokenSet,
        scopes: tuple[str, ...],
        nonce: Secret | None,
        kept: Mapping[str, str],
    ) -> CompletedConsent:
        """Learn who consented, and write the tokens; see `Activation.activate`."""
        return await self._activation.activate(client, name, tokens, scopes, nonce, kept)


def _fields(record: ConsentRecord | StartedConsent, action: str) -> dict[str, object]:
    return {
        "action": action,
        "account": record.account,
        "provider": record.provider,
        "consent": record.id,
    }
