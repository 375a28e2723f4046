"""The Facebook example where a run has to stop: all is kept, and the next run goes on there."""

import time
from pathlib import Path

import pytest

from connector.simulator import Clock, Fault, Refusal, Settings, Simulator
from connector.simulator.facebook.tokens import Death
from connector.simulator.options import changed

from .facebook_example import ACCOUNT, USUAL, FacebookExample
from .forked import Nursery

#: Longer than the run may take: it ends at its checkpoint, and says when to go on (minutes).
LONG = 90
DAY = 86_400
#: Calls before the second page of the first ad account's first window that has rows.
SECOND_PAGE = 11


class TestThrottles:
    """A wait that is longer than the run may be ends it at its checkpoint; nobody calls meanwhile.

    The run that goes on is one of another process, as on another host.
    """

    @pytest.mark.parametrize(
        ("code", "after", "refused"),
        [
            (17, 0, 1),  # holds for the person: the other ad account is not asked for
            (613, 4, 1),  # the headers tell of it before; of the other ad account they did not
            (80000, 4, 1),
            (80000, 0, 2),  # one of each ad account
        ],
    )
    def test_the_next_run_goes_on(
        self, example: FacebookExample, code: int, after: int, refused: int
    ) -> None:
        add = example.simulator.facebook.refusals.add
        add(Refusal(code=code, edge="insights", after=after, minutes=LONG))
        done = example.pull()
        assert done.returncode == 4, done.stdout + done.stderr
        outcome, _, error = example.last_run()
        assert (outcome, "the run goes on at its checkpoint" in error) == ("failed", True)
        assert example.refused(code=code) == refused
        assert len(example.calls(edge="insights")) == after + refused
        example.pass_time(LONG * 60 + 1)
        example.pull_all()
        example.assert_whole()
        assert example.given_again() == 0

    def test_management_calls_have_a_limit_of_their_own(self, example: FacebookExample) -> None:
        add = example.simulator.facebook.refusals.add
        add(Refusal(code=80004, ad_account="act_1001", minutes=LONG))
        assert example.pull("ads").returncode == 4
        assert example.rows("SELECT DISTINCT account_id, count(*) FROM ads") == [("1002", 40)]
        example.pass_time(LONG * 60 + 1)
        example.pull_all("ads")
        query = "SELECT account_id, count(*) FROM ads GROUP BY 1"
        assert example.rows(query) == [("1001", 40), ("1002", 40)]
        assert example.refused() == 1
        assert example.given_again("ads") == 0

    def test_one_ad_account_of_three_does_not_stop_the_others(
        self, example: FacebookExample
    ) -> None:
        example.simulator.change({"ad_accounts_per_person": 3})
        add = example.simulator.facebook.refusals.add
        add(Refusal(code=80000, ad_account="act_1001", after=4, minutes=LONG))
        assert example.pull().returncode == 4
        others = {row["account_id"]: row for row in example.truth()}.keys() - {"1001"}
        assert len(others) == 2
        found = example.found()
        for account_id in others:
            expected = [row for row in example.truth() if row["account_id"] == account_id]
            assert [row for row in found if row["account_id"] == account_id] == expected
        assert len(example.calls(edge="insights", ad_account="act_1001")) == 4
        asked = len(example.calls(edge="insights"))
        example.pass_time(LONG * 60 + 1)
        example.pull_all()
        example.assert_whole()
        assert example.given_again() == 0
        again = example.calls(edge="insights")[asked:]
        assert {call.ad_account for call in again} == {"act_1001"}


class TestBroken:
    """One ad account that is refused for good keeps no other one from being pulled."""

    def test_the_others_are_pulled_and_it_goes_on_when_it_is_mended(
        self, example: FacebookExample
    ) -> None:
        example.simulator.change({"ad_accounts_per_person": 3})
        facebook = example.simulator.facebook
        refusal = Refusal(code=2635, ad_account="act_1001", after=4, message="(#2635) disabled")
        facebook.refusals.add(refusal)
        done = example.pull()
        assert done.returncode == 1, done.stdout + done.stderr
        outcome, _, error = example.last_run()
        assert outcome == "failed"
        assert "1 of 3 parts could not be pulled: act_1001: GET " in error
        assert "disabled" in error
        expected = [row for row in example.truth() if row["account_id"] != "1001"]
        assert [row for row in example.found() if row["account_id"] != "1001"] == expected
        assert example.given_again() == 0

        before = len(example.calls(edge="insights"))
        assert example.pull().returncode == 1, "the others have a run as any other"
        again = example.calls(edge="insights")[before:]
        assert {call.ad_account for call in again} == {"act_1001", "act_1002", "act_1003"}
        assert sum(call.is_refused for call in again) == 1

        facebook.refusals.lift()
        before = len(example.calls(edge="insights"))
        example.pull_all()
        example.assert_whole()
        again = example.calls(edge="insights", ad_account="act_1001")
        assert len({(call.since, call.after) for call in again}) == len(again) - 2, (
            "but for the page that was refused twice it is asked for nothing twice"
        )


