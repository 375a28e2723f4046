"""The truth that a pull of insights is measured by: every row there is now, from the figures alone.

It is added up apart from the insights edge and its pages, so that a mistake there does not hide
here. Rows have ids, names, figures and dates; a pull that asked for fewer fields has fewer.
"""

from collections.abc import Iterator
from datetime import date, timedelta
from itertools import groupby
from typing import Literal, get_args

from connector.simulator.ads_data import AdDay, AdsData, AdsError

Level = Literal["account", "campaign", "adset", "ad"]
Increment = int | Literal["monthly", "all_days"]

# The fields that name what a row of each level is about.
NAMES: dict[Level, tuple[str, ...]] = {
    "account": (),
    "campaign": ("campaign_id", "campaign_name"),
    "adset": ("campaign_id", "campaign_name", "adset_id", "adset_name"),
    "ad": ("campaign_id", "campaign_name", "adset_id", "adset_name", "ad_id", "ad_name"),
}


class Truth:
    """What a complete and correct pull has to have."""

    def __init__(self, ads: AdsData) -> None:
        self._ads = ads

    def rows(
        self,
        ad_account: str,
        since: date | str,
        until: date | str,
        *,
        level: str = "ad",
        increment: str | int = 1,
    ) -> list[dict[str, object]]:
        """Every row of a range of days, by date_start and then by id.

        Args:
            ad_account: Its id: act_1001.
            since: The first day, in the ad account's time zone.
            until: The last day, included.
            level: account, campaign, adset or ad.
            increment: As time_increment: 1 to 90 days, monthly or all_days.

        Raises:
            AdsError: there is no such ad account, level or increment, or a date is none.
        """
        account = self._ads.find(ad_account)
        if account is None:
            message = f"no ad account {ad_account!r}"
            raise AdsError(message)
        known: dict[str, Level] = {each: each for each in get_args(Level)}
        if level not in known:
            message = f"no level {level!r}; there are {', '.join(known)}"
            raise AdsError(message)
        first, last = _date(since), _date(until)
        found: list[dict[str, object]] = []
        for start, stop in _spans(first, last, _increment(increment)):
            rows = self._ads.rows(account, start, stop)
            found += _added(rows, known[level], start, stop)
        return found


def _added(rows: list[AdDay], level: Level, start: date, stop: date) -> Iterator[dict[str, object]]:
    names = NAMES[level]

    def entity(row: AdDay) -> tuple[str, ...]:
        return tuple(str(getattr(row.ad, name)) for name in names)

    for values, each in groupby(sorted(rows, key=entity), key=entity):
        mine = list(each)
        account = mine[0].ad_account
        clicks = sum(row.clicks for row in mine)
        purchases = sum(row.purchases for row in mine)
        counts = (("link_click", clicks), ("purchase", purchases))
        yield {
            "account_id": account.account_id,
            "account_name": account.name,
            **dict(zip(names, values, strict=True)),
            "impressions": str(sum(row.impressions for row in mine)),
            "clicks": str(clicks),
            "spend": f"{sum(row.spend_cents for row in mine) / 100:.2f}",
            "actions": [
                {"action_type": name, "value": str(count)} for name, count in counts if count
            ],
            "date_start": start.isoformat(),
            "date_stop": stop.isoformat(),
        }


def _spans(first: date, last: date, increment: Increment) -> Iterator[tuple[date, date]]:
    start = first
    while start <= last:
        if increment == "all_days":
            stop = last
        elif increment == "monthly":
            stop = (start.replace(day=28) + timedelta(days=4)).replace(day=1) - timedelta(days=1)
        else:
            stop = start + timedelta(days=increment - 1)
        yield start, min(stop, last)
        start = stop + timedelta(days=1)


def _increment(value: str | int) -> Increment:
    if value in {"monthly", "all_days"}:
        return "monthly" if value == "monthly" else "all_days"
    if not str(value).isdecimal() or not 1 <= int(value) <= 90:
        message = "increment must be 1 to 90, monthly or all_days"
        raise AdsError(message)
    return int(value)


def _date(value: date | str) -> date:
    try:
        return value if isinstance(value, date) else date.fromisoformat(value)
    except ValueError:
        message = f"{value!r} is not a date like 2026-01-31"
        raise AdsError(message) from None
