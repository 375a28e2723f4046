"""Of many transactions of SQLite's, which wait for the disk."""

import sqlite3
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from connector.jobs.destinations.sqlite import SqliteDestination
from connector.jobs.destinations.stream import State, Stream
from connector.jobs.destinations.target import Target
from connector.jobs.destinations.wal import PacedCommits, open_wal

NORMAL, FULL = 1, 2


class Watched:
    """Commits, with a clock in our hands."""

    def __init__(self, connection: sqlite3.Connection, monkeypatch: pytest.MonkeyPatch) -> None:
        self.now = 1000.0
        monkeypatch.setattr(time, "monotonic", lambda: self.now)
        self.connection = connection
        self.commits = PacedCommits(connection)

    def commit(self, *, is_durable: bool = False) -> int:
        """Commit something; give how (``PRAGMA synchronous``)."""
        self.commits.begin(is_durable=is_durable)
        (how,) = self.connection.execute("PRAGMA synchronous").fetchone()
        self.connection.execute("INSERT INTO t VALUES (1)")
        self.commits.commit()
        assert not self.connection.in_transaction
        return int(how)


@pytest.fixture
def watched(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Watched]:
    connection = open_wal(str(tmp_path / "t.db"))
    connection.execute("CREATE TABLE t (n)")
    yield Watched(connection, monkeypatch)
    connection.close()


def test_one_a_second_waits(watched: Watched) -> None:
    how = []
    for _ in range(10):
        watched.now += 0.3
        how.append(watched.commit())
    assert how == [NORMAL] * 3 + [FULL] + [NORMAL] * 3 + [FULL] + [NORMAL] * 2


def test_those_that_are_slow_all_wait(watched: Watched) -> None:
    how = []
    for _ in range(3):
        watched.now += 5
        how.append(watched.commit())
    assert how == [FULL] * 3


def test_what_is_asked_to_waits(watched: Watched) -> None:
    assert [watched.commit(), watched.commit(is_durable=True), watched.commit()] == [
        NORMAL,
        FULL,
        NORMAL,
    ]


def test_a_sync_is_owed_after_one_that_did_not_wait(watched: Watched) -> None:
    owed = [watched.commits.is_owed]
    for is_durable in (False, True):
        watched.commit(is_durable=is_durable)
        owed.append(watched.commits.is_owed)
    assert owed == [False, True, False]


def test_one_that_failed_was_no_sync(watched: Watched) -> None:
    watched.commit()
    watched.now += 5
    watched.commits.begin()
    watched.connection.execute("ROLLBACK")
    assert watched.commits.is_owed
    assert watched.commit() == FULL


def test_the_last_one_of_a_run_waits(tmp_path: Path) -> None:
    stream = Stream(job="j", account="acme/ads", account_id="a")
    path = tmp_path / "ads.db"
    destination = SqliteDestination(str(path), Target(table="t", key=("id",), stream=stream))
    destination.commit([{"id": 1}], State(cursor=1))
    statements: list[str] = []
    destination._connection.set_trace_callback(statements.append)
    wal = Path(f"{path}-wal")
    before = wal.stat().st_size
    other = sqlite3.connect(path)  # else the file is tidied up and removed
    other.execute("SELECT 1 FROM t").fetchall()
    destination.close()
    assert statements[0] == "PRAGMA synchronous = FULL"
    assert statements[-1] == "COMMIT"
    assert wal.stat().st_size > before, "a commit that writes nothing syncs nothing"
    other.close()


def test_a_run_that_committed_nothing_waits_for_nothing(tmp_path: Path) -> None:
    stream = Stream(job="j", account="acme/ads", account_id="a")
    path = str(tmp_path / "ads.db")
    destination = SqliteDestination(path, Target(table="t", key=("id",), stream=stream))
    statements: list[str] = []
    destination._connection.set_trace_callback(statements.append)
    destination.close()
    assert statements == []
