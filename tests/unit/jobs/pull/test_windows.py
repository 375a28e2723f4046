"""Windows and parts of a pull: their order, where they are gone on with, how cursors move."""

import itertools
import json
from typing import Any

import pytest

from connector.errors import TemporarilyUnavailable
from connector.jobs.pull.failure import PullFailed
from connector.pulls.rules import Action, ErrorRule
from connector.pulls.spec import (
    CursorPages,
    CursorRule,
    EachRule,
    MomentFormat,
    PageSize,
    Pull,
    RequestTemplate,
    WindowRule,
)
from tests.unit.jobs.pull.bench import Call, Given, Killed, PullBench

DATES = CursorRule(param="since", format=MomentFormat(kind="date"), start="2026-11-20")
DAYS = WindowRule(days=2, is_end_inclusive=True, param="until")
NAMES = ("act_1a", "act_1b", "act_2a", "act_2b")
PER_PART = RequestTemplate(url="{ad_account}/insights")
ACCOUNTS = EachRule(
    request=RequestTemplate(url="accounts"),
    fields={"ad_account": "id", "timezone": "zone"},
    records="data",
    pagination=CursorPages(next="next", param="after"),
)


def days(call: Call) -> Given:
    """Answer a record of the first day of what is asked for."""
    return Given(body={"data": [{"id": call.params["since"], "until": call.params["until"]}]})


def windows_pull(**changes: Any) -> Pull:
    values: dict[str, Any] = {
        "request": RequestTemplate(url="insights"),
        "records": "data",
        "cursor": DATES,
        "window": DAYS,
    }
    return Pull(**values | changes)


def asked(bench: PullBench) -> list[tuple[str, str]]:
    return [(call.params["since"], call.params["until"]) for call in bench.calls]


class TestStarts:
    def test_are_written_as_the_request_has_them(self) -> None:
        """The part's zone says when a date begins; the request wants seconds since 1970."""
        pull = Pull(
            request=PER_PART,
            records="data",
            each=EachRule(
                request=RequestTemplate(url="accounts"),
                fields={"ad_account": "id", "timezone": "zone"},
                records="data",
            ),
            cursor=CursorRule(
                field="date",
                param="since",
                format=MomentFormat(timezone="{timezone}"),
                param_format=MomentFormat(kind="unix", timezone="{timezone}"),
                start="2026-11-20",
            ),
        )

        def answers(call: Call) -> Given:
            if call.path.endswith("accounts"):
                return Given(body={"data": [{"id": "a", "zone": "Asia/Tokyo"}]})
            return Given(body={"data": [{"id": 1, "date": "2026-11-21"}]})

        bench = PullBench(pull, answers)
        for seconds in ("1795100400", "1795186800"):  # the 20th begins in Tokyo, then the 21st
            bench.run()
            sent = [call.params["since"] for call in bench.calls if "since" in call.params]
            assert sent == [seconds]


