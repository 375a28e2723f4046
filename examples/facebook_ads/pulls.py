"""Daily figures of every ad of every ad account that the person may read.

Figures of the last 28 days still change at Facebook, so each run pulls them again; with the key
(day, ad) a row that comes again replaces the one before, and changes nothing where it is the same.
"""

import json
from collections.abc import AsyncIterator
from datetime import UTC, date, datetime, timedelta

import httpx2

from connector import JobContext

FIELDS = ("account_id", "campaign_id", "campaign_name", "adset_id", "adset_name")
FIGURES = ("ad_id", "ad_name", "impressions", "clicks", "spend", "actions")

Rows = list[dict[str, object]]


async def insights(api: httpx2.AsyncClient, context: JobContext) -> AsyncIterator[Rows]:
    """Yield page after page of insights, from where the last run got to."""
    until = datetime.now(UTC).date() - timedelta(days=1)
    since = first_day(context, until)
    async for ad_accounts in pages(api, "me/adaccounts", {"fields": "id,name"}):
        for ad_account in ad_accounts:
            context.logger.info("%s: %s to %s", ad_account["name"], since, until)
            params = {
                "level": "ad",
                "time_increment": "1",
                "time_range": json.dumps({"since": str(since), "until": str(until)}),
                "fields": ",".join((*FIELDS, *FIGURES)),
                "limit": "100",
            }
            async for rows in pages(api, f"{ad_account['id']}/insights", params):
                yield rows
    context.cursor = str(until)


def first_day(context: JobContext, until: date) -> date:
    """Give the first day to pull: far back at first, then the days that may still have changed."""
    if context.cursor is None:
        return until - timedelta(days=int(str(context.options["first_days"])) - 1)
    lookback = timedelta(days=int(str(context.options["lookback_days"])))
    return date.fromisoformat(str(context.cursor)) - lookback


async def pages(api: httpx2.AsyncClient, path: str, params: dict[str, str]) -> AsyncIterator[Rows]:
    """Follow a Graph API list to its end.

    Only a missing ``next`` ends it: a page may be short, or empty, and still have one. The link
    itself holds the access token, so it is not followed: the next request is made from its cursor.
    """
    while True:
        body = (await api.get(path, params=params)).raise_for_status().json()
        yield body["data"]
        paging = body.get("paging", {})
        if "next" not in paging:
            return
        params = params | {"after": paging["cursors"]["after"]}
