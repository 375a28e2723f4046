"""For your own tests: a clock that stands still, a seal in memory, and two conformance suites.

A seal of your own keeps its contract where a subclass of `SealConformance` passes; a database that
Connector has not been tried on serves where one of `StoreConformance` does. Both need pytest, and
nothing else of this project needs this module.

    class TestMySeal(SealConformance):
        def open_seal(self, place: Path) -> Seal:
            return MySeal(folder=place)
"""

# ruff: noqa: D102, S101 - the name of a test says what it shows; a test asserts

import asyncio
from collections.abc import Coroutine, Iterable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final, TypeVar

import pytest

from connector.account import Account, Attempt, Terms, Trouble
from connector.errors import UnknownAccount, VaultSealed
from connector.oauth.token import TokenSet
from connector.secret import Secret
from connector.store.accounts import AccountStore
from connector.store.consents import ConsentRecord, ConsentStore
from connector.store.database import Database
from connector.store.grants import Consent, GrantStore, NewTokens
from connector.store.late_tokens import LateTokenStore
from connector.store.revocations import RevocationStore
from connector.store.runs import RunStore
from connector.store.schema import migrate
from connector.store.vault_keys import ensure_vault
from connector.vault.key_source import KeySource
from connector.vault.seal import LocalSeal, Seal
from connector.vault.vault import Vault

T = TypeVar("T")

#: 2027-01-15 08:00:00 UTC.
SOME_TIME: Final = 1_800_000_000.0
_STORE: Final = "a store"
_BEARER: Final = "Bearer"
_ROOT_KEY: Final = bytes(range(32))
_CONSENT: Final = ConsentRecord(
    id="1", state_hash="h", account="a", provider="p", request=b"", created_at=0, expires_at=9
)


class FixedClock:
    """A clock that stands still until its ``now`` is set; give it wherever ``now`` is asked for."""

    def __init__(self, now: float = SOME_TIME) -> None:
        self.now = now

    def __call__(self) -> float:
        """Give the time: seconds since the epoch."""
        return self.now


class MemorySeal(LocalSeal):
    """A seal whose key lives and dies with this object; for tests only.

    Args:
        key: 32 bytes in base64 or hexadecimal; by default `prepare` makes one.
    """

    def __init__(self, key: str | None = None) -> None:
        self._text = key
        super().__init__(
            KeySource(
                description="the memory of a test",
                read=lambda _store_id: self._text,
                write=self._keep,
                missing="Give the test its key.",
            )
        )

    def _keep(self, _store_id: str, text: str) -> None:
        self._text = text


