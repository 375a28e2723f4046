"""When a token may be sent again after a lost answer: the decision table, at its boundaries."""

import pytest

from connector.account import Attempt
from connector.providers.provider import ROTATIONS, Rotation, RotationProfile
from connector.token_source.unanswered import REPLAY_PERIOD, next_send, replay_period

SENT = 1_000.0


def sent(count: int, *, at: float = SENT, first: float = SENT) -> Attempt:
    return Attempt(sent_at=at, first_sent_at=first, count=count, token_fingerprint="f", fence=1)


def profile(rotation: Rotation, grace: float = 0.0) -> RotationProfile:
    return RotationProfile(rotation=rotation, grace=grace)


@pytest.mark.parametrize("rotation", ROTATIONS)
def test_once_more_at_once_where_nothing_is_left_to_spare(rotation: Rotation) -> None:
    assert next_send(sent(1), profile(rotation, 30)) == SENT


@pytest.mark.parametrize("rotation", ["none", "lazy", "by_age"])
@pytest.mark.parametrize(("count", "pause"), [(2, 2), (3, 4), (8, 128), (9, 256), (10, 300)])
def test_where_the_old_token_works_pauses_grow_to_five_minutes(
    rotation: Rotation, count: int, pause: float
) -> None:
    assert next_send(sent(count), profile(rotation)) == SENT + pause


@pytest.mark.parametrize("rotation", ["strict", "strict_family", "unknown"])
@pytest.mark.parametrize(("count", "pause"), [(2, 60), (3, 120), (7, 1920), (8, 3600), (99, 3600)])
def test_where_a_retry_may_be_taken_for_theft_pauses_grow_to_an_hour(
    rotation: Rotation, count: int, pause: float
) -> None:
    assert next_send(sent(count), profile(rotation)) == SENT + pause


@pytest.mark.parametrize("rotation", ["strict_family", "unknown"])
def test_a_retry_that_may_kill_the_access_token_waits_until_that_is_nearly_over(
    rotation: Rotation,
) -> None:
    ends = SENT + 3600
    assert next_send(sent(1), profile(rotation), expires_at=ends, lifetime=3600) == ends - 60
    assert next_send(sent(1), profile(rotation), expires_at=ends, lifetime=100) == ends - 10
    soon = SENT + 5
    assert next_send(sent(1), profile(rotation), expires_at=soon, lifetime=3600) == SENT
    again = next_send(sent(2), profile(rotation), expires_at=ends, lifetime=3600)
    assert again == SENT + 60, "the one retry is spent"


def test_strict_risks_no_access_token() -> None:
    assert next_send(sent(1), profile("strict"), expires_at=SENT + 3600, lifetime=3600) == SENT


@pytest.mark.parametrize("rotation", ["grace", "idempotent"])
def test_a_grace_is_used_every_few_seconds_from_the_first_send(rotation: Rotation) -> None:
    def after(elapsed: float) -> float:
        attempt = sent(5, at=SENT + elapsed, first=SENT)
        return next_send(attempt, profile(rotation, 60)) - attempt.sent_at

    assert after(0) == 3
    assert after(51) == 3, "the last that comes six seconds before the end"
    assert after(51.1) == 480, "then as where nothing is forgiven"
    assert after(500) == 480


def test_an_answer_that_is_repeated_until_its_token_is_used_has_no_end() -> None:
    attempt = sent(500, at=SENT + 86_400, first=SENT)
    assert next_send(attempt, profile("idempotent")) == attempt.sent_at + 3
    assert next_send(attempt, profile("grace")) > attempt.sent_at + 60


@pytest.mark.parametrize("rotation", ROTATIONS)
def test_an_owner_elsewhere_is_given_time_where_its_answer_is_the_only_one(
    rotation: Rotation,
) -> None:
    is_fragile = rotation in {"strict", "strict_family", "unknown"}
    assert replay_period(profile(rotation)) == (REPLAY_PERIOD if is_fragile else 0)