class TestWindows:
    def test_follow_each_other_up_to_today(self) -> None:
        bench = PullBench(windows_pull(), days)
        bench.run()
        assert asked(bench) == [
            ("2026-11-20", "2026-11-21"),
            ("2026-11-22", "2026-11-23"),
            ("2026-11-24", "2026-11-25"),
            ("2026-11-26", "2026-11-26"),
        ]
        assert bench.destination.cursor == "2026-11-26", "today is not over"
        bench.run()
        assert asked(bench) == [("2026-11-26", "2026-11-26")]

    @pytest.mark.parametrize("commit", [1, 2, 3])
    def test_a_killed_run_goes_on_with_the_window(self, commit: int) -> None:
        bench = PullBench(windows_pull(), days)
        bench.destination.die = lambda number: "after" if number == commit else None
        with pytest.raises(Killed):
            bench.run()
        first = asked(bench)
        bench.destination.die = lambda _: None
        bench.run()
        assert len(first + asked(bench)) == 4
        assert bench.ids() == ["2026-11-20", "2026-11-22", "2026-11-24", "2026-11-26"]

    def test_a_window_that_was_not_over_when_it_was_begun_is_pulled_again(self) -> None:
        paged = windows_pull(pagination=CursorPages(next="next", param="after"))

        def answers(call: Call) -> Given:
            given = days(call)
            given.body["next"] = None if "after" in call.params else "2"  # type: ignore[index]
            return given

        bench = PullBench(paged, answers)
        bench.destination.text = '["2026-11-26", null]'
        bench.destination.die = lambda number: "after" if number == 1 else None
        with pytest.raises(Killed):
            bench.run()
        bench.destination.die = lambda _: None
        bench.clock.time += 86_400
        bench.run()
        assert asked(bench) == [("2026-11-26", "2026-11-26")] + [("2026-11-26", "2026-11-27")] * 2
        assert bench.destination.cursor == "2026-11-27"

    def test_a_backfill_has_its_own(self) -> None:
        bench = PullBench(windows_pull(), days)
        bench.run(since="2026-10-01", until="2026-10-04", lane=True)
        assert asked(bench) == [("2026-10-01", "2026-10-02"), ("2026-10-03", "2026-10-03")]
        assert bench.destination.cursor is None

    def test_a_killed_backfill_goes_on(self) -> None:
        bench = PullBench(windows_pull(), days)
        bench.destination.die = lambda number: "after" if number == 1 else None
        with pytest.raises(Killed):
            bench.run(since="2026-10-01", until="2026-10-05", lane=True)
        bench.destination.die = lambda _: None
        bench.run(since="2026-10-01", until="2026-10-05", lane=True)
        assert asked(bench) == [("2026-10-03", "2026-10-04")]

    @pytest.mark.parametrize("until", ["2026-10-01", "2026-09-30", "-90d"])
    def test_a_backfill_that_ends_before_it_begins_is_refused(self, until: str) -> None:
        bench = PullBench(windows_pull(), days)
        with pytest.raises(PullFailed, match=f"2026-10-01 is not before {until}"):
            bench.run(since="2026-10-01", until=until, lane=True)
        assert bench.calls == []

    @pytest.mark.parametrize(
        ("changes", "until", "told"),
        [
            ({"cursor": None, "window": None}, None, "no begin is sent"),
            ({"cursor": None, "window": None}, "2026-10-05", "no begin is sent"),
            ({"window": None}, "2026-10-05", "no end is sent"),
        ],
    )
    def test_a_time_that_the_api_would_not_be_told_is_refused(
        self, changes: dict[str, Any], until: str | None, told: str
    ) -> None:
        bench = PullBench(windows_pull(**changes), days)
        with pytest.raises(PullFailed, match=told):
            bench.run(since="2026-10-01", until=until, lane=until is not None)
        assert bench.calls == []

    def test_nothing_is_asked_where_no_time_has_passed(self) -> None:
        pull = windows_pull(
            cursor=CursorRule(param="since", start="-1h", format=MomentFormat(kind="datetime")),
            window=WindowRule(seconds=60, param="x"),
        )
        bench = PullBench(pull, lambda _: Given(body={"data": []}))
        bench.run()
        assert len(bench.calls) == 60
        bench.run()
        assert bench.calls == []

    def test_windows_need_a_begin(self) -> None:
        bench = PullBench(windows_pull(cursor=CursorRule(param="since")), days)
        with pytest.raises(PullFailed, match="windows have to begin somewhere"):
            bench.run()


