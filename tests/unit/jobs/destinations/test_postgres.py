"""What only Postgres has: types and names of columns, lost connections, other people's tables."""

import socket
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from decimal import Decimal
from typing import Any, Self
from urllib.parse import urlsplit

import psycopg
import pytest

from connector.jobs.destinations.destination import DestinationFailed
from connector.jobs.destinations.postgres_check import check_postgres
from connector.jobs.destinations.postgres_link import SETTINGS, place_of
from connector.jobs.destinations.postgres_names import LONGEST, column_name
from connector.jobs.destinations.stream import Overtaken, State

from .places import Place, opened, postgres_place


class Database:
    """What a person does to the database."""

    def __init__(self, url: str) -> None:
        self.url = url
        self._connection = psycopg.connect(url, autocommit=True)

    def __call__(self, query: str, *values: object) -> list[tuple[Any, ...]]:
        cursor = self._connection.execute(query.encode(), values or None)
        return cursor.fetchall() if cursor.description else []

    def types(self, table: str = "t") -> dict[str, str]:
        query = (
            "SELECT attname::text, format_type(atttypid, atttypmod) FROM pg_attribute"
            " WHERE attrelid = to_regclass(%s) AND attnum > 0 AND NOT attisdropped"
        )
        return dict(self(query, table))

    def cut(self) -> None:
        """Cut all connections of destinations."""
        self(
            "SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity"
            " WHERE application_name = 'connector' AND datname = current_database()"
        )

    def close(self) -> None:
        self._connection.close()


@pytest.fixture
def database(postgres_url: str) -> Iterator[Database]:
    made = Database(postgres_url)
    yield made
    made.close()


@pytest.fixture
def place(postgres_url: str) -> Iterator[Place]:
    with opened(postgres_place(postgres_url)) as made:
        yield made


class TestTypes:
    def test_are_those_of_the_values(self, place: Place, database: Database) -> None:
        place.open().commit([{"id": "007", "n": 1, "f": 0.5, "b": True, "tags": [1], "no": None}])
        assert database.types() == {
            "_account": "text",
            "id": "text",
            "n": "bigint",
            "f": "double precision",
            "b": "boolean",
            "tags": "jsonb",
        }

    def test_are_widened_and_each_change_is_told(self, place: Place, database: Database) -> None:
        destination = place.open(run_id="r")
        destination.commit([{"id": 1, "clicks": 2**62, "b": True, "f": 0.5}])
        done = destination.commit(
            [{"id": 2, "clicks": 7, "f": 1}, {"id": 3, "clicks": 1.5}, {"id": 4, "b": "yes"}]
        )
        assert done.schema == (
            "column clicks of t: bigint → numeric, because of 1.5 in record 2 of page 2",
            "column b of t: bool → text, because of a text in record 3 of page 2",
        )
        assert database.types()["f"] == "double precision", "a small whole number fits a double"
        assert [row[:2] for row in database("SELECT clicks, b FROM t ORDER BY id")] == [
            (Decimal(2**62), "true"),
            (Decimal(7), None),
            (Decimal("1.5"), None),
            (None, "yes"),
        ]
        kept = database(
            "SELECT table_name, column_name, before, after, because, job, run_id"
            " FROM _connector_schema_changes WHERE before <> ''"
        )
        assert kept == [
            ("t", "clicks", "bigint", "numeric", "1.5 in record 2 of page 2", "pull", "r"),
            ("t", "b", "bool", "text", "a text in record 3 of page 2", "pull", "r"),
        ]

    def test_a_large_number_in_a_double_column_loses_nothing(
        self, place: Place, database: Database
    ) -> None:
        destination = place.open()
        destination.commit([{"id": 1, "f": 0.5}, {"id": 2, "f": 1}])
        destination.commit([{"id": 3, "f": 2**53 + 1}])
        assert database("SELECT f FROM t WHERE id = 3") == [(Decimal(2**53 + 1),)]

    def test_a_number_beyond_64_bits_in_a_column_that_is_known(
        self, place: Place, database: Database
    ) -> None:
        destination = place.open()
        destination.commit([{"id": 1, "n": 1}])
        for number in (2**63, 10**30):
            destination.commit([{"id": number % 97, "n": number}])
        assert database.types()["n"] == "numeric"
        assert sorted(database("SELECT n FROM t")) == [(1,), (2**63,), (10**30,)]

    def test_declared_ones_are_made_so(self, place: Place, database: Database) -> None:
        columns = {"spend": "numeric", "day": "date", "doc": "jsonb", "at": "timestamptz"}
        place.open(columns=columns).commit(
            [{"id": 1, "spend": "1.10", "day": "2027-01-15", "doc": "x", "at": "2027-01-15T08Z"}]
        )
        assert {name: database.types()[name] for name in columns} == {
            "spend": "numeric",
            "day": "date",
            "doc": "jsonb",
            "at": "timestamp with time zone",
        }
        assert database("SELECT spend, doc FROM t") == [(Decimal("1.10"), "x")]

    def test_several_writers_at_once(self, place: Place) -> None:
        """Each adds and widens columns while the others write."""
        writers = [place.open(account=f"a/{n}", account_id=str(n)) for n in range(4)]

        def write(number: int) -> None:
            for page in range(12):
                value = (1, 1.5, "x")[(page + number) % 3]
                record = {"id": page, f"c{page}": 1, "v": value, f"w{number}{page}": True}
                writers[number].commit([record], State(cursor=page))

        with ThreadPoolExecutor(4) as pool:
            list(pool.map(write, range(4)))
        assert len(place.rows()) == 48


