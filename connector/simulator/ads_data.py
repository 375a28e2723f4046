"""The ads figures behind both APIs: computed, never stored, and the truth that tests compare with.

Each figure follows from the seed, the ad and the day alone, so that two processes with one seed
agree. Restating a day changes its figures, as late conversions do, and never brings them back.
"""

import hashlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from functools import lru_cache
from threading import Lock
from typing import Literal

from connector.simulator.clock import Clock
from connector.simulator.settings import Settings

# Insights reach back 37 months (the provider's own limit).
HISTORY_MONTHS = 37

# One ad in twelve does not run on a given day and then has no row at all.
IDLE_SHARE = 12

# A year of daily pages for a few ad accounts; computing a day takes some 50 µs.
DAYS_CACHED = 4096

# A little more than the whole history.
LONGEST_RESTATEMENT = 1200

Form = Literal["api", "graph"]


class AdsError(ValueError):
    """A question about ads data that makes no sense; the message says why."""


@dataclass(frozen=True, slots=True, kw_only=True)
class AdAccount:
    """An ad account; its days are days in its own time zone."""

    id: str
    """With the prefix, as in paths: act_1001."""
    owner: str
    name: str
    currency: str
    timezone_name: str
    timezone_offset_hours: int
    """Zones without summer time, so that no time zone database is needed."""

    @property
    def account_id(self) -> str:
        """The bare number."""
        return self.id.removeprefix("act_")


def _account(number: int, owner: str, name: str, currency: str, zone: tuple[str, int]) -> AdAccount:
    return AdAccount(
        id=f"act_{number}",
        owner=owner,
        name=name,
        currency=currency,
        timezone_name=zone[0],
        timezone_offset_hours=zone[1],
    )