class TestSplitting:
    RULES = (ErrorRule(action=Action.SPLIT_WINDOW, statuses=(500,)),)

    def answers(self, longest: int) -> Any:
        """Answer a record for each day, and only so many days at once."""

        def answer(call: Call) -> Given:
            first, last = int(call.params["since"][-2:]), int(call.params["until"][-2:])
            if last - first + 1 > longest:
                return Given(status=500, body={"error": {"message": "too much"}})
            return Given(body={"data": [{"id": day} for day in range(first, last + 1)]})

        return answer

    @pytest.mark.parametrize("longest", [1, 2, 3])
    def test_halves_are_asked_for(self, longest: int) -> None:
        pull = windows_pull(
            window=WindowRule(days=30, is_end_inclusive=True, param="until"), errors=self.RULES
        )
        bench = PullBench(pull, self.answers(longest))
        bench.run()
        assert bench.ids() == list(range(20, 27))

    @pytest.mark.parametrize("commit", range(1, 5))
    def test_halves_are_gone_on_with(self, commit: int) -> None:
        pull = windows_pull(
            window=WindowRule(days=30, is_end_inclusive=True, param="until"), errors=self.RULES
        )
        bench = PullBench(pull, self.answers(2))
        bench.destination.die = lambda number: "after" if number == commit else None
        with pytest.raises(Killed):
            bench.run()
        bench.destination.die = lambda _: None
        bench.run()
        assert bench.ids() == list(range(20, 27))

    def test_pages_are_as_large_as_before_where_smaller_ones_were_no_help(self) -> None:
        rules = (ErrorRule(action=Action.REDUCE_PAGE_SIZE, statuses=(500,)), *self.RULES)
        pull = windows_pull(
            window=WindowRule(days=30, is_end_inclusive=True, param="until"),
            errors=rules,
            size=PageSize(param="limit", value=100, smallest=25),
        )
        bench = PullBench(pull, self.answers(4))
        bench.run()
        assert [call.params["limit"] for call in bench.calls] == ["100", "50", "25", "100", "100"]

    def test_the_shortest_is_told(self) -> None:
        bench = PullBench(windows_pull(errors=self.RULES), self.answers(0))
        with pytest.raises(PullFailed, match=r"HTTP 500: too much.*") as caught:
            bench.run()
        assert "the window is at its shortest" in str(caught.value)


