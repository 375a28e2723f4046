"""What dlt has loaded says how far a job has come: another machine needs nothing else."""

import os
import signal
import sqlite3
from collections.abc import Callable
from contextlib import closing
from functools import partial
from pathlib import Path

import psycopg
import pytest

from connector.jobs.destinations.destination import Destination, DestinationFailed
from connector.jobs.destinations.dlt_pipeline import StreamPipeline
from connector.jobs.destinations.stream import Overtaken, State

from .dlt_places import dlt_duckdb, dlt_files, dlt_postgres, dlt_sqlite, seen
from .killing import fork
from .places import Place

pytestmark = [pytest.mark.timeout(240), pytest.mark.usefixtures("dlt_apart")]

Make = Callable[[str], Place]


def host(folder: Path, name: str) -> Path:
    """Give the folder of a configuration on a machine of its own."""
    made = folder / name
    made.mkdir(exist_ok=True)
    return made


@pytest.fixture(params=["duckdb", "sqlite", "postgres", "jsonl", "parquet"])
def make(tmp_path: Path, request: pytest.FixtureRequest) -> Make:
    """Give what opens one destination from machines that share nothing else."""
    kind = request.param
    if kind == "duckdb":
        return lambda name: dlt_duckdb(host(tmp_path, name), tmp_path / "w.duckdb")
    if kind == "sqlite":
        return lambda name: dlt_sqlite(host(tmp_path, name), tmp_path / "w.db")
    if kind == "postgres":
        url = request.getfixturevalue("postgres_url")
        return lambda name: dlt_postgres(host(tmp_path, name), url)
    return lambda name: dlt_files(host(tmp_path, name), tmp_path / "files", kind)


def shared(tmp_path: Path, name: str) -> Place:
    """Give one DuckDB file, from a machine of its own."""
    return dlt_duckdb(host(tmp_path, name), tmp_path / "w.duckdb")


def pull(destination: Destination, first: int, last: int, *, is_closed: bool = True) -> None:
    """Commit pages as a run does: each has a record, and the number of the next page."""
    for page in range(first, last + 1):
        destination.commit([{"id": page, "n": page}], State(checkpoint={"page": page + 1}))
    if is_closed:
        destination.close()


def test_another_machine_continues_at_the_page(make: Make) -> None:
    """It has the destination alone, as after the loss of the first one."""
    pull(make("first").open((), run_id="r"), 1, 3)
    second = make("second").open((), run_id="r", attempt=2)
    assert second.state() == State(checkpoint={"page": 4})
    second.commit([{"id": 4}], State(cursor="2027-01-15"))
    second.close()
    third = make("third").open((), run_id="s")
    assert third.state() == State(cursor="2027-01-15")
    third.close()
    assert [row["id"] for row in make("third")._read("t")] == [1, 2, 3, 4]


def test_a_state_without_records_goes_along(tmp_path: Path) -> None:
    """A window in which there was nothing is not asked for again."""
    first = shared(tmp_path, "first").open()
    first.commit([], State(cursor="2027-01-15"))
    first.close()
    assert shared(tmp_path, "second").open().state() == State(cursor="2027-01-15")


def test_what_the_first_machine_had_not_loaded_is_pulled_again_once(tmp_path: Path) -> None:
    """It comes back later, and still has pages that the second one has pulled meanwhile."""
    first = shared(tmp_path, "first")
    pull(first.open((), run_id="r"), 1, 2)
    child = fork(lambda: pull(first.open((), run_id="s"), 3, 6, is_closed=False))
    assert os.waitpid(child, 0)[1] == 0
    pull(shared(tmp_path, "second").open((), run_id="s", attempt=2), 3, 4)
    back = first.open((), run_id="t")
    assert back.state() == State(checkpoint={"page": 5})
    pull(back, 5, 5)
    assert seen(first, "id") == [(1,), (2,), (3,), (4,), (5,)]


def test_who_goes_on_after_it_was_taken_for_dead_loads_nothing(tmp_path: Path) -> None:
    first, second = shared(tmp_path, "first"), shared(tmp_path, "second")
    slow = first.open((), run_id="r")
    pull(slow, 1, 2, is_closed=False)
    pull(second.open((), run_id="r", attempt=2), 1, 1)
    with pytest.raises(DestinationFailed, match="another run has loaded into duckdb"):
        slow.close()
    assert seen(second, "id") == [(1,)]
    with pytest.raises(Overtaken, match="attempt 2"):
        first.open((), run_id="r", attempt=1)
    assert first.open((), run_id="r", attempt=3).state() == State(checkpoint={"page": 2})