AD_ACCOUNTS: tuple[AdAccount, ...] = (
    _account(1001, "ada", "Analytical Engines", "USD", ("America/Phoenix", -7)),
    _account(1002, "ada", "Countess Press", "EUR", ("Africa/Lagos", 1)),
    _account(2001, "grace", "Flow-Matic", "USD", ("Asia/Tokyo", 9)),
    _account(2002, "grace", "Harbour Compilers", "GBP", ("Etc/UTC", 0)),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Ad:
    """An ad and what it belongs to."""

    campaign_id: str
    campaign_name: str
    adset_id: str
    adset_name: str
    ad_id: str
    ad_name: str


@dataclass(frozen=True, slots=True, kw_only=True)
class AdDay:
    """What one ad did on one day."""

    day: date
    ad_account: AdAccount
    ad: Ad
    impressions: int
    clicks: int
    spend_cents: int
    purchases: int

    def record(self) -> dict[str, object]:
        """As /api/insights gives it: numbers are numbers."""
        return {
            "date": self.day.isoformat(),
            "ad_account": self.ad_account.id,
            "campaign_id": self.ad.campaign_id,
            "campaign_name": self.ad.campaign_name,
            "adset_id": self.ad.adset_id,
            "adset_name": self.ad.adset_name,
            "ad_id": self.ad.ad_id,
            "ad_name": self.ad.ad_name,
            "impressions": self.impressions,
            "clicks": self.clicks,
            "spend": self.spend_cents / 100,
            "actions": [
                {"action_type": name, "value": value} for name, value in self.actions() if value
            ],
        }

    def graph_row(self) -> dict[str, object]:
        """As Graph insights give it at level=ad, time_increment=1: numbers are strings."""
        row = {name: value for name, value in self.record().items() if isinstance(value, str)}
        del row["date"], row["ad_account"]
        return {
            "account_id": self.ad_account.account_id,
            "account_name": self.ad_account.name,
            **row,
            "impressions": str(self.impressions),
            "clicks": str(self.clicks),
            "spend": f"{self.spend_cents / 100:.2f}",
            "actions": [
                {"action_type": name, "value": str(value)}
                for name, value in self.actions()
                if value
            ],
            "date_start": self.day.isoformat(),
            "date_stop": self.day.isoformat(),
        }

    def actions(self) -> tuple[tuple[str, int], ...]:
        """The actions that people took, by type; some may be zero."""
        return (("link_click", self.clicks), ("purchase", self.purchases))


class AdsData:
    """The figures of all ad accounts, and the knob that restates them."""

    def __init__(self, *, settings: Callable[[], Settings], clock: Clock) -> None:
        self._settings = settings
        self._clock = clock
        self._lock = Lock()
        self._revisions: dict[tuple[str, date], int] = {}

    def accounts_of(self, person: str) -> tuple[AdAccount, ...]:
        """A person's ad accounts."""
        return tuple(account for account in AD_ACCOUNTS if account.owner == person)

    def find(self, ad_account: str) -> AdAccount | None:
        """The ad account with this id (`act_1001`)."""
        return next((account for account in AD_ACCOUNTS if account.id == ad_account), None)

    def today(self, account: AdAccount) -> date:
        """The date in the ad account's time zone."""
        offset = timedelta(hours=account.timezone_offset_hours)
        return (datetime.fromtimestamp(self._clock.now(), UTC) + offset).date()

    def first_day(self, account: AdAccount) -> date:
        """The first day that can still be asked for."""
        today = self.today(account)
        months = today.year * 12 + today.month - 1 - HISTORY_MONTHS
        return date(months // 12, months % 12 + 1, 1)

    def days(self, account: AdAccount, since: date, until: date) -> Iterator[tuple[AdDay, ...]]:
        """What each day of a range (both ends included) has, oldest first."""
        settings = self._settings()
        shape = (
            settings.campaigns_per_account,
            settings.ad_sets_per_campaign,
            settings.ads_per_ad_set,
        )
        day = max(since, self.first_day(account))
        last = min(until, self.today(account))
        while day <= last:
            with self._lock:
                revision = self._revisions.get((account.id, day), 0)
            yield _day(settings.ads_seed, account, day, revision, shape)
            day += timedelta(days=1)

    def rows(self, account: AdAccount, since: date, until: date) -> list[AdDay]:
        """Every row of a range (both ends included), by day and then by ad."""
        return [row for day in self.days(account, since, until) for row in day]

    def expected_rows(
        self, ad_account: str, since: date | str, until: date | str, form: Form = "api"
    ) -> list[dict[str, object]]:
        """What a complete pull of a range (both ends included) has to bring, in order.

        `api` is the form of /api/insights, `graph` that of Graph insights at level=ad with
        time_increment=1 and every field.

        Raises:
            AdsError: no such ad account, or a date that is none.
        """
        account = self._known(ad_account)
        rows = self.rows(account, _date(since), _date(until))
        return [row.record() if form == "api" else row.graph_row() for row in rows]

    def restate(self, ad_account: str, since: date | str, until: date | str) -> None:
        """Change the figures of every row of a range (both ends included), once more.

        Raises:
            AdsError: no such ad account, a date that is none, or too long a range.
        """
        account = self._known(ad_account)
        day, last = _date(since), _date(until)
        if last - day > timedelta(days=LONGEST_RESTATEMENT):
            message = f"more than {LONGEST_RESTATEMENT} days cannot be restated at once"
            raise AdsError(message)
        with self._lock:
            while day <= last:
                key = (account.id, day)
                self._revisions[key] = self._revisions.get(key, 0) + 1
                day += timedelta(days=1)

    def _known(self, ad_account: str) -> AdAccount:
        account = self.find(ad_account)
        if account is None:
            message = f"no ad account {ad_account!r}"
            raise AdsError(message)
        return account


def _date(value: date | str) -> date:
    if isinstance(value, date):
        return value
    try:
        return date.fromisoformat(value)
    except ValueError:
        message = f"{value!r} is not a date like 2026-01-31"
        raise AdsError(message) from None


@lru_cache(maxsize=DAYS_CACHED)
def _day(
    seed: int, account: AdAccount, day: date, revision: int, shape: tuple[int, int, int]
) -> tuple[AdDay, ...]:
    rows = (_row(seed, account, ad, day, revision) for ad in _ads(account, shape))
    return tuple(row for row in rows if row is not None)


def _ads(account: AdAccount, shape: tuple[int, int, int]) -> Iterator[Ad]:
    campaigns, ad_sets, ads = shape
    for campaign in range(1, campaigns + 1):
        for ad_set in range(1, ad_sets + 1):
            for ad in range(1, ads + 1):
                number = f"{account.account_id}{campaign:03}"
                yield Ad(
                    campaign_id=f"2{number}",
                    campaign_name=f"Campaign {campaign}",
                    adset_id=f"3{number}{ad_set:03}",
                    adset_name=f"Ad set {campaign}.{ad_set}",
                    ad_id=f"4{number}{ad_set:03}{ad:03}",
                    ad_name=f"Ad {campaign}.{ad_set}.{ad}",
                )


def _row(seed: int, account: AdAccount, ad: Ad, day: date, revision: int) -> AdDay | None:
    digest = hashlib.sha256(f"{seed}/{ad.ad_id}/{day}".encode()).digest()
    if digest[0] % IDLE_SHARE == 0:
        return None
    # Each revision adds something to each figure, so that no restatement goes unseen.
    impressions = 200 + int.from_bytes(digest[1:3]) % 4800 + revision * (1 + digest[3] % 40)
    clicks = impressions * (5 + digest[4] % 40) // 1000 + revision
    return AdDay(
        day=day,
        ad_account=account,
        ad=ad,
        impressions=impressions,
        clicks=clicks,
        spend_cents=clicks * (20 + digest[5] % 80) + digest[6] % 100 + revision,
        purchases=clicks * (digest[7] % 9) // 100,
    )
