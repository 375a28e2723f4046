"""The ledger of rate limits: who waits for how long, and who is told."""

import itertools
from collections.abc import Mapping
from typing import Any

import pytest

from connector.jobs.limit_ledger import LimitLedger, LimitShare
from connector.store.rate_limits import LimitName


class Clock:
    def __init__(self) -> None:
        self.time = 1000.0

    def __call__(self) -> float:
        return self.time


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def ledger(clock: Clock) -> LimitLedger:
    return LimitLedger(clock)


APP = LimitName(provider="acme", scope="app")
ONE, TWO = (LimitName(provider="acme", scope="account", name=name) for name in "12")
NAMES = (APP, ONE)


def test_nobody_waits_where_nothing_is_known(ledger: LimitLedger) -> None:
    assert ledger.wait(NAMES, has_turn=False) == 0
    assert not ledger.is_near(NAMES)


def test_a_halt_holds_for_all_who_share_it(ledger: LimitLedger, clock: Clock) -> None:
    ledger.note(ONE, used=100, wait=40, slow_from=75)
    assert ledger.wait(NAMES, has_turn=True) == 40
    assert ledger.wait((APP, TWO), has_turn=True) == 0
    clock.time += 40
    assert ledger.wait(NAMES, has_turn=True) == 0


def test_who_waited_for_a_halt_goes_one_after_another(ledger: LimitLedger) -> None:
    ledger.note(ONE, used=100, wait=40, slow_from=75)
    waits = [ledger.wait(NAMES, has_turn=False) for _ in range(3)]
    assert waits[0] == 40
    assert all(one < other for one, other in itertools.pairwise(waits))


def test_calls_are_spread_out_the_more_the_nearer_it_is(ledger: LimitLedger, clock: Clock) -> None:
    gaps = []
    for used in (70, 80, 90, 99):
        clock.time += 1000
        ledger.note(ONE, used=used, wait=0, slow_from=75)
        first, second = (ledger.wait(NAMES, has_turn=False) for _ in range(2))
        assert first == 0
        gaps.append(second)
    assert gaps[0] == 0
    assert all(one < other for one, other in itertools.pairwise(gaps))
    assert gaps[-1] <= 10


def test_after_a_halt_all_of_it_is_free_again(ledger: LimitLedger, clock: Clock) -> None:
    ledger.note(ONE, used=100, wait=40, slow_from=75)
    clock.time += 41
    assert not ledger.is_near(NAMES)
    assert [ledger.wait(NAMES, has_turn=False) for _ in range(3)] == [0, 0, 0]


def test_calls_are_not_spread_further_than_until_it_is_free(ledger: LimitLedger) -> None:
    ledger.note(ONE, used=99, wait=1, slow_from=75)
    assert [ledger.wait(NAMES, has_turn=False) for _ in range(3)] == [0, 1, 2]


def test_what_is_no_longer_near_spreads_nothing(ledger: LimitLedger) -> None:
    ledger.note(ONE, used=95, wait=0, slow_from=75)
    ledger.note(ONE, used=20, wait=0, slow_from=75)
    assert not ledger.is_near(NAMES)


def test_what_was_told_long_ago_says_nothing(ledger: LimitLedger, clock: Clock) -> None:
    ledger.note(ONE, used=99, wait=0, slow_from=75)
    assert ledger.is_near(NAMES)
    clock.time += 61
    assert not ledger.is_near(NAMES)


def test_it_does_not_grow_without_end(ledger: LimitLedger, clock: Clock) -> None:
    for number in range(3000):
        name = LimitName(provider="acme", scope="part", name=str(number))
        ledger.note(name, used=80, wait=0, slow_from=75)
        clock.time += 1
    assert len(ledger._limits) <= 1001


class TestShare:
    def share(self, ledger: LimitLedger, provider: str = "acme", account: str = "1") -> "Share":
        return Share(ledger, provider, account)

    def test_a_run_is_told_that_a_limit_of_its_own_is_near(self, ledger: LimitLedger) -> None:
        one, same, other, elsewhere = (
            self.share(ledger, *names)
            for names in (("acme", "1"), ("acme", "1"), ("acme", "2"), ("other", "3"))
        )
        one.note("account")
        assert [len(run.sent) for run in (one, same, other, elsewhere)] == [1, 1, 0, 0]
        one.note("app")
        assert [len(run.sent) for run in (one, same, other, elsewhere)] == [2, 2, 1, 0]
        other.note("part", part="act_1")
        assert [len(run.sent) for run in (one, same, other, elsewhere)] == [3, 3, 2, 0]

    def test_leave_is_of_its_own_limits(self, ledger: LimitLedger) -> None:
        one, other = self.share(ledger), self.share(ledger, "acme", "2")
        one.note("part", part="act_1", used=100, wait=30)
        assert one.leave("act_1") == (30, True)
        assert other.leave("act_1")[0] > 0, "a part's limit is the app's at the part"
        assert other.leave("act_2") == (0, False)

    def test_who_has_ended_is_told_nothing(self, ledger: LimitLedger) -> None:
        one, other = self.share(ledger), self.share(ledger)
        one.share.close()
        other.note("account")
        assert one.sent == []

    def test_other_messages_are_left_alone(self, ledger: LimitLedger) -> None:
        assert not self.share(ledger).share.receive({"type": "progress"})


class Share:
    """A run's share, and what the run is sent."""

    def __init__(self, ledger: LimitLedger, provider: str, account: str) -> None:
        self.sent: list[Mapping[str, object]] = []
        self.share = LimitShare(
            ledger, provider=provider, account_id=account, send=self.sent.append
        )

    def note(self, scope: str, part: str = "", used: float = 90, wait: float = 0) -> None:
        message = {"scope": scope, "part": part, "used": used, "wait": wait, "slow_from": 75}
        assert self.share.receive({"type": "limit", **message})

    def leave(self, part: str) -> tuple[Any, Any]:
        assert self.share.receive({"type": "leave", "id": 1, "part": part, "has_turn": False})
        answer = self.sent.pop()
        assert answer["id"] == 1
        return answer["wait"], answer["is_near"]
