"""The jobs of the demonstration: what a user would write, one function for each API."""

from collections.abc import AsyncIterator
from datetime import date, timedelta

import httpx2

from connector.jobs.context import JobContext

#: Figures of the last days still change: they are pulled again and replace what was there.
LOOKBACK = timedelta(days=3)

Rows = list[dict[str, object]]


async def facebook_insights(api: httpx2.AsyncClient, context: JobContext) -> AsyncIterator[Rows]:
    """Daily figures of every ad, from the Graph API: only a missing ``next`` ends a list."""
    since, until = _window(context)
    answer = (await api.get("me/adaccounts", params={"fields": "id"})).raise_for_status()
    for ad_account in answer.json()["data"]:
        params = {
            "level": "ad",
            "time_increment": "1",
            "time_range": f'{{"since":"{since}","until":"{until}"}}',
            "fields": "ad_id,ad_name,impressions,clicks,spend",
            "limit": "50",
        }
        while True:
            page = (await api.get(f"{ad_account['id']}/insights", params=params)).raise_for_status()
            body = page.json()
            yield body["data"]
            if "next" not in body.get("paging", {}):
                break
            params["after"] = body["paging"]["cursors"]["after"]
    context.cursor = str(until)


async def ads_insights(api: httpx2.AsyncClient, context: JobContext) -> AsyncIterator[Rows]:
    """The same figures from an API with standard OAuth 2.0: a cursor in the body."""
    since, until = _window(context)
    answer = (await api.get("ad_accounts")).raise_for_status()
    for ad_account in answer.json()["data"]:
        params = {"ad_account": ad_account["id"], "since": str(since), "until": str(until)}
        while True:
            body = (await api.get("insights", params=params)).raise_for_status().json()
            yield body["data"]
            if "after" not in body["paging"]:
                break
            params["after"] = body["paging"]["after"]
    context.cursor = str(until)


def _window(context: JobContext) -> tuple[date, date]:
    """Give the days to pull: a week at first, then from where the last run got to."""
    until = date.fromisoformat(str(context.options["until"]))
    if context.cursor is None:
        return until - timedelta(days=6), until
    return date.fromisoformat(str(context.cursor)) - LOOKBACK, until