class TestNames:
    def test_are_folded(self, place: Place, database: Database) -> None:
        place.open(("adId",)).commit([{"adId": 1, "Name": "a"}, {"adId": 2, "name": "b"}])
        assert database("SELECT adId, NAME FROM t ORDER BY adId") == [(1, "a"), (2, "b")]

    def test_that_are_too_long_stay_apart(self) -> None:
        long = "é" * 60
        first, second = column_name(f"{long}1"), column_name(f"{long}2")
        assert first != second
        assert max(len(first.encode()), len(second.encode())) <= LONGEST

    def test_of_system_columns(self) -> None:
        assert column_name("XMIN") == "xmin_"


class TestOthersTables:
    def test_one_with_other_types_takes_what_it_can(self, place: Place, database: Database) -> None:
        database(
            'CREATE TABLE t (row serial PRIMARY KEY, _account varchar(20), "ID" int, n smallint,'
            " doc json, seen text NOT NULL DEFAULT 'no',"
            ' double int GENERATED ALWAYS AS (n * 2) STORED, UNIQUE (_account, "ID"))'
        )
        records = [{"id": n, "n": n * 10_000, "doc": {"a": n}} for n in range(6)]
        done = place.open().commit(records, State(cursor=1))
        assert (done.written, done.rejected) == (4, 2)
        assert done.reason == "does not fit the table (NumericValueOutOfRange)"
        assert [record["id"] for _, record in place.aside()] == [4, 5]
        assert place.open().commit(records[:4]).changed == 0
        query = 'SELECT row, n, double, doc, seen FROM t WHERE "ID" = 1'
        ((row, *before),) = database(query)
        assert before == [10_000, 20_000, {"a": 1}, "no"]
        assert place.open().commit([{"id": 1, "n": 1}]).changed == 1
        assert database(query) == [(row, 1, 2, None, "no")]

    def test_one_without_accounts_is_refused(self, place: Place, database: Database) -> None:
        database("CREATE TABLE vault_key (id text PRIMARY KEY, sealed bytea)")
        with pytest.raises(DestinationFailed, match="vault_key has no column _account"):
            place.open(table="vault_key")

    def test_one_with_another_key(self, place: Place) -> None:
        place.open(()).commit([{"id": 1, "day": 1}])
        with pytest.raises(DestinationFailed, match="another key than _account, id: move it"):
            place.open(("id",))

    def test_a_column_that_is_dropped_is_made_anew(self, place: Place, database: Database) -> None:
        destination = place.open()
        destination.commit([{"id": 1, "n": 1}])
        database("ALTER TABLE t DROP COLUMN n")
        done = destination.commit([{"id": 2, "n": 2}], State(cursor=2))
        assert done.schema == ("column n of t is new (bigint), because of 2 in record 1 of page 2",)
        assert database("SELECT id, n FROM t ORDER BY id") == [(1, None), (2, 2)]

    def test_a_table_that_is_dropped_is_made_anew(self, place: Place, database: Database) -> None:
        destination = place.open()
        destination.commit([{"id": 1}])
        database("DROP TABLE t")
        assert destination.commit([{"id": 2}], State(cursor=2)).written == 1
        assert place.ids() == [2]

    def test_a_type_that_was_changed(self, place: Place, database: Database) -> None:
        destination = place.open()
        destination.commit([{"id": 1, "n": 1}])
        database("ALTER TABLE t ALTER COLUMN n TYPE boolean USING true")
        destination.commit([{"id": 2, "n": 2}])
        assert database("SELECT n FROM t ORDER BY id") == [("true",), ("2",)]


