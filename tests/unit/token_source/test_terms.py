"""What the answer to a refresh may and may not say."""

import asyncio
import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from connector import errors
from connector.account import Account
from connector.runtime import Runtime
from connector.token_source.backoff import LONGEST_BOUND, backoff
from tests.unit.workbench import ACCOUNT, NOW, Workbench, someone


class TestRefreshToken:
    @pytest.mark.parametrize("rotation", ["none", "strict_family"])
    async def test_of_the_answer_or_the_old_one(
        self, bench: Workbench, runtime: Runtime, rotation: str
    ) -> None:
        bench.simulator.change({"rotation": rotation})
        account = await bench.connect(runtime)
        for _ in range(3):
            await runtime.tokens.refresh(ACCOUNT)
        after = await runtime.accounts.require(ACCOUNT)
        kept = runtime.accounts.open_refresh_token(after)
        assert (kept == runtime.accounts.open_refresh_token(account)) == (rotation == "none")
        assert bench.refreshes == 3

    @pytest.mark.parametrize("padding", [0, 70_000])
    async def test_of_any_length(self, bench: Workbench, runtime: Runtime, padding: int) -> None:
        bench.simulator.change({"token_padding": padding})
        await bench.connect(runtime)
        for _ in range(2):
            assert len((await runtime.tokens.refresh(ACCOUNT)).value) > padding


class TestScope:
    async def test_a_narrower_one_is_kept(self, bench: Workbench, runtime: Runtime) -> None:
        await bench.connect(runtime, scope="ads_read ads_management")
        bench.simulator.change({"withheld_scopes": ["ads_management"]})
        token = await runtime.tokens.refresh(ACCOUNT)
        assert token.scope == "ads_read"
        bench.simulator.change({"withheld_scopes": [], "omit": ["scope"]})
        assert (await runtime.tokens.refresh(ACCOUNT)).scope == "ads_read"

    async def test_none_means_as_before(
        self, bench: Workbench, runtime: Runtime, account: Account
    ) -> None:
        bench.simulator.change({"omit": ["scope"]})
        assert (await runtime.tokens.refresh(account.name)).scope == "ads_read"


class TestExpiresIn:
    @pytest.mark.parametrize(
        ("form", "expected"),
        [
            ("number", 3600.0),
            ("string", 3600.0),
            ("float", 3600.0),
            ("zero", 0.0),
            ("negative", 0.0),
            ("huge", 10 * 365 * 86_400.0),
        ],
    )
    async def test_odd_forms(
        self, bench: Workbench, runtime: Runtime, account: Account, form: str, expected: float
    ) -> None:
        bench.simulator.change({"expires_in_form": form})
        token = await runtime.tokens.refresh(account.name)
        assert token.expires_at is not None
        assert token.expires_at.timestamp() == NOW + expected

    async def test_counts_from_when_the_request_was_sent(
        self, bench: Workbench, runtime: Runtime, account: Account
    ) -> None:
        bench.fault("hold", when="after")
        asking = asyncio.create_task(runtime.tokens.refresh(account.name))
        await bench.held()
        bench.clock.advance(20)
        bench.release()
        token = await asking
        assert token.expires_at is not None
        assert token.expires_at.timestamp() == NOW + 3600

    @pytest.mark.parametrize("value", ['"soon"', "true", "null", "[1]", '"1e400"', "1e400"])
    async def test_nonsense_is_as_good_as_none(
        self, bench: Workbench, runtime: Runtime, account: Account, value: str
    ) -> None:
        answer = f'{{"access_token":"a","token_type":"Bearer","expires_in":{value}}}'
        bench.fault("falsify", body=answer)
        token = await runtime.tokens.refresh(account.name)
        assert token.expires_at is not None
        life = token.expires_at.timestamp() - NOW
        assert life in {3600, 10 * 365 * 86_400.0}

    async def test_the_clock_goes_back(
        self, bench: Workbench, runtime: Runtime, account: Account
    ) -> None:
        """How long it lives is not known any more: it is renewed, once."""
        bench.clock.advance(7200)
        await runtime.tokens.get(account.name)
        bench.clock._offset -= 3600
        for _ in range(3):
            assert (await runtime.tokens.get(account.name)).value
        assert bench.refreshes == 2
        await runtime.tokens.check_store()
        assert runtime.tokens.memory.hit(ACCOUNT) is not None


@pytest.mark.usefixtures("connected")
class TestIdentity:
    @pytest.fixture
    async def connected(self, bench: Workbench) -> None:
        bench.configure(scopes=("openid", "ads_read"))
        async with bench.runtime() as runtime:
            with someone() as ada:
                await bench.consent(runtime, ada)

    async def test_of_the_same_person_is_accepted(self, bench: Workbench) -> None:
        async with bench.runtime() as runtime:
            first = await runtime.tokens.get(ACCOUNT)
            assert (await runtime.tokens.refresh(ACCOUNT)).value != first.value

    async def test_none_is_accepted(self, bench: Workbench) -> None:
        bench.simulator.change({"omit": ["id_token"]})
        async with bench.runtime() as runtime:
            assert (await runtime.tokens.refresh(ACCOUNT)).value

    @pytest.mark.parametrize(
        ("claims", "says"),
        [
            ({"sub": "10200000000000202"}, "another person"),
            ({"iss": "https://elsewhere.example"}, "another issuer"),
            ({"aud": "another-client"}, "not this client"),
            ({"sub": None}, "another person"),
        ],
    )
    async def test_of_anybody_else_ends_the_grant_and_the_tokens_are_not_used(
        self, bench: Workbench, claims: dict[str, object], says: str
    ) -> None:
        bench.simulator.change({"id_token_claims": claims})
        async with bench.runtime() as runtime:
            before = await runtime.accounts.require(ACCOUNT)
            with pytest.raises(errors.ConsentRequired, match=says):
                await runtime.tokens.refresh(ACCOUNT)
            after = await runtime.accounts.require(ACCOUNT)
            assert after.grant == before.grant
            with pytest.raises(errors.ConsentRequired):
                await runtime.tokens.get(ACCOUNT)
        assert bench.refreshes == 1


class TestBaseUrl:
    async def test_is_filled_in_from_the_token_answer(self, bench: Workbench) -> None:
        extra = {"instance_url": bench.simulator.url, "shards": 3}
        bench.simulator.change({"token_response_extra": extra})
        bench.configure(
            replace=(f'base_url = "{bench.simulator.url}', 'base_url = "{answer.instance_url}')
        )
        async with bench.runtime() as runtime:
            await bench.connect(runtime)
            credential = await runtime.credential(ACCOUNT, None)
        assert credential.api.base_url == f"{bench.simulator.url}/api/"


@given(failures=st.integers(min_value=1, max_value=10_000), draw=st.floats(0, 1))
def test_backoff_is_bounded_and_never_nothing(failures: int, draw: float) -> None:
    wait = backoff(failures, uniform=lambda low, high: low + draw * (high - low))
    bound = min(LONGEST_BOUND, math.ldexp(1.0, min(failures - 1, 16)))
    assert bound / 10 <= wait <= bound