class SealConformance:
    """What every seal promises (`connector.vault.seal.Seal`); inherit it as ``Test…``."""

    def open_seal(self, place: Path) -> Seal:
        """Open the seal whose key lives in a place, an empty folder at first.

        Two calls for one place give what two starts of the daemon would.
        """
        raise NotImplementedError

    def supply_key(self, place: Path) -> None:
        """Do what the operator does before the first start, where the seal makes no key."""

    def _prepared(self, place: Path) -> Seal:
        place.mkdir()
        self.supply_key(place)
        seal = self.open_seal(place)
        seal.prepare(_STORE)
        return seal

    def test_gives_the_root_key_back_after_a_restart(self, tmp_path: Path) -> None:
        seal = self._prepared(tmp_path / "one")
        wrapped = seal.wrap(_ROOT_KEY, _STORE)
        assert seal.unwrap(wrapped, _STORE) == _ROOT_KEY
        again = self.open_seal(tmp_path / "one")
        again.prepare(_STORE)  # leaves the key that is there
        assert (again.unwrap(wrapped, _STORE), again.description) == (_ROOT_KEY, seal.description)

    def test_hides_the_root_key(self, tmp_path: Path) -> None:
        seal = self._prepared(tmp_path / "one")
        first, second = seal.wrap(_ROOT_KEY, _STORE), seal.wrap(_ROOT_KEY, _STORE)
        assert _ROOT_KEY not in first
        assert first != second, "a nonce was used twice"

    def test_does_not_open_with_another_key_or_for_another_store(self, tmp_path: Path) -> None:
        seal, other = self._prepared(tmp_path / "one"), self._prepared(tmp_path / "two")
        wrapped = seal.wrap(_ROOT_KEY, _STORE)
        with pytest.raises(VaultSealed):
            other.unwrap(wrapped, _STORE)
        seal.prepare("another store")
        with pytest.raises(VaultSealed):
            seal.unwrap(wrapped, "another store")

    def test_does_not_open_what_was_changed(self, tmp_path: Path) -> None:
        seal = self._prepared(tmp_path / "one")
        wrapped = seal.wrap(_ROOT_KEY, _STORE)
        changed = [wrapped[:i] + bytes([wrapped[i] ^ 1]) + wrapped[i + 1 :] for i in (0, 8, -1)]
        for one in (b"", b"?" * 200, wrapped[:5], wrapped[:-1], wrapped + b"\0", *changed):
            with pytest.raises(VaultSealed):
                seal.unwrap(one, _STORE)

    def test_without_its_key_it_says_what_to_do(self, tmp_path: Path) -> None:
        wrapped = self._prepared(tmp_path / "one").wrap(_ROOT_KEY, _STORE)
        (tmp_path / "two").mkdir()
        seal = self.open_seal(tmp_path / "two")
        assert seal.description.isprintable()
        with pytest.raises(VaultSealed) as caught:
            seal.unwrap(wrapped, _STORE)
        assert caught.value.remedy
        with pytest.raises(VaultSealed):
            seal.wrap(_ROOT_KEY, _STORE)


@dataclass(frozen=True, slots=True, kw_only=True)
class Stores:
    """All that is kept in one database."""

    database: Database
    vault: Vault
    accounts: AccountStore
    grants: GrantStore
    late_tokens: LateTokenStore
    consents: ConsentStore
    revocations: RevocationStore
    runs: RunStore


async def open_stores(database: Database, seal: Seal, *, now: float = SOME_TIME) -> Stores:
    """Bring a database up to date, open its vault or make one, and give its stores."""
    await migrate(database)
    vault, _is_new = await ensure_vault(database, seal, now=now)
    return make_stores(database, vault)


def make_stores(database: Database, vault: Vault) -> Stores:
    """Give the stores of a database whose vault is open."""
    accounts = AccountStore(database, vault)
    return Stores(
        database=database,
        vault=vault,
        accounts=accounts,
        grants=GrantStore(database, vault),
        late_tokens=LateTokenStore(database, vault),
        consents=ConsentStore(database, vault),
        revocations=RevocationStore(database, vault, accounts),
        runs=RunStore(database),
    )


def some_tokens(text: str = "1", *, at: float = SOME_TIME) -> NewTokens:
    """Give tokens as a provider would, ``access-…`` and ``refresh-…``, good for an hour."""
    tokens = TokenSet(
        access_token=Secret(f"access-{text}"),
        token_type=_BEARER,
        refresh_token=Secret(f"refresh-{text}"),
        sent_at=at,
    )
    terms = Terms(
        token_type=_BEARER,
        scope=("read",),
        minted_at=at,
        expires_at=at + 3600,
        lifetime=3600.0,
        consented_at=at,
        consent_ends_at=None,
    )
    return NewTokens(tokens=tokens, terms=terms, refresh_token=tokens.refresh_token)


def some_attempt(at: float = SOME_TIME) -> Attempt:
    """Give a first attempt to refresh, about to be sent."""
    return Attempt(sent_at=at, first_sent_at=at, count=1, token_fingerprint="f" * 16, fence=0)


async def connected(stores: Stores, name: str) -> Account:
    """Connect an account, as a consent does."""
    account = await stores.accounts.begin(name, "acme", now=SOME_TIME)
    consent = Consent(provider="acme", fingerprint="registration", subject="17")
    active = await stores.grants.activate(account, some_tokens(), consent)
    assert active is not None, "nobody else writes here"
    return active


