"""Files that are full, read-only, gone, locked or changed.

A clear error, nothing lost, and it goes on.
"""

import resource
import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from pathlib import Path

import pytest

from connector.jobs.destinations.destination import DestinationFailed
from connector.jobs.destinations.stream import State
from tests.privileges import bound_by_permissions

from .places import (
    Place,
    duckdb_place,
    json_lines_place,
    opened,
    parquet_place,
    sqlite_place,
)

PLACES = {
    "sqlite": sqlite_place,
    "json lines": json_lines_place,
    "duckdb": duckdb_place,
    "parquet": parquet_place,
}


@pytest.fixture(params=PLACES)
def place(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Place]:
    with opened(PLACES[request.param](tmp_path)) as made:
        yield made


@contextmanager
def files_limited(size: int) -> Iterator[None]:
    """Let no file of this process grow beyond a size in bytes, as a full disk would."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


def database_of(place: Place) -> Path:
    """Give the database of a place: the records', or the state's."""
    kind, _, path = place.url.partition(":")
    if kind == "sqlite":
        return Path(place.url.removeprefix("sqlite:///"))
    return Path(path + {"jsonl": ".state", "parquet": "/_connector.state", "duckdb": ""}[kind])


def test_full(place: Place) -> None:
    destination = place.open()
    destination.commit([{"id": 0}], State(cursor=0))

    def fill() -> None:
        for page in range(1, 100):
            destination.commit([{"id": page, "text": "x" * 20_000}], State(cursor=page))

    says = r"ads\S*: .*(full|too large|I/O error).*: (make room|raise the limit|look at its disk)"
    with files_limited(300_000), pytest.raises(DestinationFailed, match=says):
        fill()
    cursor = destination.state().cursor
    assert isinstance(cursor, int)
    assert sorted(place.ids(), key=lambda one: int(str(one))) == list(range(cursor + 1))
    again = place.open()
    assert again.state().cursor == cursor
    again.commit([{"id": cursor + 1, "text": "x" * 20_000}], State(cursor=cursor + 1))
    assert len(place.ids()) == cursor + 2


def test_gone_between_two_commits(place: Place) -> None:
    destination = place.open()
    destination.commit([{"id": 1}], State(cursor=1))
    file = database_of(place)
    moved = file.with_name("moved")
    file.rename(moved)
    with pytest.raises(DestinationFailed, match="was moved or removed while it was written to"):
        destination.commit([{"id": 2}], State(cursor=2))
    moved.rename(file)
    destination.commit([{"id": 2}], State(cursor=2))
    assert place.ids() == [1, 2]


def test_its_folder_is_moved_and_another_made(place: Place, tmp_path: Path) -> None:
    """Nothing goes into the other one, where the state is not."""
    folder, moved = tmp_path, tmp_path.with_name("moved")
    destination = place.open()
    destination.commit([{"id": 1}], State(cursor=1))
    folder.rename(moved)
    (folder / "ads").mkdir(parents=True)
    with pytest.raises(DestinationFailed, match="was moved or removed while it was written to"):
        destination.commit([{"id": 2}], State(cursor=2))
    with suppress(DestinationFailed):
        destination.close()
    assert [one for one in folder.rglob("*") if one.is_file()] == []
    (folder / "ads").rmdir()
    folder.rmdir()
    moved.rename(folder)
    again = place.open()
    assert again.state() == State(cursor=1)
    again.commit([{"id": 2}], State(cursor=2))
    assert place.ids() == [1, 2]


@pytest.mark.parametrize("place", ["sqlite", "json lines", "parquet"], indirect=True)
def test_locked_for_long(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("connector.jobs.destinations.wal.BUSY_TIMEOUT", 0.05)
    destination = place.open()
    destination.commit([{"id": 1}], State(cursor=1))
    with closing(sqlite3.connect(database_of(place), isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        with pytest.raises(DestinationFailed, match="locked: end what keeps it locked"):
            destination.commit([{"id": 2}], State(cursor=2))
        with pytest.raises(DestinationFailed, match="locked: end what keeps it locked"):
            place.open()
    destination.commit([{"id": 2}], State(cursor=2))
    assert (place.ids(), destination.state()) == ([1, 2], State(cursor=2))


@contextmanager
def read_only(*paths: Path) -> Iterator[None]:
    """Let nobody write to files and folders."""
    with bound_by_permissions():
        modes = {path: path.stat().st_mode for path in paths}
        for path, mode in modes.items():
            path.chmod(mode & ~0o222)
        try:
            yield
        finally:
            for path, mode in modes.items():
                if path.exists():  # SQLite tidies up
                    path.chmod(mode)


@pytest.mark.parametrize("what", ["files", "folders"])
def test_read_only(place: Place, tmp_path: Path, what: str) -> None:
    destination = place.open()
    destination.commit([{"id": 1}], State(cursor=1))
    destination.close()
    inside = [tmp_path, *tmp_path.rglob("*")]
    paths = [path for path in inside if path.is_dir() == (what == "folders")]
    with (
        read_only(*paths),
        pytest.raises(DestinationFailed, match=r"ads.*: let this user write"),
    ):
        place.open().commit([{"id": 2}], State(cursor=2))
    with suppress(DestinationFailed):
        place.close()
    assert place.ids() == [1]
    again = place.open()
    assert again.state() == State(cursor=1)
    again.commit([{"id": 2}], State(cursor=2))
    assert place.ids() == [1, 2]


class TestTableChanged:
    @pytest.fixture
    def place(self, tmp_path: Path) -> Iterator[Place]:
        with opened(sqlite_place(tmp_path)) as made:
            yield made

    @pytest.mark.parametrize("change", ["ALTER TABLE t DROP COLUMN n", "DROP TABLE t"])
    def test_what_is_missing_is_made_anew(self, place: Place, change: str) -> None:
        destination = place.open()
        destination.commit([{"id": 1, "n": 1}])
        with closing(sqlite3.connect(database_of(place))) as other:
            other.execute(change)
        assert destination.commit([{"id": 2, "n": 2}], State(cursor=2)).schema != ()
        assert place.rows()[-1] == {"_account": "acme/ads", "id": 2, "n": 2}

    def test_another_key(self, place: Place) -> None:
        destination = place.open()
        destination.commit([{"id": 1}], State(cursor=1))
        with closing(sqlite3.connect(database_of(place))) as other:
            other.execute("DROP TABLE t")
            other.execute("CREATE TABLE t (_account, id, day, PRIMARY KEY (_account, id, day))")
        with pytest.raises(DestinationFailed, match=r"ads\.db: table t was made with another key"):
            destination.commit([{"id": 2}], State(cursor=2))
        assert destination.state() == State(cursor=1)

    def test_one_that_is_none_of_ours(self, place: Place) -> None:
        with closing(sqlite3.connect(database_of(place))) as other:
            other.execute("CREATE TABLE t (id PRIMARY KEY, sealed)")
        with pytest.raises(DestinationFailed, match="table t"):
            place.open().commit([{"id": 1}])


def test_declared_columns_of_sqlite_are_numbers(tmp_path: Path) -> None:
    """Texts that are numbers are compared as numbers."""
    with opened(sqlite_place(tmp_path)) as place:
        place.open(columns={"spend": "numeric"}).commit(
            [{"id": 1, "spend": "9.5"}, {"id": 2, "spend": "10.25"}]
        )
        with closing(sqlite3.connect(database_of(place))) as connection:
            row = connection.execute("SELECT sum(spend), max(spend) FROM t").fetchone()
        assert row == (19.75, 10.25)
