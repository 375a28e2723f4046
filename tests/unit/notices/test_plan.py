"""What there is to tell: each cause once, by itself or in a sum, and its end once."""

from collections import Counter
from dataclasses import dataclass, field, replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from connector.notice import PAST, Cause, Kind, Notice
from connector.notices.causes import DAY
from connector.notices.plan import HOUR, MOST_ALONE, SETTLING, plan

REMINDERS = (DAY, 3 * DAY, 7 * DAY)
START = 1_800_000_000.0


def needed(number: int = 1, provider: str = "acme") -> Cause:
    """An account whose grant is dead."""
    return account_cause("consent_required", number, provider=provider)


def account_cause(
    kind: Kind, number: int = 1, *, provider: str = "acme", level: int = 0, job: str | None = None
) -> Cause:
    return Cause(
        key=f"{kind}/{provider}{number}",
        kind=kind,
        since=START,
        account_id=f"{provider}{number}",
        account=f"{provider}/{number}",
        provider=provider,
        job=job,
        level=level,
        ends_at=START + 30 * DAY if kind == "consent_ends" else None,
    )


DOWN = Cause(
    key="provider_unavailable/acme", kind="provider_unavailable", since=START, provider="acme"
)


@dataclass
class Book:
    """The records as a store has them, and everything that was told."""

    now: float = START
    records: dict[str, Notice] = field(default_factory=dict)
    told: list[Notice] = field(default_factory=list)
    made: int = 0

    def look(self, *causes: Cause, after: float = 0.0) -> list[Notice]:
        """Let time pass, and give what is to be told then."""
        self.now += after
        planned = plan(
            causes, self.records.values(), reminders=REMINDERS, now=self.now, new_id=self._new_id
        )
        news = []
        for notice in (*planned.made, *planned.changed):
            before = self.records.get(notice.id)
            if notice.number > (before.number if before else 0):
                news.append(notice)
            self.records[notice.id] = notice
        self.told += news
        again = plan(causes, self.records.values(), reminders=REMINDERS, now=self.now)
        assert (again.made, again.changed) == ((), ()), "it is not the same of the same moment"
        return news

    def open(self) -> list[Notice]:
        return [one for one in self.records.values() if not one.is_resolved]

    def _new_id(self) -> str:
        self.made += 1
        return f"n{self.made}"


def events(notices: list[Notice]) -> list[str]:
    return [one.event for one in notices]


class TestOne:
    def test_it_is_told_once_then_by_reminders_then_its_end(self) -> None:
        book = Book()
        assert events(book.look(needed())) == ["opened"]
        assert book.look(needed(), after=DAY - 1) == []
        assert events(book.look(needed(), after=1)) == ["reminder"]
        assert book.look(needed(), after=3 * DAY - 1) == []
        assert events(book.look(needed(), after=1)) == ["reminder"]
        for _ in range(3):  # the last pause repeats
            assert book.look(needed(), after=7 * DAY - 1) == []
            assert events(book.look(needed(), after=1)) == ["reminder"]
        assert events(book.look(after=1)) == ["resolved"]
        assert book.look(after=30 * DAY) == []
        assert [one.number for one in book.told] == [1, 2, 3, 4, 5, 6, 7]

    def test_nobody_is_reminded_where_nobody_wants_to_be(self) -> None:
        first = plan([needed()], [], reminders=(), now=START).made
        later = plan([needed()], first, reminders=(), now=START + 300 * DAY)
        assert (later.made, later.changed) == ((), ())

    def test_reminders_that_nobody_heard_of_are_one(self) -> None:
        """The daemon was off for a month."""
        book = Book()
        book.look(needed())
        assert events(book.look(needed(), after=30 * DAY)) == ["reminder"]
        assert book.look(needed(), after=60) == []

    def test_what_comes_back_within_a_short_time_is_the_same(self) -> None:
        book = Book()
        assert events(book.look(DOWN)) == ["opened"]
        for _ in range(20):
            assert book.look(after=SETTLING - 1) == []
            assert book.look(DOWN, after=1) == []
        assert book.look(after=1) == []
        assert events(book.look(after=SETTLING)) == ["resolved"]
        assert events(book.look(DOWN, after=1)) == ["opened"]

    def test_a_consent_that_was_given_is_told_at_once(self) -> None:
        book = Book()
        book.look(needed())
        assert events(book.look(after=2)) == ["resolved"]
        assert events(book.look(needed(), after=2)) == ["opened"]

    def test_an_account_s_new_name_is_no_news(self) -> None:
        book = Book()
        (first,) = book.look(needed())
        assert book.look(replace(needed(), account="acme/other"), after=1) == []
        assert book.records[first.id].cause.account == "acme/other"


class TestSteps:
    def test_each_is_told_once(self) -> None:
        book = Book()
        told = [
            events(book.look(account_cause("consent_ends", level=level), after=60))
            for level in (1, 1, 2, 2, 1, 3, PAST, PAST)
        ]
        assert told == [["opened"], [], ["changed"], [], [], ["changed"], ["changed"], []]

    def test_steps_that_were_slept_through_are_one(self) -> None:
        book = Book()
        book.look(account_cause("consent_ends", level=1))
        assert events(book.look(account_cause("consent_ends", level=3), after=60)) == ["changed"]

    def test_between_steps_nobody_is_reminded(self) -> None:
        book = Book()
        book.look(account_cause("consent_ends", level=1))
        assert book.look(account_cause("consent_ends", level=1), after=6 * DAY) == []

    def test_after_the_end_people_are_reminded(self) -> None:
        book = Book()
        book.look(account_cause("consent_ends", level=PAST))
        late = book.look(account_cause("consent_ends", level=PAST), after=DAY)
        assert events(late) == ["reminder"]

    def test_an_end_that_has_come_is_not_told_of_as_over(self) -> None:
        book = Book()
        book.look(account_cause("consent_ends", level=3))
        assert [one.cause.kind for one in book.look(needed(), after=DAY)] == ["consent_required"]
        assert [one.cause.kind for one in book.open()] == ["consent_required"]

    def test_a_consent_that_was_renewed_is(self) -> None:
        book = Book()
        book.look(account_cause("consent_ends", level=3))
        assert events(book.look(after=60)) == ["resolved"]


