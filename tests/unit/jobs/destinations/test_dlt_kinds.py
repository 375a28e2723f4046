"""What dlt loads into without a network, each with real loads: what is there afterwards.

Warehouses are not tried: `test_dlt_credentials` shows that what is configured for them arrives.
"""

import os
import signal
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl

import pytest
from dlt.common.destination.client import RunnableLoadJob
from dlt.load.load import Load

from connector.jobs.destinations.stream import State

from .dlt_places import die_in, dlt_duckdb, dlt_files, dlt_postgres, dlt_sqlite, seen
from .killing import fork
from .places import Place, opened

pytestmark = [pytest.mark.timeout(240), pytest.mark.usefixtures("dlt_apart")]

#: Files cannot be changed: what comes again stands there again.
FILES = ("jsonl", "parquet", "csv")
ALL = ("duckdb", "sqlite", "postgres", *FILES)


@pytest.fixture(params=ALL)
def place(tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[Place]:
    kind = request.param
    if kind == "postgres":
        made = dlt_postgres(tmp_path, request.getfixturevalue("postgres_url"))
    elif kind in FILES:
        made = dlt_files(tmp_path, tmp_path / "files", kind)
    else:
        made = {"duckdb": dlt_duckdb, "sqlite": dlt_sqlite}[kind](tmp_path)
    with opened(made) as place:
        yield place


def kind_of(place: Place) -> str:
    """Tell what is loaded into."""
    given = dict(parse_qsl(place.url.partition("?")[2]))
    return given.get("file_format", place.url.partition("?")[0].removeprefix("dlt:"))


def write(place: Place, key: tuple[str, ...], *pages: list[dict[str, Any]]) -> None:
    """Have a run of its own write each page."""
    for number, page in enumerate(pages):
        destination = place.open(key, run_id=f"r{number}")
        destination.commit(page, State(cursor=number))
        destination.close()


def whole(place: Place, *names: str) -> list[tuple[Any, ...]]:
    """Give rows with numbers as such; CSV has texts alone, and nothing for what is empty."""
    rows = seen(place, *names)
    if kind_of(place) != "csv":
        return rows
    return sorted(tuple(int(one) if one else None for one in row) for row in rows)


def test_append_and_what_becomes_of_columns(place: Place) -> None:
    """Dlt widens no column: a value of another type goes into ``NAME__v_TYPE``."""
    write(
        place,
        (),
        [{"id": 1, "n": 1}, {"id": 1, "n": 1}],
        [{"id": 1, "more": 5}, {"id": 2, "n": "many"}, {"id": 3, "n": 0.5}],
    )
    assert whole(place, "id") == [(1,), (1,), (1,), (2,), (3,)]
    rows = place._read("t")
    versions = [int(row["_connector_version"]) for row in rows]
    assert versions == sorted(set(versions))
    assert [str(row["n"]) for row in rows[:2]] == ["1", "1"]
    assert [str(row["more"]) for row in rows if row.get("more")] == ["5"]
    assert rows[3]["n__v_text"] == "many"
    assert float(rows[4]["n__v_double"]) == 0.5
    assert not rows[3].get("n")


def test_merge_replaces_where_it_can(place: Place) -> None:
    """In files each is a row more, and the largest version holds."""
    write(place, ("id",), [{"id": 1, "n": 1}, {"id": 2, "n": 2}], [{"id": 1, "n": 3}])
    rows = whole(place, "id", "n")
    if kind_of(place) in FILES:
        assert rows == [(1, 1), (1, 3), (2, 2)]
        assert [int(row["id"]) for row in place._read("t")] == [1, 2, 1]
    else:
        assert rows == [(1, 3), (2, 2)]


def test_a_declared_type_holds_and_what_does_not_fit_is_set_aside(
    place: Place, tmp_path: Path
) -> None:
    """It is set aside on this machine: it is not loaded."""
    destination = place.open(columns={"spend": "numeric", "n": "double"})
    done = destination.commit(
        [
            {"id": 1, "spend": "12.50", "n": 1},
            {"id": 2, "spend": "much"},
            {"id": 3, "spend": "0.10", "n": 0.5},
        ]
    )
    assert (done.written, done.rejected) == (2, 1)
    assert done.reason == "has a field spend that is no numeric (str)"
    destination.close()
    rows = sorted(place._read("t"), key=lambda row: int(row["id"]))
    assert [Decimal(str(row["spend"])) for row in rows] == [Decimal("12.5"), Decimal("0.1")]
    assert [float(row["n"]) for row in rows] == [1.0, 0.5]
    (path,) = (tmp_path / ".connector-dlt").glob("*/_connector.rejected.jsonl")
    assert path.read_text().count("\n") == 1
    assert str(path) == destination.rejected_to


#: In the middle of a load: when a file is loaded and not noted, noted, and when all are.
DEATHS: tuple[tuple[type, str, bool], ...] = (
    (RunnableLoadJob, "_release", False),
    (Load, "complete_jobs", False),
    (Load, "complete_package", True),
)
#: DuckDB dies at every step in `test_dlt`.
DYING = (("sqlite", True), ("postgres", True), ("postgres", False), ("jsonl", False))


@pytest.mark.parametrize(("place", "is_keyed"), DYING, indirect=["place"])
def test_killed_in_the_middle_of_a_load(place: Place, *, is_keyed: bool) -> None:
    """No record is lost; none is twice with a key, and in files none even without one.

    A file is named after its package, and so is written over when it is loaded again.
    """
    key = ("id",) if is_keyed else ()
    for number, (owner, step, is_after) in enumerate(DEATHS):
        dying = die_in(owner, step, is_after=is_after)

        def work(number: int = number, step: tuple[Any, ...] = (owner, step, dying)) -> None:
            setattr(*step)
            write(place, key, [{"id": number}, {"id": number + 100}])

        _, status = os.waitpid(fork(work), 0)
        assert os.WTERMSIG(status) == signal.SIGKILL
        destination = place.open(key)
        assert destination.state() == State(cursor=0)
        destination.close()
        wanted = {one + more for one in range(number + 1) for more in (0, 100)}
        ids = [int(row["id"]) for row in place._read("t")]
        assert set(ids) == wanted
        is_twice = not key and kind_of(place) not in FILES
        assert len(ids) == len(wanted) + 2 * is_twice, "the file that was loaded and not noted"
    versions = [int(row["_connector_version"]) for row in place._read("t")]
    assert len(set(versions)) == 2 * len(DEATHS), "a record that is twice has one version"
