"""Parts that fail for a reason of their own: the others are pulled, each goes on as it stood."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import pytest

from connector.errors import ConsentRequired, TemporarilyUnavailable
from connector.jobs.pull.failure import PullFailed, Unusable
from connector.jobs.pull.sending import Unanswered
from connector.pulls.rules import Action, ErrorRule
from connector.pulls.spec import (
    CursorPages,
    CursorRule,
    EachRule,
    MomentFormat,
    Pull,
    RequestTemplate,
    WindowRule,
)
from tests.unit.jobs.pull.bench import Answers, Call, Given, Killed, PullBench

GONE = Given(status=400, body={"error": {"message": "no such thing"}})
Broken = Mapping[str, Given | Exception]


def parts_pull(names: Sequence[str], **changes: Any) -> Pull:
    """Give a pull of parts, whose lists have two pages each."""
    values: dict[str, Any] = {
        "request": RequestTemplate(url="{part}/items"),
        "records": "data",
        "pagination": CursorPages(next="next", param="after"),
        "each": EachRule(request=None, fields={"part": ""}, values=tuple(names)),
    }
    return Pull(**values | changes)


def part_of(call: Call) -> str:
    return call.path.partition("/")[0]


def parts_asked(bench: PullBench) -> list[str]:
    """Give the parts in the order in which they were asked for, each once."""
    return list(dict.fromkeys(map(part_of, bench.calls)))


class Parts:
    """An API whose parts have two pages of a record each; some of them are broken.

    Args:
        broken: by part, what is answered in place of a page.
        page: the number of that page.
    """

    def __init__(self, broken: Broken, page: int = 0) -> None:
        self.broken = dict(broken)
        self.page = page

    def __call__(self, call: Call) -> Given | Exception:
        part, number = part_of(call), int(call.params.get("after", "0"))
        if part in self.broken and number == self.page:
            return self.broken[part]
        data = [{"id": f"{part} {number}", "n": number + 1}]
        return Given(body={"data": data, "next": None if number else "1"})


def make(names: str, answers: Answers, **changes: Any) -> PullBench:
    return PullBench(parts_pull(names.split(), **changes), answers)


def failed(bench: PullBench, **asked: Any) -> str:
    with pytest.raises(PullFailed) as caught:
        bench.run(**asked)
    return str(caught.value)


@pytest.mark.parametrize(
    "trouble",
    [
        GONE,
        Given(body={"rows": []}),
        Given(status=503),
        Unanswered("it does not answer in time"),
    ],
    ids=["an error", "no records", "trouble that does not pass", "silence"],
)
def test_the_others_are_pulled(trouble: Given | Exception) -> None:
    bench = make("a b c", Parts({"b": trouble}))
    told = failed(bench)
    assert bench.ids() == ["a 0", "a 1", "c 0", "c 1"]
    assert told.startswith("1 of 3 parts could not be pulled: b: GET b/items: ")
    assert len(bench.logged) == 2
    assert bench.logged[1].startswith("part b is set aside: GET b/items: ")


@pytest.mark.parametrize(
    ("broken", "is_away"), [("a b", True), ("b", False), ("c d e", True), ("", False)]
)
def test_where_no_usable_answer_comes_the_api_is_away(broken: str, *, is_away: bool) -> None:
    """And the run may be tried again; one broken part is none that a second try would mend."""
    names = "a b" if broken in {"a b", ""} else "a b c d e f"
    api = Parts(dict.fromkeys(broken.split(), Given(status=503)) or {"a": GONE, "b": GONE})
    bench = make(names, api, tries=1)
    with pytest.raises(PullFailed) as caught:
        bench.run()
    assert isinstance(caught.value, Unusable) is is_away


def test_without_parts_the_failure_is_the_runs() -> None:
    bench = PullBench(
        parts_pull((), each=None, request=RequestTemplate(url="x/items")), Parts({"x": GONE})
    )
    assert failed(bench) == "GET x/items: HTTP 400: no such thing"


def test_each_goes_on_where_it_stood() -> None:
    api = Parts({"b": GONE}, page=1)
    bench = make("a b c", api)
    failed(bench)
    assert bench.ids() == ["a 0", "a 1", "b 0", "c 0", "c 1"]
    api.broken.clear()
    bench.run()
    again = [(part_of(call), call.params.get("after")) for call in bench.calls]
    assert again == [
        *(("a", None), ("a", "1"), ("c", None), ("c", "1")),
        ("b", "1"),
    ], "the others have a run as any other, and it goes on at its page"
    assert bench.destination.checkpoint is None


class TestCursors:
    DATES = CursorRule(param="since", format=MomentFormat(kind="date"), start="2026-11-20")

    def pull(self, answers: Answers) -> PullBench:
        window = WindowRule(days=3, param="until")
        return make(
            "a b",
            answers,
            cursor=self.DATES,
            window=window,
            pagination=CursorPages(next="next", param="after"),
        )

    def asked(self, bench: PullBench, part: str) -> list[tuple[str, str]]:
        calls = [call for call in bench.calls if part_of(call) == part]
        return [(call.params["since"], call.params["until"]) for call in calls]

    def answers(self, broken: Callable[[Call], bool]) -> Answers:
        def answer(call: Call) -> Given:
            if broken(call):
                return GONE
            since = call.params["since"]
            return Given(body={"data": [{"id": f"{part_of(call)} {since}"}], "next": None})

        return answer

    def test_that_of_a_part_that_failed_does_not_move_and_the_others_do(self) -> None:
        is_broken = True
        bench = self.pull(
            self.answers(
                lambda call: (
                    is_broken and part_of(call) == "a" and call.params["since"] > "2026-11-22"
                )
            )
        )
        failed(bench)
        assert bench.destination.cursor == {"b": "2026-11-26"}
        failed(bench)
        assert self.asked(bench, "b") == [("2026-11-26", "2026-11-27")]
        assert self.asked(bench, "a") == [("2026-11-23", "2026-11-26")], "where it stood"
        is_broken = False
        bench.run()
        assert self.asked(bench, "a") == [
            ("2026-11-23", "2026-11-26"),
            ("2026-11-26", "2026-11-27"),
        ]
        assert bench.destination.cursor == {"a": "2026-11-26", "b": "2026-11-26"}
        assert bench.destination.checkpoint is None

    def test_a_begin_that_a_person_asked_for_is_asked_for_once(self) -> None:
        is_broken = True
        bench = self.pull(self.answers(lambda call: is_broken and part_of(call) == "a"))
        failed(bench, since="2026-11-01")
        assert self.asked(bench, "b")[0] == ("2026-11-01", "2026-11-04")
        is_broken = False
        bench.run()
        assert self.asked(bench, "b") == [("2026-11-26", "2026-11-27")]
        assert self.asked(bench, "a")[0] == ("2026-11-01", "2026-11-04")

    def test_a_backfill_goes_on_with_what_failed_and_with_nothing_else(self) -> None:
        is_broken = True
        bench = self.pull(self.answers(lambda call: is_broken and part_of(call) == "a"))
        lane: dict[str, Any] = {"since": "2026-11-01", "until": "2026-11-07", "lane": True}
        failed(bench, **lane)
        is_broken = False
        bench.run(**lane)
        assert parts_asked(bench) == ["a"]
        assert self.asked(bench, "a") == [
            ("2026-11-01", "2026-11-04"),
            ("2026-11-04", "2026-11-07"),
        ]
        assert bench.destination.cursor is None

    def test_what_a_page_that_was_not_written_had_moves_nothing(self) -> None:
        circle = Given(body={"data": [{"id": 1, "n": 99}], "next": "1"})
        api = Parts({"a": circle}, page=1)
        cursor = CursorRule(field="n", param="since", format=MomentFormat(kind="number"))
        bench = make("a", api, cursor=cursor)
        failed(bench)
        api.broken.clear()
        bench.run()
        assert bench.destination.cursor == {"a": 2}


class TestOrder:
    def test_what_failed_comes_last_the_longest_ago_first(self) -> None:
        api = Parts({"a": GONE, "b": GONE})
        bench = make("a b c d", api)
        for _ in range(2):
            failed(bench)
        assert parts_asked(bench) == ["c", "d", "a", "b"]
        del api.broken["a"]
        failed(bench)
        failed(bench)
        assert parts_asked(bench) == ["a", "c", "d", "b"]

    def test_a_part_that_is_there_no_more_is_forgotten(self) -> None:
        bench = make("a b", Parts({"a": GONE}, page=1))
        failed(bench)
        assert bench.destination.checkpoint["aside"].keys() == {"a"}
        bench.pull = parts_pull(["b", "c"])
        bench.run()
        assert bench.destination.checkpoint is None

    @pytest.mark.parametrize("commit", range(1, 7))
    def test_a_killed_run_goes_on_with_all_of_them(self, commit: int) -> None:
        bench = make("a b c", Parts({"b": GONE}, page=1))
        bench.destination.die = lambda number: "after" if number == commit else None
        with pytest.raises(Killed):
            bench.run()
        bench.destination.die = lambda _: None
        failed(bench, attempt=2)
        assert sorted(map(str, bench.destination.by_key)) == sorted(
            str((one,)) for one in ("a 0", "a 1", "b 0", "c 0", "c 1")
        )


class TestEarly:
    def test_where_the_first_three_fail_alike(self) -> None:
        bench = make("a b c d e", Parts(dict.fromkeys("abcde", GONE)))
        told = failed(bench)
        assert parts_asked(bench) == ["a", "b", "c"]
        assert told == (
            "3 of 5 parts could not be pulled: a, b, c: GET a/items: HTTP 400: no such thing;"
            " the run ended early, for 3 in a row failed alike"
        )

    def test_the_next_run_begins_with_the_others(self) -> None:
        bench = make("a b c d e", Parts(dict.fromkeys("abc", GONE)))
        failed(bench)
        told = failed(bench)
        assert parts_asked(bench) == ["d", "e", "a", "b", "c"]
        assert "early" not in told
        assert bench.ids() == ["d 0", "d 1", "e 0", "e 1"]

    def test_not_where_each_fails_in_its_own_way(self) -> None:
        own = {
            part: Given(status=400, body={"error": {"message": f"{part} is disabled"}})
            for part in "abcd"
        }
        bench = make("a b c d e", Parts(own))
        told = failed(bench)
        assert bench.ids() == ["e 0", "e 1"]
        assert told == (
            "4 of 5 parts could not be pulled: a: GET a/items: HTTP 400: a is disabled;"
            " b: GET b/items: HTTP 400: b is disabled; c: GET c/items: HTTP 400: c is disabled;"
            " and 1 more"
        )

    def test_not_where_something_was_pulled_before(self) -> None:
        bench = make("a b c d e", Parts(dict.fromkeys("bcd", GONE)))
        failed(bench)
        assert bench.ids() == ["a 0", "a 1", "e 0", "e 1"]

    def test_where_the_api_is_away_whatever_was_pulled(self) -> None:
        bench = make("a b c d e", Parts(dict.fromkeys("bcde", Given(status=503))))
        assert "ended early" in failed(bench)
        assert parts_asked(bench) == ["a", "b", "c", "d"]

    def test_parts_that_never_answer_keep_nobody_from_the_next_pass(self) -> None:
        bench = make("a b c d e", Parts(dict.fromkeys("bcde", Given(status=503))))
        for _ in range(2):
            failed(bench)
        for _ in range(2):
            failed(bench)
            assert parts_asked(bench)[0] == "a"
        assert bench.ids().count("a 0") >= 3


class TestWholeRun:
    RULES = (
        ErrorRule(action=Action.CONSENT, statuses=(403,)),
        ErrorRule(action=Action.RATE_LIMITED, statuses=(429,), scope="part"),
    )

    def test_a_consent_that_is_needed_ends_it_at_once(self) -> None:
        bench = make("a b", Parts({"a": Given(status=403)}), errors=self.RULES)
        with pytest.raises(ConsentRequired):
            bench.run()
        assert parts_asked(bench) == ["a"]

    def test_so_does_an_error_that_is_the_apps_or_the_accounts(self) -> None:
        rules = (ErrorRule(action=Action.FAIL, statuses=(400,), scope="account"),)
        bench = make("a b", Parts({"a": GONE}, page=1), errors=rules)
        assert failed(bench) == "GET a/items: HTTP 400: no such thing"
        assert parts_asked(bench) == ["a"]
        failed(bench)
        assert [call.params for call in bench.calls] == [{"after": "1"}]

    def test_so_does_a_token_that_cannot_be_had(self) -> None:
        bench = make("a b", Parts({"a": TemporarilyUnavailable("the provider is away")}))
        with pytest.raises(TemporarilyUnavailable, match="the provider is away"):
            bench.run()
        assert parts_asked(bench) == ["a"]

    def test_a_destination_that_fails_ends_it_at_once(self) -> None:
        bench = make("a b", Parts({}))
        bench.destination.die = lambda _: "before"
        with pytest.raises(Killed):
            bench.run()
        assert parts_asked(bench) == ["a"]

    def test_what_waits_is_told_beside_what_failed_and_is_gone_on_with(self) -> None:
        wait = Given(status=429, headers={"retry-after": "86000"})
        api = Parts({"a": GONE, "b": wait}, page=1)
        bench = make("a b c", api, errors=self.RULES)
        told = failed(bench)
        assert told.startswith("1 of 3 parts could not be pulled: a: ")
        assert told.endswith("; 1 more wait for their rate limits")
        api.broken.clear()
        bench.run()
        again = [(part_of(call), call.params.get("after")) for call in bench.calls]
        assert again == [("b", "1"), ("a", "1")], "the pass is not over: c was pulled"
