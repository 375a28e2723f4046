"""Builds the objects of one process, for one event loop, and closes them."""

import asyncio
from collections.abc import Callable

from connector.consent import ConnectLinks, Consents
from connector.credential import Credential, make_credential
from connector.journal import Journal
from connector.oauth.token import AccessToken
from connector.oauth.wire import Wire, make_transport
from connector.providers.client import ProviderDirectory
from connector.providers.configured import ConfiguredProviders
from connector.revoke import Revoker
from connector.runtime.notice_desk import NoticeDesk
from connector.secret import Secret
from connector.settings import Settings
from connector.store.accounts import AccountStore
from connector.store.api_keys import ApiKeyStore
from connector.store.audit import AuditStore
from connector.store.audit_entry import Actor
from connector.store.audit_mark import AuditMark
from connector.store.audit_trail import AuditTrail
from connector.store.changes import ChangeWatch
from connector.store.connect_links import ConnectLinkStore
from connector.store.consents import ConsentStore
from connector.store.database import Database
from connector.store.due import DueStore
from connector.store.generation_marks import GenerationMarks
from connector.store.grants import GrantStore
from connector.store.halts import HaltStore
from connector.store.late_tokens import LateTokenStore
from connector.store.metadata_pins import StoredPins
from connector.store.notice_facts import NoticeFacts
from connector.store.notices import NoticeStore
from connector.store.owner import new_owner
from connector.store.refresh_history import PastRefresh, RefreshHistory
from connector.store.revocations import RevocationStore
from connector.store.runs import RunStore
from connector.store.seal_counts import SealCounts
from connector.store.statistics import StatisticsStore
from connector.token_source import TokenSource
from connector.token_source.gate import ProviderGate
from connector.token_source.kept_answers import KeptAnswers
from connector.token_source.late_tokens import LateTokens
from connector.token_source.memory import TokenMemory
from connector.token_source.outcomes import RefreshOutcome
from connector.token_source.reads import TokenReads
from connector.token_source.refresh import Refresh
from connector.token_source.releases import Releases
from connector.token_source.settlement import Settlement
from connector.token_source.watch import StoreWatch
from connector.vault.vault import Vault


