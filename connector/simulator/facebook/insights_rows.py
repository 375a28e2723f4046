"""Insights rows: daily figures of ads added up to the level and the span that is asked for.

Numbers become strings; what delivered nothing in a span has no row.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from datetime import date, timedelta
from typing import Literal

from connector.simulator.ad_accounts import AdAccount
from connector.simulator.ad_objects import Ad
from connector.simulator.ads_data import AdDay

Level = Literal["account", "campaign", "adset", "ad"]
Increment = int | Literal["monthly", "all_days"]

# What every purchase is worth.
PURCHASE_CENTS = 2500

LEVELS: tuple[Level, ...] = ("account", "campaign", "adset", "ad")


@dataclass(slots=True, kw_only=True)
class Sum:
    """The figures of one entity in one span."""

    account: AdAccount
    ad: Ad
    """One of the ads that were added up; at higher levels only its parents are shown."""
    start: date
    stop: date
    impressions: int = 0
    clicks: int = 0
    spend_cents: int = 0
    actions: dict[str, int] = field(default_factory=dict)

    def add(self, row: AdDay) -> None:
        """Add an ad's day."""
        self.impressions += row.impressions
        self.clicks += row.clicks
        self.spend_cents += row.spend_cents
        for name, value in row.actions():
            self.actions[name] = self.actions.get(name, 0) + value


def _ratio(numerator: float, denominator: float) -> str | None:
    return f"{numerator / denominator:.6f}" if denominator else None


def _list(values: dict[str, str]) -> list[dict[str, str]] | None:
    return [{"action_type": name, "value": value} for name, value in values.items()] or None


def _actions(row: Sum) -> list[dict[str, str]] | None:
    return _list({name: str(value) for name, value in row.actions.items() if value})


def _action_values(row: Sum) -> list[dict[str, str]] | None:
    count = row.actions.get("purchase", 0)
    return _list({"purchase": f"{count * PURCHASE_CENTS / 100:.2f}"} if count else {})


def _cost_per_action_type(row: Sum) -> list[dict[str, str]] | None:
    spend = row.spend_cents / 100
    return _list({name: f"{spend / value:.6f}" for name, value in row.actions.items() if value})


FIELDS: dict[str, Callable[[Sum], object]] = {
    "account_id": lambda row: row.account.account_id,
    "account_name": lambda row: row.account.name,
    "account_currency": lambda row: row.account.currency,
    "campaign_id": lambda row: row.ad.campaign_id,
    "campaign_name": lambda row: row.ad.campaign_name,
    "adset_id": lambda row: row.ad.adset_id,
    "adset_name": lambda row: row.ad.adset_name,
    "ad_id": lambda row: row.ad.ad_id,
    "ad_name": lambda row: row.ad.ad_name,
    "impressions": lambda row: str(row.impressions),
    "clicks": lambda row: str(row.clicks),
    "spend": lambda row: f"{row.spend_cents / 100:.2f}",
    "cpc": lambda row: _ratio(row.spend_cents / 100, row.clicks),
    "cpm": lambda row: _ratio(row.spend_cents * 10, row.impressions),
    "ctr": lambda row: _ratio(row.clicks * 100, row.impressions),
    "actions": _actions,
    "action_values": _action_values,
    "cost_per_action_type": _cost_per_action_type,
    "date_start": lambda row: row.start.isoformat(),
    "date_stop": lambda row: row.stop.isoformat(),
}

# Fields that name an entity, and the level from which on they mean something.
ENTITY_LEVELS: dict[str, Level] = {
    "campaign_id": "campaign",
    "campaign_name": "campaign",
    "adset_id": "adset",
    "adset_name": "adset",
    "ad_id": "ad",
    "ad_name": "ad",
}


def add_up(
    rows: Iterable[AdDay], level: Level, increment: Increment, *, since: date, until: date
) -> list[Sum]:
    """The rows of a query, by span and then by entity, in the order of the daily ones."""
    sums: dict[tuple[date, str], Sum] = {}
    for row in rows:
        start, stop = span(row.day, increment, since=since, until=until)
        key = (start, _entity(row.ad, level))
        if key not in sums:
            sums[key] = Sum(account=row.ad_account, ad=row.ad, start=start, stop=stop)
        sums[key].add(row)
    return list(sums.values())


def span(day: date, increment: Increment, *, since: date, until: date) -> tuple[date, date]:
    """The first and last day of the span that a day falls into."""
    if increment == "all_days":
        return since, until
    if increment == "monthly":
        start = day.replace(day=1)
        following = (start + timedelta(days=31)).replace(day=1)
        return max(start, since), min(following - timedelta(days=1), until)
    start = day - timedelta(days=(day - since).days % increment)
    return start, min(start + timedelta(days=increment - 1), until)


def shown(fields: Iterable[str], level: Level) -> Callable[[Sum], dict[str, object]]:
    """How a row is sent: the fields asked for that exist at the level, and always the dates."""
    depth = LEVELS.index(level)
    names = dict.fromkeys((*fields, "date_start", "date_stop"))
    columns = [
        (name, FIELDS[name])
        for name in names
        if LEVELS.index(ENTITY_LEVELS.get(name, "account")) <= depth
    ]

    def as_row(row: Sum) -> dict[str, object]:
        values = ((name, value(row)) for name, value in columns)
        return {name: value for name, value in values if value is not None}

    return as_row


def is_under(ad: Ad, level: Level, identity: str | None) -> bool:
    """Whether an ad is in the object with this id, which is of that level; None: in any."""
    return identity is None or _entity(ad, level) == identity


def _entity(ad: Ad, level: Level) -> str:
    entities = {
        "account": "",
        "campaign": ad.campaign_id,
        "adset": ad.adset_id,
        "ad": ad.ad_id,
    }
    return entities[level]
