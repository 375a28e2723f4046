import asyncio

import pytest

from connector import errors
from connector.account import Account
from connector.runtime import Runtime
from connector.secret import Secret
from connector.store.accounts import AccountStore
from tests.unit.workbench import ACCOUNT, NOW, Workbench


def stored(runtime: Runtime, account: Account) -> str:
    return runtime.accounts.open_access_token(account).reveal()


class TestFresh:
    async def test_is_given_without_a_request(
        self, bench: Workbench, runtime: Runtime, account: Account
    ) -> None:
        token = await runtime.tokens.get(ACCOUNT)
        assert token.value == stored(runtime, account)
        assert token.expires_at is not None
        assert token.expires_at.timestamp() == NOW + 3600
        assert (token.token_type, token.scope, token.is_short) == ("Bearer", "ads_read", False)
        assert bench.refreshes == 0

    async def test_shows_no_secret(self, runtime: Runtime, account: Account) -> None:
        token = await runtime.tokens.get(ACCOUNT)
        assert token.value == stored(runtime, account)
        assert token.value not in f"{token!r} {token}"

    @pytest.mark.parametrize(
        ("lifetime", "min_ttl", "least"),
        [
            (3600, None, 60),  # a tenth, at most a minute
            (100, None, 10),
            (3600, 600.0, 600),
            (3600, 0.0, 0),
        ],
    )
    async def test_as_long_as_min_ttl_is_met(
        self, bench: Workbench, runtime: Runtime, lifetime: float, min_ttl: float | None, least: int
    ) -> None:
        bench.simulator.change({"access_token_lifetime": lifetime})
        account = await bench.connect(runtime)
        bench.clock.advance(lifetime - least - 0.001)
        token = await runtime.tokens.get(ACCOUNT, min_ttl)
        assert (token.value, bench.refreshes) == (stored(runtime, account), 0)
        bench.clock.advance(0.002)
        renewed = await runtime.tokens.get(ACCOUNT, min_ttl)
        assert renewed.value != token.value
        assert bench.refreshes == 1


class TestStale:
    async def test_is_given_and_one_refresh_starts_behind_it(self, bench: Workbench) -> None:
        async with bench.runtime(has_background=True) as runtime:
            account = await bench.connect(runtime)
            bench.clock.advance(3600 - 100)
            bench.fault("hold")
            for _ in range(5):
                assert (await runtime.tokens.get(ACCOUNT)).value == stored(runtime, account)
            await bench.held()
            bench.release()
            renewed = await runtime.tokens.refresh(ACCOUNT)  # joins the one that is under way
            assert renewed.value != stored(runtime, account)
            assert (await runtime.tokens.get(ACCOUNT)).value == renewed.value
            assert bench.refreshes == 1

    async def test_is_given_by_a_process_without_background(
        self, bench: Workbench, runtime: Runtime, account: Account
    ) -> None:
        bench.clock.advance(3600 - 61)
        assert (await runtime.tokens.get(ACCOUNT)).value == stored(runtime, account)
        assert bench.refreshes == 0

    async def test_provider_is_left_alone_until_the_time_it_named(self, bench: Workbench) -> None:
        async with bench.runtime(has_background=True) as runtime:
            account = await bench.connect(runtime)
            bench.clock.advance(3600 - 200)
            bench.fault("status", retry_after="100", times=None)
            await runtime.tokens.get(ACCOUNT)
            with pytest.raises(errors.TemporarilyUnavailable):
                await runtime.tokens.refresh(ACCOUNT)
            for _ in range(3):
                bench.clock.advance(33)
                assert (await runtime.tokens.get(ACCOUNT)).value == stored(runtime, account)
            assert bench.refreshes == 1

    async def test_a_failure_says_nothing_of_a_token_that_is_newer(
        self, bench: Workbench, runtime: Runtime, account: Account
    ) -> None:
        """A person consents anew while the refresh of the old grant is held up, and fails."""
        bench.clock.advance(3600 - 10)
        bench.fault("status", gate="gate", retry_after="3500")
        refreshing = asyncio.create_task(runtime.tokens.refresh(account.name))
        await bench.held()
        await bench.connect(runtime)
        await runtime.tokens.check_store()
        newer = runtime.tokens.memory.put(ACCOUNT, await runtime.tokens._reader.read(ACCOUNT))
        bench.release()
        with pytest.raises(errors.TemporarilyUnavailable):
            await refreshing
        assert runtime.tokens.memory.get(ACCOUNT) == newer
        assert newer.generation == account.generation + 1

    async def test_a_rejected_registration_is_not_tried_again_for_a_minute(
        self, bench: Workbench
    ) -> None:
        async with bench.runtime(has_background=True) as runtime:
            account = await bench.connect(runtime)
            bench.clock.advance(3600 - 200)
            bench.simulator.change({"client_secret": "another"})
            await runtime.tokens.get(ACCOUNT)
            with pytest.raises(errors.RegistrationRejected):
                await runtime.tokens.refresh(ACCOUNT)
            bench.clock.advance(59)
            assert (await runtime.tokens.get(ACCOUNT)).value == stored(runtime, account)
            await runtime.tokens.check_store()
            assert runtime.tokens.memory.hit(ACCOUNT) is not None, "each call would ask the store"
            assert bench.refreshes == 1


