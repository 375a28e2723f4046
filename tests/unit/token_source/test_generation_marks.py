"""The marks outside the database: shared by processes, and never in the way."""

import os
from pathlib import Path

import pytest

from connector import errors
from connector.store.generation_marks import GenerationMarks
from tests.unit.workbench import ACCOUNT, Workbench


@pytest.fixture
def marks(tmp_path: Path) -> GenerationMarks:
    return GenerationMarks(tmp_path / "journals")


def test_a_generation_that_was_noted_is_known(marks: GenerationMarks) -> None:
    assert marks.newer("one", 0) is None
    marks.note("one", 7)
    marks.note("two", 2)
    assert [marks.newer("one", generation) for generation in (6, 7, 8)] == [7, None, None]
    assert marks.newer("two", 1) == 2
    marks.note("one", 3)
    assert marks.newer("one", 2) == 3, "a person has confirmed what is older"
    assert marks.newer("one", 3) is None


def test_processes_share_them(marks: GenerationMarks, tmp_path: Path) -> None:
    other = GenerationMarks(tmp_path / "journals")
    marks.note("one", 1)
    other.note("two", 5)
    marks.note("three", 9)
    other.note("one", 2)
    for each in (marks, other, GenerationMarks(tmp_path / "journals")):
        assert [each.newer(name, 0) for name in ("one", "two", "three")] == [2, 5, 9]
        each.close()
        each.close()
    assert marks.newer("three", 8) == 9, "it opens again"


def test_they_are_private_and_name_nobody(marks: GenerationMarks, tmp_path: Path) -> None:
    marks.note("acme/one", 1)
    path = tmp_path / "journals" / "generations.marks"
    assert path.stat().st_mode & 0o777 == 0o600
    assert path.parent.stat().st_mode & 0o777 == 0o700
    assert b"acme" not in path.read_bytes()


def test_a_slot_that_was_cut_is_no_slot(marks: GenerationMarks, tmp_path: Path) -> None:
    marks.note("one", 4)
    marks.note("two", 4)
    marks.close()
    path = tmp_path / "journals" / "generations.marks"
    os.truncate(path, path.stat().st_size - 3)
    assert (marks.newer("one", 0), marks.newer("two", 0)) == (4, None)
    marks.note("two", 6)
    assert (marks.newer("one", 0), marks.newer("two", 0)) == (4, 6)


def test_where_they_cannot_be_written_nothing_is_noticed(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    marks = GenerationMarks(tmp_path / "file" / "journals")
    marks.note("one", 4)
    assert marks.newer("one", 0) is None


async def test_a_person_who_confirms_is_asked_once(bench: Workbench) -> None:
    """Within the grace time the replaced token still works."""
    bench.simulator.change({"rotation": "grace", "grace_seconds": 600})
    bench.configure(acme='refresh_token = { rotation = "grace", grace = "10m" }')
    async with bench.runtime() as runtime:
        account = await bench.connect(runtime)
        runtime.marks.note(account.id, account.generation + 3)
        bench.clock.advance(3600)
        with pytest.raises(errors.TemporarilyUnavailable, match="connector refresh"):
            await runtime.tokens.get(ACCOUNT)
        assert bench.refreshes == 0
        await runtime.tokens.refresh(ACCOUNT, ignore_backoff=True)
        bench.clock.advance(3600)
        assert (await runtime.tokens.get(ACCOUNT)).value
    assert bench.refreshes == 2


@pytest.mark.parametrize("rotation", ["none", "strict"])
async def test_only_what_rotates_is_held(bench: Workbench, rotation: str) -> None:
    bench.simulator.change({"rotation": rotation})
    bench.configure(acme=f'refresh_token = {{ rotation = "{rotation}" }}')
    async with bench.runtime() as runtime:
        account = await bench.connect(runtime)
        runtime.marks.note(account.id, account.generation + 3)
        bench.clock.advance(3600)
        if rotation == "none":
            assert (await runtime.tokens.get(ACCOUNT)).value
        else:
            with pytest.raises(errors.TemporarilyUnavailable, match="gone back"):
                await runtime.tokens.get(ACCOUNT)


async def test_what_another_process_has_just_written_is_no_going_back(bench: Workbench) -> None:
    """The refresher claims an account, and somebody refreshes it before its turn comes."""
    async with bench.runtime() as runtime, bench.runtime() as sibling:
        account = await bench.connect(runtime)
        bench.clock.advance(3600)
        token = await sibling.tokens.get(ACCOUNT)
        await runtime.tokens.refresh_due(account)
        assert await runtime.tokens.get(ACCOUNT) == token
    assert bench.refreshes == 1
