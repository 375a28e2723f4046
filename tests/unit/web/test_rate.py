"""How often who may call: by a clock that the tests turn."""

import pytest

from connector.web.rate import (
    BURST,
    BUSY_WAIT,
    MOST_ADDRESSES,
    STRANGER_RATE,
    STRANGERS_RATE,
    CallRates,
    Rate,
)


def calls(rates: CallRates, key: str, now: float, times: int) -> int:
    """Call so often, each call over before the next begins; give how many may."""
    done = 0
    for _ in range(times):
        if not rates.enter(key, now):
            rates.leave(key)
            done += 1
    return done


def test_a_key_may_call_so_often_and_twice_as_often_at_once() -> None:
    rates = CallRates(100, 8)
    assert calls(rates, "one", 5.0, 1000) == 200
    assert calls(rates, "one", 6.0, 1000) == 100
    assert calls(rates, "one", 6.5, 1000) == 50
    assert calls(rates, "one", 100.0, 1000) == 200


def test_who_waits_as_long_as_they_are_told_may_call() -> None:
    rates = CallRates(10, 8)
    now = 7.0
    assert calls(rates, "one", now, 20) == 20
    wait = rates.enter("one", now)
    assert 0 < wait <= 0.1
    assert rates.enter("one", now + wait * 0.9)
    assert not rates.enter("one", now + wait * 1.01)


def test_a_key_that_calls_too_often_holds_up_no_other() -> None:
    rates = CallRates(10, 8)
    assert calls(rates, "one", 5.0, 100) == 20
    assert calls(rates, "two", 5.0, 20) == 20


def test_a_key_has_only_so_many_calls_under_way() -> None:
    rates = CallRates(0, 3)
    assert [rates.enter("one", 5.0) for _ in range(4)] == [0.0, 0.0, 0.0, BUSY_WAIT]
    assert not rates.enter("two", 5.0)
    rates.leave("one")
    assert not rates.enter("one", 5.0)


def test_without_a_limit_a_key_calls_as_often_as_it_likes() -> None:
    assert calls(CallRates(0, 3), "one", 5.0, 10_000) == 10_000


def test_a_stranger_is_told_to_wait_and_another_address_is_not() -> None:
    rates = CallRates(10, 8)
    assert not rates.wait_of_stranger("127.0.0.2", 5.0)
    most = int(STRANGER_RATE * BURST)
    waits = [rates.note_stranger("127.0.0.2", 5.0) > 0 for _ in range(most + 1)]
    assert waits.index(True) == most
    assert rates.wait_of_stranger("127.0.0.2", 5.0) > 0
    assert not rates.wait_of_stranger("127.0.0.3", 5.0)
    assert not rates.wait_of_stranger("127.0.0.2", 6.0)


def test_addresses_without_number_are_strangers_all_together() -> None:
    rates = CallRates(10, 8)
    waits = [rates.note_stranger(f"127.0.{i // 250}.{i % 250}", 5.0) for i in range(5000)]
    assert sum(not wait for wait in waits) == STRANGERS_RATE * BURST
    assert rates.wait_of_stranger("127.9.9.9", 5.0) > 0


@pytest.mark.parametrize("step", [0.0, 0.001, 1.0])
def test_no_more_names_are_kept_than_there_is_room_for(step: float) -> None:
    rate = Rate(10, most=MOST_ADDRESSES)
    for i in range(5 * MOST_ADDRESSES):
        rate.take(str(i), 5.0 + i * step)
        assert len(rate._whole_at) <= MOST_ADDRESSES


def test_who_has_called_most_is_forgotten_last() -> None:
    rate = Rate(10, most=4)
    for _ in range(20):
        rate.take("flood", 5.0)
    for i in range(50):
        rate.take(str(i), 5.0)
    assert rate.wait("flood", 5.0) > 0
