"""``connector audit``: what it shows, what it leaves out, and what verifying says."""

import json
import sqlite3
from contextlib import closing

import pytest

from connector.store.audit_entry import Actor, Entry
from tests.unit.workbench import NOW, run_apart

from .conftest import Commands

ENTRIES = [
    Entry(event="consent.given", account="acme/ads", at=NOW + 1, outcome="connected"),
    Entry(
        event="token.released",
        account="acme/ads",
        at=NOW + 2,
        actor=Actor(kind="job", name="pull"),
        count=7,
        fingerprint="0123456789abcdef",
    ),
    Entry(event="token.released", account="other/ads", at=NOW + 3),
    Entry(event="grant.ended", account="acme/ads", at=NOW + 4, detail={"error": "invalid_grant"}),
]


@pytest.fixture
def filled(commands: Commands) -> Commands:
    async def fill() -> None:
        async with commands.bench.runtime() as runtime:
            for entry in ENTRIES:
                runtime.trail.note(entry)

    run_apart(fill)
    return commands


def listed(commands: Commands, *arguments: str) -> list[dict[str, object]]:
    assert commands.run("audit", "--json", *arguments) == 0, commands.err
    found: list[dict[str, object]] = json.loads(commands.out)
    return found


def test_it_shows_the_newest_last(filled: Commands) -> None:
    assert [row["event"] for row in listed(filled)] == [
        "vault.made",
        "consent.given",
        "token.released",
        "token.released",
        "grant.ended",
    ]
    made, _given, released, *_ = listed(filled)
    assert (made["number"], made["through"]) == (1, "library")
    assert released == {
        "number": 3,
        "at": "2027-01-15T08:00:02Z",
        "event": "token.released",
        "account": "acme/ads",
        "account_id": None,
        "actor": "job:pull",
        "through": None,
        "outcome": None,
        "fingerprint": "0123456789abcdef",
        "count": 7,
        "detail": {},
    }


def test_a_table(filled: Commands) -> None:
    assert filled.run("audit", "--event", "grant.ended") == 0
    heading, row = filled.out.splitlines()
    assert heading.split() == [
        "time",
        "event",
        "account",
        "who",
        "outcome",
        "count",
        "token",
        "detail",
    ]
    assert row.startswith("2027-01-15T08:00:04Z  grant.ended  acme/ads  uid:")
    assert row.endswith("error=invalid_grant")
    assert filled.run("audit", "--event", "nothing") == 0
    assert filled.out == "Nothing of that kind was noted.\n"


@pytest.mark.parametrize(
    ("arguments", "numbers"),
    [
        (["--limit", "2"], [4, 5]),
        (["--account", "acme/ads"], [2, 3, 5]),
        (["--account", "*/ads"], [2, 3, 4, 5]),
        (["--account", "acme/**", "--limit", "1"], [5]),
        (["--event", "token.released"], [3, 4]),
        (["--event", "token"], [3, 4]),
        (["--event", "tok"], []),
        (["--since", "2027-01-15T08:00:03"], [4, 5]),
        (["--since", "2027-01-15T09:00:03+01:00"], [4, 5]),
        (["--since", "2028-01-01"], []),
    ],
)
def test_it_shows_what_was_asked_for(
    filled: Commands, arguments: list[str], numbers: list[int]
) -> None:
    assert [row["number"] for row in listed(filled, *arguments)] == numbers


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--account", "ACME"], "does not select accounts"),
        (["--since", "soon"], "neither a date and time"),
        (["--limit", "0"], "0 is not in the range"),
    ],
)
def test_what_cannot_be_meant_is_told(
    commands: Commands, arguments: list[str], message: str
) -> None:
    assert commands.run("audit", *arguments) == 2
    assert message in commands.err


def test_a_whole_trail(filled: Commands) -> None:
    assert filled.run("audit", "--verify") == 0
    span = "from 2027-01-15T08:00:00Z to 2027-01-15T08:00:04Z"
    assert (filled.out, filled.err) == (f"rows that fit: 5, {span}\n", "")
    assert filled.run("audit", "--verify", "--json") == 0
    assert json.loads(filled.out) == {
        "rows": 5,
        "from": "2027-01-15T08:00:00Z",
        "to": "2027-01-15T08:00:04Z",
        "removed": 0,
        "noted": 5,
        "fault": None,
    }


def test_where_no_end_is_noted_that_is_told(filled: Commands) -> None:
    (mark,) = (filled.bench.folder / "vault.db.journals").glob("audit-*.mark")
    mark.unlink()
    assert filled.run("audit", "--verify") == 0
    assert filled.out.startswith("rows that fit: 5, ")
    assert "one that was cut off would not be noticed" in filled.err


def test_a_row_of_a_wrong_time_hides_none_before_it(filled: Commands) -> None:
    with closing(sqlite3.connect(filled.bench.folder / "vault.db")) as database:
        database.execute("UPDATE audit SET at = 0 WHERE number = 5")
        database.commit()
    rows = listed(filled, "--since", "2027-01-15T00:00")
    assert [row["number"] for row in rows] == [1, 2, 3, 4]


@pytest.mark.parametrize(
    ("statement", "fault"),
    [
        ("UPDATE audit SET actor = 'uid:0' WHERE number = 3", "row 3 was altered"),
        ("DELETE FROM audit WHERE number = 2", "row 2 is missing"),
        ("DELETE FROM audit WHERE number > 3", "the end of the trail was cut off"),
        ("UPDATE audit SET at = 1e300, detail = '[' WHERE number = 1", "row 1 was altered"),
        ("UPDATE audit SET at = 'late', times = 'many' WHERE number = 3", "row 3 was altered"),
        ("UPDATE audit SET event = x'ff', account = x'1b' WHERE number = 3", "row 3 was altered"),
        ("UPDATE audit SET actor = 5, through = x'00' WHERE number = 3", "row 3 was altered"),
    ],
)
def test_a_trail_that_was_changed(filled: Commands, statement: str, fault: str) -> None:
    with closing(sqlite3.connect(filled.bench.folder / "vault.db")) as database:
        database.execute(statement)
        database.commit()
    for options in ((), ("--json",), ("--since", "1d", "--account", "acme/*", "--event", "token")):
        assert filled.run("audit", *options) == 0, "it is shown all the same"
    assert filled.run("audit", "--verify") == 5
    assert fault in filled.err
    assert "Whoever did that could write to the database" in filled.err
    assert filled.run("audit", "--verify", "--json") == 5
    assert fault in json.loads(filled.out)["fault"]
