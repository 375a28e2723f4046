"""What becomes of an account and its callers when a refresh fails."""

import asyncio
from dataclasses import dataclass

import pytest

from connector import errors
from connector.account import Account
from connector.oauth.wire import LARGEST_ANSWER
from connector.runtime import Runtime
from connector.simulator.faults import Fault
from connector.store.database import Database
from tests.unit.workbench import ACCOUNT, FACEBOOK, NOW, Workbench, someone


@dataclass(frozen=True, kw_only=True)
class Case:
    """A failing refresh.

    Attributes:
        name: of the test.
        fault: what goes wrong.
        says: what the error says.
        least, most: seconds until the provider is asked again.
        requests: how many are sent at first: a lost answer is asked for once more at once.
    """

    name: str
    fault: dict[str, object]
    says: str
    least: float = 0.1
    most: float = 1.0
    requests: int = 1


def lost(name: str, says: str, **fault: object) -> Case:
    """Make the case of a lost answer; a second silence is followed by a minute's pause."""
    return Case(name=name, fault=fault, says=says, least=60, most=60, requests=2)


def body(error: str) -> dict[str, object]:
    return {"kind": "falsify", "status": 400, "body": f'{{"error":"{error}"}}'}


CASES = [
    Case(name="503", fault={"kind": "status"}, says="unavailable (HTTP 503)"),
    Case(
        name="429 with seconds",
        fault={"kind": "status", "status": 429, "retry_after": "3600"},
        says="unavailable (HTTP 429)",
        least=3600,
        most=3600,
    ),
    Case(
        name="503 with a date",
        fault={"kind": "status", "retry_after": "Fri, 15 Jan 2027 09:02:00 GMT"},
        says="unavailable (HTTP 503)",
        least=120,
        most=120,
    ),
    Case(name="408", fault={"kind": "status", "status": 408}, says="unavailable (HTTP 408)"),
    lost("500", "the server answered 500", kind="status", status=500),
    lost("502", "the server answered 502", kind="status", status=502),
    lost("504", "the server answered 504", kind="status", status=504),
    lost("page", "the answer is unusable", kind="html"),
    lost("array", "the answer is unusable", kind="array"),
    lost("null", "the answer is unusable", kind="null"),
    lost("half an answer", "the answer is unusable", kind="truncate"),
    lost("bomb", "too large", kind="gzip_bomb"),
    lost("endless", "too large", kind="endless"),
    lost("dropped", "connection lost", kind="drop"),
    lost("reset", "connection lost", kind="reset"),
    lost("cut", "connection lost", kind="cut"),
    Case(
        name="redirect",
        fault={"kind": "redirect", "status": 307, "location": "/oauth/token"},
        says="gave no OAuth error (HTTP 307)",
    ),
    Case(
        name="bare 400",
        fault={"kind": "status", "status": 400},
        says="gave no OAuth error (HTTP 400)",
    ),
    Case(
        name="bare 403",
        fault={"kind": "status", "status": 403, "body": "no"},
        says="gave no OAuth error (HTTP 403)",
    ),
    Case(
        name="error of its own",
        fault=body("go_away"),
        says="gave no OAuth error (HTTP 400) (go_away)",
    ),
    Case(name="invalid_scope", fault=body("invalid_scope"), says="answered invalid_scope"),
    Case(name="invalid_request", fault=body("invalid_request"), says="answered invalid_request"),
]


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
async def test_nothing_is_lost(
    bench: Workbench, runtime: Runtime, account: Account, case: Case
) -> None:
    bench.clock.advance(3600)
    number = bench.fault(times=None, **case.fault)  # type: ignore[arg-type]
    with pytest.raises(errors.TemporarilyUnavailable) as caught:
        await runtime.tokens.get(ACCOUNT)
    assert case.says in str(caught.value)
    assert caught.value.retry_at is not None
    wait = caught.value.retry_at.timestamp() - bench.clock.now()
    assert case.least - 0.001 <= wait <= case.most + 0.001
    with pytest.raises(errors.TemporarilyUnavailable) as again:
        await runtime.tokens.get(ACCOUNT)
    assert again.value.retry_at == caught.value.retry_at
    count = bench.simulator.ledger.count("token")
    assert count == case.requests, "the provider is left alone meanwhile"
    after = await runtime.accounts.require(ACCOUNT)
    assert after.state_name == "active"
    assert after.generation == account.generation
    assert after.trouble is not None
    assert (after.trouble.failures, after.trouble.since) == (case.requests, NOW + 3600)
    bench.simulator.faults.clear(number)
    bench.clock.advance(wait + 0.001)
    token = await runtime.tokens.get(ACCOUNT)
    assert bench.refreshes == case.requests + 1
    assert token.value != runtime.accounts.open_access_token(account).reveal()
    assert (await runtime.accounts.require(ACCOUNT)).trouble is None


