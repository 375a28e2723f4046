"""What the errors of an API ask for, and what is done, or told where it cannot be."""

from typing import Any

import pytest

from connector.errors import ConsentRequired, TemporarilyUnavailable
from connector.jobs.pull.failure import PullFailed
from connector.jobs.pull.sending import Unanswered
from connector.pulls.rules import Action, ErrorRule, LimitRule
from connector.pulls.spec import CursorPages, OffsetPages, PageSize, Pull, RequestTemplate
from tests.unit.jobs.pull.bench import Answers, Call, Given, PullBench
from tests.unit.jobs.pull.test_pages import numbered, pages_pull

Script = list[Given | Exception]


def first(script: Script, then: Answers) -> Answers:
    """Give answers of a script, and others afterwards."""

    def answers(call: Call) -> Given | Exception:
        return script.pop(0) if script else then(call)

    return answers


def scripted(*script: Given | Exception, **changes: Any) -> PullBench:
    return PullBench(pages_pull(**changes), first(list(script), numbered(2)))


def rule(action: Action, status: int = 400, **changes: Any) -> tuple[ErrorRule, ...]:
    return (ErrorRule(action=action, statuses=(status,), **changes),)


class TestRetry:
    @pytest.mark.parametrize(
        "failure", [Given(status=503), Unanswered("it does not answer in time"), Given(content=b"")]
    )
    def test_what_passes_is_tried_again(self, failure: Given | Exception) -> None:
        bench = scripted(failure, failure)
        writer = bench.run()
        assert len(bench.ids()) == 4
        assert writer.counts.retries == 2
        assert writer.counts.waited == sum(bench.clock.sleeps)
        assert len(bench.clock.sleeps) == 2
        assert max(bench.clock.sleeps) <= 2

    def test_as_often_as_is_said(self) -> None:
        bench = scripted(*[Given(status=502, body={"error": "busy"})] * 9, tries=3)
        with pytest.raises(PullFailed, match=r"GET items: HTTP 502: busy"):
            bench.run()
        assert len(bench.calls) == 3

    def test_the_api_may_say_when(self) -> None:
        bench = scripted(Given(status=503, headers={"retry-after": "7"}))
        bench.run()
        assert bench.clock.sleeps == [7.0]

    def test_no_token_at_present(self) -> None:
        bench = scripted(*[TemporarilyUnavailable("the provider is away")] * 2, tries=3)
        bench.run()
        assert len(bench.ids()) == 4

    def test_no_token_for_long(self) -> None:
        bench = scripted(*[TemporarilyUnavailable("the provider is away")] * 3, tries=3)
        with pytest.raises(TemporarilyUnavailable, match="the provider is away"):
            bench.run()


