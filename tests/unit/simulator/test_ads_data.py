"""The figures behind both APIs."""

from datetime import date

import pytest

from connector.simulator.ad_accounts import AD_ACCOUNTS
from connector.simulator.ads_data import AdsData, AdsError
from connector.simulator.clock import Clock
from connector.simulator.settings import Settings

from .conftest import NOW

WEEK = (date(2027, 1, 1), date(2027, 1, 7))


def make(settings: Settings | None = None) -> AdsData:
    chosen = settings or Settings()
    return AdsData(settings=lambda: chosen, clock=Clock(source=lambda: NOW))


def test_each_person_has_two_ad_accounts() -> None:
    ads = make()
    assert [account.id for account in ads.accounts_of("ada")] == ["act_1001", "act_1002"]
    assert [account.id for account in ads.accounts_of("grace")] == ["act_2001", "act_2002"]
    assert ads.accounts_of("bob") == ()
    assert ads.find("act_2001") is AD_ACCOUNTS[2]
    assert ads.find("1001") is None


def test_one_seed_gives_one_set_of_figures() -> None:
    assert make().expected_rows("act_1001", *WEEK) == make().expected_rows("act_1001", *WEEK)
    other = make(Settings(ads_seed=8))
    assert make().expected_rows("act_1001", *WEEK) != other.expected_rows("act_1001", *WEEK)


def test_there_is_a_row_per_ad_and_day_that_delivered() -> None:
    rows = make().expected_rows("act_1001", *WEEK)
    keys = [(row["date"], row["ad_id"]) for row in rows]
    assert keys == sorted(set(keys))
    assert len({row["ad_id"] for row in rows}) == 8
    assert 40 < len(rows) < 56  # some delivered nothing on some days
    for row in rows:
        assert isinstance(row["impressions"], int)
        assert isinstance(row["clicks"], int)
        assert 0 < row["clicks"] <= row["impressions"]


def test_the_shape_of_an_account_can_be_chosen() -> None:
    settings = Settings(campaigns_per_account=1, ad_sets_per_campaign=1, ads_per_ad_set=1)
    rows = make(settings).expected_rows("act_1001", *WEEK)
    assert {row["ad_name"] for row in rows} == {"Ad 1.1.1"}


def test_both_forms_have_the_same_figures() -> None:
    ads = make()
    api = ads.expected_rows("act_2001", *WEEK)
    graph = ads.expected_rows("act_2001", *WEEK, form="graph")
    assert len(api) == len(graph)
    for record, row in zip(api, graph, strict=True):
        assert row["ad_id"] == record["ad_id"]
        assert row["impressions"] == str(record["impressions"])
        assert row["spend"] == f"{record['spend']:.2f}"
        assert row["date_start"] == row["date_stop"] == record["date"]


def test_dates_may_be_text() -> None:
    ads = make()
    assert ads.expected_rows("act_1001", "2027-01-01", "2027-01-07") == ads.expected_rows(
        "act_1001", *WEEK
    )


def test_restating_changes_every_row_of_the_range_and_no_other() -> None:
    ads = make()
    before = ads.expected_rows("act_1001", *WEEK)
    ads.restate("act_1001", "2027-01-03", "2027-01-04")
    once = ads.expected_rows("act_1001", *WEEK)
    ads.restate("act_1001", date(2027, 1, 4), date(2027, 1, 4))
    twice = ads.expected_rows("act_1001", *WEEK)
    for old, new, newest in zip(before, once, twice, strict=True):
        is_restated = old["date"] in ("2027-01-03", "2027-01-04")
        for name in ("impressions", "clicks", "spend"):
            assert (old[name] != new[name]) is is_restated
            assert (new[name] != newest[name]) is (old["date"] == "2027-01-04")
    assert make().expected_rows("act_1002", *WEEK) == ads.expected_rows("act_1002", *WEEK)


def test_days_are_the_ad_account_s() -> None:
    clock = Clock(source=lambda: NOW)  # 08:00 UTC
    ads = AdsData(settings=Settings, clock=clock)
    days = [ads.today(account).day for account in AD_ACCOUNTS]
    assert days == [15, 15, 15, 15]
    clock.advance(8 * 3600)  # 16:00 UTC: past midnight in Tokyo
    days = [ads.today(account).day for account in AD_ACCOUNTS]
    assert days == [15, 15, 16, 15]
    rows = ads.expected_rows("act_2001", "2027-01-16", "2027-01-20")
    assert {row["date"] for row in rows} == {"2027-01-16"}
    assert ads.expected_rows("act_1001", "2027-01-16", "2027-01-20") == []


def test_history_reaches_back_37_months() -> None:
    ads = make()
    rows = ads.expected_rows("act_1001", "1970-01-01", "2023-12-31")
    assert rows[0]["date"] == "2023-12-01"


@pytest.mark.parametrize(
    ("account", "since", "until", "problem"),
    [
        ("act_9", "2027-01-01", "2027-01-01", "no ad account 'act_9'"),
        ("act_1001", "yesterday", "2027-01-01", "'yesterday' is not a date"),
        ("act_1001", "0001-01-01", "9999-12-31", "more than 1200 days"),
    ],
)
def test_questions_that_make_no_sense(account: str, since: str, until: str, problem: str) -> None:
    ads = make()
    with pytest.raises(AdsError, match=problem):
        ads.restate(account, since, until)
