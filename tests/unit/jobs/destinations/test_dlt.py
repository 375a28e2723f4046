"""Loads through dlt: exactly once with a key, whenever a process dies."""

import json
import os
import signal
import sqlite3
from collections.abc import Iterator
from contextlib import ExitStack, closing
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from dlt.common.destination.client import RunnableLoadJob
from dlt.common.runtime import run_context
from dlt.load.load import Load
from dlt.pipeline.pipeline import Pipeline

from connector.jobs.destinations import dlt_load
from connector.jobs.destinations.destination import DestinationFailed
from connector.jobs.destinations.stream import State

from .dlt_places import die_in, dlt_duckdb, dlt_place, dlt_sqlite, seen
from .killing import fork
from .places import Place, opened
from .test_bad_places import files_limited, read_only

pytestmark = pytest.mark.usefixtures("dlt_apart")


@pytest.fixture(params=[dlt_duckdb, dlt_sqlite], ids=["duckdb", "sqlite"])
def place(tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[Place]:
    with opened(request.param(tmp_path)) as place:
        yield place


@pytest.mark.timeout(120)
def test_records_are_merged_by_their_key(place: Place, tmp_path: Path) -> None:
    destination = place.open()
    destination.commit([{"id": 1, "n": 1, "j": {"a": [1]}}, {"id": 1, "n": 2}], State(cursor=1))
    place.open(account="acme/other", account_id="2").commit([{"id": 1, "n": 3}])
    destination.close()
    again = place.open(run_id="b")
    assert again.state() == State(cursor=1)
    again.commit([{"id": 1, "n": 4}, {"id": 2, "n": 5}])
    again.close()
    assert seen(place, "_account", "id", "n") == [
        ("acme/ads", 1, 4),
        ("acme/ads", 2, 5),
        ("acme/other", 1, 3),
    ]
    made = {path.name.partition("_staging_")[0] for path in tmp_path.iterdir()}
    assert made <= {".connector-dlt", "w.duckdb", "w.db", "w__ads.db", "w__ads"}
    assert (tmp_path / ".connector-dlt").stat().st_mode & 0o777 == 0o700


#: Between any two of these something may be noted, or loaded.
STEPS = (
    (Pipeline, "extract", False),
    (Pipeline, "extract", True),
    (Pipeline, "normalize", True),
    (Pipeline, "load", False),
    (RunnableLoadJob, "_release", False),
    (Load, "complete_jobs", False),
    (Load, "complete_jobs", True),
    (Load, "complete_package", False),
    (Pipeline, "load", True),
)


@pytest.mark.timeout(300)
@pytest.mark.parametrize("key", [("id",), ()], ids=["merge", "append"])
def test_killed_between_any_two_steps(tmp_path: Path, key: tuple[str, ...]) -> None:
    """Nothing is lost and nothing twice, but for a file that was under way, without a key."""
    place = dlt_duckdb(tmp_path)
    before = 0
    for number, (owner, step, is_after) in enumerate(STEPS):
        dying = die_in(owner, step, is_after=is_after)

        def work(number: int = number, step: tuple[Any, ...] = (owner, step, dying)) -> None:
            setattr(*step)
            destination = place.open(key)
            destination.commit([{"id": number}, {"id": number + 100}], State(cursor=number))
            destination.close()

        _, status = os.waitpid(fork(work), 0)
        assert os.WTERMSIG(status) == signal.SIGKILL
        destination = place.open(key)
        assert destination.state() == State(cursor=number)
        destination.close()
        versions = [version for (version,) in seen(place, "_connector_version")]
        repeated = len(versions) - len(set(versions))
        assert len(set(versions)) == 2 * (number + 1)
        is_twice = not key and (step, is_after) == ("_release", False)
        assert repeated == before + 2 * is_twice, "the file that was loaded and not noted"
        before = repeated


@pytest.mark.timeout(120)
def test_several_write_at_once(tmp_path: Path) -> None:
    place = dlt_duckdb(tmp_path)

    def work(name: str) -> None:
        destination = place.open(account=name, account_id=name)
        destination.commit([{"id": number, f"f{name}": 1} for number in range(10)])
        destination.close()

    children = [fork(partial(work, name)) for name in ("a", "b", "c")]
    assert [os.waitpid(child, 0)[1] for child in children] == [0, 0, 0]
    assert seen(place, "_account", "id") == [(n, i) for n in ("a", "b", "c") for i in range(10)]


def test_a_key_of_another_type_is_set_aside(tmp_path: Path) -> None:
    """It would keep all others from being loaded."""
    place = dlt_duckdb(tmp_path)
    place.open().commit([{"id": 1}])
    done = place.open(run_id="b").commit([{"id": "x"}, {"id": 2}])
    assert (done.written, done.reason) == (1, "has a field id that is no bigint (str)")
    place.close()
    assert seen(place, "id") == [(1,), (2,)]


@pytest.mark.timeout(120)
def test_a_destination_that_fails_keeps_the_pages(tmp_path: Path) -> None:
    place = dlt_duckdb(tmp_path)
    destination = place.open()
    destination.commit([{"id": 1}], State(cursor=1))
    file = tmp_path / "w.duckdb"
    file.unlink()
    file.mkdir()
    with pytest.raises(DestinationFailed, match=r"dlt could not load into duckdb: .*next run"):
        destination.close()
    with pytest.raises(DestinationFailed, match="could not ask duckdb how far this job has"):
        place.open()
    file.rmdir()
    again = place.open()
    assert again.state() == State(cursor=1)
    again.close()
    assert seen(place, "id") == [(1,)]


@pytest.mark.timeout(120)
@pytest.mark.parametrize("how", ["full", "locked", "read-only"])
def test_a_spool_that_cannot_be_written_to(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, how: str
) -> None:
    """What was committed before is loaded, and the run that comes next begins there."""
    monkeypatch.setattr("connector.jobs.destinations.wal.BUSY_TIMEOUT", 0.05)
    place = dlt_duckdb(tmp_path)
    destination = place.open()
    destination.commit([{"id": 0}], State(cursor=0))
    (spool,) = (tmp_path / ".connector-dlt").glob("*/_connector.state")

    def write() -> None:
        used = place.open() if how == "read-only" else destination
        for page in range(1, 100):
            used.commit([{"id": page, "text": "x" * 20_000}], State(cursor=page))

    with ExitStack() as stack:
        if how == "full":
            stack.enter_context(files_limited(300_000))
        elif how == "locked":
            other = stack.enter_context(closing(sqlite3.connect(spool, isolation_level=None)))
            other.execute("BEGIN IMMEDIATE")
        else:
            place.close()
            stack.enter_context(read_only(*spool.parent.glob("_connector.state*")))
        with pytest.raises(DestinationFailed, match=r"look at its disk|end what|let this user"):
            write()
    place.close()
    again = place.open(run_id="b")
    cursor = again.state().cursor
    assert isinstance(cursor, int)
    again.commit([{"id": cursor + 1}], State(cursor=cursor + 1))
    again.close()
    assert seen(place, "id") == [(number,) for number in range(cursor + 2)]


def test_a_destination_that_dlt_does_not_know(tmp_path: Path) -> None:
    with pytest.raises(DestinationFailed, match="bigquerry"):
        dlt_place(tmp_path, "bigquerry", "x", lambda _table: []).open()


def test_nothing_is_told_to_its_makers(tmp_path: Path) -> None:
    place = dlt_duckdb(tmp_path)
    place.open().commit([{"id": 1}])
    place.close()
    assert run_context.active().runtime_config.dlthub_telemetry is False


def test_without_the_library(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(dlt_load, "find_spec", lambda _name: None)
    with pytest.raises(DestinationFailed, match=r"pip install 'connector\[dlt\]'"):
        dlt_duckdb(tmp_path).open()
    assert json.dumps(list(tmp_path.iterdir())) == "[]"
