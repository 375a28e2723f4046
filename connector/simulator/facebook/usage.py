"""The usage headers: how much of its hourly quota an app and an ad account have used.

They appear only after some calls. Quotas: 200 calls for each daily user of the app; for insights
600 and 400 for each active ad (standard access). Nothing is throttled by them here.
"""

import json
from collections import Counter

from starlette.responses import Response

from connector.simulator.clock import Clock
from connector.simulator.settings import Settings

MINUTE = 60.0
HOUR_MINUTES = 60

CALLS_PER_USER = 200
INSIGHTS_QUOTA = 600
INSIGHTS_QUOTA_PER_AD = 400

TIER = "standard_access"


class Usage:
    """Counts calls in a rolling hour, by the minute."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._calls: dict[str, Counter[int]] = {}
        self._total = 0

    def count(self, app_id: str, ad_account: str | None) -> None:
        """A call was made."""
        self._total += 1
        minute = int(self._clock.now() // MINUTE)
        for name in (app_id, ad_account):
            if name is not None:
                self._calls.setdefault(name, Counter())[minute] += 1

    def mark(self, response: Response, settings: Settings, ad_account: str | None) -> None:
        """Put the headers on an answer, once there were enough calls."""
        if self._total <= settings.usage_headers_after:
            return
        app = self._percent(settings.app_id, CALLS_PER_USER * max(1, settings.app_daily_users))
        load: dict[str, object] = {
            "call_count": int(app),
            "total_time": int(app),
            "total_cputime": int(app),
        }
        headers: dict[str, dict[str, object]] = {"X-App-Usage": load}
        if ad_account is not None:
            headers |= self._account_headers(settings, ad_account, app)
        for name, value in headers.items():
            response.headers[name] = json.dumps(value)

    def _account_headers(
        self, settings: Settings, ad_account: str, app: float
    ) -> dict[str, dict[str, object]]:
        ads = (
            settings.campaigns_per_account * settings.ad_sets_per_campaign * settings.ads_per_ad_set
        )
        used = self._percent(ad_account, INSIGHTS_QUOTA + INSIGHTS_QUOTA_PER_AD * ads)
        case = {
            "type": "ads_insights",
            "call_count": int(used),
            "total_cputime": int(used),
            "total_time": int(used),
            "estimated_time_to_regain_access": 0,
            "ads_api_access_tier": TIER,
        }
        return {
            "X-Ad-Account-Usage": {
                "acc_id_util_pct": used,
                "reset_time_duration": 3600,
                "ads_api_access_tier": TIER,
            },
            "X-Business-Use-Case-Usage": {ad_account.removeprefix("act_"): [case]},
            "X-FB-Ads-Insights-Throttle": {
                "app_id_util_pct": app,
                "acc_id_util_pct": used,
                "ads_api_access_tier": TIER,
            },
        }

    def _percent(self, name: str, quota: int) -> float:
        first = int(self._clock.now() // MINUTE) - HOUR_MINUTES
        calls = self._calls.get(name, Counter())
        for minute in [minute for minute in calls if minute <= first]:
            del calls[minute]
        return round(min(100.0, 100 * calls.total() / quota), 2)
