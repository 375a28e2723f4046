"""The table of mutations is held to the code; to run them takes minutes: make mutations."""

import pytest

from tests.mutations.mutation import Mutation, MutationError
from tests.mutations.page import PAGE
from tests.mutations.tables import TABLES

MUTATIONS = [one for table in TABLES for one in table.mutations]


def problem(mutation: Mutation) -> str | None:
    """Say why a mutation does not fit the code."""
    try:
        mutation.check()
    except MutationError as error:
        return str(error)
    return None


def test_they_fit_the_code() -> None:
    assert [found for one in MUTATIONS if (found := problem(one)) is not None] == []


def test_each_guard_has_a_name_of_its_own() -> None:
    guards = [one.guard for one in MUTATIONS]
    assert sorted(guards) == sorted(set(guards))


def test_the_page_has_them_all_and_none_survives() -> None:
    text = PAGE.read_text()
    assert [one.guard for one in MUTATIONS if f"| {one.guard} |" not in text] == []
    assert "SURVIVED" not in text


@pytest.mark.parametrize("text", ["", "a = 1\na = 1\n"])
def test_what_is_not_found_once_is_an_error(text: str) -> None:
    mutation = Mutation(guard="", path="", old="a = 1", new="a = 2", tests=())
    with pytest.raises(MutationError, match="not once"):
        mutation.applied(text)
    assert mutation.applied("a = 1") == "a = 2"