def test_who_was_overtaken_while_it_pulls_commits_nothing_more(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Else the pages after those that were dropped would follow on a gap."""
    slow = shared(tmp_path, "first").open((), run_id="r")
    pull(slow, 1, 2, is_closed=False)
    second = shared(tmp_path, "second")
    pull(second.open((), run_id="r", attempt=2), 1, 1)
    monkeypatch.setattr("connector.jobs.destinations.spooled.PIECE", 1)
    pull(slow, 3, 3, is_closed=False)  # it is spooled, and then dropped with the others
    with pytest.raises(Overtaken):
        pull(slow, 4, 4)
    slow.close()
    assert seen(second, "id") == [(1,)]


def test_a_package_that_was_prepared_before_the_other_went_on(tmp_path: Path) -> None:
    """A machine dies with a whole package; it is not loaded after another one has done so."""
    first, second = shared(tmp_path, "first"), shared(tmp_path, "second")

    def work() -> None:
        setattr(  # noqa: B010 - of a class that is not ours
            StreamPipeline, "load", lambda _self: os.kill(os.getpid(), signal.SIGKILL)
        )
        pull(first.open((), run_id="r"), 1, 2)

    assert os.WTERMSIG(os.waitpid(fork(work), 0)[1]) == signal.SIGKILL
    pull(second.open((), run_id="r", attempt=2), 1, 3)
    first.open((), account="other", account_id="2").close()  # of whoever passes on first
    assert seen(second, "id") == [(1,), (2,), (3,)]


def test_two_machines_load_for_two_accounts_at_once(postgres_url: str, tmp_path: Path) -> None:
    """Neither takes the other's records out of what is merged, nor its state."""
    places = {name: dlt_postgres(host(tmp_path, name), postgres_url) for name in ("a", "b")}

    def work(name: str) -> None:
        for number in range(3):
            destination = places[name].open(account=name, account_id=name, run_id=str(number))
            assert destination.state().cursor == (number or None)
            rows = [{"id": 100 * number + i, f"of_{name}": i} for i in range(50)]
            destination.commit(rows, State(cursor=number + 1))
            destination.close()

    def begin() -> None:
        """Make the table; in a process of its own, for its variables say which machine it is."""
        first = places["a"].open(account="c", account_id="c")
        first.commit([{"id": 0}])
        first.close()

    assert os.waitpid(fork(begin), 0)[1] == 0
    children = [fork(partial(work, name)) for name in places]
    assert [os.waitpid(child, 0)[1] for child in children] == [0, 0]
    with psycopg.connect(postgres_url) as connection:
        query = "SELECT count(*) FROM pg_namespace WHERE nspname LIKE 'ads_staging_%'"
        assert connection.execute(query).fetchone() == (2,)
    rows = seen(places["a"], "_account", "id")
    wanted = [(name, 100 * n + i) for name in places for n in range(3) for i in range(50)]
    assert rows == sorted([*wanted, ("c", 0)])
    for name in places:
        other = dlt_postgres(host(tmp_path, "third"), postgres_url)
        assert other.open(account=name, account_id=name).state() == State(cursor=3)


def test_a_new_machine_knows_the_types(tmp_path: Path) -> None:
    """A key of another type is set aside there too, and an account that is new there is loaded."""
    first = shared(tmp_path, "first").open()
    first.commit([{"id": 1, "n": 1}], State(cursor=1))
    first.close()
    second = shared(tmp_path, "second").open(account="acme/other", account_id="2")
    done = second.commit([{"id": "x"}, {"id": 2, "n": "many"}])
    assert (done.written, done.reason) == (1, "has a field id that is no bigint (str)")
    second.close()
    read = shared(tmp_path, "second")
    assert seen(read, "id", "n", "n__v_text") == [(1, 1, None), (2, None, "many")]


def test_versions_rise_where_a_clock_is_behind(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Dlt takes for the last state the one whose package was made last: it must not be ours."""
    pull(shared(tmp_path, "first").open((), run_id="r"), 1, 1)
    second = shared(tmp_path, "second")
    slow = second.open((), run_id="s")
    pull(slow, 2, 2, is_closed=False)
    monkeypatch.setattr("connector.jobs.destinations.dlt_load.time.time", lambda: 1.0)
    with pytest.raises(DestinationFailed, match="the clock of this host is behind"):
        slow.close()
    monkeypatch.undo()
    second.open((), run_id="t").close()
    versions = [row["_connector_version"] for row in second._read("t")]
    assert versions == sorted(set(versions))
    assert seen(second, "id") == [(1,), (2,)]


def test_who_removes_what_was_loaded_has_it_pulled_anew(tmp_path: Path) -> None:
    place = shared(tmp_path, "first")
    pull(place.open((), run_id="r"), 1, 2)
    (tmp_path / "w.duckdb").unlink()
    assert place.open((), run_id="s").state() == State()


def test_a_destination_that_keeps_no_states(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of those the spool alone knows how far a job has come, as it did of all."""
    monkeypatch.setattr("dlt.common.destination.client.WithStateSync", type("No", (), {}))
    place = shared(tmp_path, "first")
    pull(place.open((), run_id="r"), 1, 2)
    again = place.open((), run_id="s")
    assert again.state() == State(checkpoint={"page": 3})
    pull(again, 3, 3)
    assert seen(place, "id") == [(1,), (2,), (3,)]


def test_nothing_of_it_is_left_in_the_spool(tmp_path: Path) -> None:
    pull(shared(tmp_path, "first").open((), run_id="r"), 1, 3)
    (folder,) = (tmp_path / "first" / ".connector-dlt").glob("duckdb-*")
    with closing(sqlite3.connect(folder / "_connector.state")) as database:
        for table in ("pages", "steps"):
            assert database.execute(f"SELECT count(*) FROM {table}").fetchone() == (0,)  # noqa: S608 - of a test
    assert not list((folder / "pipelines").iterdir())
    assert not list(folder.glob("asking-*"))
