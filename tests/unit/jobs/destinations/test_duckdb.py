"""What is DuckDB's own: one writer at a time, types of columns, and files that are not ours."""

import os
import struct
import subprocess
import sys
import threading
from collections.abc import Iterator
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path

import duckdb
import pytest

from connector.jobs.destinations import duckdb_hold
from connector.jobs.destinations.destination import DestinationFailed
from connector.jobs.destinations.duckdb_file import DuckdbDestination
from connector.jobs.destinations.stream import Overtaken, State

from .places import Place, duckdb_place, opened

#: Opens the file, says so, and keeps it until its input ends.
READER = """
import duckdb, sys
connection = duckdb.connect(sys.argv[1], read_only=True)
print("open", flush=True)
sys.stdin.read()
"""


@pytest.fixture
def place(tmp_path: Path) -> Iterator[Place]:
    with opened(duckdb_place(tmp_path)) as place:
        yield place


def path_of(place: Place) -> Path:
    return Path(place.url.removeprefix("duckdb:"))


def kinds(place: Place) -> dict[str, str]:
    query = "SELECT column_name, data_type FROM duckdb_columns() WHERE table_name = 't'"
    place.close()
    with duckdb.connect(str(path_of(place))) as connection:
        return dict(connection.execute(query).fetchall())


def test_columns_have_the_types_of_their_values(place: Place) -> None:
    moment = datetime(2027, 1, 15, 10, tzinfo=UTC)
    place.open(columns={"spend": "numeric", "day": "date"}).commit(
        [
            {"id": 1, "n": 1, "f": 0.5, "b": True, "t": "x", "j": {"a": [1]}, "moment": moment},
            {"id": 2, "spend": "12.50", "day": "2027-01-15"},
        ]
    )
    assert kinds(place) == {
        "_account": "VARCHAR",
        "id": "BIGINT",
        "n": "BIGINT",
        "f": "DOUBLE",
        "b": "BOOLEAN",
        "t": "VARCHAR",
        "j": "JSON",
        "moment": "TIMESTAMP WITH TIME ZONE",
        "spend": "DECIMAL(38,9)",
        "day": "DATE",
    }
    with duckdb.connect(str(path_of(place))) as connection:
        query = "SELECT epoch(moment), j->>'$.a[0]' FROM t WHERE id = 1"
        assert connection.execute(query).fetchone() == (moment.timestamp(), "1")
        query = "SELECT spend, day + 1 = DATE '2027-01-16' FROM t WHERE id = 2"
        assert connection.execute(query).fetchone() == (Decimal("12.5"), True)


@pytest.mark.parametrize(
    ("values", "kind", "kept"),
    [
        ((1, 0.1234567890123), "DOUBLE", [1.0, 0.1234567890123]),
        ((0.5, 2**53), "DOUBLE", [0.5, 2.0**53]),
        ((2**53 + 1, 0.5), "DECIMAL(38,9)", [Decimal(2**53 + 1), Decimal("0.5")]),
        ((2**53 + 1, 1e-30), "VARCHAR", [str(2**53 + 1), "1e-30"]),
        ((1.5, 2**53 + 1), "VARCHAR", ["1.5", str(2**53 + 1)]),
        ((1, 2**64), "DECIMAL(38,9)", [Decimal(1), Decimal(2**64)]),
        ((1, 10**30), "VARCHAR", ["1", str(10**30)]),
        ((1, "x"), "VARCHAR", ["1", "x"]),
        ((True, 2), "VARCHAR", ["true", "2"]),
        (({"a": 1}, "x"), "VARCHAR", ['{"a":1}', "x"]),
    ],
)
def test_columns_are_widened_without_loss(
    place: Place, values: tuple[object, object], kind: str, kept: list[object]
) -> None:
    destination = place.open()
    destination.commit([{"id": 1, "v": values[0]}])
    done = destination.commit([{"id": 2, "v": values[1]}])
    assert (done.written, done.changed, done.rejected) == (1, 1, 0)
    assert [line.partition(":")[0] for line in done.schema] == ["column v of t"] * (
        values[0] != 0.5
    )
    assert [row["v"] for row in sorted(place.rows(), key=lambda row: row["id"])] == kept
    assert kinds(place)["v"] == kind


def test_a_page_that_widens_its_own_columns(place: Place) -> None:
    """A whole number that no double holds, and then a fraction: nobody is set aside for it."""
    done = place.open().commit([{"id": 1, "v": 2**53 + 1}, {"id": 2, "v": 0.5}])
    assert (done.written, done.rejected) == (2, 0)
    assert [row["v"] for row in place.rows()] == [Decimal(2**53 + 1), Decimal("0.5")]


def test_a_column_of_the_key_is_widened(place: Place) -> None:
    """DuckDB alters none: the table is made anew, in the same transaction."""
    destination = place.open()
    destination.commit([{"id": 1, "n": 1}, {"id": 2, "n": 1}])
    destination.commit([{"id": "x", "n": 1}])
    assert destination.commit([{"id": "1", "n": 2}, {"id": 2, "n": 1}]).changed == 1
    assert sorted((row["id"], row["n"]) for row in place.rows()) == [("1", 2), ("2", 1), ("x", 1)]
    assert kinds(place)["id"] == "VARCHAR"


def test_a_number_too_long_for_its_declared_type_is_set_aside(place: Place) -> None:
    destination = place.open(columns={"spend": "numeric"})
    done = destination.commit([{"id": 1, "spend": 1}, {"id": 2, "spend": "0.0123456789"}])
    assert (done.written, done.reason) == (
        1,
        "has a field spend that has more digits than a numeric here",
    )


