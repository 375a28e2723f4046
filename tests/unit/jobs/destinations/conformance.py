"""What every destination does; each kind's tests inherit this and say where it is.

A subclass gives the fixture ``place``. ``replaces`` says whether a record that comes again takes
the place of the one before in what a user reads, or stands after it, as in a file of lines.
"""

import math
from typing import Any

import pytest

from connector.jobs.destinations.destination import Committed
from connector.jobs.destinations.rejecting import TooManyRejected, reject
from connector.jobs.destinations.stream import Overtaken, State

from .places import Place


class DestinationConformance:
    """Inherit it as ``class TestKind(DestinationConformance)``."""

    replaces = True

    def last(self, place: Place) -> list[dict[str, Any]]:
        """Give of each key the record that holds."""
        if self.replaces:
            return sorted(place.rows(), key=lambda row: (row["_account"], row["id"]))
        held: dict[tuple[object, ...], dict[str, Any]] = {}
        for row in place._read("t"):
            held[row["_account"], row["id"]] = row
        rows = [{name: v for name, v in row.items() if v is not None} for row in held.values()]
        return sorted(rows, key=lambda row: (row["_account"], row["id"]))

    def test_begins_with_nothing(self, place: Place) -> None:
        assert place.open().state() == State()

    def test_records_and_state_are_written_together(self, place: Place) -> None:
        destination = place.open()
        done = destination.commit([{"id": 1, "n": 1.5}], State(cursor={"day": "2027-01-15"}))
        assert (done.written, done.changed, done.rejected) == (1, 1, 0)
        assert destination.state() == State(cursor={"day": "2027-01-15"})
        assert place.open().state() == State(cursor={"day": "2027-01-15"})
        assert place.rows() == [{"_account": "acme/ads", "id": 1, "n": 1.5}]

    def test_without_a_state_the_one_before_stays(self, place: Place) -> None:
        destination = place.open()
        destination.commit([], State(cursor=1, checkpoint={"page": 2}))
        assert destination.commit([{"id": 1}]).changed == 1
        assert destination.state() == State(cursor=1, checkpoint={"page": 2})
        destination.commit([], State(cursor=2))
        assert destination.state() == State(cursor=2)

    def test_nothing_at_all_is_a_commit(self, place: Place) -> None:
        assert place.open().commit([]) == Committed()

    def test_the_last_of_a_batch_holds_whole(self, place: Place) -> None:
        destination = place.open()
        destination.commit([{"id": 1, "a": 1, "b": 5}, {"id": 2, "a": 1}, {"id": 1, "a": 3}])
        assert self.last(place) == [
            {"_account": "acme/ads", "id": 1, "a": 3},
            {"_account": "acme/ads", "id": 2, "a": 1},
        ]

    def test_a_record_replaces_the_one_before_whole(self, place: Place) -> None:
        place.open().commit([{"id": 1, "a": 1, "b": 5}])
        assert place.open().commit([{"id": 1, "a": 2}]).changed == 1
        assert self.last(place) == [{"_account": "acme/ads", "id": 1, "a": 2}]

    def test_a_repeat_changes_nothing(self, place: Place) -> None:
        records = [
            {"id": i, "n": None if i % 2 else {"s": [i, None, "é\u2028"]}, "t": f"{i}", "f": i / 7}
            for i in range(10)
        ]
        assert place.open().commit(records).changed == 10
        before = place._read("t")
        done = place.open().commit(records)
        assert (done.written, done.changed) == (10, 0)
        assert place._read("t") == before

    def test_without_a_key_every_record_is_new(self, place: Place) -> None:
        destination = place.open(())
        for number in range(2):
            assert destination.commit([{"id": 1}, {"id": 1}], State(cursor=number)).changed == 2
        assert place.ids() == [1, 1, 1, 1]

    def test_accounts_share_a_place_and_no_record(self, place: Place) -> None:
        place.open().commit([{"id": 1, "n": 1}], State(cursor="a"))
        other = place.open(account="acme/other", account_id="2")
        other.commit([{"id": 1, "n": 2}], State(cursor="b"))
        assert [(row["_account"], row["n"]) for row in place.rows()] == [
            ("acme/ads", 1),
            ("acme/other", 2),
        ]
        assert (place.open().state().cursor, other.state().cursor) == ("a", "b")

    def test_lanes_and_jobs_have_states_of_their_own(self, place: Place) -> None:
        first = place.open(run_id="a")
        place.open(run_id="b", lane="2026-01").commit([], State(checkpoint=1))
        place.open(job="more", run_id="c").commit([], State(cursor=3))
        first.commit([{"id": 1}], State(cursor=2))
        assert place.open(run_id="a").state() == State(cursor=2)
        assert place.open(run_id="b", lane="2026-01").state() == State(checkpoint=1)

    def test_another_table_is_another_destination(self, place: Place) -> None:
        """As one that is new: all is pulled again, for nothing of it is there."""
        if not place.is_sql:
            pytest.skip("it has no tables")
        place.open().commit([{"id": 1}], State(cursor=1, checkpoint={"page": 2}))
        other = place.open(table="u")
        assert other.state() == State()
        other.commit([{"id": 1}], State(cursor=0))
        assert place.open().state() == State(cursor=1, checkpoint={"page": 2})
        assert place.open(table="u").state() == State(cursor=0)

    def test_a_state_of_any_table_is_taken_over_once(self, place: Place) -> None:
        """Previous versions had one of each job, whatever its table."""
        if not place.is_sql:
            pytest.skip("it has no tables")
        place.open().commit([{"id": 1}], State(cursor=1))
        place.open(run_id="a", lane="2026-01").commit([], State(checkpoint=1))
        place.forget_tables()
        assert place.open(run_id="a", lane="2026-01").state() == State(checkpoint=1)
        assert place.open().state() == State(cursor=1)
        assert place.open(table="u").state() == State()

    def test_who_was_overtaken_writes_nothing(self, place: Place) -> None:
        first = place.open(run_id="a")
        first.commit([{"id": 1}], State(checkpoint=1))
        second = place.open(run_id="a", attempt=2)
        for state in (State(checkpoint=9), None):
            with pytest.raises(Overtaken):
                first.commit([{"id": 2}], state)
            with pytest.raises(Overtaken):
                first.commit([{"id": 2, "new": 1}], state, rejected=[reject({}, "lacks id")])
        with pytest.raises(Overtaken, match="attempt 2"):
            place.open(run_id="a", attempt=1)
        second.commit([{"id": 3}], State(checkpoint=2))
        assert (place.ids(), place.aside()) == ([1, 3], [])
        assert second.state() == State(checkpoint=2)

    def test_fields_come_and_go(self, place: Place) -> None:
        destination = place.open()
        destination.commit([{"id": 1, "a": 1}, {"id": 2, "b": 2}])
        destination.commit([{"id": 1, "c": 3}, {"id": 3, "a": None}])
        assert self.last(place) == [
            {"_account": "acme/ads", "id": 1, "c": 3},
            {"_account": "acme/ads", "id": 2, "b": 2},
            {"_account": "acme/ads", "id": 3},
        ]

    def test_what_cannot_be_written_is_set_aside(self, place: Place) -> None:
        destination = place.open(run_id="r")
        done = destination.commit(
            [{"id": 1}, {"id": 2, "bad": [object()]}, {"id": 3, "bad": [math.nan]}, {"id": 4}],
            State(cursor=1),
            rejected=[reject({"n": 1}, "lacks id, part of its key")],
        )
        assert (done.written, done.rejected) == (2, 3)
        assert done.reason == "lacks id, part of its key"
        assert (place.ids(), destination.state()) == ([1, 4], State(cursor=1))
        reasons = [reason for reason, _ in place.aside()]
        assert reasons[2] == "lacks id, part of its key"
        assert all(reason.startswith("has a field bad that ") for reason in reasons[:2])
        records = [record for _, record in place.aside()]
        assert {"id": 2, "bad": ["<object>"]} in records
        assert {"id": 3, "bad": ["nan"]} in records

    def test_what_was_set_aside_is_there_once(self, place: Place) -> None:
        for run in ("a", "b"):
            done = place.open(run_id=run).commit(
                [{"id": 2, "bad": object()}], rejected=[reject({"n": 1}, "lacks id")] * 2
            )
            assert done.rejected == 3
        assert len(place.aside()) == 2
        place.open(account_id="2").commit([], rejected=[reject({"n": 1}, "lacks id")])
        assert len(place.aside()) == 3

    def test_too_many_are_set_aside_and_nothing_else_is_written(self, place: Place) -> None:
        destination = place.open()
        destination.commit([{"id": 1}], State(cursor="before"))
        with pytest.raises(TooManyRejected, match="2 records were rejected: lacks id"):
            destination.commit(
                [{"id": 2, "new": 1}, {"id": 3, "bad": object()}],
                State(cursor="after"),
                rejected=[reject({}, "lacks id")],
                allowed=1,
            )
        assert (place.ids(), destination.state()) == ([1], State(cursor="before"))
        assert len(place.aside()) == 2
        assert destination.commit([{"id": 2}], State(cursor="after"), allowed=0).written == 1

    def test_what_does_not_fit_its_declared_type_is_set_aside(self, place: Place) -> None:
        columns = {"spend": "numeric", "day": "date", "n": "bigint"}
        destination = place.open(columns=columns)
        done = destination.commit(
            [
                {"id": 1, "spend": "12.50", "day": "2027-01-15", "n": 2.0},
                {"id": 2, "spend": "much"},
                {"id": 3, "day": "15.01.2027"},
                {"id": 4, "n": 1.5},
                {"id": 5, "spend": None},
            ]
        )
        assert (done.written, done.rejected) == (2, 3)
        assert place.ids() == [1, 5]
        assert [reason for reason, _ in place.aside()] == [
            "has a field day that is no date (str)",
            "has a field n that is no whole number of 64 bits (float)",
            "has a field spend that is no numeric (str)",
        ]

    @pytest.mark.parametrize(
        "value",
        ["", "é\n\u2028\U0001f600", "a\\u0000b", '"', 0, -(2**63) + 1, 2**63, 10**30, 1e-300,
         False, [], {}, [1, [None, {"a": "b"}]], "cut \ud83d", ["cut \ude00"], "n\0ul"],
        ids=ascii,
    )  # fmt: skip
    def test_values_of_any_kind(self, place: Place, value: object) -> None:
        """They are written, and a repeat of them is one."""
        destination = place.open()
        assert destination.commit([{"id": 1, "v": value}]).rejected == 0
        assert destination.commit([{"id": 1, "v": value}]).changed == 0
        assert place.ids() == [1]

    @pytest.mark.parametrize(
        "name",
        ["select", 'quo"te', "a b;", "%s %", "{x}", "Ä", "emoji \U0001f600", "x" * 100, "xmin",
         "cut \ud83d", "?", ":a", "n#", "#", "t", "r"],
        ids=ascii,
    )  # fmt: skip
    def test_names_of_any_kind(self, place: Place, name: str) -> None:
        destination = place.open()
        for number in (1, 2):
            assert destination.commit([{"id": number, name: number, "n": 1}]).rejected == 0
        assert destination.commit([{"id": 2, name: 2, "n": 1}]).changed == 0
        assert place.ids() == [1, 2]