class TestMinTtl:
    async def test_longer_than_a_token_lives_gives_a_fresh_one_once_a_second(
        self, bench: Workbench, runtime: Runtime, account: Account
    ) -> None:
        first = await runtime.tokens.get(ACCOUNT, 7200)
        assert first.value != stored(runtime, account)
        assert first.is_short
        assert first.expires_at is not None
        for _ in range(3):
            assert await runtime.tokens.get(ACCOUNT, 7200) == first
        assert bench.refreshes == 1
        bench.clock.advance(1)
        assert (await runtime.tokens.get(ACCOUNT, 7200)).value != first.value
        assert bench.refreshes == 2

    async def test_longer_than_a_token_lives_is_no_failure_in_strict_mode(
        self, bench: Workbench, runtime: Runtime, account: Account
    ) -> None:
        token = await runtime.tokens.get(ACCOUNT, float("inf"), is_strict=True)
        assert token.value != stored(runtime, account)
        assert bench.refreshes == 1

    async def test_tokens_of_no_seconds_do_not_make_a_loop(
        self, bench: Workbench, runtime: Runtime
    ) -> None:
        bench.simulator.change({"expires_in_form": "zero"})
        await bench.connect(runtime)
        tokens = {(await runtime.tokens.get(ACCOUNT)).value for _ in range(5)}
        assert len(tokens) == 1
        assert bench.refreshes == 1

    async def test_below_it_a_working_token_is_given_where_the_refresh_fails(
        self, bench: Workbench, runtime: Runtime, account: Account
    ) -> None:
        bench.clock.advance(3600 - 30)
        bench.fault("status", status=503, times=None)
        token = await runtime.tokens.get(ACCOUNT)
        assert (token.value, token.is_short) == (stored(runtime, account), True)
        with pytest.raises(errors.TemporarilyUnavailable):
            await runtime.tokens.get(ACCOUNT, is_strict=True)
        bench.clock.advance(31)
        with pytest.raises(errors.TemporarilyUnavailable):
            await runtime.tokens.get(ACCOUNT)