def test_another_writer_gets_in_at_once(place: Place) -> None:
    """Who has the file open gives it away though he writes nothing meanwhile."""
    place.open(run_id="a").commit([{"id": 1}], State(cursor=1))
    other = place.open(account="acme/other", account_id="2")
    other.commit([{"id": 1}], State(cursor=2))
    assert place.ids() == [1, 1]


def test_a_reader_is_waited_for(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    destination = place.open()
    destination.commit([{"id": 1}], State(cursor=1))
    destination.close()
    monkeypatch.setattr(duckdb_hold, "PATIENCE", 0.2)
    with subprocess.Popen(
        [sys.executable, "-c", READER, str(path_of(place))],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    ) as reader:
        assert reader.stdout is not None
        assert reader.stdin is not None
        assert reader.stdout.readline() == b"open\n"
        with pytest.raises(
            DestinationFailed,
            match=rf"another program has it open \(process {reader.pid}\).*close it there",
        ):
            place.open()
        monkeypatch.setattr(duckdb_hold, "PATIENCE", 30.0)
        threading.Timer(0.3, reader.stdin.close).start()
        assert place.open().state() == State(cursor=1)
        reader.wait()


def test_a_reader_gets_in_where_nothing_is_written(place: Place) -> None:
    place.open().commit([{"id": 1}])
    pause = threading.Event()
    done = None
    for _ in range(200):
        done = subprocess.run(
            [sys.executable, "-c", READER, str(path_of(place))],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            check=False,
        )
        if done.returncode == 0:
            return
        pause.wait(0.05)
    raise AssertionError(done)


def test_a_file_of_a_newer_duckdb(place: Place) -> None:
    path = path_of(place)
    duckdb.connect(str(path)).close()
    data = bytearray(path.read_bytes())
    data[12:20] = struct.pack("<Q", 5000)
    data[:8] = struct.pack("<Q", checksum(bytes(data[8:4096])))
    path.write_bytes(data)
    with pytest.raises(DestinationFailed, match="newer DuckDB: pip install --upgrade duckdb"):
        place.open()


def checksum(data: bytes) -> int:
    """DuckDB's, of a block."""
    found = 5381
    for (word,) in struct.iter_unpack("<Q", data):
        found ^= word * 0xBF58476D1CE4E5B9 % 2**64
    return found


def test_a_file_that_is_no_database(place: Place) -> None:
    path_of(place).write_text("some notes " * 1000)
    with pytest.raises(DestinationFailed, match=r"not a valid DuckDB.*move it away"):
        place.open()


def test_a_file_that_was_moved_is_told(place: Place) -> None:
    destination = place.open()
    destination.commit([{"id": 1}])
    path_of(place).rename(path_of(place).with_name("moved"))
    with pytest.raises(DestinationFailed, match="moved or removed"):
        destination.commit([{"id": 2}])


def test_a_file_that_was_moved_while_nobody_had_it_is_told(place: Place) -> None:
    """DuckDB would make another one in its place."""
    destination = place.open()
    destination.commit([{"id": 1}], State(cursor=1))
    assert isinstance(destination, DuckdbDestination)
    destination._hold._release()
    moved = path_of(place).rename(path_of(place).with_name("moved"))
    for _ in range(2):
        with pytest.raises(DestinationFailed, match="moved or removed"):
            destination.commit([{"id": 2}])
    assert not path_of(place).exists()
    moved.rename(path_of(place))
    destination.commit([{"id": 2}], State(cursor=2))
    assert place.ids() == [1, 2]


def test_what_another_program_has_changed_is_seen_when_the_file_is_opened_again(
    place: Place,
) -> None:
    destination = place.open()
    assert isinstance(destination, DuckdbDestination)
    destination.commit([{"id": 1, "n": 1}])
    destination._hold._release()
    with duckdb.connect(str(path_of(place))) as other:
        other.execute("ALTER TABLE t DROP COLUMN n")
        other.execute("UPDATE _connector_cursor SET writer = 'another:1'")
    with pytest.raises(Overtaken):
        destination.commit([{"id": 2, "n": 2}])
    assert place.open(run_id="b").commit([{"id": 2, "n": 2}]).schema == (
        "column n of t is new (bigint), because of 2 in record 1 of page 1",
    )
    assert place.rows() == [
        {"_account": "acme/ads", "id": 1},
        {"_account": "acme/ads", "id": 2, "n": 2},
    ]


@pytest.mark.parametrize("length", [100, 5000], ids=str)
def test_a_file_that_was_cut_is_told_and_left(place: Place, length: int) -> None:
    destination = place.open()
    destination.commit([{"id": 1}], State(cursor=1))
    destination.close()
    os.truncate(path_of(place), length)
    before = path_of(place).read_bytes()
    with pytest.raises(DestinationFailed, match=r"ads\.duckdb.*: (move it away|it is damaged)"):
        place.open()
    assert path_of(place).read_bytes() == before


def test_a_folder_that_cannot_be_written(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with opened(duckdb_place(tmp_path / "file")) as place, pytest.raises(DestinationFailed):
        place.open()


def test_a_table_of_somebody_elses(place: Place) -> None:
    with duckdb.connect(str(path_of(place))) as connection:
        connection.execute("CREATE TABLE t (id BIGINT)")
        connection.execute("CREATE TABLE u (_account VARCHAR, id BIGINT)")
    with pytest.raises(DestinationFailed, match="no column _account"):
        place.open().commit([{"id": 1}])
    with pytest.raises(DestinationFailed, match="another key than _account, id"):
        place.open(table="u").commit([{"id": 1}])
    assert place.open((), table="u").commit([{"id": 1}]).changed == 1


def test_without_the_library(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "connector.jobs.destinations.duckdb_file", None)
    with pytest.raises(DestinationFailed, match=r"pip install 'connector\[duckdb\]'"):
        place.open()