@pytest.mark.parametrize("case", CASES[:1] + CASES[4:5] + CASES[17:18], ids=lambda case: case.name)
async def test_a_token_that_works_is_given(
    bench: Workbench, runtime: Runtime, account: Account, case: Case
) -> None:
    bench.clock.advance(3600 - 30)
    bench.fault(times=None, **case.fault)  # type: ignore[arg-type]
    for _ in range(3):
        token = await runtime.tokens.get(ACCOUNT)
        assert token.value == runtime.accounts.open_access_token(account).reveal()
        assert token.is_short
    assert bench.refreshes == case.requests


async def test_waits_grow_with_the_failures(
    bench: Workbench, runtime: Runtime, account: Account
) -> None:
    bench.clock.advance(3600)
    bench.fault("status", times=None)
    for failure in range(1, 15):
        with pytest.raises(errors.TemporarilyUnavailable) as caught:
            await runtime.tokens.get(account.name)
        assert caught.value.retry_at is not None
        wait = caught.value.retry_at.timestamp() - bench.clock.now()
        bound = min(300, 2.0 ** (failure - 1))
        assert bound / 10 - 0.001 <= wait <= bound + 0.001
        bench.clock.advance(wait + 0.001)
    assert bench.refreshes == 14
    trouble = (await runtime.accounts.require(ACCOUNT)).trouble
    assert trouble is not None
    assert trouble.since == NOW + 3600


async def test_a_person_does_not_wait(bench: Workbench, runtime: Runtime, account: Account) -> None:
    bench.fault("status", retry_after="600")
    with pytest.raises(errors.TemporarilyUnavailable):
        await runtime.tokens.refresh(ACCOUNT)
    with pytest.raises(errors.TemporarilyUnavailable):
        await runtime.tokens.refresh(ACCOUNT)
    token = await runtime.tokens.refresh(ACCOUNT, ignore_backoff=True)
    assert token.value != runtime.accounts.open_access_token(account).reveal()
    assert bench.refreshes == 2


async def test_a_failed_refresh_leaves_a_fresh_token_fresh(bench: Workbench) -> None:
    async with bench.runtime(has_background=True) as runtime:
        await bench.connect(runtime)
        await runtime.tokens.get(ACCOUNT)
        bench.fault("status", retry_after="1")
        with pytest.raises(errors.TemporarilyUnavailable):
            await runtime.tokens.refresh(ACCOUNT)
        bench.clock.advance(600)
        await runtime.tokens.check_store()
        assert runtime.tokens.memory.hit(ACCOUNT) is not None, "it would be read from the store"


async def test_a_grace_is_used_from_the_first_time_that_a_token_was_sent(bench: Workbench) -> None:
    """Not from the last: a server that never answers would be asked every few seconds for ever."""
    bench.configure(acme='refresh_token = { rotation = "grace", grace = "60s" }')
    async with bench.runtime() as runtime:
        await bench.connect(runtime)
        bench.clock.advance(3600)
        bench.fault("drop", times=None)
        began, pauses = bench.clock.now(), list[float]()
        while not pauses or pauses[-1] < 60:
            with pytest.raises(errors.TemporarilyUnavailable) as caught:
                await runtime.tokens.get(ACCOUNT)
            assert caught.value.retry_at is not None
            pauses.append(round(caught.value.retry_at.timestamp() - bench.clock.now(), 3))
            bench.clock.advance(pauses[-1] + 0.001)
            assert len(pauses) < 30
    assert set(pauses[:-1]) == {3}
    assert bench.clock.now() - pauses[-1] - began < 60


