"""How pages tell of a run that goes on, here or elsewhere."""

from dataclasses import replace

import pytest

from connector.jobs.order import Result
from connector.jobs.run_figures import UnderWay
from connector.store.runs import Run
from connector.testing import SOME_TIME
from connector.web.dashboard.run_words import line_of


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def run() -> Run:
    return Run(
        id="a",
        job="pull",
        account="acme/ads",
        due_at=None,
        started_at=SOME_TIME,
        deadline_at=None,
        finished_at=None,
        outcome="running",
        error=None,
        records=700,
        batches=7,
        tokens=1,
        cursor=None,
        owner="here",
    )


def told(*results: Result, at: float) -> UnderWay:
    clock = Clock()
    here = UnderWay(clock)
    for number, result in enumerate(results, 1):
        here.result = result
        clock.now = at * number / len(results)
        here.note(result)
    return here


def test_where_it_is_how_fast_and_the_time_left(run: Run) -> None:
    place = {"done": 0.25, "text": "act_2, 2026-10-01 to 2026-10-08"}
    result = Result(records=1000, pages=10, waited=65.0, place=place)
    here = told(Result(records=500, place={"done": 0.15}), result, at=20.0)
    line = line_of(run, here)
    assert (line.records, line.figures.pages, line.figures.tokens) == (1000, 10, 1)
    assert (line.place, line.done) == ("act_2, 2026-10-01 to 2026-10-08", 25)
    assert line.speed == "50 rows a second, waited 1 min 5 s for limits, 1 min left"


def test_nothing_is_made_up_where_it_does_not_tell(run: Run) -> None:
    line = line_of(run, told(Result(records=1000), at=20.0))
    assert (line.place, line.done, line.speed) == ("", None, "50 rows a second")


def test_what_the_owners_before_have_brought_is_not_lost(run: Run) -> None:
    assert line_of(run, told(Result(records=3), at=1.0)).records == 700


def test_the_time_left_goes_by_what_was_done_since_the_run_was_resumed() -> None:
    first = Result(records=1, place={"done": 0.9, "resumed": True})
    second = Result(records=2, place={"done": 0.95, "resumed": True})
    resumed = told(first, second, at=20.0)
    assert resumed.whereabouts().left == pytest.approx(10.0)
    assert told(first, at=20.0).whereabouts().left is None


def test_of_a_run_that_is_elsewhere_its_owner_s_last_word_is_told(run: Run) -> None:
    first = Result(records=500, place={"done": 0.25})
    result = Result(records=1000, place={"done": 0.5, "text": "act_2"})
    place = told(first, result, at=20.0).whereabouts().dump()
    line = line_of(replace(run, place=place, waited=30.0))
    assert (line.records, line.place, line.done) == (700, "act_2", 50)
    assert line.speed == "50 rows a second, waited 30 s for limits, 20 s left"
    ended = replace(run, place=place, outcome="failed", finished_at=SOME_TIME + 5)
    assert (line_of(ended).place, line_of(ended).speed) == ("", "")


@pytest.mark.parametrize("place", ["", "null", "[1]", '{"another": 1}', "{"])
def test_a_word_of_another_version_is_passed_over(run: Run, place: str) -> None:
    assert line_of(replace(run, place=place)).speed == ""


def test_of_a_run_that_has_ended_or_is_elsewhere_the_row_is_told(run: Run) -> None:
    here = told(Result(records=1000, place={"done": 0.5, "text": "x"}), at=1.0)
    ended = replace(run, outcome="succeeded", finished_at=SOME_TIME + 5)
    for line in (line_of(ended, here), line_of(run)):
        assert (line.records, line.place, line.done, line.speed) == (700, "", None, "")
