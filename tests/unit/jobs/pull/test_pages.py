"""The loops of a pull: pages, their places, and where the next run goes on."""

from typing import Any

import pytest

from connector.jobs.pull.failure import PullFailed
from connector.pulls.spec import (
    CursorPages,
    CursorRule,
    LinkPages,
    MomentFormat,
    NoPages,
    Pull,
    RequestTemplate,
)
from tests.unit.jobs.pull.bench import Call, Given, Killed, PullBench

ITEMS = RequestTemplate(url="items")


def numbered(pages: int, size: int = 2) -> Any:
    """Answer pages of records, by a cursor that is the next page's number."""

    def answers(call: Call) -> Given:
        page = int(call.params.get("after", "0"))
        data = [{"id": page * size + i, "at": f"2026-11-{page + 1:02}"} for i in range(size)]
        return Given(body={"data": data, "next": str(page + 1) if page + 1 < pages else None})

    return answers


def pages_pull(**changes: Any) -> Pull:
    values: dict[str, Any] = {
        "request": ITEMS,
        "records": "data",
        "pagination": CursorPages(next="next", param="after"),
    }
    return Pull(**values | changes)


class TestPages:
    def test_every_page_is_committed_with_the_place_of_the_next(self) -> None:
        bench = PullBench(pages_pull(), numbered(3))
        bench.run()
        assert bench.ids() == [0, 1, 2, 3, 4, 5]
        committed = [one for one in bench.destination.checkpoints if one and "page" in one]
        assert [one["page"]["cursor"] for one in committed] == ["1", "2"]
        assert bench.destination.checkpoint is None

    @pytest.mark.parametrize("when", ["before", "after"])
    @pytest.mark.parametrize("commit", [1, 2, 3])
    def test_a_killed_run_goes_on_at_that_page(self, commit: int, when: str) -> None:
        bench = PullBench(pages_pull(), numbered(4))
        bench.destination.die = lambda number: when if number == commit else None
        with pytest.raises(Killed):
            bench.run()
        first = [call.params.get("after") for call in bench.calls]
        bench.destination.die = lambda _: None
        bench.run()
        second = [call.params.get("after") for call in bench.calls]
        assert bench.ids() == list(range(8))
        assert len(first) + len(second) == (4 if when == "after" else 5)

    def test_a_changed_declaration_begins_at_the_cursor(self) -> None:
        bench = PullBench(pages_pull(), numbered(3))
        bench.destination.die = lambda number: "after" if number == 1 else None
        with pytest.raises(Killed):
            bench.run()
        bench.declaration = "changed"
        bench.destination.die = lambda _: None
        bench.run()
        assert [call.params.get("after") for call in bench.calls] == [None, "1", "2"]
        assert any("declaration was changed" in line for line in bench.logged)

    @pytest.mark.parametrize(
        "checkpoint",
        ["7", "[]", '{"form": 9}', '{"form": 1, "declaration": "d"}']
        + [
            '{"form": 1, "declaration": "d", "done": [], "part": "", "begun": 0, "pages": 0, '
            f"{what}}}"
            for what in ('"page": 7', '"windows": [[1]]', '"report": ["x"]', '"start": true')
        ],
    )
    def test_an_unreadable_checkpoint_begins_at_the_cursor(self, checkpoint: str) -> None:
        bench = PullBench(pages_pull(), numbered(2))
        bench.destination.text = f"[null, {checkpoint}]"
        bench.run()
        assert len(bench.calls) == 2
        assert any("begins at the cursor" in line for line in bench.logged)

    def test_a_link_is_kept_without_what_the_credential_adds(self) -> None:
        link = "https://api.example/items?after=1&signature=of-one&access_token=one"

        def answers(call: Call) -> Given:
            is_last = "after" in call.params
            return Given(body={"data": [{"id": len(call.params)}], "next": not is_last and link})

        bench = PullBench(pages_pull(pagination=LinkPages(next="next")), answers)
        bench.run()
        assert [call.params for call in bench.calls] == [{}, {"after": "1"}]
        (place, _) = bench.destination.checkpoints[:2]
        assert place["page"]["url"] == "https://api.example/items?after=1"

    def test_one_answer_may_hold_everything(self) -> None:
        pull = Pull(request=ITEMS, pagination=NoPages())
        bench = PullBench(pull, lambda _: Given(body=[{"id": 1}, {"id": 2}]))
        bench.run()
        assert bench.ids() == [1, 2]

    def test_records_may_be_made_of_what_stands_in_them(self) -> None:
        rows = [{"values": [{"value": str(n)}], "at": f"2026-11-0{n}", "more": 1} for n in (1, 2)]
        pull = pages_pull(
            fields={"id": "values.0.value", "day": "at", "none": "values.7.value"},
            keep={"whose": "account"},
            cursor=CursorRule(field="day", param="since", format=MomentFormat(kind="date")),
        )
        bench = PullBench(pull, lambda _: Given(body={"data": [*rows, "no record", {"at": None}]}))
        bench.run()
        assert bench.destination.rows == [
            {"id": "1", "day": "2026-11-01", "none": None, "whose": "acme/ads"},
            {"id": "2", "day": "2026-11-02", "none": None, "whose": "acme/ads"},
        ]
        assert [one.reason for one in bench.destination.rejected] == [
            "is str, not a mapping",
            "lacks id, part of its key",
        ]
        assert bench.destination.cursor == "2026-11-02"