class TestUnknownExpiry:
    async def test_is_served_until_the_api_rejects_it(
        self, bench: Workbench, runtime: Runtime
    ) -> None:
        bench.simulator.change({"omit": ["expires_in"]})
        account = await bench.connect(runtime)
        bench.clock.advance(400 * 86_400)
        token = await runtime.tokens.get(ACCOUNT, 600)
        assert (token.value, token.expires_at) == (stored(runtime, account), None)
        assert token.expires_in is None
        assert bench.refreshes == 0
        renewed = await runtime.tokens.refresh(ACCOUNT, rejected=Secret(token.value))
        assert renewed.value != token.value
        assert (await runtime.tokens.refresh(ACCOUNT, rejected=Secret(token.value))) == renewed
        assert bench.refreshes == 1, "only the present token is worth a refresh"

    async def test_takes_the_providers_default(self, bench: Workbench) -> None:
        bench.simulator.change({"omit": ["expires_in"]})
        bench.configure(acme='access_token_lifetime = "10m"')
        async with bench.runtime() as runtime:
            await bench.connect(runtime)
            token = await runtime.tokens.get(ACCOUNT)
            assert token.expires_at is not None
            assert token.expires_at.timestamp() == NOW + 600

    async def test_takes_the_last_known_lifetime(
        self, bench: Workbench, runtime: Runtime, account: Account
    ) -> None:
        bench.simulator.change({"omit": ["expires_in"]})
        bench.clock.advance(3600)
        token = await runtime.tokens.get(ACCOUNT)
        assert token.value != stored(runtime, account)
        assert token.expires_at is not None
        assert token.expires_at.timestamp() == NOW + 7200


class TestNoRefreshToken:
    @pytest.fixture
    async def account(self, bench: Workbench, runtime: Runtime) -> Account:
        bench.simulator.change({"omit": ["refresh_token"]})
        return await bench.connect(runtime)

    async def test_its_token_is_given_to_its_end(
        self, bench: Workbench, runtime: Runtime, account: Account
    ) -> None:
        bench.clock.advance(3600 - 1)
        token = await runtime.tokens.get(ACCOUNT)
        assert (token.value, token.is_short) == (stored(runtime, account), True)
        bench.clock.advance(1)
        with pytest.raises(errors.ConsentRequired, match="gave no refresh token"):
            await runtime.tokens.get(ACCOUNT)
        state = (await runtime.accounts.require(ACCOUNT)).state_name
        assert state == "active", "our clock alone proves nothing yet"
        bench.clock.advance(3600)
        with pytest.raises(errors.ConsentRequired, match="gave no refresh token"):
            await runtime.tokens.get(ACCOUNT)
        assert (await runtime.accounts.require(ACCOUNT)).state_name == "consent_required"
        assert bench.refreshes == 0

    async def test_one_rejection_does_not_end_it(
        self, bench: Workbench, runtime: Runtime, account: Account
    ) -> None:
        rejected = Secret(stored(runtime, account))
        with pytest.raises(errors.ConsentRequired, match="the API rejects"):
            await runtime.tokens.refresh(ACCOUNT, rejected=rejected)
        assert (await runtime.tokens.get(ACCOUNT)).value == rejected.reveal()
        bench.clock.advance(60)
        with pytest.raises(errors.ConsentRequired, match="the API rejects"):
            await runtime.tokens.refresh(ACCOUNT, rejected=rejected)
        assert (await runtime.accounts.require(ACCOUNT)).state_name == "consent_required"

    async def test_a_forced_refresh_does_not_end_it(
        self, bench: Workbench, runtime: Runtime, account: Account
    ) -> None:
        with pytest.raises(errors.TemporarilyUnavailable, match="present token is good until"):
            await runtime.tokens.refresh(ACCOUNT, ignore_backoff=True)
        assert (await runtime.tokens.get(ACCOUNT)).value == stored(runtime, account)
        assert bench.refreshes == 0

    async def test_a_background_refresh_does_not_end_it(self, bench: Workbench) -> None:
        bench.simulator.change({"omit": ["refresh_token"]})
        async with bench.runtime(has_background=True) as runtime:
            account = await bench.connect(runtime)
            bench.clock.advance(3600 - 70)
            await runtime.tokens.get(ACCOUNT)
            with pytest.raises(errors.TemporarilyUnavailable):
                await runtime.tokens.refresh(ACCOUNT)  # joins the one behind the call before
            assert (await runtime.tokens.get(ACCOUNT)).value == stored(runtime, account)
            assert (await runtime.accounts.require(ACCOUNT)).state_name == "active"

    async def test_it_ends_where_the_api_rejects_it(
        self, runtime: Runtime, account: Account
    ) -> None:
        with pytest.raises(errors.ConsentRequired, match="the API rejects the access token"):
            await runtime.tokens.refresh(ACCOUNT, rejected=Secret(stored(runtime, account)))