class TestNeverSent:
    async def test_connection_refused(
        self, bench: Workbench, runtime: Runtime, account: Account
    ) -> None:
        bench.clock.advance(3600)
        bench.simulator.stop()
        with pytest.raises(errors.TemporarilyUnavailable, match="cannot be reached") as caught:
            await runtime.tokens.get(ACCOUNT)
        assert caught.value.retry_at is not None
        after = await runtime.accounts.require(ACCOUNT)
        assert (after.generation, after.attempt) == (account.generation, None)
        bench.simulator.start()
        bench.clock.advance(1)
        assert (await runtime.tokens.get(ACCOUNT)).value

    @pytest.mark.parametrize("scheme_and_host", ["https://127.0.0.1:{port}", "https://as.invalid"])
    async def test_tls_and_name_resolution(self, bench: Workbench, scheme_and_host: str) -> None:
        port = bench.simulator.url.rpartition(":")[2]
        origin = scheme_and_host.format(port=port)
        bench.configure(
            acme=f'authorization_endpoint = "{origin}/a"\ntoken_endpoint = "{origin}/oauth/token"'
        )
        async with bench.runtime() as runtime:
            account = await bench.connect(runtime)
            bench.clock.advance(3600)
            with pytest.raises(errors.TemporarilyUnavailable, match="cannot be reached"):
                await runtime.tokens.get(ACCOUNT)
            after = await runtime.accounts.require(ACCOUNT)
            assert (after.state, after.attempt) == (account.state, None)

    async def test_metadata_is_not_needed(self, bench: Workbench, account: Account) -> None:
        """An account goes on while discovery is away, in a process that has just started too."""
        bench.simulator.faults.add(Fault(endpoint="*metadata*", kind="status", times=None))
        bench.simulator.faults.add(Fault(endpoint="openid*", kind="status", times=None))
        bench.clock.advance(3600)
        async with bench.runtime() as runtime:
            assert (await runtime.tokens.get(account.name)).value
        assert bench.refreshes == 1


class TestRegistration:
    async def test_no_account_is_touched(
        self, bench: Workbench, runtime: Runtime, account: Account
    ) -> None:
        bench.clock.advance(3600)
        bench.simulator.change({"client_secret": "another"})
        with pytest.raises(errors.RegistrationRejected, match="invalid_client") as caught:
            await runtime.tokens.get(ACCOUNT)
        assert caught.value.provider == "acme"
        with pytest.raises(errors.RegistrationRejected, match="invalid_client"):
            await runtime.tokens.get(ACCOUNT)
        assert bench.refreshes == 1
        after = await runtime.accounts.require(ACCOUNT)
        assert (after.state, after.generation) == (account.state, account.generation)
        bench.simulator.change({"client_secret": (bench.folder / "acme.secret").read_text()})
        bench.clock.advance(60)
        assert (await runtime.tokens.get(ACCOUNT)).value

    @pytest.mark.parametrize("error", ["invalid_client", "unauthorized_client"])
    async def test_is_at_fault_by_either_error(
        self, bench: Workbench, runtime: Runtime, account: Account, error: str
    ) -> None:
        bench.clock.advance(3600)
        bench.fault(**body(error))  # type: ignore[arg-type]
        with pytest.raises(errors.RegistrationRejected, match=error):
            await runtime.tokens.get(account.name)

    async def test_a_working_token_is_given(
        self, bench: Workbench, runtime: Runtime, account: Account
    ) -> None:
        bench.clock.advance(3600 - 30)
        bench.fault(times=None, **body("unauthorized_client"))  # type: ignore[arg-type]
        token = await runtime.tokens.get(ACCOUNT)
        assert token.value == runtime.accounts.open_access_token(account).reveal()
        assert token.is_short