class TestRateLimits:
    LIMITED = Given(status=429, body={"message": "slow down"}, headers={"retry-after": "40"})

    def test_the_headers_time_is_waited_for(self) -> None:
        bench = scripted(self.LIMITED)
        writer = bench.run()
        assert bench.clock.sleeps == [40.0]
        assert (writer.counts.waited, writer.counts.retries) == (40.0, 1)
        assert bench.desk.told[-1] == ("account", "", 100.0, 40.0)
        assert len(bench.ids()) == 4

    def test_a_growing_time_where_none_is_said(self) -> None:
        bench = scripted(*[Given(status=429)] * 3)
        bench.run()
        one, two, three = bench.clock.sleeps
        assert 2.5 <= one <= 5 <= two <= 10 <= three <= 20

    def test_people_see_that_it_waits(self) -> None:
        bench = scripted(self.LIMITED)
        bench.run()
        assert any("waits 40 s: rate limit" in str(one["place"]) for one in bench.told)

    def test_a_longer_wait_ends_the_run_at_its_checkpoint(self) -> None:
        script: Script = []
        bench = PullBench(pages_pull(limits=LimitRule(longest_wait=30)), first(script, numbered(2)))
        bench.destination.die = lambda number: script.append(self.LIMITED) if number == 1 else None
        with pytest.raises(TemporarilyUnavailable, match=r"slow down.*Try again at 2026") as caught:
            bench.run()
        assert caught.value.retry_at is not None
        assert caught.value.retry_at.timestamp() == bench.clock.time + 40
        assert bench.clock.sleeps == []
        bench.destination.die = lambda _: None
        bench.run()
        assert [call.params.get("after") for call in bench.calls] == ["1"]

    def test_no_wait_goes_beyond_the_deadline(self) -> None:
        bench = scripted(self.LIMITED)
        bench.deadline = 40
        with pytest.raises(TemporarilyUnavailable):
            bench.run()
        assert bench.clock.sleeps == []

    @pytest.mark.parametrize("set_by", [86_400.0, -3600.0])
    def test_the_deadline_stays_where_it_is_though_the_wall_clock_is_set(
        self, set_by: float
    ) -> None:
        bench = scripted(*[self.LIMITED] * 3)
        bench.deadline = 100

        def set_clock(call: Call, answers: Answers = bench.answers) -> Given | Exception:
            bench.clock.set_by = set_by
            return answers(call)

        bench.answers = set_clock
        with pytest.raises(TemporarilyUnavailable):
            bench.run()
        assert bench.clock.sleeps == [40.0] * 2

    def test_waits_of_one_request_add_up(self) -> None:
        bench = scripted(*[self.LIMITED] * 9, limits=LimitRule(longest_wait=100))
        with pytest.raises(TemporarilyUnavailable):
            bench.run()
        assert bench.clock.sleeps == [40.0, 40.0]

    def test_what_is_shared_may_be_another(self) -> None:
        bench = scripted(Given(status=400), errors=rule(Action.RATE_LIMITED, scope="app"))
        bench.run()
        assert bench.desk.told[0][0] == "app"

    def test_others_make_it_wait(self) -> None:
        bench = scripted()
        bench.desk.is_near = True
        bench.desk.waits = [3.0, 2.0]
        writer = bench.run()
        assert bench.clock.sleeps == [3.0, 2.0]
        assert writer.counts.waited == 5.0

    def test_a_limit_that_is_no_longer_near_is_told_once(self) -> None:
        lefts = ["50", "10", "90", "90"]

        def answers(call: Call) -> Given:
            given = numbered(4)(call)
            assert isinstance(given, Given)
            left = lefts.pop(0)
            given.headers = {"x-ratelimit-limit": "100", "x-ratelimit-remaining": left}
            return given

        bench = PullBench(pages_pull(), answers)
        bench.run()
        assert [round(told[2]) for told in bench.desk.told] == [90, 10]

    def test_a_limit_that_is_near_is_told(self) -> None:
        headers = {"x-ratelimit-limit": "100", "x-ratelimit-remaining": "10"}
        bench = PullBench(pages_pull(), lambda _: Given(body={"data": []}, headers=headers))
        bench.run()
        assert bench.desk.told == [("account", "", 90.0, 0.0)]


class TestRefresh:
    def test_a_dead_token_is_replaced_and_the_page_asked_for_again(self) -> None:
        def answers(call: Call) -> Given:
            if call.token == "one" and "after" in call.params:
                return Given(status=401)
            given = numbered(3)(call)
            assert isinstance(given, Given)
            return given

        bench = PullBench(pages_pull(), answers)
        bench.run()
        assert bench.ids() == list(range(6))
        assert bench.sender.refreshes == 1
        assert [call.token for call in bench.calls] == ["one", "one", "two", "two"]

    def test_one_that_is_rejected_again_ends_the_consent(self) -> None:
        script: Script = []
        bench = PullBench(pages_pull(), first(script, numbered(2)))
        dead = Given(status=401, body={"error": {"message": "Session has expired"}})
        bench.destination.die = lambda number: script.extend([dead] * 9) if number == 1 else None
        with pytest.raises(ConsentRequired, match="Session has expired") as caught:
            bench.run()
        assert caught.value.command == "connector connect acme --account acme/ads"
        assert [call.token for call in bench.calls] == ["one", "one", "two"]
        script.clear()
        bench.destination.die = lambda _: None
        bench.run()
        assert bench.ids() == [0, 1, 2, 3]
        assert len(bench.calls) == 1

    def test_no_token_is_sent_twice_once_it_was_rejected(self) -> None:
        bench = scripted(*[Given(status=401)] * 9)
        bench.tokens = ("one",)
        with pytest.raises(ConsentRequired):
            bench.run()
        assert len(bench.calls) == 1