class TestLost:
    """The connection goes; nothing is written twice, and nothing is left out."""

    def test_between_two_commits(self, place: Place, database: Database) -> None:
        destination = place.open(())
        destination.commit([{"id": 1}], State(cursor=1))
        database.cut()
        assert destination.commit([{"id": 2}], State(cursor=2)).changed == 1
        assert (place.ids(), destination.state()) == ([1, 2], State(cursor=2))

    def test_its_answer(self, place: Place, postgres_url: str) -> None:
        """The server commits; the answer never arrives: it is found in the state."""
        with Relay(postgres_url) as relay:
            place.url = relay.url
            destination = place.open(())
            destination.commit([{"id": 1}], State(cursor=1))
            relay.swallow_answers()
            done = destination.commit([{"id": 2}], State(cursor=2))
        assert (done.written, done.changed) == (1, None)
        assert place.ids() == [1, 2]

    def test_and_another_run_took_over(self, place: Place, database: Database) -> None:
        first = place.open(run_id="a")
        first.commit([{"id": 1}])
        place.open(run_id="b")
        database.cut()
        with pytest.raises(Overtaken):
            first.commit([{"id": 2}])
        assert place.ids() == [1]

    def test_what_is_still_under_way_writes_nothing(self, place: Place, database: Database) -> None:
        """As a statement that a server reads after its sender has connected anew."""
        destination = place.open(())
        destination.commit([{"id": 1}], State(cursor=1))
        fence, values = destination._state.fence(State(cursor=9))  # type: ignore[attr-defined]
        assert database(fence, *values) == [(1,)], "it would have written"
        database.cut()
        destination.commit([{"id": 2}], State(cursor=2))
        assert database(fence, *values) == []
        assert destination.state() == State(cursor=2)


def test_nothing_outlives_a_transaction(place: Place) -> None:
    """So that PgBouncer may give the connection to somebody else after each."""
    destination = place.open()
    for number in range(20):
        destination.commit([{"id": number, f"c{number % 3}": 1}], State(cursor=number))
    connection = destination._connection  # type: ignore[attr-defined]
    assert connection.execute("SELECT count(*) FROM pg_prepared_statements").fetchone() == (0,)
    mine = "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND pid = pg_backend_pid()"
    assert connection.execute(mine).fetchone() == (0,)
    assert connection.execute("SHOW lock_timeout").fetchone() == ("0",)
    temporary = "SELECT count(*) FROM pg_class WHERE relpersistence = 't'"
    assert connection.execute(temporary).fetchone() == (0,)


def test_commits_wait_for_the_disk_whatever_the_role_says(place: Place, database: Database) -> None:
    name = urlsplit(database.url).path[1:]
    database(f"ALTER DATABASE {name} SET synchronous_commit = off")
    destination = place.open()
    destination.commit([{"id": 0}])
    connection = destination._connection  # type: ignore[attr-defined]
    assert connection.execute("SHOW synchronous_commit").fetchone() == ("off",)
    with connection.transaction():
        connection.execute(SETTINGS)
        assert connection.execute("SHOW synchronous_commit").fetchone() == ("on",)