class TestInvalidGrant:
    @pytest.mark.parametrize("status", [400, 401, 403, 200])
    async def test_ends_the_grant_and_nothing_is_sent_any_more(
        self, bench: Workbench, runtime: Runtime, account: Account, status: int
    ) -> None:
        bench.simulator.change({"invalid_grant_status": status})
        bench.simulator.state.revoke("ada")
        bench.clock.advance(3600)
        with pytest.raises(errors.ConsentRequired, match="invalid_grant") as caught:
            await runtime.tokens.get(ACCOUNT)
        assert caught.value.command == f"connector connect acme --account {ACCOUNT}"
        for _ in range(2):
            with pytest.raises(errors.ConsentRequired):
                await runtime.tokens.get(ACCOUNT)
            with pytest.raises(errors.ConsentRequired):
                await runtime.tokens.refresh(ACCOUNT, ignore_backoff=True)
        assert bench.refreshes == 1
        after = await runtime.accounts.require(ACCOUNT)
        assert after.state_name == "consent_required"
        assert after.grant == account.grant, "the ciphertext stays until the person reconnects"
        assert (after.lease, after.attempt, after.trouble) == (after.lease, None, None)

    async def test_what_it_ended_is_not_in_memory_any_more(
        self, bench: Workbench, runtime: Runtime, account: Account
    ) -> None:
        """Its token seems to be good for an hour: the next check would find out too late."""
        await runtime.tokens.get(account.name)
        assert runtime.tokens.memory.get(ACCOUNT) is not None
        bench.simulator.state.revoke("ada")
        with pytest.raises(errors.ConsentRequired, match="invalid_grant"):
            await runtime.tokens.refresh(ACCOUNT)
        assert runtime.tokens.memory.get(ACCOUNT) is None

    async def test_after_an_unknown_outcome_the_rotation_was_lost(
        self, bench: Workbench, runtime: Runtime, account: Account
    ) -> None:
        bench.clock.advance(3600)
        bench.fault("drop", when="after")
        with pytest.raises(errors.ConsentRequired, match="rotation lost"):
            await runtime.tokens.get(account.name)
        assert bench.simulator.ledger.count(outcome="reuse_detected") == 1

    async def test_a_failure_in_between_does_not_make_the_outcome_known(
        self, bench: Workbench, runtime: Runtime, account: Account
    ) -> None:
        bench.clock.advance(3600)
        bench.fault("drop", when="after")
        bench.fault("status", when="after", status=503)
        bench.fault("status", when="after", status=429)
        for _ in range(2):
            with pytest.raises(errors.TemporarilyUnavailable):
                await runtime.tokens.get(account.name)
            bench.clock.advance(10)
        assert bench.refreshes == 3, "the lost one was sent again at once"
        with pytest.raises(errors.ConsentRequired, match="rotation lost"):
            await runtime.tokens.get(account.name)

    async def test_a_token_that_its_api_rejects_is_not_spared(self, bench: Workbench) -> None:
        """A replay may kill the access token: nothing is lost where that does not work anyway."""
        bench.simulator.change({"rotation": "strict_family"})
        bench.configure(acme='refresh_token = { rotation = "strict_family" }')
        async with bench.runtime() as runtime:
            account = await bench.connect(runtime)
            token = runtime.accounts.open_access_token(account)
            bench.fault("drop")
            with pytest.raises(errors.TemporarilyUnavailable, match="was lost") as caught:
                await runtime.tokens.refresh(ACCOUNT)
            assert caught.value.retry_at is not None
            assert caught.value.retry_at.timestamp() == bench.clock.now() + 3600 - 60
            with pytest.raises(errors.TemporarilyUnavailable):
                await runtime.tokens.refresh(ACCOUNT)
            assert bench.refreshes == 1
            assert (await runtime.tokens.refresh(ACCOUNT, rejected=token)).value != token.reveal()
            assert bench.refreshes == 2

    async def test_after_failures_that_were_answered_the_grant_ended(
        self, bench: Workbench, runtime: Runtime, account: Account
    ) -> None:
        bench.clock.advance(3600)
        bench.fault("status", status=503)
        with pytest.raises(errors.TemporarilyUnavailable):
            await runtime.tokens.get(account.name)
        bench.simulator.state.revoke("ada")
        bench.clock.advance(1)
        with pytest.raises(errors.ConsentRequired, match="the provider ended the grant"):
            await runtime.tokens.get(account.name)

    @pytest.mark.parametrize("rotation", ["none", "grace", "idempotent", "lazy", "by_age"])
    async def test_an_unknown_outcome_is_overcome_where_the_provider_lets_us(
        self, bench: Workbench, runtime: Runtime, rotation: str
    ) -> None:
        bench.simulator.change({"rotation": rotation})
        await bench.connect(runtime)
        bench.clock.advance(3600)
        bench.fault("drop", when="after")
        assert (await runtime.tokens.get(ACCOUNT)).value
        assert bench.refreshes == 2
        assert (await runtime.accounts.require(ACCOUNT)).attempt is None
        bench.clock.advance(3600)
        assert (await runtime.tokens.get(ACCOUNT)).value, "the refresh token is the right one"


class TestRevokedMeanwhile:
    async def test_the_answer_is_a_refusal(
        self, bench: Workbench, runtime: Runtime, account: Account
    ) -> None:
        """Nothing is found to be a bug where somebody revoked while we refreshed."""
        bench.clock.advance(3600)
        await self._revoke_while_held(bench, runtime, account, refused=True)

    async def test_the_answer_is_a_token(
        self, bench: Workbench, runtime: Runtime, account: Account
    ) -> None:
        bench.clock.advance(3600)
        await self._revoke_while_held(bench, runtime, account, refused=False)

    async def _revoke_while_held(
        self, bench: Workbench, runtime: Runtime, account: Account, *, refused: bool
    ) -> None:
        bench.fault("hold", when="before" if refused else "after")
        asking = asyncio.create_task(runtime.tokens.get(ACCOUNT))
        await bench.held()
        if refused:
            bench.simulator.state.revoke("ada")
        debt = await runtime.revocations.destroy(
            account, "revoked here", now=bench.clock.now(), is_owed=True
        )
        assert debt is not None
        bench.release()
        with pytest.raises(errors.ConsentRequired, match="revoked here"):
            await asking
        assert (await runtime.accounts.require(ACCOUNT)).grant is None
        owed = {one.tokens["refresh_token"].reveal() for one in await runtime.revocations.all()}
        assert len(owed) == (1 if refused else 2), "what came too late is revoked as well"


