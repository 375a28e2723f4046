"""Whose cursor it is, in either kind of destination."""

import sqlite3
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing
from pathlib import Path

import pytest

from connector.jobs.destination import Destination, open_destination

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

        def open_one(account_id: str, account: str = "acme/ads", job: str = "pull") -> Destination:
            url = f"{kind}{tmp_path}/ads"
            destination = open_destination(
                url, table="t", key=("id",), job=job, account=account, account_id=account_id
            )
            return stack.enter_context(closing(destination))

        yield open_one


def test_another_account_of_the_same_name_begins_anew(opened: Open) -> None:
    opened("1").commit([{"id": 1}], "first")
    assert opened("2").cursor() is None
    opened("2").commit([], "second")
    assert (opened("1").cursor(), opened("2").cursor()) == ("first", "second")


def test_an_account_that_is_renamed_goes_on(opened: Open) -> None:
    opened("1").commit([], "first")
    renamed = opened("1", "acme/new")
    assert renamed.cursor() == "first"
    opened("2").commit([], "of another one under the old name")
    renamed.commit([], "next")
    assert opened("1", "acme/newer").cursor() == "next"


class TestOlderFile:
    """Cursors of names become those of the accounts that bear them."""

    @pytest.fixture(autouse=True)
    def older(self, tmp_path: Path, kind: str) -> None:
        name, script = OLDER[kind]
        with closing(sqlite3.connect(tmp_path / name)) as connection:
            connection.executescript(script)

    def test_its_cursors_are_kept(self, opened: Open) -> None:
        assert opened("1").cursor() == "ads"
        assert opened("2", "acme/other").cursor() == "other"
        opened("1").commit([], "next")
        assert opened("1").cursor() == "next"
        assert opened("1", job="more").cursor() == "more"

    def test_the_first_that_bears_the_name_takes_it(self, opened: Open) -> None:
        assert opened("1").cursor() == "ads"
        assert opened("2").cursor() is None
        assert opened("1", "acme/new").cursor() == "ads"

    def test_an_account_that_has_one_keeps_it(self, opened: Open) -> None:
        opened("1", "acme/new").commit([], "new")
        assert opened("1", "acme/other").cursor() == "new"
        assert opened("2", "acme/other").cursor() is None