class TestRefused:
    def test_no_server(self) -> None:
        with pytest.raises(DestinationFailed, match=r"postgresql://127\.0\.0\.1:1/ads: ") as caught:
            postgres_place("postgresql://ads:hunter2@127.0.0.1:1/ads").open()
        assert "hunter2" not in str(caught.value)

    def test_no_such_database(self, postgres_url: str) -> None:
        url = postgres_url.replace("connector_test_", "no_such_")
        with pytest.raises(DestinationFailed, match=r'"no_such_.*does not exist'):
            postgres_place(url).open()

    def test_locked_for_long(
        self, place: Place, database: Database, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        destination = place.open()
        destination.commit([{"id": 1}], State(cursor=1))
        with psycopg.connect(database.url) as other:
            other.execute("LOCK TABLE t")
            database("ALTER DATABASE " + urlsplit(database.url).path[1:] + " SET jit = off")
            settings = "SELECT set_config('lock_timeout', '50ms', true)"
            monkeypatch.setattr("connector.jobs.destinations.postgres.SETTINGS", settings)
            with pytest.raises(DestinationFailed, match="end what keeps it locked"):
                destination.commit([{"id": 2}], State(cursor=2))
        assert destination.state() == State(cursor=1)
        destination.commit([{"id": 2}], State(cursor=2))
        assert place.ids() == [1, 2]

    def test_full(self, place: Place, database: Database) -> None:
        """As its server says it; that of a test has room."""
        destination = place.open()
        destination.commit([{"id": 1}], State(cursor=1))
        database(
            "CREATE FUNCTION full_disk() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN"
            " RAISE EXCEPTION 'could not extend file: No space left on device'"
            " USING ERRCODE = 'disk_full'; END $$"
        )
        database("CREATE TRIGGER full_disk BEFORE INSERT ON t EXECUTE FUNCTION full_disk()")
        with pytest.raises(DestinationFailed, match="No space left on device: make room on its"):
            destination.commit([{"id": 2}], State(cursor=2))
        assert (place.ids(), destination.state()) == ([1], State(cursor=1))
        database("DROP TRIGGER full_disk ON t")
        destination.commit([{"id": 2}], State(cursor=2))
        assert (place.ids(), destination.state()) == ([1, 2], State(cursor=2))

    def test_read_only(self, place: Place, database: Database) -> None:
        place.open().commit([{"id": 1}], State(cursor=1))
        name = urlsplit(database.url).path[1:]
        database(f"ALTER DATABASE {name} SET default_transaction_read_only = on")
        with pytest.raises(DestinationFailed, match="name the primary server"):
            place.open()
        with pytest.raises(DestinationFailed, match="name the primary server"):
            check_postgres(database.url, table="t", key=("id",))

    def test_a_rule_of_the_table(self, place: Place, database: Database) -> None:
        place.open().commit([{"id": 1, "n": 1}], State(cursor=1))
        database("ALTER TABLE t ADD CONSTRAINT small CHECK (n < 5)")
        with pytest.raises(DestinationFailed, match='"small": the table has a rule'):
            place.open().commit([{"id": 2, "n": 7}], State(cursor=2))
        assert (place.ids(), place.open().state()) == ([1], State(cursor=1))


class TestCheck:
    def test_all_is_well(self, place: Place, database: Database) -> None:
        assert check_postgres(database.url, table="t", key=("id",)) == place_of(database.url)
        place.open().commit([{"id": 1}])
        check_postgres(database.url, table="t", key=("id",))
        assert place.ids() == [1]

    def test_another_key(self, place: Place, database: Database) -> None:
        place.open().commit([{"id": 1, "day": 1}])
        with pytest.raises(DestinationFailed, match="another key than _account, day"):
            check_postgres(database.url, table="t", key=("day",))

    def test_no_schema(self, database: Database) -> None:
        database("DROP SCHEMA public")
        with pytest.raises(DestinationFailed, match="no schema to make tables in"):
            check_postgres(database.url, table="t", key=())


class Relay:
    """Stands before a server and loses its answers when it is told to.

    Args:
        url: of a database, at a Unix socket or a port.
    """

    def __init__(self, url: str) -> None:
        info = psycopg.conninfo.conninfo_to_dict(url)
        self._host, self._port = str(info.get("host")), int(info.get("port") or 5432)
        self._listener = socket.create_server(("127.0.0.1", 0))
        port = self._listener.getsockname()[1]
        self.url = f"postgresql://{info.get('user')}@127.0.0.1:{port}/{info['dbname']}"
        self._left: int | None = None
        self._sockets: list[socket.socket] = []
        threading.Thread(target=self._accept, daemon=True).start()

    def swallow_answers(self) -> None:
        """Let the next commit through, wait for its answer, and cut the connection instead."""
        self._left = 1

    def _accept(self) -> None:
        while True:
            try:
                client, _ = self._listener.accept()
            except OSError:
                return
            server = self._connect()
            self._sockets += [client, server]
            for source, target in ((client, server), (server, client)):
                threading.Thread(
                    target=self._pump, args=(source, target, source is server), daemon=True
                ).start()

    def _connect(self) -> socket.socket:
        if self._host.startswith("/"):
            server = socket.socket(socket.AF_UNIX)
            server.connect(f"{self._host}/.s.PGSQL.{self._port}")
            return server
        return socket.create_connection((self._host, self._port))

    def _pump(self, source: socket.socket, target: socket.socket, is_answer: bool) -> None:  # noqa: FBT001
        try:
            while data := source.recv(1 << 16):
                if is_answer and self._left is not None and self._is_end(data):
                    self._left = None
                    target.shutdown(socket.SHUT_RDWR)
                    return
                target.sendall(data)
            target.shutdown(socket.SHUT_WR)
        except OSError:
            return

    def _is_end(self, data: bytes) -> bool:
        """Tell whether an answer ends outside of a transaction: ReadyForQuery, idle."""
        return data.endswith(b"Z\x00\x00\x00\x05I")

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._listener.close()
        for one in self._sockets:
            one.close()
