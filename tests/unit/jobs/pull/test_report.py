"""Reports that an API makes in its own time: ordered, asked after, read page by page."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from connector.jobs.pull.failure import PullFailed
from connector.pulls.rules import Action, ErrorRule
from connector.pulls.spec import (
    CursorPages,
    CursorRule,
    MomentFormat,
    Pull,
    ReportRule,
    RequestTemplate,
    WindowRule,
)
from tests.unit.jobs.pull.bench import Call, Given, Killed, PullBench

RUNNING = {"async_status": "Job Running", "async_percent_completion": 100}
DONE = {"async_status": "Job Completed", "async_percent_completion": 100}
FAILED = {"async_status": "Job Failed", "async_percent_completion": 30}


class Reports:
    """An API that makes reports: by its number, what each poll of one says; then two pages."""

    def __init__(self, *polls: list[Any]) -> None:
        self.polls = list(polls)
        self.ordered: list[dict[str, str]] = []
        self.polled: list[str] = []
        self.read: list[tuple[str, str | None]] = []

    def answer(self, call: Call) -> Given | Exception:
        if call.method == "POST":
            self.ordered.append(call.params)
            return Given(body={"report_run_id": f"r{len(self.ordered)}"})
        report, _, rest = call.path.partition("/")
        if report == "insights":
            return Given(status=400, body={"error": {"message": "go async"}})
        if not rest:
            self.polled.append(report)
            polls = self.polls[int(report[1:]) - 1]
            said = polls.pop(0) if len(polls) > 1 else polls[0]
            return said if isinstance(said, (Given, Exception)) else Given(body=said)
        after = call.params.get("after")
        self.read.append((report, after))
        number = int(after or "0")
        data = [{"id": f"{report} {number}"}]
        return Given(body={"data": data, "next": None if number else "1"})


RULE = ReportRule(
    create=RequestTemplate(url="insights", method="POST"),
    id="report_run_id",
    poll=RequestTemplate(url="{report}"),
    ready={"async_status": ("Job Completed",), "async_percent_completion": (100,)},
    failed={"async_status": ("Job Failed", "Job Skipped")},
    progress="async_percent_completion",
    result=RequestTemplate(url="{report}/insights"),
    always=True,
    interval=5,
    deadline=60,
    tries=3,
)


def make(api: Reports, **changes: Any) -> PullBench:
    values: dict[str, Any] = {
        "request": RequestTemplate(url="insights"),
        "records": "data",
        "pagination": CursorPages(next="next", param="after"),
        "cursor": CursorRule(param="since", format=MomentFormat(kind="date"), start="2026-11-24"),
        "window": WindowRule(days=30, param="until"),
        "report": RULE,
    }
    return PullBench(Pull(**values | changes), api.answer)


class TestReady:
    def test_only_when_all_conditions_hold(self) -> None:
        api = Reports([{"async_status": "Job Started"}, RUNNING, DONE])
        bench = make(api)
        bench.run()
        assert bench.ids() == ["r1 0", "r1 1"]
        assert api.ordered == [{"since": "2026-11-24", "until": "2026-11-27"}]
        assert len(api.polled) == 3
        assert bench.clock.sleeps == [5, 5]
        assert bench.destination.cursor == "2026-11-26"

    def test_polls_that_fail_for_a_while_are_tried_again(self) -> None:
        api = Reports([Given(status=503), DONE])
        bench = make(api)
        bench.run()
        assert bench.ids() == ["r1 0", "r1 1"]
        assert len(api.ordered) == 1

    def test_how_far_it_is_is_told(self) -> None:
        api = Reports([{"async_status": "Job Running", "async_percent_completion": 40}, DONE])
        bench = make(api)
        bench.run()
        places = [dict(one["place"]) for one in bench.told]  # type: ignore[call-overload]
        assert any("report, 40 %" in place.get("text", "") for place in places)
        assert any(place.get("done") == 0.4 for place in places)

    def test_only_where_an_error_asks_for_it(self) -> None:
        api = Reports([DONE])
        rules = (ErrorRule(action=Action.REPORT, statuses=(400,)),)
        bench = make(api, report=replace(RULE, always=False), errors=rules)
        bench.run()
        assert bench.calls[0].method == "GET"
        assert bench.ids() == ["r1 0", "r1 1"]


class TestForeseen:
    """Windows of a day; which of them are refused without a report."""

    def windows(self, refused: Callable[[int], bool], days: int) -> list[str]:
        """Give how each call that brought or refused something was made, by the day."""
        how: list[str] = []

        def answers(call: Call) -> Given:
            if call.method == "POST":
                return Given(body={"report_run_id": f"r{call.params['since']}"})
            report, _, rest = call.path.partition("/")
            if rest:
                how.append(f"report {int(report[-2:])}")
                return Given(body={"data": [{"id": report}]})
            if report != "insights":
                return Given(body=DONE)
            day = int(call.params["since"][-2:])
            how.append(f"{'refused' if refused(day) else 'page'} {day}")
            return Given(status=400 if refused(day) else 200, body={"data": [{"id": day}]})

        start = f"2026-11-{27 - days:02}"
        bench = PullBench(
            Pull(
                request=RequestTemplate(url="insights"),
                records="data",
                cursor=CursorRule(param="since", format=MomentFormat(kind="date"), start=start),
                window=WindowRule(days=1, param="until"),
                report=replace(RULE, always=False),
                errors=(ErrorRule(action=Action.REPORT, statuses=(400,)),),
            ),
            answers,
        )
        bench.run()
        assert len(bench.ids()) == days
        return how

    def test_the_windows_after_one_that_was_refused_are_not_refused_each(self) -> None:
        how = self.windows(lambda _: True, days=16)
        refused = [one for one in how if one.startswith("refused")]
        assert refused == ["refused 11", "refused 13", "refused 16", "refused 21"]
        assert len(how) - len(refused) == 16

    def test_one_that_stands_alone_costs_one_report_more(self) -> None:
        how = self.windows(lambda day: day == 20, days=8)
        assert how == [
            "page 19",
            "refused 20",
            "report 20",
            "report 21",
            *(f"page {day}" for day in range(22, 27)),
        ]

    def test_each_of_some_that_stand_alone_costs_one_more(self) -> None:
        how = self.windows(lambda day: day in {11, 16, 21}, days=16)
        assert [one for one in how if one.startswith("report")] == [
            f"report {day}" for day in (11, 12, 16, 17, 21, 22)
        ]


class TestAnew:
    @pytest.mark.parametrize("bad", [FAILED, {"async_status": "Job Skipped"}])
    def test_one_that_fails(self, bad: object) -> None:
        api = Reports([RUNNING, bad], [DONE])
        bench = make(api)
        bench.run()
        assert bench.ids() == ["r2 0", "r2 1"]

    def test_one_that_takes_too_long(self) -> None:
        api = Reports([RUNNING], [DONE])
        bench = make(api)
        bench.run()
        assert bench.ids() == ["r2 0", "r2 1"]
        assert sum(bench.clock.sleeps) == pytest.approx(65)

    def test_one_that_is_unknown(self) -> None:
        rules = (ErrorRule(action=Action.RESTART, statuses=(404,)),)
        api = Reports([Given(status=404)], [DONE])
        bench = make(api, errors=rules)
        bench.run()
        assert bench.ids() == ["r2 0", "r2 1"]

    def test_not_without_end(self) -> None:
        api = Reports(*[[FAILED]] * 3)
        bench = make(api, window=None)
        with pytest.raises(PullFailed, match="none of 3 reports"):
            bench.run()
        assert len(api.ordered) == 3

    def test_the_next_run_orders_one(self) -> None:
        api = Reports(*[[FAILED]] * 3, [DONE])
        bench = make(api, window=None)
        with pytest.raises(PullFailed, match="none of 3 reports"):
            bench.run()
        bench.run()
        assert bench.ids() == ["r4 0", "r4 1"]

    def test_a_shorter_window_where_that_may_help(self) -> None:
        api = Reports(*[[FAILED]] * 3, [DONE], [DONE])
        bench = make(api)
        bench.run()
        assert api.ordered[3:] == [
            {"since": "2026-11-24", "until": "2026-11-25"},
            {"since": "2026-11-25", "until": "2026-11-27"},
        ]
        assert bench.ids() == ["r4 0", "r4 1", "r5 0", "r5 1"]

    def test_an_answer_without_an_identifier_is_told(self) -> None:
        bench = make(Reports())
        bench.answers = lambda _: Given(body={"success": True})
        with pytest.raises(PullFailed, match=r"POST insights: the answer has no 'report_run_id'"):
            bench.run()


class TestKilled:
    @pytest.mark.parametrize("commit", [1, 2])
    def test_the_same_report_is_gone_on_with(self, commit: int) -> None:
        api = Reports([RUNNING, DONE, DONE])
        bench = make(api)
        bench.destination.die = lambda number: "after" if number == commit else None
        with pytest.raises(Killed):
            bench.run()
        bench.destination.die = lambda _: None
        bench.run()
        assert len(api.ordered) == 1
        assert bench.ids() == ["r1 0", "r1 1"]
        assert api.read == [("r1", None), ("r1", "1")]

    def test_one_that_can_no_longer_be_read_is_ordered_anew(self) -> None:
        api = Reports([DONE], [DONE], [DONE])
        bench = make(api)
        bench.destination.die = lambda number: "after" if number == 2 else None
        with pytest.raises(Killed):
            bench.run()
        bench.destination.die = lambda _: None
        bench.clock.time += 2 * 86_400
        bench.run()
        assert bench.ids() == ["r1 0", "r2 0", "r2 1", "r3 0", "r3 1"]
        assert api.ordered[2] == {"since": "2026-11-27", "until": "2026-11-29"}
