"""The Postgres destination through a real PgBouncer in transaction mode, held to all the others."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest
from sqlalchemy.engine import make_url

from connector.jobs.destinations.stream import State
from tests.pgbouncer import pooled

from .conformance import DestinationConformance
from .places import Place, opened, postgres_place


@pytest.fixture
def place(postgres_url: str) -> Iterator[Place]:
    with pooled(make_url(postgres_url)) as between:
        url = between.render_as_string(hide_password=False)
        with opened(postgres_place(url)) as place:
            yield place


class TestPooled(DestinationConformance):
    """Two connections of the server's serve all that are opened, in turns."""


def test_several_write_at_once(place: Place) -> None:
    """They are more than the pooler has connections, and get each other's."""

    def work(name: str) -> None:
        destination = place.open(account=name, account_id=name)
        for number in range(10):
            rows = [{"id": number, "n": n, f"of_{name}": n} for n in range(3)]
            destination.commit(rows, State(cursor=number))
        assert destination.state() == State(cursor=9)

    names = [f"a{number}" for number in range(5)]
    with ThreadPoolExecutor(len(names)) as pool:
        list(pool.map(work, names))
    rows = place.rows()
    assert [(row["_account"], row["id"], row["n"]) for row in rows] == [
        (name, number, 2) for name in names for number in range(10)
    ]