class TestStorm:
    def test_many_alike_are_one(self) -> None:
        book = Book()
        storm = [needed(number) for number in range(10_000)]
        (told,) = book.look(*storm)
        assert (told.count, told.cause.provider, told.cause.account) == (10_000, "acme", None)
        assert book.look(*storm, after=60) == []
        assert book.look(*storm[1:], after=60) == [], "a part is told of"
        assert events(book.look(after=60)) == ["resolved"]
        assert book.open() == []

    def test_as_many_as_are_told_alone_are(self) -> None:
        assert len(Book().look(*(needed(number) for number in range(MOST_ALONE)))) == MOST_ALONE
        assert len(Book().look(*(needed(number) for number in range(MOST_ALONE + 1)))) == 1

    def test_what_trickles_in_is_summed_up_too(self) -> None:
        """Two hundred accounts within an hour, one after the other."""
        book = Book()
        for number in range(200):
            book.look(*(needed(one) for one in range(number + 1)), after=3)
        alone = [one for one in book.told if one.count is None]
        sums = [one for one in book.told if one.count is not None]
        assert len(alone) == MOST_ALONE
        assert [one.event for one in sums] == ["opened"] + ["changed"] * (len(sums) - 1)
        assert len(sums) < 9, "each time it has doubled"

    def test_one_more_after_a_storm_is_told_within_an_hour(self) -> None:
        book = Book()
        storm = [needed(number) for number in range(50)]
        book.look(*storm)
        more = [*storm, needed(50)]
        book.look(*more, after=DAY / 2)
        assert any(one.cause.account == "acme/50" and one.number == 1 for one in book.told)

    def test_parts_of_what_another_daemon_took_as_over_are_told(self) -> None:
        book = Book()
        storm = [needed(number) for number in range(50)]
        (told,) = book.look(*storm)
        book.records[told.id] = replace(told, number=2, event="resolved", resolved_at=START)
        (again,) = book.look(*storm, after=60)
        assert (again.event, again.count, again.id != told.id) == ("opened", 50, True)
        assert {one.part_of for one in book.open()} == {None, again.id}

    def test_providers_are_told_apart(self) -> None:
        book = Book()
        causes = [needed(one, provider) for provider in ("acme", "other") for one in range(20)]
        assert sorted(str(one.cause.provider) for one in book.look(*causes)) == ["acme", "other"]

    def test_steps_of_many_are_told_once(self) -> None:
        book = Book()
        told = []
        for level in (1, 2, 2, 3):
            causes = [account_cause("consent_ends", one, level=level) for one in range(100)]
            told.append(events(book.look(*causes, after=60)))
        assert told == [["opened"], ["changed"], [], ["changed"]]


STATES = st.lists(
    st.tuples(
        st.sampled_from([1.0, 60.0, SETTLING, HOUR, DAY, 5 * DAY]),
        st.sets(
            st.sampled_from(
                [DOWN, *(needed(number) for number in range(14))]
                + [account_cause("consent_ends", 20, level=level) for level in (1, 2, 3, PAST)]
                + [account_cause("job_failing", 30, job="pull")]
            )
        ),
    ),
    max_size=12,
)


@given(STATES)
def test_whatever_happens_nothing_is_told_twice_and_nothing_forgotten(
    states: list[tuple[float, set[Cause]]],
) -> None:
    book = Book()
    for after, causes in states:
        one_each = {cause.key: cause for cause in sorted(causes, key=lambda one: one.level)}
        book.look(*one_each.values(), after=after)
        open_now = {one.cause.key: one for one in book.open()}
        for key in one_each:
            record = open_now[key]
            teller = book.records[record.part_of] if record.part_of else record
            assert teller.number > 0, "an open cause that nobody is told of"
            assert not teller.is_resolved
    for _ in range(3):
        book.look(after=SETTLING)
    assert book.open() == []
    numbers = Counter((one.id, one.number) for one in book.told)
    assert set(numbers.values()) <= {1}
    for notice in book.records.values():
        mine = [one for one in book.told if one.id == notice.id]
        assert [one.number for one in mine] == list(range(1, len(mine) + 1))
        assert events(mine).count("opened") == (notice.part_of is None)
        levels = [one.cause.level for one in mine if one.event in {"opened", "changed"}]
        assert notice.count is not None or levels == sorted(set(levels)), "a step is told twice"
        if notice.part_of is None and notice.cause.kind != "consent_ends":
            assert [one.event == "resolved" for one in mine].index(True) == len(mine) - 1


@pytest.mark.parametrize("kind", ["consent_required", "refresh_failing", "refresh_held"])
def test_kinds_are_told_apart(kind: Kind) -> None:
    book = Book()
    book.look(*(account_cause(kind, number) for number in range(MOST_ALONE)))
    assert len(book.look(*(account_cause(kind, one) for one in range(10)), DOWN, after=1)) == 1