class TestStoreAway:
    async def test_nothing_is_sent_where_the_attempt_cannot_be_written(
        self, bench: Workbench, runtime: Runtime, account: Account, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        bench.clock.advance(3600)

        async def fail(_self: object, _work: object) -> None:
            raise errors.TemporarilyUnavailable("the disk is full")

        monkeypatch.setattr(Database, "transact", fail)
        with pytest.raises(errors.TemporarilyUnavailable, match="the disk is full"):
            await runtime.tokens.get(account.name)
        assert bench.refreshes == 0


async def test_an_answer_that_is_too_large_is_not_read_to_its_end(
    bench: Workbench, runtime: Runtime, account: Account
) -> None:
    bench.clock.advance(3600)
    bench.fault("falsify", body='{"access_token":"' + "a" * LARGEST_ANSWER + '"}', times=None)
    with pytest.raises(errors.TemporarilyUnavailable, match="too large"):
        await runtime.tokens.get(account.name)


class TestExchange:
    """Providers that exchange the access token itself: what is lost is lost for good."""

    async def test_is_renewed_at_half_its_life(self, bench: Workbench) -> None:
        async with bench.runtime(has_background=True) as runtime:
            with someone() as ada:
                await bench.consent(runtime, ada, FACEBOOK, provider="facebook")
            first = await runtime.tokens.get(FACEBOOK)
            life = bench.simulator.settings.long_lived_lifetime
            bench.clock.advance(life * 0.49)
            assert (await runtime.tokens.get(FACEBOOK)).value == first.value
            assert self.exchanges(bench) == 1, "that of the consent"
            bench.clock.advance(life * 0.27)
            assert (await runtime.tokens.get(FACEBOOK)).value == first.value
            await runtime.tokens._flights.drain()  # the one behind it
            renewed = await runtime.tokens.get(FACEBOOK)
            assert renewed.value != first.value
            assert self.exchanges(bench) == 2

    async def test_our_clock_is_no_word_of_the_providers(self, bench: Workbench) -> None:
        """A token that seems to have ended is sent all the same: an assumed life proves nothing."""
        bench.simulator.change({"graph_omit_expires_in": True})
        bench.configure(facebook='access_token_lifetime = "1h"')
        async with bench.runtime() as runtime:
            with someone() as ada:
                await bench.consent(runtime, ada, FACEBOOK, provider="facebook")
            bench.clock.advance(2 * 3600)
            assert (await runtime.tokens.get(FACEBOOK)).value
            assert (await runtime.accounts.require(FACEBOOK)).state_name == "active"

    async def test_its_own_word_ends_it(self, bench: Workbench, runtime: Runtime) -> None:
        with someone() as ada:
            await bench.consent(runtime, ada, FACEBOOK, provider="facebook")
        bench.clock.advance(61 * 86_400)
        with pytest.raises(errors.ConsentRequired, match="invalid_grant"):
            await runtime.tokens.get(FACEBOOK)

    @pytest.mark.parametrize("renewal", ["same_token", "same_expiry"])
    async def test_a_renewal_that_gives_no_more_time_makes_no_loop(
        self, bench: Workbench, runtime: Runtime, renewal: str
    ) -> None:
        bench.simulator.change({"renewal": renewal})
        with someone() as ada:
            await bench.consent(runtime, ada, FACEBOOK, provider="facebook")
        life = bench.simulator.settings.long_lived_lifetime
        bench.clock.advance(life / 2)
        before = self.exchanges(bench)
        token = await runtime.tokens.refresh(FACEBOOK)
        assert token.expires_at is not None
        assert token.expires_at.timestamp() == pytest.approx(NOW + life, abs=2)
        for _ in range(3):
            await runtime.tokens.get(FACEBOOK)
        assert self.exchanges(bench) == before + 1

    def exchanges(self, bench: Workbench) -> int:
        return bench.simulator.ledger.count("graph_access_token", grant_type="fb_exchange_token")