class TestParts:
    def answers(self, call: Call) -> Given:
        if call.path == "accounts":
            page = int(call.params.get("after", "1"))
            data = [{"id": f"act_{page}{letter}", "zone": "Asia/Tokyo"} for letter in "ab"]
            return Given(body={"data": data, "next": "2" if page == 1 else None})
        name = call.path.split("/", maxsplit=1)[0]
        return Given(body={"data": [{"id": f"{name} {call.params.get('since')}"}]})

    PULL = Pull(
        request=PER_PART,
        records="data",
        each=ACCOUNTS,
        cursor=CursorRule(param="since", format=MomentFormat(kind="date"), start="-1d"),
        window=WindowRule(days=7, param="until"),
        keep={"ad_account_id": "ad_account"},
    )

    def test_each_has_its_cursor(self) -> None:
        bench = PullBench(self.PULL, self.answers)
        bench.destination.text = '[{"act_1a": "2026-11-10"}, null]'
        bench.run()
        assert bench.ids()[:2] == ["act_1a 2026-11-10", "act_1a 2026-11-17"]
        assert bench.destination.cursor == dict.fromkeys(
            ("act_1a", "act_1b", "act_2a", "act_2b"), "2026-11-26"
        )
        assert bench.destination.rows[0]["ad_account_id"] == "act_1a"

    def test_one_that_has_to_wait_for_long_does_not_stop_the_others(self) -> None:
        limited = True

        def answers(call: Call) -> Given:
            is_last = call.params.get("since") == "2026-11-24"
            if limited and is_last and call.path == "act_1b/insights":
                return Given(status=429, headers={"retry-after": "7200"})
            return self.answers(call)

        bench = PullBench(self.PULL, answers)
        bench.destination.text = json.dumps([dict.fromkeys(NAMES, "2026-11-10"), None])
        with pytest.raises(TemporarilyUnavailable, match="at its checkpoint") as told:
            bench.run()
        assert type(told.value) is TemporarilyUnavailable
        assert bench.destination.cursor == {
            name: "2026-11-10" if name == "act_1b" else "2026-11-26" for name in NAMES
        }
        limited = False
        bench.run()
        (pulled,) = {call.path for call in bench.calls} - {"accounts"}
        assert pulled == "act_1b/insights"
        assert [name for name in bench.ids() if str(name).startswith("act_1b")] == [
            "act_1b 2026-11-10",
            "act_1b 2026-11-17",
            "act_1b 2026-11-24",
        ], "gone on with at its window"
        assert set(bench.destination.cursor.values()) == {"2026-11-26"}

    @pytest.mark.parametrize("commit", range(1, 5))
    def test_a_killed_run_goes_on_with_the_part(self, commit: int) -> None:
        bench = PullBench(self.PULL, self.answers)
        bench.destination.die = lambda number: "after" if number == commit else None
        with pytest.raises(Killed):
            bench.run()
        assert len(bench.destination.cursor) == commit
        bench.destination.die = lambda _: None
        bench.run()
        assert len(bench.ids()) == len(set(bench.ids())) == 4
        assert bench.destination.checkpoint is None

    def test_the_part_under_way_comes_first(self) -> None:
        order = ["a", "b"]

        def answers(call: Call) -> Given:
            if call.path == "accounts":
                return Given(body={"data": [{"id": name} for name in order]})
            page = int(call.params.get("after", "1"))
            data = [{"id": f"{call.path} {page}"}]
            return Given(body={"data": data, "next": None if page == 2 else page + 1})

        paged = CursorPages(next="next", param="after")
        each = EachRule(request=ACCOUNTS.request, fields={"ad_account": "id"}, records="data")
        pull = Pull(request=PER_PART, records="data", each=each, pagination=paged)
        bench = PullBench(pull, answers)
        bench.destination.die = lambda number: "after" if number == 1 else None
        with pytest.raises(Killed):
            bench.run()
        bench.destination.die = lambda _: None
        order.reverse()
        bench.run()
        assert bench.ids() == [f"{name}/insights {page}" for name in "ab" for page in (1, 2)]

    def test_known_values_need_no_list(self) -> None:
        each = EachRule(request=None, fields={"ad_account": ""}, values=("x", "y", "x"))
        pull = Pull(request=PER_PART, records="data", each=each)
        bench = PullBench(pull, self.answers)
        bench.run()
        assert [call.path for call in bench.calls] == ["x/insights", "y/insights"]

    def test_a_part_without_an_identifier_is_told(self) -> None:
        each = EachRule(request=ACCOUNTS.request, fields={"ad_account": "name"}, records="data")
        bench = PullBench(Pull(request=PER_PART, records="data", each=each), self.answers)
        with pytest.raises(PullFailed, match="a record of GET accounts has no 'name'"):
            bench.run()

    def test_a_list_of_parts_in_smaller_pages(self) -> None:
        def answers(call: Call) -> Given:
            if call.path == "accounts" and int(call.params["limit"]) > 25:
                return Given(status=400, body={"error": "too much"})
            return self.answers(call)

        each = EachRule(
            request=ACCOUNTS.request,
            fields={"ad_account": "id"},
            records="data",
            size=PageSize(param="limit", value=100),
        )
        rules = (ErrorRule(action=Action.REDUCE_PAGE_SIZE, statuses=(400,)),)
        pull = Pull(request=PER_PART, records="data", each=each, errors=rules)
        bench = PullBench(pull, answers)
        bench.run()
        assert [call.params.get("limit") for call in bench.calls[:3]] == ["100", "50", "25"]
        assert len(bench.ids()) == 2

    def test_how_far_it_is_is_told(self) -> None:
        bench = PullBench(self.PULL, self.answers)
        bench.run()
        places = [message["place"] for message in bench.told]
        shares = [place["done"] for place in places]  # type: ignore[index]
        assert all(one <= other for one, other in itertools.pairwise(shares))
        assert shares[-1] > 0.5
        assert places[0]["part"] == "act_1a"  # type: ignore[index]
        assert "2026-11-25 to 2026-11-27" in places[0]["text"]  # type: ignore[index]
