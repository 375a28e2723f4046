"""Whose cursor it is, in either kind of destination."""

import sqlite3
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing
from pathlib import Path
from typing import Any

import pytest

from connector.jobs.destinations.destination import Destination, open_destination
from connector.jobs.destinations.stream import Overtaken, State, Stream

Open = Callable[..., Destination]

#: What versions before wrote.
OLDER_SQLITE = """
CREATE TABLE _connector_cursor (
    job TEXT NOT NULL, account TEXT NOT NULL, cursor TEXT NOT NULL, committed_at REAL NOT NULL,
    PRIMARY KEY (job, account)
);
INSERT INTO _connector_cursor VALUES
    ('pull', 'acme/ads', '"ads"', 1), ('pull', 'acme/other', '"other"', 1),
    ('more', 'acme/ads', '"more"', 1);
"""
OLDER_JSON_LINES = """
CREATE TABLE cursor (job TEXT, account TEXT, cursor TEXT, PRIMARY KEY (job, account));
INSERT INTO cursor VALUES
    ('pull', 'acme/ads', '"ads"'), ('pull', 'acme/other', '"other"'),
    ('more', 'acme/ads', '"more"');
"""
OLDER = {"sqlite:///": ("ads", OLDER_SQLITE), "jsonl:": ("ads.state", OLDER_JSON_LINES)}


@pytest.fixture(params=OLDER)
def kind(request: pytest.FixtureRequest) -> str:
    assert isinstance(request.param, str)
    return request.param


@pytest.fixture
def opened(tmp_path: Path, kind: str) -> Iterator[Open]:
    with ExitStack() as stack:

        def open_one(
            account_id: str, account: str = "acme/ads", job: str = "pull", **who: Any
        ) -> Destination:
            url = f"{kind}{tmp_path}/ads"
            destination = open_destination(
                url,
                table="t",
                key=("id",),
                stream=Stream(job=job, account=account, account_id=account_id, **who),
            )
            return stack.enter_context(closing(destination))

        yield open_one


def test_another_account_of_the_same_name_begins_anew(opened: Open) -> None:
    opened("1").commit([{"id": 1}], State(cursor="first"))
    assert opened("2").state().cursor is None
    opened("2").commit([], State(cursor="second"))
    assert (opened("1").state().cursor, opened("2").state().cursor) == ("first", "second")


def test_an_account_that_is_renamed_goes_on(opened: Open) -> None:
    opened("1").commit([], State(cursor="first"))
    renamed = opened("1", "acme/new")
    assert renamed.state().cursor == "first"
    opened("2").commit([], State(cursor="of another one under the old name"))
    renamed.commit([], State(cursor="next"))
    assert opened("1", "acme/newer").state().cursor == "next"


class TestOvertaken:
    """A run that was taken over writes nothing any more, whatever it still holds."""

    def test_by_the_next_attempt(self, opened: Open) -> None:
        first = opened("1", run_id="a")
        first.commit([{"id": 1}], State(checkpoint={"page": 1}))
        second = opened("1", run_id="a", attempt=2)
        assert second.state() == State(checkpoint={"page": 1})
        with pytest.raises(Overtaken, match="another run of this job writes"):
            first.commit([{"id": 2}], State(checkpoint={"page": 2}))
        with pytest.raises(Overtaken):
            first.commit([{"id": 2}])
        second.commit([{"id": 2}], State(checkpoint={"page": 9}))
        assert second.state() == State(checkpoint={"page": 9})

    def test_by_another_run(self, opened: Open) -> None:
        first = opened("1", run_id="a", attempt=3)
        opened("1", run_id="b").commit([], State(cursor=1))
        with pytest.raises(Overtaken):
            first.commit([], State(cursor=2))

    def test_an_attempt_that_comes_too_late_takes_nothing_over(self, opened: Open) -> None:
        second = opened("1", run_id="a", attempt=2)
        with pytest.raises(Overtaken, match="attempt 2 of this run has taken over"):
            opened("1", run_id="a", attempt=1)
        second.commit([{"id": 1}], State(cursor=1))

    def test_not_by_another_lane_job_or_account(self, opened: Open) -> None:
        first = opened("1", run_id="a")
        opened("1", run_id="b", lane="2026-01").commit([], State(checkpoint=1))
        opened("1", job="more", run_id="c")
        opened("2", run_id="d")
        first.commit([], State(cursor=1))
        assert opened("1", run_id="b", lane="2026-01").state() == State(checkpoint=1)


class TestOlderFile:
    """Cursors of names become those of the accounts that bear them."""

    @pytest.fixture(autouse=True)
    def older(self, tmp_path: Path, kind: str) -> None:
        name, script = OLDER[kind]
        with closing(sqlite3.connect(tmp_path / name)) as connection:
            connection.executescript(script)

    def test_its_cursors_are_kept(self, opened: Open) -> None:
        assert opened("1").state().cursor == "ads"
        assert opened("2", "acme/other").state().cursor == "other"
        opened("1").commit([], State(cursor="next"))
        assert opened("1").state().cursor == "next"
        assert opened("1", job="more").state().cursor == "more"

    def test_the_first_that_bears_the_name_takes_it(self, opened: Open) -> None:
        assert opened("1").state().cursor == "ads"
        assert opened("2").state().cursor is None
        assert opened("1", "acme/new").state().cursor == "ads"

    def test_an_account_that_has_one_keeps_it(self, opened: Open) -> None:
        opened("1", "acme/new").commit([], State(cursor="new"))
        assert opened("1", "acme/other").state().cursor == "new"
        assert opened("2", "acme/other").state().cursor is None