class Runtime:
    """All objects of one process, for one event loop; make one with `open_runtime`.

    Args:
        settings: the configuration.
        database: open, with the schema in place.
        vault: open.
        has_background: this process lives on; see `TokenSource`.
        actor: this process, in the audit trail.
        now: gives seconds since the epoch.
    """

    def __init__(
        self,
        settings: Settings,
        database: Database,
        vault: Vault,
        *,
        has_background: bool,
        actor: Actor,
        now: Callable[[], float],
    ) -> None:
        self.settings = settings
        self.database = database
        self.vault = vault
        self.now = now
        self.owner = new_owner()
        self.wire = Wire(make_transport(ca_file=settings.http.ca_file, proxy=settings.http.proxy))
        mark = AuditMark(settings.vault.journal, vault.store_id)
        self.audit = AuditStore(database, vault, actor, mark)
        self.trail = AuditTrail(self.audit, now=now)
        self.accounts = AccountStore(database, vault, self.trail.note)
        self.marks = GenerationMarks(settings.vault.journal)
        self.seal_counts = SealCounts(database, vault, now=now, note=self.trail.note)
        self.grants = GrantStore(database, vault, self.marks, self.seal_counts)
        self.revocations = RevocationStore(database, vault, self.accounts)
        self.runs = RunStore(database, heartbeat=settings.daemon.heartbeat)
        self.api_keys = ApiKeyStore(database)
        self.due = DueStore(database, vault)
        self.changes = ChangeWatch(database)
        self.notices = NoticeDesk(
            NoticeStore(database),
            NoticeFacts(database, providers=settings.providers, jobs=settings.jobs),
            changes=self.changes,
            settings=settings,
            now=now,
        )
        self.directory = ProviderDirectory(
            ConfiguredProviders(
                settings.providers,
                settings.registrations,
                wire=self.wire,
                pins=StoredPins(database, now=now),
                now=now,
                source=settings.path.name,
            )
        )
        self.journal = Journal(settings.vault.journal)
        late_tokens = LateTokenStore(database, vault)
        self.kept = KeptAnswers(self.journal, self.grants, late_tokens)
        self.revoker = Revoker(
            accounts=self.accounts,
            debts=self.revocations,
            directory=self.directory,
            note=self.trail.note,
            now=now,
        )
        settlement = Settlement(
            accounts=self.accounts,
            grants=self.grants,
            late=LateTokens(
                accounts=self.accounts,
                grants=self.grants,
                debts=self.revocations,
                store=late_tokens,
                now=now,
            ),
            kept=self.kept,
            gate=ProviderGate(HaltStore(database), now=now),
            note=self.trail.note,
            now=now,
        )
        refresh = Refresh(
            accounts=self.accounts,
            grants=self.grants,
            directory=self.directory,
            settlement=settlement,
            owner=self.owner,
            now=now,
            changes=self.changes,
        )
        self.refresh_outcomes = refresh.outcomes
        self.refresh_history = RefreshHistory(database, now=now)
        self.refresh_outcomes.tell_to(lambda told: self.refresh_history.note(_past(told)))
        memory = TokenMemory(now=now)
        watch = StoreWatch(
            memory,
            accounts=self.accounts,
            changes=self.changes,
            kept=settlement.kept,
            due=self.due,
        )
        self.tokens = TokenSource(
            memory,
            watch,
            accounts=self.accounts,
            refresh=refresh,
            directory=self.directory,
            now=now,
            has_background=has_background,
        )
        self.consents = Consents(
            accounts=self.accounts,
            grants=self.grants,
            records=ConsentStore(database, vault),
            directory=self.directory,
            note=self.trail.note,
            now=now,
        )
        self.links = ConnectLinks(
            self.consents, self.directory, ConnectLinkStore(database), now=now
        )
        self.releases = Releases(memory, vault.fingerprint)
        self.reads = TokenReads(memory, now=now)
        self.statistics = StatisticsStore(database)
        self.trail.collect_from(self.releases.collect)
        if has_background:
            self.tokens.start()
            self.trail.start(settings.vault.audit_interval)

    async def credential(self, name: str, rejected: AccessToken | None) -> Credential:
        """Give what a request to the API of an account needs; see `credential.CredentialSource`."""
        while True:
            present = self.directory.present
            if rejected is None:
                remembered = await self.tokens.obtain(name)
            else:
                remembered = await self.tokens.renew(name, rejected=Secret(rejected.value))
            if present is self.directory.present:  # else token and API might not belong together
                break
        api = present.provider(remembered.provider).api
        client = await present.get(remembered.provider) if api.proof else None
        return make_credential(
            api,
            remembered.token,
            remembered.base_url,
            client=client,
            account_id=remembered.account_id,
        )

    def use(self, settings: Settings, providers: ConfiguredProviders, wire: Wire) -> None:
        """Put another configuration in force; what is under way goes on with what it has.

        Tokens of providers that are other ones now are read again before they are served, and
        checked against their registration as at a start.

        Args:
            settings: which one; database, vault and journal stay.
            providers: its own, made ready by `prepare`.
            wire: what they send with.
        """
        self.settings, self.wire = settings, wire
        changed = self.directory.use(providers)
        self.tokens.forget_providers(changed)
        self.trail.interval = settings.vault.audit_interval
        self.notices.use(settings)

    async def aclose(self) -> None:
        """Close everything; refreshes and consents under way commit first."""
        await asyncio.gather(self.tokens.aclose(), self.consents.aclose())
        await self.changes.aclose()
        self.kept.close()
        self.marks.close()
        await self.seal_counts.aclose()
        await asyncio.gather(self.trail.aclose(), self.refresh_history.aclose())
        await self.wire.aclose()
        await self.database.aclose()


def _past(told: RefreshOutcome) -> PastRefresh:
    return PastRefresh(
        account_id=told.account_id,
        at=told.sent_at,
        seconds=told.seconds,
        outcome=told.outcome,
        error=told.error,
    )
