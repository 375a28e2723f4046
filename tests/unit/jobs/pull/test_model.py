"""Pulls of any layout, killed anywhere and refused anyhow, against a model of what is to come."""

from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from typing import Any

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from connector.errors import ConsentRequired
from connector.jobs.pull.sending import Unanswered
from connector.pulls.rules import Action, ErrorRule
from connector.pulls.spec import (
    CursorPages,
    CursorRule,
    EachRule,
    LinkPages,
    MomentFormat,
    OffsetPages,
    PageSize,
    Pagination,
    Pull,
    RequestTemplate,
    WindowRule,
)
from tests.unit.jobs.pull.bench import NOW, Answers, Call, Given, Killed, PullBench

FIRST_DAY = date(2026, 11, 20)
TODAY = date(2026, 11, 26)
PAGINATIONS: dict[str, Pagination] = {
    "cursor": CursorPages(next="paging.after", param="after", link="paging.next"),
    "link": LinkPages(next="paging.next"),
    "header": LinkPages(),
    "offset": OffsetPages(total="total"),
}
RULES = (
    ErrorRule(action=Action.REDUCE_PAGE_SIZE, statuses=(500,), contains="reduce"),
    ErrorRule(action=Action.SPLIT_WINDOW, statuses=(500,), contains="reduce"),
    ErrorRule(action=Action.RESTART, statuses=(410,)),
)


@dataclass
class Model:
    """An API: parts, each with days, each with records in pages of any length."""

    kind: str
    parts: list[str]
    pages: dict[tuple[str, int], list[int]]  # lengths, by part and day
    days: int  # of a window; 0: none
    incidents: dict[int, str]  # by the number of a call
    calls: int = 0
    served: int = 0
    kills: int = 0
    dead: set[str] = field(default_factory=set)

    def records(self, part: str, first: date, last: date) -> list[list[dict[str, Any]]]:
        """Give the pages of some days; a day's last page is its own."""
        pages: list[list[dict[str, Any]]] = []
        day = first
        while day <= last:
            offset = (day - FIRST_DAY).days
            number = 0
            for length in self.pages.get((part, offset), []):
                ids = range(number, number + length)
                pages.append([{"id": f"{part}|{day}|{one}"} for one in ids])
                number += length
            day += timedelta(days=1)
        return pages

    def expected(self) -> list[str]:
        found = [
            record["id"]
            for part in self.parts or [""]
            for page in self.records(part, FIRST_DAY, TODAY)
            for record in page
        ]
        return sorted(found)

    def answer(self, call: Call) -> Given | Exception:
        self.calls += 1
        incident = self.incidents.get(self.calls)
        if incident == "killed":
            self.kills += 1
            raise Killed
        if incident == "unanswered":
            return Unanswered("it does not answer in time")
        if incident is not None and incident.isdigit():
            headers = {"retry-after": "3"} if incident == "429" else {}
            body = {"error": "reduce the amount"} if incident == "500" else None
            return Given(status=int(incident), body=body, headers=headers)
        if call.path == "parts":
            return Given(body=[{"id": part} for part in self.parts])
        return self.page(call)

    def page(self, call: Call) -> Given:
        part = call.path.split("/")[-2] if self.parts else ""
        first = date.fromisoformat(call.params["since"]) if self.days else FIRST_DAY
        last = date.fromisoformat(call.params["until"]) if self.days else TODAY
        pages = self.records(part, first, last) or [[]]
        self.served += 1
        if self.kind == "offset":
            flat = [record for page in pages for record in page]
            begin, size = int(call.params["offset"]), int(call.params["limit"])
            return Given(body={"data": flat[begin : begin + size], "total": len(flat)})
        number = int(call.params.get("after", "0"))
        body: dict[str, Any] = {"data": pages[number], "paging": {"after": str(number + 1)}}
        headers = {}
        if number + 1 < len(pages):
            query = f"after={number + 1}&access_token={call.token}"
            if self.days:
                query += f"&since={first}&until={last}"
            link = f"https://api.example/{call.path.removeprefix('/')}?{query}"
            body["paging"]["next"] = link
            headers["link"] = f'<{link}>; rel="next"'
        return Given(body=body, headers=headers)

    def pull(self) -> Pull:
        return Pull(
            request=RequestTemplate(url="v1/{part}/items" if self.parts else "v1/items"),
            records="data",
            pagination=PAGINATIONS[self.kind],
            size=PageSize(param="limit", value=4) if self.kind == "offset" else None,
            cursor=CursorRule(
                param="since", format=MomentFormat(kind="date"), start=FIRST_DAY.isoformat()
            )
            if self.days
            else None,
            window=WindowRule(days=self.days, is_end_inclusive=True, param="until")
            if self.days
            else None,
            each=EachRule(request=RequestTemplate(url="parts"), fields={"part": "id"})
            if self.parts
            else None,
            errors=RULES,
        )


