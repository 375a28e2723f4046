"""Which causes are open, by what the store says."""

from dataclasses import replace

import pytest

from connector.account import HELD
from connector.notice import PAST, AccountFacts, Cause, Facts, JobFacts, ProviderFacts
from connector.notices.causes import DAY, FAILING_LIMIT, UNAVAILABLE_LIMIT, level_of, open_causes

NOW = 1_800_000_000.0
ACCOUNT = AccountFacts(
    id="17",
    name="acme/one",
    provider="acme",
    state="active",
    state_since=NOW - 90 * DAY,
    reason=None,
    consented_at=NOW - 90 * DAY,
    consent_ends_at=None,
    failing_since=None,
    last_error=None,
    retry_at=None,
)
DEAD = replace(ACCOUNT, state="consent_required", state_since=NOW - 60, reason="revoked")
FAILING = replace(
    ACCOUNT, failing_since=NOW - FAILING_LIMIT, last_error="HTTP 400", retry_at=NOW + 60
)
DOWN = ProviderFacts(
    provider="acme", since=NOW - UNAVAILABLE_LIMIT, until=NOW + 5, message="503", rejected=None
)
JOB = JobFacts(
    job="pull",
    account_id="17",
    account="acme/one",
    provider="acme",
    failures=3,
    since=NOW - 60,
    error="KeyError",
)


def kinds(*facts: AccountFacts | ProviderFacts | JobFacts, now: float = NOW) -> list[str]:
    return [one.kind for one in causes(*facts, now=now)]


def causes(*facts: AccountFacts | ProviderFacts | JobFacts, now: float = NOW) -> list[Cause]:
    found = Facts(
        accounts=tuple(one for one in facts if isinstance(one, AccountFacts)),
        providers=tuple(one for one in facts if isinstance(one, ProviderFacts)),
        jobs=tuple(one for one in facts if isinstance(one, JobFacts)),
    )
    return open_causes(found, now=now)


def test_nothing_is_wrong() -> None:
    pending = replace(ACCOUNT, state="pending", failing_since=0.0)
    assert causes(ACCOUNT, pending) == []


def test_a_dead_grant_is_one_whatever_else_was_wrong_with_it() -> None:
    (cause,) = causes(replace(DEAD, consent_ends_at=NOW, failing_since=0.0, retry_at=HELD))
    assert (cause.kind, cause.since, cause.reason) == ("consent_required", NOW - 60, "revoked")
    assert (cause.account, cause.account_id, cause.provider) == ("acme/one", "17", "acme")


@pytest.mark.parametrize(
    ("left", "level"),
    [
        (14 * DAY + 0.001, 0), (14 * DAY, 1), (7 * DAY + 0.001, 1), (7 * DAY, 2), (DAY + 0.001, 2),
        (DAY, 3), (0.001, 3), (0.0, PAST), (-DAY, PAST),
    ],
)  # fmt: skip
def test_steps_before_an_end(left: float, level: int) -> None:
    assert level_of(NOW - 90 * DAY, NOW + left, NOW) == level


@pytest.mark.parametrize(
    ("whole", "levels"), [(14 * DAY, {0, 2, 3}), (7 * DAY, {0, 3}), (DAY, {0}), (3600, {0})]
)
def test_a_step_that_is_longer_than_the_consent_is_none(whole: float, levels: set[int]) -> None:
    """What lives for an hour would else be told of from its first moment on."""
    moments = [NOW + whole * part / 1000 for part in range(1000)]
    assert {level_of(NOW, NOW + whole, moment) for moment in moments} == levels


def test_an_end_that_is_told_of() -> None:
    (cause,) = causes(replace(ACCOUNT, consent_ends_at=NOW + 6 * DAY))
    assert (cause.kind, cause.level, cause.ends_at) == ("consent_ends", 2, NOW + 6 * DAY)
    assert causes(replace(ACCOUNT, consent_ends_at=NOW + 15 * DAY)) == []


def test_an_end_by_idleness_is_kept_away_and_not_told_of() -> None:
    facts = Facts(accounts=(replace(ACCOUNT, consent_ends_at=NOW + DAY),))
    assert open_causes(facts, idle={"acme"}, now=NOW) == []
    assert len(open_causes(facts, idle={"other"}, now=NOW)) == 1


def test_refreshes_that_fail_for_a_day() -> None:
    (cause,) = causes(FAILING)
    assert (cause.kind, cause.reason) == ("refresh_failing", "HTTP 400")
    assert cause.since == NOW - FAILING_LIMIT
    assert causes(FAILING, now=NOW - 1) == []


def test_a_refresh_that_is_held_waits_for_nothing() -> None:
    assert kinds(replace(FAILING, failing_since=NOW, retry_at=HELD)) == ["refresh_held"]


def test_a_provider_that_is_down_is_told_of_after_a_while() -> None:
    (cause,) = causes(DOWN)
    assert (cause.kind, cause.provider, cause.account) == ("provider_unavailable", "acme", None)
    assert causes(replace(DOWN, since=DOWN.since + 1)) == []


def test_a_provider_that_nobody_has_asked_since_is_not_down_for_that() -> None:
    """A minute's halt stays written down until the next success, which may be hours away."""
    assert causes(replace(DOWN, until=DOWN.since + 60)) == []


def test_a_broken_registration_is_told_of_at_once() -> None:
    rejected = replace(DOWN, since=NOW, rejected="invalid_client")
    assert kinds(rejected) == ["registration_rejected"]


@pytest.mark.parametrize("rejected", [None, "invalid_client"])
def test_what_fails_for_its_provider_is_no_cause_of_its_own(rejected: str | None) -> None:
    found = kinds(replace(DOWN, rejected=rejected), FAILING, JOB)
    assert found == ["registration_rejected" if rejected else "provider_unavailable"]
    assert kinds(replace(DOWN, provider="other"), FAILING, JOB)[1:] == [
        "refresh_failing",
        "job_failing",
    ]


def test_nor_while_people_still_believe_the_provider_to_be_down() -> None:
    facts = Facts(accounts=(FAILING, DEAD), jobs=(JOB,))
    assert [one.kind for one in open_causes(facts, halted={"acme"}, now=NOW)] == [
        "consent_required"
    ]


def test_a_job_that_fails_three_times() -> None:
    (cause,) = causes(JOB)
    assert (cause.kind, cause.job, cause.reason) == ("job_failing", "pull", "KeyError")
    assert causes(replace(JOB, failures=2)) == []


def test_every_cause_has_a_key_of_its_own() -> None:
    found = causes(
        replace(FAILING, consent_ends_at=NOW), replace(FAILING, id="18"), DEAD,
        replace(DOWN, provider="x"), JOB, replace(JOB, job="other"), replace(JOB, account_id="18"),
    )  # fmt: skip
    assert len({one.key for one in found}) == len(found) == 8
