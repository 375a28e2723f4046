"""A credential is held for a second, and no longer than it is good."""

import asyncio
from datetime import UTC, datetime, timedelta

import pytest

from connector.credential import Credential
from connector.errors import ConsentRequired
from connector.jobs.held_credentials import LONGEST_HELD, HeldCredentials
from connector.oauth.token import AccessToken
from connector.providers.provider import Api


class Source:
    """Gives a new token each time that one was rejected."""

    def __init__(self) -> None:
        self.asked: list[tuple[str, str | None]] = []
        self.rejected: set[str] = set()
        self.lifetime = timedelta(hours=1)
        self.is_ended = False

    async def credential(self, account: str, rejected: AccessToken | None) -> Credential:
        await asyncio.sleep(0)
        return self.credential_now(account, rejected)

    def credential_now(self, account: str, rejected: AccessToken | None) -> Credential:
        self.asked.append((account, None if rejected is None else rejected.value))
        if self.is_ended:
            raise ConsentRequired(account, "it was revoked")
        if rejected is not None:
            self.rejected.add(rejected.value)
        token = AccessToken(
            value=f"{account} {len(self.rejected)}", expires_at=datetime.now(UTC) + self.lifetime
        )
        return Credential(token=token, api=Api(), headers={}, params={})


class Bench:
    """What is held, with a clock in our hands; asked by a thread or by a task."""

    def __init__(self, *, by_task: bool) -> None:
        self.source = Source()
        self.now = 0.0
        self._by_task = by_task
        self._held = HeldCredentials(self.source, lambda: self.now)

    def token(self, account: str = "a", rejected: str | None = None) -> str:
        token = None if rejected is None else AccessToken(value=rejected)
        if self._by_task:
            return asyncio.run(self._held.credential(account, token)).token.value
        return self._held.credential_now(account, token).token.value


@pytest.fixture(params=[False, True], ids=["thread", "task"])
def bench(request: pytest.FixtureRequest) -> Bench:
    return Bench(by_task=request.param)


def test_it_is_asked_for_again_after_a_second(bench: Bench) -> None:
    for moment in (0.0, LONGEST_HELD - 0.01, LONGEST_HELD, LONGEST_HELD + 0.5):
        bench.now = moment
        bench.token()
    assert len(bench.source.asked) == 2


def test_one_that_has_expired_is_not_given(bench: Bench) -> None:
    bench.source.lifetime = timedelta(seconds=-1)
    bench.token()
    bench.token()
    assert len(bench.source.asked) == 2


def test_one_that_was_rejected_is_not_given(bench: Bench) -> None:
    assert bench.token() == "a 0"
    assert bench.token(rejected="a 0") == "a 1"
    assert bench.token() == "a 1"
    assert bench.source.asked == [("a", None), ("a", "a 0")]


def test_accounts_have_one_each(bench: Bench) -> None:
    assert [bench.token("a"), bench.token("b"), bench.token("a")] == ["a 0", "b 0", "a 0"]


def test_an_account_that_has_ended_is_not_served_from_what_was_held(bench: Bench) -> None:
    bench.token()
    bench.source.is_ended = True
    for rejected in ("a 0", None):
        with pytest.raises(ConsentRequired):
            bench.token(rejected=rejected)