class TestCursors:
    def test_one_that_has_died_meanwhile_begins_its_window_anew(
        self, example: FacebookExample
    ) -> None:
        simulator = example.simulator
        simulator.faults.add(Fault(endpoint="graph_insights", kind="hold", skip=SECOND_PAGE))
        gate = simulator.gates["gate"]
        example.note_today()
        process = example.start("jobs", "run", "insights")
        gate.wait_until_held(timeout=60)
        simulator.change({"cursor_lifetime": 60.0})
        simulator.clock.advance(120)
        gate.release()
        status, out, err = example.finish(process)
        assert status == 0, out + err
        example.assert_whole()
        # the first page of that window is given twice, and the cursor is refused once
        assert (example.refused(), example.given_again()) == (1, 1)

    def test_one_that_dies_between_two_runs_begins_its_window_anew(
        self, example: FacebookExample
    ) -> None:
        simulator = example.simulator
        refusals = simulator.facebook.refusals
        refusals.add(Refusal(code=17, edge="insights", after=SECOND_PAGE, minutes=LONG))
        assert example.pull().returncode == 4
        kept = len(example.found())
        assert kept == 100
        example.pass_time(2 * DAY)  # a cursor is good for one
        example.pull_all()
        example.assert_whole()
        assert (example.refused(code=100), example.given_again()) == (1, 1)


DEATHS: dict[Death, int] = {
    "expired": 463,
    "password_changed": 460,
    "logged_out": 467,
    "app_removed": 458,
}


class TestTokens:
    @pytest.mark.parametrize(("death", "subcode"), DEATHS.items(), ids=DEATHS)
    def test_a_death_keeps_what_is_there_until_a_person_has_consented_again(
        self, example: FacebookExample, death: Death, subcode: int
    ) -> None:
        facebook = example.simulator.facebook
        # the list of ad accounts, and eleven pages of insights
        facebook.end_tokens("ada", death, after=1 + SECOND_PAGE)
        done = example.pull()
        assert done.returncode == 3, done.stdout + done.stderr
        outcome, records, _ = example.last_run()
        assert (outcome, records) == ("consent_required", 100)
        assert len(example.found()) == 100
        refused = example.calls(code=190, edge="insights")
        assert [call.subcode for call in refused] == [subcode]

        example.connect("facebook", ACCOUNT)
        example.pull_all()
        example.assert_whole()
        assert example.given_again() == 0

    def test_another_token_that_is_there_meanwhile_is_gone_on_with(
        self, example: FacebookExample
    ) -> None:
        """While a page is on its way the token ends, and the person consents anew."""
        simulator = example.simulator
        simulator.faults.add(Fault(endpoint="graph_insights", kind="hold", skip=SECOND_PAGE))
        example.note_today()
        process = example.start("jobs", "run", "insights")
        simulator.gates["gate"].wait_until_held(timeout=60)
        simulator.facebook.expire_tokens("ada")
        example.connect("facebook", ACCOUNT)
        simulator.gates["gate"].release()
        status, out, err = example.finish(process)
        assert status == 0, out + err
        example.assert_whole()
        assert (example.refused(edge="insights"), example.given_again()) == (1, 0)

    @pytest.mark.parametrize("renewal", ["new_token", "same_token", "same_expiry"])
    def test_a_renewal_gives_whatever_it_gives(
        self, example: FacebookExample, renewal: str
    ) -> None:
        """Facebook may give the same token again, or another one that ends at the same time."""
        example.simulator.change({"renewal": renewal})
        renewed = example.run("refresh", ACCOUNT)
        assert renewed.returncode == 0, renewed.stderr
        example.pull_all()
        example.assert_whole()
        assert (example.refused(), example.given_again()) == (0, 0)

    def test_a_consent_without_expires_in(self, example: FacebookExample) -> None:
        example.simulator.change({"graph_omit_expires_in": True})
        example.connect("facebook", ACCOUNT)
        example.pull_all()
        example.assert_whole()
        assert example.refused() == 0


def test_a_pull_three_days_later_has_the_figures_of_that_day(
    tmp_path: Path, nursery: Nursery
) -> None:
    clock = Clock(source=lambda: time.time() - 3 * DAY)
    settings = changed(Settings(), {**USUAL, "restatement_days": 28})
    with (
        Simulator(settings, clock=clock) as simulator,
        FacebookExample(tmp_path / "example", simulator, nursery) as example,
    ):
        example.prepare()
        example.pull_all()
        example.assert_whole()
        before = example.found()
        clock.advance(3 * DAY)
        example.pull_all()
        example.assert_whole()
        after = {(row["date_start"], row["ad_id"]): row for row in example.found()}
        assert len(after) > len(before), "there are new days"
        for row in before:
            assert after[row["date_start"], row["ad_id"]]["impressions"] > row["impressions"]