class TestCursor:
    PULL = pages_pull(
        cursor=CursorRule(
            field="at", param="since", format=MomentFormat(kind="date"), lookback=86400
        )
    )

    def test_moves_when_the_pass_is_complete(self) -> None:
        bench = PullBench(self.PULL, numbered(3))
        bench.destination.die = lambda number: "after" if number == 2 else None
        with pytest.raises(Killed):
            bench.run()
        assert not bench.destination.cursor
        bench.destination.die = lambda _: None
        bench.run()
        assert bench.destination.cursor == "2026-11-03"
        bench.run()
        assert bench.calls[0].params == {"since": "2026-11-02"}

    @pytest.mark.parametrize("data", [[], [{"id": 1, "at": "2026-11-19"}]])
    def test_never_goes_back(self, data: list[object]) -> None:
        bench = PullBench(self.PULL, lambda _: Given(body={"data": data}))
        bench.destination.text = '["2026-11-20", null]'
        bench.run()
        assert bench.destination.cursor == "2026-11-20"

    def test_a_person_replaces_it(self) -> None:
        bench = PullBench(self.PULL, numbered(1))
        bench.destination.text = '["2026-11-20", null]'
        bench.run(since="2026-10-01")
        assert bench.calls[0].params == {"since": "2026-10-01"}
        assert bench.destination.cursor == "2026-11-01"

    @pytest.mark.parametrize("how", ["taken over", "the next run"])
    def test_what_a_person_asked_for_is_gone_on_with(self, how: str) -> None:
        bench = PullBench(self.PULL, numbered(3))
        bench.destination.text = '["2026-11-20", null]'
        bench.destination.die = lambda number: "after" if number == 1 else None
        with pytest.raises(Killed):
            bench.run(since="2026-10-01")
        assert bench.destination.cursor == "2026-11-20"
        if how == "taken over":
            bench.run(since="2026-10-01", attempt=2)
        else:
            bench.run()
        assert [call.params["since"] for call in bench.calls] == ["2026-10-01"] * 2
        assert bench.destination.cursor == "2026-11-03"

    def test_a_person_who_asks_again_begins_anew(self) -> None:
        bench = PullBench(self.PULL, numbered(3))
        bench.destination.die = lambda number: "after" if number == 1 else None
        with pytest.raises(Killed):
            bench.run()
        bench.run(since="2026-10-01")
        assert [call.params["since"] for call in bench.calls] == ["2026-10-01"] * 3

    def test_a_backfill_moves_none(self) -> None:
        bench = PullBench(self.PULL, numbered(2))
        bench.run(since="2026-10-01", lane=True)
        assert not bench.destination.cursor
        assert bench.destination.checkpoint is None

    def test_one_of_another_kind_is_told(self) -> None:
        bench = PullBench(self.PULL, numbered(1))
        bench.destination.text = '["not a date", null]'
        with pytest.raises(PullFailed, match=r"where to begin is unknown.*--since"):
            bench.run()
        assert bench.calls == []

    def test_a_record_without_a_moment_is_told(self) -> None:
        body = {"data": [{"id": 1, "at": "soon"}]}
        bench = PullBench(self.PULL, lambda _: Given(body=body))
        with pytest.raises(PullFailed, match="the field 'at' holds 'soon'"):
            bench.run()
        assert bench.ids() == []


class TestMalformed:
    def test_a_missing_place_is_named(self) -> None:
        bench = PullBench(pages_pull(), lambda _: Given(body={"items": [], "count": 1}))
        with pytest.raises(PullFailed, match=r"GET items: .* no 'data'; it has only 'items', 'cou"):
            bench.run()

    def test_null_is_an_empty_list(self) -> None:
        bench = PullBench(pages_pull(), lambda _: Given(body={"data": None}))
        bench.run()
        assert bench.ids() == []

    def test_json_path_may_find_nothing(self) -> None:
        bench = PullBench(pages_pull(records="$.data[*]"), lambda _: Given(body={"kind": "x"}))
        bench.run()
        assert bench.ids() == []

    @pytest.mark.parametrize(
        ("record", "says"),
        [
            (7, "is int"),
            ({"n": 1}, "lacks id"),
            ({"id": None}, "lacks id"),
            ({"id": 1, "_account": "x"}, "has the field _account"),
        ],
    )
    def test_junk_among_records_is_set_aside(self, record: object, says: str) -> None:
        bench = PullBench(pages_pull(), lambda _: Given(body={"data": [{"id": 1}, record]}))
        writer = bench.run()
        assert bench.ids() == [1]
        assert writer.counts.rejected == 1
        (rejected,) = bench.destination.rejected
        assert says in rejected.reason

    def test_a_list_that_is_none_is_named(self) -> None:
        bench = PullBench(pages_pull(), lambda _: Given(body={"data": "x"}))
        with pytest.raises(PullFailed, match="'data' is str, and not a list"):
            bench.run()

    def test_a_circle_is_named(self) -> None:
        def answers(_: Call) -> Given:
            return Given(body={"data": [{"id": len(bench.calls)}], "next": "same"})

        bench = PullBench(pages_pull(), answers)
        with pytest.raises(PullFailed, match="GET items: the answer leads back"):
            bench.run()

    def test_no_json(self) -> None:
        bench = PullBench(pages_pull(tries=2), lambda _: Given(content=b"<html>Busy</html>"))
        with pytest.raises(PullFailed, match="not JSON: Busy"):
            bench.run()
        assert len(bench.calls) == 2
