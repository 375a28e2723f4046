import re

import pytest

from connector.simulator import opaque, people
from connector.simulator.clock import Clock
from connector.simulator.parameters import MAX_PARAMETERS, MalformedParametersError, Parameters


def test_clock_shows_its_source_moved_forward() -> None:
    clock = Clock(source=lambda: 100.0)
    assert clock.now() == 100.0
    assert clock.advance(2.5) == 102.5
    assert clock.advance(0) == 102.5
    assert clock.now() == 102.5


def test_clock_runs_with_real_time_by_default() -> None:
    assert Clock().now() > 1_700_000_000


@pytest.mark.parametrize("seconds", [-1, -0.001, float("nan")])
def test_clock_never_runs_backwards(seconds: float) -> None:
    clock = Clock(source=lambda: 100.0)
    with pytest.raises(ValueError, match="only moves forward"):
        clock.advance(seconds)
    assert clock.now() == 100.0


def test_tokens_are_unguessable_and_differ() -> None:
    values = {opaque.new_token("at_") for _ in range(100)}
    assert len(values) == 100
    assert all(re.fullmatch(r"at_[A-Za-z0-9_-]{43}", value) for value in values)
    assert opaque.new_token("rt_", padding=1000).endswith("x" * 1000)


def test_user_codes_are_for_people() -> None:
    assert re.fullmatch(r"[BCDFGHJ-NP-TV-Z]{4}-[BCDFGHJ-NP-TV-Z]{4}", opaque.new_user_code())


def test_fingerprints_are_stable_short_and_say_nothing() -> None:
    assert opaque.fingerprint("rt_secret") == opaque.fingerprint("rt_secret")
    assert opaque.fingerprint("rt_secret") != opaque.fingerprint("rt_other")
    assert re.fullmatch("[0-9a-f]{12}", opaque.fingerprint("rt_secret"))
    assert opaque.fingerprint("\ud800")


def test_people_are_found_by_name_and_by_id() -> None:
    ada = people.known_person("ada")
    assert ada.full_name == "Ada Lovelace"
    assert people.person_by_id(ada.id) is ada
    assert people.person_by_id("0") is None
    with pytest.raises(people.UnknownPersonError, match="no person 'bob'; there are ada, grace"):
        people.known_person("bob")


def test_parameters_are_decoded_and_empty_ones_are_absent() -> None:
    parameters = Parameters.parse("a=1+2&b=%C3%A9&c=&a%3D=x")
    assert list(parameters) == [("a", "1 2"), ("b", "é"), ("a=", "x")]
    assert parameters.get("a") == "1 2"
    assert parameters.get("c") is None
    assert "b" in parameters
    assert "c" not in parameters
    assert len(parameters) == 3
    assert not Parameters.parse("")


def test_repeated_parameters_are_named_unless_they_may_be_repeated() -> None:
    parameters = Parameters.parse("a=1&a=2&b=1&resource=x&resource=y&c=&c=1")
    assert parameters.repeated() == ("a",)
    assert parameters.every("resource") == ("x", "y")


@pytest.mark.parametrize(
    "text", ["a", "a=1&b", "&", "a=%ff", "&".join(["a=1"] * (MAX_PARAMETERS + 1))]
)
def test_malformed_parameters_are_refused(text: str) -> None:
    with pytest.raises(MalformedParametersError, match="not urlencoded"):
        Parameters.parse(text)
