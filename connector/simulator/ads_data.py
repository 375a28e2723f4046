"""The ads figures behind both APIs: computed, never stored, and the truth that tests compare with.

Each figure follows from the seed, the ad and the day alone, so that two processes with one seed
agree. Restating a day changes its figures, as late conversions do, and never brings them back; with
`restatement_days` each midnight of the ad account restates the days that are younger.
"""

import hashlib
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, timedelta
from functools import lru_cache
from threading import Lock
from typing import Literal

from connector.simulator.ad_accounts import AdAccount, ad_account, ad_accounts_of
from connector.simulator.ad_objects import (
    Ad,
    AdObject,
    Kind,
    Shape,
    Status,
    ads_under,
    numbers_in,
    numbers_under,
    object_at,
)
from connector.simulator.clock import Clock
from connector.simulator.settings import Settings

# Insights reach back 37 months (the provider's own limit).
HISTORY_MONTHS = 37

# One ad in twelve does not run on a given day and then has no row at all.
IDLE_SHARE = 12

# The whole history of an ad account; computing a day takes some 5 µs for each ad.
DAYS_CACHED = 1200

# A little more than the whole history.
LONGEST_RESTATEMENT = 1200

Form = Literal["api", "graph"]


class AdsError(ValueError):
    """A question about ads data that makes no sense; the message says why."""


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
        self._edits: dict[str, AdObject] = {}

    def accounts_of(self, person: str) -> tuple[AdAccount, ...]:
        """A person's ad accounts."""
        return ad_accounts_of(person, self._settings().ad_accounts_per_person)

    def find(self, ad_account_id: str) -> AdAccount | None:
        """The ad account with this id (`act_1001`)."""
        number = ad_account_id.removeprefix("act_")
        if number == ad_account_id or not re.fullmatch("[12][0-9]{3}", number):
            return None
        account = ad_account(int(number))
        return account if account in self.accounts_of(account.owner) else None

    def find_object(self, identity: str) -> AdObject | None:
        """The campaign, ad set or ad with this id, as it is now."""
        found = numbers_in(identity, self.shape)
        account = None if found is None else self.find(f"act_{found[0]}")
        return None if account is None or found is None else self._object(account, found[1])

    def objects(
        self, account: AdAccount, kind: Kind, above: AdObject | None = None
    ) -> list[AdObject]:
        """All campaigns, ad sets or ads of an ad account, or of one object in it, by id."""
        numbers = numbers_under(kind, self.shape, above.numbers if above else ())
        return [self._object(account, each) for each in numbers]

    def edit(self, identity: str, status: Status) -> AdObject:
        """Give a campaign, ad set or ad another status; its updated_time becomes now.

        Raises:
            AdsError: there is no such object.
        """
        known = self.find_object(identity)
        if known is None:
            message = f"no campaign, ad set or ad {identity!r}"
            raise AdsError(message)
        edited = replace(known, status=status, updated_time=self._clock.now())
        with self._lock:
            self._edits[identity] = edited
        return edited

    @property
    def shape(self) -> Shape:
        """How many campaigns, ad sets in each and ads in each of those there are."""
        settings = self._settings()
        return (
            settings.campaigns_per_account,
            settings.ad_sets_per_campaign,
            settings.ads_per_ad_set,
        )

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
        seed, shape = self._settings().ads_seed, self.shape
        for day, revision in self.revisions(account, since, until):
            yield _day(seed, account, day, revision, shape)

    def revisions(
        self, account: AdAccount, since: date, until: date
    ) -> tuple[tuple[date, int], ...]:
        """The days of a range that can have figures, and how often each was restated."""
        settings, today = self._settings(), self.today(account)
        day = max(since, self.first_day(account))
        if settings.first_delivery:
            day = max(day, date.fromisoformat(settings.first_delivery))
        found = []
        with self._lock:
            while day <= min(until, today):
                late = min((today - day).days, settings.restatement_days)
                found.append((day, late + self._revisions.get((account.id, day), 0)))
                day += timedelta(days=1)
        return tuple(found)

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

    def _object(self, account: AdAccount, numbers: tuple[int, ...]) -> AdObject:
        made = object_at(account, numbers, self._settings().ads_seed)
        return self._edits.get(made.id, made)

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
    seed: int, account: AdAccount, day: date, revision: int, shape: Shape
) -> tuple[AdDay, ...]:
    rows = (_row(seed, account, ad, day, revision) for ad in ads_under(account, shape))
    return tuple(row for row in rows if row is not None)


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
