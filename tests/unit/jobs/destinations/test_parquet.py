"""What is Parquet's own: parts that appear whole, types that readers unify, and what fails."""

import os
import sys
from collections.abc import Iterator
from datetime import UTC, date, datetime
from decimal import Decimal
from pathlib import Path

import pyarrow as pa
import pyarrow.dataset as ds
import pyarrow.parquet as pq
import pytest

from connector.jobs.destinations import spooled
from connector.jobs.destinations.destination import DestinationFailed
from connector.jobs.destinations.stream import State

from .places import Place, opened, parquet_place


@pytest.fixture
def place(tmp_path: Path) -> Iterator[Place]:
    with opened(parquet_place(tmp_path)) as place:
        yield place


def folder_of(place: Place) -> Path:
    return Path(place.url.removeprefix("parquet:"))


def parts(place: Place) -> list[Path]:
    return sorted(folder_of(place).glob("*.parquet"))


def test_a_run_makes_one_part_at_its_end(place: Place) -> None:
    destination = place.open()
    for number in range(5):
        destination.commit([{"id": number}], State(cursor=number))
    assert parts(place) == []
    destination.close()
    (part,) = parts(place)
    assert pq.read_table(part).column_names == ["_account", "id", "_connector_version"]
    assert place.open().state() == State(cursor=4)
    place.open().close()
    assert parts(place) == [part]


def test_parts_are_made_at_a_size(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(spooled, "PIECE", 1000)
    destination = place.open()
    for number in range(10):
        destination.commit([{"id": number, "t": "x" * 300}])
    assert len(parts(place)) == 3
    destination.close()
    assert sum(pq.read_table(part).num_rows for part in parts(place)) == 10


def test_parts_are_made_when_pages_are_old(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    destination = place.open()
    destination.commit([{"id": 1}])
    monkeypatch.setattr(spooled, "OLDEST", 0.0)
    destination.commit([{"id": 2}])
    assert len(parts(place)) == 1


def test_columns_have_the_types_of_their_values(place: Place) -> None:
    moment = datetime(2027, 1, 15, 10, tzinfo=UTC)
    destination = place.open(columns={"spend": "numeric"})
    destination.commit(
        [
            {"id": 1, "f": 0.5, "b": True, "t": "x", "j": {"a": [1]}, "moment": moment},
            {"id": 2, "spend": "12.50", "day": date(2027, 1, 15), "d": Decimal("0.1")},
        ]
    )
    destination.close()
    table = pq.read_table(parts(place)[0])
    assert dict(zip(table.schema.names, table.schema.types, strict=True)) == {
        "_account": pa.string(),
        "id": pa.int64(),
        "f": pa.float64(),
        "b": pa.bool_(),
        "t": pa.string(),
        "j": pa.string(),
        "moment": pa.timestamp("us", tz="UTC"),
        "spend": pa.decimal128(38, 9),
        "day": pa.date32(),
        "d": pa.decimal128(38, 9),
        "_connector_version": pa.int64(),
    }
    first, second = table.to_pylist()
    assert (first["moment"], first["j"]) == (moment, '{"a":[1]}')
    assert (second["spend"], second["day"], second["d"]) == (
        Decimal("12.5"),
        date(2027, 1, 15),
        Decimal("0.1"),
    )


def test_types_widen_from_part_to_part(place: Place) -> None:
    """Parts that are there stay as they are; readers unify them, and later ones do not narrow."""
    for value in (1, 0.5, 2):
        destination = place.open()
        destination.commit([{"id": str(value), "v": value}])
        destination.close()
    kinds = [pq.read_schema(part).field("v").type for part in parts(place)]
    assert sorted(map(str, kinds)) == ["double", "double", "int64"]
    assert sorted(row["v"] for row in place.rows()) == [0.5, 1.0, 2.0]
    dataset = [ds.dataset(part) for part in parts(place)]
    schema = pa.unify_schemas([one.schema for one in dataset], promote_options="permissive")
    found = ds.dataset(folder_of(place), schema=schema).to_table()
    assert sorted(found["v"].to_pylist()) == [0.5, 1.0, 2.0]


def test_the_largest_version_holds(place: Place) -> None:
    destination = place.open()
    destination.commit([{"id": 1, "v": 1}, {"id": 1, "v": 2}])
    place.open(run_id="b").commit([{"id": 1, "v": 3}])
    destination.close()
    rows = pa.concat_tables(map(pq.read_table, parts(place))).to_pylist()
    assert [row["v"] for row in sorted(rows, key=lambda row: row["_connector_version"])] == [
        1,
        2,
        3,
    ]
    assert len({row["_connector_version"] for row in rows}) == 3


@pytest.mark.parametrize(
    "record",
    [
        {"id": 2, "spend": "0.0123456789"},
        {"id": 2, "A": 1, "a": 2},
        {"id": 2, "_connector_version": 1},
    ],
    ids=["too long a number", "two fields that are one column", "a field that is ours"],
)
def test_what_could_not_be_passed_on_is_set_aside_at_once(
    place: Place, record: dict[str, object]
) -> None:
    destination = place.open(columns={"spend": "numeric"})
    done = destination.commit([{"id": 1}, record, {"id": 3}])
    assert (done.written, done.rejected) == (2, 1)
    assert place.ids() == [1, 3]
    assert len(place.aside()) == 1


def test_pages_of_a_run_that_was_killed_are_passed_on_by_the_next(place: Place) -> None:
    place.open().commit([{"id": 1}], State(cursor=1))  # and is never closed
    other = place.open(account="acme/other", account_id="2")
    other.close()
    assert len(parts(place)) == 1
    assert place.ids() == [1]


def test_a_part_that_cannot_be_written_stays_in_the_spool(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    destination = place.open()
    destination.commit([{"id": 1}], State(cursor=1))

    def full(_descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", full)
        with pytest.raises(DestinationFailed, match="No space left on device: make room"):
            destination.close()
    assert parts(place) == []
    assert place.ids() == [1]
    assert place.open().state() == State(cursor=1)
    assert [one.name for one in folder_of(place).iterdir() if one.name.endswith(".tmp")] == []


def test_a_power_cut_takes_no_commit_back(place: Place) -> None:
    """A page that came back after its part was shown would be there twice."""
    destination = place.open()
    assert isinstance(destination, spooled.SpooledDestination)
    assert destination._database.execute("PRAGMA synchronous").fetchone() == (2,)


def test_a_folder_that_was_moved_before_the_end(place: Place, tmp_path: Path) -> None:
    """The pages of its spool become no part of another one."""
    destination = place.open()
    destination.commit([{"id": 1}], State(cursor=1))
    moved = (tmp_path / "ads").rename(tmp_path / "moved")
    (tmp_path / "ads").mkdir()
    with pytest.raises(DestinationFailed, match="was moved or removed while it was written to"):
        destination.close()
    assert list((tmp_path / "ads").iterdir()) == []
    (tmp_path / "ads").rmdir()
    moved.rename(tmp_path / "ads")
    assert place.ids() == [1]


def test_a_folder_that_cannot_be_made(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with (
        opened(parquet_place(tmp_path / "file")) as place,
        pytest.raises(DestinationFailed, match="a part of its path is no folder"),
    ):
        place.open()


def test_without_the_library(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "connector.jobs.destinations.parquet_files", None)
    with pytest.raises(DestinationFailed, match=r"pip install 'connector\[parquet\]'"):
        place.open()