class TestSmallerPages:
    PULL = Pull(
        request=RequestTemplate(url="items"),
        pagination=OffsetPages(),
        size=PageSize(param="limit", value=100, smallest=10),
        errors=rule(Action.REDUCE_PAGE_SIZE, 500, contains="reduce"),
    )

    def answers(self, largest: int) -> Answers:
        def answer(call: Call) -> Given:
            offset, limit = int(call.params["offset"]), int(call.params["limit"])
            if limit > largest and offset >= 100:
                return Given(status=500, body={"error": "Please reduce"})
            return Given(body=[{"id": i} for i in range(offset, min(offset + limit, 230))])

        return answer

    def test_are_asked_for_down_to_the_smallest(self) -> None:
        bench = PullBench(self.PULL, self.answers(30))
        bench.run()
        assert bench.ids() == list(range(230))
        limits = [int(call.params["limit"]) for call in bench.calls]
        assert limits == [100, 100, 50, 25, 25, 25, 25, 25, 25]
        assert bench.destination.checkpoints[1]["size"] == 25
        bench.run()
        assert bench.calls[0].params["limit"] == "100", "it grows back with the next run"

    def test_the_smallest_is_told(self) -> None:
        bench = PullBench(self.PULL, self.answers(5))
        with pytest.raises(PullFailed, match="Please reduce") as caught:
            bench.run()
        assert "pages are at their smallest" in str(caught.value)
        assert len(bench.ids()) == 100

    def test_the_next_rule_holds_where_one_cannot_be_done(self) -> None:
        pull = pages_pull(errors=rule(Action.REDUCE_PAGE_SIZE) + rule(Action.IGNORE))
        bench = PullBench(pull, first([Given(status=400)], numbered(2)))
        bench.run()
        assert bench.ids() == []


class TestRestart:
    def test_a_window_begins_anew(self) -> None:
        script: Script = []
        bench = PullBench(pages_pull(errors=rule(Action.RESTART, 410)), first(script, numbered(3)))
        gone = Given(status=410)
        bench.destination.die = lambda number: script.append(gone) if number == 2 else None
        bench.run()
        assert [call.params.get("after") for call in bench.calls] == [
            None,
            "1",
            "2",
            None,
            "1",
            "2",
        ]
        assert [record["id"] for record in bench.destination.by_key.values()] == list(range(6))

    def test_not_without_end(self) -> None:
        def answers(call: Call) -> Given:
            if "after" in call.params:
                return Given(status=410)
            return Given(body={"data": [], "next": "1"})

        bench = PullBench(pages_pull(errors=rule(Action.RESTART, 410)), answers)
        with pytest.raises(PullFailed, match="410") as caught:
            bench.run()
        assert "begun anew time and again" in str(caught.value)
        assert len(bench.calls) == 8

    def test_the_first_page_cannot(self) -> None:
        bench = scripted(Given(status=410), errors=rule(Action.RESTART, 410))
        with pytest.raises(PullFailed, match="410"):
            bench.run()


class TestEnds:
    def test_what_is_ignored_ends_the_window(self) -> None:
        def answers(call: Call) -> Given:
            if "after" in call.params:
                return Given(status=404)
            return Given(body={"data": [{"id": 1}], "next": "1"})

        bench = PullBench(pages_pull(errors=rule(Action.IGNORE, 404)), answers)
        bench.run()
        assert bench.ids() == [1]
        assert bench.destination.checkpoint is None

    def test_a_consent_that_lacks_something(self) -> None:
        message = "ads_read was not granted"
        bench = scripted(Given(status=403), errors=rule(Action.CONSENT, 403, message=message))
        with pytest.raises(ConsentRequired, match=message):
            bench.run()

    def test_a_failure_says_what_was_asked_and_what_came(self) -> None:
        pull = Pull(
            request=RequestTemplate(url="v1/items", params={"api_key": "secret"}),
            pagination=CursorPages(next="next", param="after"),
        )
        body = {"error": {"message": "Unknown field; access_token=EAAB123"}}
        bench = PullBench(pull, lambda _: Given(status=400, body=body))
        with pytest.raises(PullFailed) as caught:
            bench.run()
        told = str(caught.value)
        assert told.startswith("GET v1/items: HTTP 400: Unknown field;")
        assert "EAAB123" not in told
        assert "secret" not in told

    def test_an_error_in_a_200(self) -> None:
        rules = (ErrorRule(action=Action.FAIL, when={"error": ("*",)}),)
        bench = scripted(Given(body={"error": {"message": "no"}, "data": []}), errors=rules)
        with pytest.raises(PullFailed, match="HTTP 200: no"):
            bench.run()