def models(incidents: tuple[str, ...]) -> st.SearchStrategy[Model]:
    """Give APIs with some of these incidents."""
    parts = st.sampled_from([[], ["a"], ["a", "b", "c"]])
    lengths = st.lists(st.integers(0, 4), max_size=3)
    return st.builds(
        Model,
        kind=st.sampled_from(sorted(PAGINATIONS)),
        parts=parts,
        pages=st.dictionaries(
            st.tuples(st.sampled_from(["", "a", "b", "c"]), st.integers(0, 6)), lengths, max_size=12
        ),
        days=st.sampled_from([0, 1, 2, 5, 30]),
        incidents=st.dictionaries(st.integers(1, 40), st.sampled_from(incidents), max_size=12),
    )


def run_to_the_end(
    model: Model, deaths: dict[int, str], answer: Answers | None = None
) -> PullBench:
    """Run a pull until a run is not killed any more."""
    bench = PullBench(model.pull(), answer or model.answer)
    bench.tokens = [f"token-{number}" for number in range(99)]

    def die(number: int) -> str | None:
        model.kills += number in deaths
        return deaths.get(number)

    bench.destination.die = die
    for _ in range(60):
        try:
            bench.run()
        except (Killed, ConsentRequired):  # a person consents, or another process takes over
            assert "token-" not in bench.destination.text, "no checkpoint holds a token"
            if bench.destination.checkpoints[-1:] != [None]:
                continue  # it was not at its end
        return bench
    raise AssertionError("it comes to no end")


DEATHS = st.dictionaries(st.integers(1, 30), st.sampled_from(["before", "after"]), max_size=10)
MANY = settings(max_examples=150, deadline=None, suppress_health_check=list(HealthCheck))


@MANY
@given(model=models(("killed", "unanswered", "503", "429", "401")), deaths=DEATHS)
def test_every_row_once_and_a_page_again_for_each_death(
    model: Model, deaths: dict[int, str]
) -> None:
    needed = Model(model.kind, model.parts, model.pages, model.days, {})
    run_to_the_end(needed, {})
    bench = run_to_the_end(model, deaths)
    assert sorted(map(str, bench.ids())) == model.expected()
    assert model.served <= needed.served + model.kills
    assert bench.destination.checkpoint is None
    if model.days:
        reached = bench.destination.cursor
        cursors = list(reached.values()) if model.parts else [reached]
        assert cursors == [TODAY.isoformat()] * len(cursors)


@MANY
@given(model=models(("killed", "503", "500", "410")), deaths=DEATHS)
def test_what_begins_anew_is_merged_by_its_key(model: Model, deaths: dict[int, str]) -> None:
    incidents = list(model.incidents.items())
    model.incidents = dict(incidents)
    model.incidents = {call: what for call, what in incidents if what not in {"500", "410"}}
    hard = {call: what for call, what in incidents if what in {"500", "410"}}

    def answer(call: Call) -> Given | Exception:
        what = hard.get(model.calls + 1)
        can_split = model.days > 1 and call.params.get("since") != call.params.get("until")
        is_later = "after" in call.params or call.params.get("offset", "0") != "0"
        if call.path != "parts" and what == "500" and (can_split or model.kind == "offset"):
            size = int(call.params.get("limit", "9"))
            if can_split or size > 1:
                model.calls += 1
                return Given(status=500, body={"error": "Please reduce"})
        if call.path != "parts" and what == "410" and is_later and len(hard) <= 3:
            model.calls += 1
            return Given(status=410)
        return Model.answer(model, call)

    bench = run_to_the_end(model, deaths, answer)
    assert sorted(str(one[0]) for one in bench.destination.by_key) == model.expected()
    assert bench.destination.checkpoint is None


def test_the_model_is_of_the_day_of_the_bench() -> None:
    assert datetime.fromtimestamp(NOW, UTC).date() == TODAY