class StoreConformance:
    """What the store promises on every database; inherit it as ``Test…``."""

    def open_database(self, place: Path) -> Database:
        """Open a database that is empty, and nobody else's; a folder is given to keep it in."""
        raise NotImplementedError

    @pytest.fixture
    def runner(self) -> Iterator[asyncio.Runner]:
        """Run coroutines, all of them on one event loop."""
        with asyncio.Runner() as runner:
            yield runner

    @pytest.fixture
    def stores(self, runner: asyncio.Runner, tmp_path: Path) -> Iterator[Stores]:
        """Open the stores of a new database."""
        database = self.open_database(tmp_path)
        try:
            yield runner.run(open_stores(database, MemorySeal()))
        finally:
            runner.run(database.aclose())

    def test_keeps_tokens(self, runner: asyncio.Runner, stores: Stores) -> None:
        runner.run(connected(stores, "acme/one"))
        account = runner.run(stores.accounts.require("acme/one"))
        assert account.state_name == "active"
        assert stores.accounts.open_access_token(account).reveal() == "access-1"
        assert stores.accounts.open_refresh_token(account) == Secret("refresh-1")

    def test_a_late_writer_changes_nothing(self, runner: asyncio.Runner, stores: Stores) -> None:
        before = runner.run(connected(stores, "acme/one"))
        renewed = runner.run(stores.grants.renew(before, some_tokens("2")))
        assert runner.run(stores.grants.renew(before, some_tokens("late"))) is None
        assert runner.run(stores.accounts.require("acme/one")) == renewed

    def test_one_of_many_takes_the_lease(self, runner: asyncio.Runner, stores: Stores) -> None:
        before = runner.run(connected(stores, "acme/one"))
        taken = runner.run(
            _gather(
                stores.grants.take_lease(before, f"owner {i}", some_attempt()) for i in range(10)
            )
        )
        (winner,) = [account for account in taken if account is not None]
        assert (winner.lease and winner.lease.fence) == 1
        assert winner.attempt == replace(some_attempt(), fence=1), "not written with the lease"

    def test_a_lease_given_back_is_free(self, runner: asyncio.Runner, stores: Stores) -> None:
        before = runner.run(connected(stores, "acme/one"))
        first = runner.run(stores.grants.take_lease(before, "first", some_attempt()))
        assert first is not None
        trouble = Trouble(message="503", since=1.0, failures=1, retry_at=2.0)
        settled = runner.run(stores.grants.settle(first, trouble, unanswered=first.attempt))
        assert settled is not None
        second = runner.run(stores.grants.take_lease(settled, "second", some_attempt()))
        assert second is not None
        assert (second.lease and second.lease.fence, second.trouble) == (2, trouble)
        assert runner.run(stores.grants.settle(first, None, unanswered=None)) is None

    def test_a_consent_is_consumed_once(self, runner: asyncio.Runner, stores: Stores) -> None:
        runner.run(stores.consents.add(_CONSENT))
        answers = (stores.consents.consume(_CONSENT, now=1) for _ in range(10))
        assert sum(runner.run(_gather(answers))) == 1

    def test_a_slot_is_claimed_once(self, runner: asyncio.Runner, stores: Stores) -> None:
        claims = (
            stores.runs.claim("job", "acme/one", 60.0, owner="me", now=SOME_TIME) for _ in range(10)
        )
        assert sum(claimed is not None for claimed in runner.run(_gather(claims))) == 1

    def test_revoking_leaves_no_token_but_the_debt(
        self, runner: asyncio.Runner, stores: Stores
    ) -> None:
        account = runner.run(connected(stores, "acme/one"))
        runner.run(stores.revocations.destroy(account, "revoked", now=SOME_TIME, is_owed=True))
        assert runner.run(stores.accounts.require("acme/one")).grant is None
        (debt,) = runner.run(stores.revocations.due(SOME_TIME))
        assert debt.tokens["refresh_token"] == Secret("refresh-1")
        runner.run(stores.accounts.forget(account))
        with pytest.raises(UnknownAccount):
            runner.run(stores.accounts.require("acme/one"))


async def _gather(work: Iterable[Coroutine[Any, Any, T]]) -> list[T]:
    return await asyncio.gather(*work)
