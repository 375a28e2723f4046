import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from connector.jobs.destinations.destination import Destination, DestinationFailed, open_destination
from connector.jobs.destinations.sqlite import SqliteDestination
from connector.jobs.destinations.stream import State, Stream


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "new folder" / "ads.db"


class Opened:
    """Opens destinations in one file."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._open: list[Destination] = []

    def __call__(
        self,
        key: tuple[str, ...] = ("id",),
        *,
        job: str = "insights",
        account: str = "acme/ads",
        account_id: str | None = None,
        table: str = "insights",
    ) -> Destination:
        url = f"sqlite:///{self.path}"
        opened = open_destination(
            url,
            table=table,
            key=key,
            stream=Stream(job=job, account=account, account_id=account_id or f"of {account}"),
        )
        self._open.append(opened)
        return opened

    def rows(self, query: str = "SELECT * FROM insights ORDER BY id") -> list[dict[str, object]]:
        connection = sqlite3.connect(self.path)
        connection.row_factory = sqlite3.Row
        try:
            return [dict(row) for row in connection.execute(query)]
        finally:
            connection.close()

    def close(self) -> None:
        for one in self._open:
            one.close()


@pytest.fixture
def opened(path: Path) -> Iterator[Opened]:
    made = Opened(path)
    yield made
    made.close()


def test_makes_the_table_from_the_records(opened: Opened) -> None:
    destination = opened()
    assert isinstance(destination, SqliteDestination)
    assert destination.state().cursor is None
    destination.commit(
        [{"id": 1, "spend": 2.5, "name": "a", "tags": ["x"]}], State(cursor="2027-01-15")
    )
    assert destination.state().cursor == "2027-01-15"
    assert opened.rows() == [
        {"_account": "acme/ads", "id": 1, "spend": 2.5, "name": "a", "tags": '["x"]'}
    ]


def test_a_record_that_comes_again_replaces_the_one_before(opened: Opened) -> None:
    destination = opened()
    destination.commit([{"id": 1, "n": 1}, {"id": 2, "n": 1}, {"id": 1, "n": 2}])
    destination.commit([{"id": 2, "n": 3}])
    assert [(row["id"], row["n"]) for row in opened.rows()] == [(1, 2), (2, 3)]


@pytest.mark.parametrize(
    "records",
    [
        [{"id": 1, "a": 1}, {"id": 1, "a": 2, "b": 1}, {"id": 1, "a": 3}],
        [{"id": 1, "a": 1}, {"a": 2, "id": 1}, {"id": 1, "a": 3}],
        [{"id": 1, "b": 5}, {"id": 2}, {"id": 1, "b": 4}, {"id": 1, "a": 3}],
    ],
)
def test_the_last_of_a_batch_holds_whole(opened: Opened, records: list[dict[str, object]]) -> None:
    opened().commit(records)
    row = opened.rows()[0]
    assert (row["a"], row.get("b")) == (3, None)


def test_a_record_replaces_the_one_before_whole(opened: Opened) -> None:
    """APIs leave out what is empty: a value that has gone must not stay."""
    destination = opened()
    destination.commit([{"id": 1, "a": 1, "b": 5}, {"id": 2, "a": 1, "b": 6}])
    opened().commit([{"id": 3, "c": 7}])
    destination.commit([{"id": 3, "a": 2}, {"id": 1, "a": 2}, {"id": 2}])
    assert [tuple(row.values())[1:] for row in opened.rows()] == [
        (1, 2, None, None),
        (2, None, None, None),
        (3, 2, None, None),
    ]


def test_fields_in_any_order_are_one_statement(opened: Opened) -> None:
    """As fast as records that are alike."""
    destination = opened()
    statements: list[str] = []
    destination._connection.set_trace_callback(statements.append)  # type: ignore[attr-defined]
    destination.commit([{"id": 1, "a": 1}, {"a": 2, "id": 2}])
    inserts = {
        text.partition("VALUES")[0]
        for text in statements
        if text.startswith('INSERT INTO "insights"')
    }
    assert len(inserts) == 1


def test_a_repeat_changes_nothing(opened: Opened) -> None:
    destination = opened()
    records = [{"id": i, "n": None if i % 2 else {"s": {"b", "a"}}} for i in range(10)]
    destination.commit(records, State(cursor=1))
    connection = destination._connection  # type: ignore[attr-defined]
    before = connection.total_changes
    destination.commit(records)
    assert connection.total_changes == before
    destination.commit([*records[:-1], {"id": 9, "n": 1}])
    assert connection.total_changes == before + 1


def test_records_that_are_all_key(opened: Opened) -> None:
    destination = opened()
    for _ in range(2):
        destination.commit([{"id": 1}, {"id": 2}, {"id": 1}])
    assert [row["id"] for row in opened.rows()] == [1, 2]


def test_without_a_key_every_record_is_new(opened: Opened) -> None:
    destination = opened(())
    for _ in range(2):
        destination.commit([{"id": 1}])
    assert len(opened.rows()) == 2


def test_fields_come_and_go(opened: Opened) -> None:
    destination = opened()
    destination.commit([{"id": 1, "a": 1}, {"id": 2, "b": 2}])
    destination.commit([{"id": 1, "c": 3}])
    assert [(row["id"], row["a"], row["b"], row["c"]) for row in opened.rows()] == [
        (1, None, None, 3),
        (2, None, 2, None),
    ]


def test_another_writer_added_the_same_field(opened: Opened) -> None:
    first, second = opened(), opened(account="acme/other")
    first.commit([{"id": 1}])
    second.commit([{"id": 1}])
    first.commit([{"id": 2, "new": 1}])
    second.commit([{"id": 2, "new": 2, "newer": 3}])
    first.commit([{"id": 3, "newer": 4}])
    assert len(opened.rows()) == 5


def test_accounts_share_a_table_and_no_record(opened: Opened) -> None:
    opened().commit([{"id": 1, "n": 1}], State(cursor="a"))
    opened(account="acme/other").commit([{"id": 1, "n": 2}], State(cursor="b"))
    assert [(row["_account"], row["n"]) for row in opened.rows()] == [
        ("acme/ads", 1),
        ("acme/other", 2),
    ]
    assert opened().state().cursor == "a"
    assert opened(account="acme/other").state().cursor == "b"
    assert opened(job="others").state().cursor is None


@pytest.mark.parametrize(
    "names",
    [
        ("Name", "name"),
        ("select", 'quo"te'),
        ("a b", "a;b"),
        ("Ä", "ä"),
        ("\u0131", "I"),
        ("\u212a", "k"),
        ("emoji \U0001f600", "x" * 1000),
    ],
)
def test_names_of_any_kind(opened: Opened, names: tuple[str, str]) -> None:
    """Names that SQLite takes for one are one column, others are two."""
    destination = opened()
    destination.commit([{"id": 1, names[0]: "first"}])
    destination.commit([{"id": 2, names[1]: "second"}])
    destination.commit([{"id": 3, names[0]: "third"}])
    first, second, third = opened.rows()
    if names == ("Name", "name"):
        assert (first["Name"], second["Name"]) == ("first", "second")
    else:
        assert (first[names[0]], second[names[1]], third[names[0]]) == ("first", "second", "third")
        assert (first[names[1]], second[names[0]]) == (None, None)


def test_two_spellings_of_a_name_in_the_first_batch(opened: Opened) -> None:
    opened().commit([{"id": 1, "Name": "first"}, {"id": 2, "name": "second"}])
    assert [row["Name"] for row in opened.rows()] == ["first", "second"]


class TestNothingIsWritten:
    def test_where_the_database_refuses(self, opened: Opened) -> None:
        destination = opened()
        destination.commit([{"id": 1}], State(cursor="before"))
        with closing(sqlite3.connect(opened.path)) as connection:
            connection.execute(
                "CREATE TRIGGER no BEFORE INSERT ON insights WHEN new.id = 3"
                " BEGIN SELECT RAISE(ABORT, 'no threes'); END"
            )
        with pytest.raises(DestinationFailed, match="no threes"):
            destination.commit([{"id": 2, "new": 1}, {"id": 3}], State(cursor="after"))
        assert (len(opened.rows()), destination.state().cursor) == (1, "before")
        destination.commit([{"id": 2, "new": 1}], State(cursor="after"))
        assert [row["new"] for row in opened.rows()] == [None, 1], "the column is made after all"

    def test_where_the_key_of_the_job_was_changed(self, opened: Opened) -> None:
        opened(("id",)).commit([{"id": 1, "day": 1}], State(cursor="before"))
        for key in (("id", "day"), ("day",)):
            with pytest.raises(DestinationFailed, match="made with another key than"):
                opened(key).commit([{"id": 2, "day": 2}], State(cursor="after"))
        assert len(opened.rows()) == 1

    def test_where_the_table_has_no_key(self, opened: Opened) -> None:
        opened(()).commit([{"id": 1}], State(cursor="before"))
        with pytest.raises(DestinationFailed, match="another key"):
            opened(("id",)).commit([{"id": 1}], State(cursor="after"))


def test_a_table_of_the_users_own_with_an_index_that_fits(opened: Opened) -> None:
    opened.path.parent.mkdir()
    connection = sqlite3.connect(opened.path)
    connection.executescript(
        'CREATE TABLE insights (row INTEGER PRIMARY KEY, "_account", ID INTEGER, n,'
        " seen NOT NULL DEFAULT 'no', double GENERATED ALWAYS AS (n * 2));"
        "CREATE INDEX plain ON insights (n);"
        "CREATE UNIQUE INDEX partial ON insights (n) WHERE n > 0;"
        'CREATE UNIQUE INDEX one ON insights (ID, "_account");'
    )
    connection.close()
    for n, more in ((1, {}), (1, {"seen": "yes"}), (2, {})):
        opened().commit([{"id": 7, "n": n, **more}])
        assert opened.rows() == [
            {"row": 1, "_account": "acme/ads", "ID": 7, "n": n, "double": n * 2, "seen": "no"}
            | more
        ]


@pytest.mark.parametrize(
    "cursor", ["2027-01-15", 0, 1.5, False, {"after": ["x", None]}, [], "", "é\u2028", None]
)
def test_cursors_are_any_json(opened: Opened, cursor: object) -> None:
    opened().commit([], State(cursor="before"))
    opened().commit([], State(cursor=cursor))
    assert opened().state().cursor == cursor


def test_no_cursor_leaves_the_one_before(opened: Opened) -> None:
    destination = opened()
    destination.commit([], State(cursor="first"))
    destination.commit([{"id": 1}])
    assert destination.state().cursor == "first"


def test_a_folder_in_place_of_the_file(tmp_path: Path) -> None:
    with pytest.raises(DestinationFailed):
        open_destination(
            f"sqlite:///{tmp_path}",
            table="t",
            key=(),
            stream=Stream(job="j", account="a", account_id="1"),
        )


def test_a_file_that_is_no_database(tmp_path: Path) -> None:
    path = tmp_path / "ads.db"
    path.write_text("not a database " * 1000)
    with pytest.raises(DestinationFailed, match=r"ads\.db: .*: move it away, or name another file"):
        open_destination(
            f"sqlite:///{path}",
            table="t",
            key=(),
            stream=Stream(job="j", account="a", account_id="1"),
        )
    assert path.read_text() == "not a database " * 1000


def test_no_such_kind() -> None:
    with pytest.raises(ValueError, match="URL names none"):
        open_destination(
            "ftp://x", table="t", key=(), stream=Stream(job="j", account="a", account_id="1")
        )