class TestMiss:
    async def test_no_such_account(self, runtime: Runtime, account: Account) -> None:
        with pytest.raises(errors.UnknownAccount, match=f"Did you mean {account.name}"):
            await runtime.tokens.get("acme/adz")

    async def test_nobody_has_consented(self, runtime: Runtime) -> None:
        await runtime.consents.begin("acme", ACCOUNT)
        with pytest.raises(errors.ConsentRequired, match="nobody has consented yet") as caught:
            await runtime.tokens.get(ACCOUNT)
        assert caught.value.command == f"connector connect acme --account {ACCOUNT}"
        assert caught.value.connect_url is None

    async def test_provider_is_no_longer_configured(
        self, bench: Workbench, account: Account
    ) -> None:
        bench.configure(replace=("[providers.acme]", "[providers.other]"))
        async with bench.runtime() as runtime:
            with pytest.raises(errors.ConfigurationError, match="no provider 'acme'"):
                await runtime.tokens.get(account.name)
        assert bench.refreshes == 0

    @pytest.mark.parametrize("change", ["client_id", "token_endpoint"])
    async def test_registration_was_changed(
        self, bench: Workbench, runtime: Runtime, account: Account, change: str
    ) -> None:
        await runtime.tokens.get(ACCOUNT)
        issuer = bench.simulator.issuer
        endpoints = (
            f'authorization_endpoint = "{issuer}/authorize"\n'
            f'token_endpoint = "{bench.simulator.url}/elsewhere"'
        )
        if change == "client_id":
            bench.configure(replace=(bench.simulator.client.client_id, "another"))
        else:
            bench.configure(acme=endpoints)
        async with bench.runtime() as edited:
            for _ in range(2):
                with pytest.raises(errors.ConsentRequired, match="another client registration"):
                    await edited.tokens.get(ACCOUNT)
            with pytest.raises(errors.ConsentRequired):
                await edited.tokens.refresh(ACCOUNT, ignore_backoff=True)
        assert bench.refreshes == 0
        kept = await runtime.accounts.require(ACCOUNT)
        assert stored(runtime, kept) == stored(runtime, account), "nothing is lost"
        assert kept.state_name == "active"

    async def test_a_token_of_a_type_that_is_not_known_is_not_used(
        self, bench: Workbench, runtime: Runtime
    ) -> None:
        bench.simulator.change({"token_type": "mac"})
        await bench.connect(runtime)
        with pytest.raises(errors.Refused, match="'mac'"):
            await runtime.tokens.get(ACCOUNT)

    async def test_a_refresh_to_a_type_that_is_not_known(
        self, bench: Workbench, runtime: Runtime, account: Account
    ) -> None:
        bench.simulator.change({"token_type": "mac"})
        bench.clock.advance(3600)
        with pytest.raises(errors.Refused, match=account.name):
            await runtime.tokens.get(ACCOUNT)

    async def test_token_types_are_compared_without_case(
        self, bench: Workbench, runtime: Runtime
    ) -> None:
        bench.simulator.change({"token_type": "bEARER"})
        await bench.connect(runtime)
        assert (await runtime.tokens.get(ACCOUNT)).token_type == "bEARER"


async def test_no_lifetime_hides_the_default_min_ttl(bench: Workbench) -> None:
    """A provider's cap on the margin must not make the last minute count as fresh."""
    bench.configure(acme='longest_margin = "10s"')
    async with bench.runtime(has_background=True) as runtime:
        account = await bench.connect(runtime)
        await runtime.tokens.get(ACCOUNT)
        await runtime.tokens.check_store()
        bench.clock.advance(3600 - 59)
        assert (await runtime.tokens.get(ACCOUNT)).value != stored(runtime, account)


class TestWithheldByNobody:
    """A token that works is given, whatever is slow or missing."""

    async def test_a_client_secret_that_cannot_be_read(
        self, bench: Workbench, account: Account
    ) -> None:
        """Another terminal, a cron job: the secret is needed where something is sent."""
        (bench.folder / "acme.secret").unlink()
        async with bench.runtime() as other:
            token = await other.tokens.get(ACCOUNT)
            assert token.value == stored(other, account)
            with pytest.raises(errors.ConfigurationError):
                await other.tokens.refresh(ACCOUNT)

    async def test_a_slow_refresh(
        self, bench: Workbench, runtime: Runtime, account: Account, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr("connector.token_source.remembered.REFRESHING_PATIENCE", 0.05)
        bench.clock.advance(3600 - 30)
        bench.fault("hold")
        token = await runtime.tokens.get(account.name)
        assert token.is_short
        await bench.held()
        bench.release()
        renewed = await runtime.tokens.refresh(account.name)  # joins the one that went on
        assert renewed.value != token.value
        assert bench.refreshes == 1

    async def test_a_slow_refresh_where_only_a_better_one_will_do(
        self, bench: Workbench, runtime: Runtime, account: Account, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr("connector.token_source.remembered.REFRESHING_PATIENCE", 0.0)
        bench.clock.advance(3600 - 30)
        bench.fault("delay", delay=0.1)
        token = await runtime.tokens.get(account.name, is_strict=True)
        assert not token.is_short

    async def test_a_database_that_hangs(
        self, runtime: Runtime, account: Account, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        token = await runtime.tokens.get(account.name)
        asked = 0

        async def hang(_self: AccountStore, _name: str) -> Account:
            nonlocal asked
            asked += 1
            await asyncio.Event().wait()
            raise AssertionError

        monkeypatch.setattr("connector.token_source.reader.READING_PATIENCE", 0.05)
        with monkeypatch.context() as patch:
            patch.setattr(AccountStore, "require", hang)
            given = await asyncio.gather(*(runtime.tokens.get(account.name) for _ in range(20)))
        assert {one.value for one in given} == {token.value}
        assert asked == 1, "one waits for it"

    async def test_an_api_that_rejects_a_short_token(
        self, bench: Workbench, runtime: Runtime
    ) -> None:
        """It may have ended by the API's clock: half its life is the bound."""
        bench.simulator.change({"access_token_lifetime": 20})
        await bench.connect(runtime)
        token = await runtime.tokens.refresh(ACCOUNT)
        for seconds, refreshes in ((9, 1), (1, 2)):
            bench.clock.advance(seconds)
            await runtime.tokens.refresh(ACCOUNT, rejected=Secret(token.value))
            assert bench.refreshes == refreshes

    async def test_an_api_that_rejects_an_older_token(
        self, bench: Workbench, runtime: Runtime, account: Account
    ) -> None:
        """A call that was under way while the token was replaced: the new one may be good."""
        old = Secret(stored(runtime, account))
        renewed = await runtime.tokens.refresh(ACCOUNT, rejected=old)
        bench.clock.advance(1000)
        for _ in range(100):
            assert await runtime.tokens.refresh(ACCOUNT, rejected=old) == renewed
        assert bench.refreshes == 1

    async def test_an_api_that_rejects_every_token(
        self, bench: Workbench, runtime: Runtime, account: Account
    ) -> None:
        """A rejection of what was minted just now is no reason for the next one (CHECKLIST 72)."""
        token = await runtime.tokens.get(account.name)
        for _ in range(30):
            token = await runtime.tokens.refresh(account.name, rejected=Secret(token.value))
            bench.clock.advance(1)
        assert bench.refreshes == 1
        bench.clock.advance(60)
        await runtime.tokens.refresh(account.name, rejected=Secret(token.value))
        assert bench.refreshes == 2
