"""The usage headers: how much of its hourly quota an app and an ad account have used.

They appear only after some calls. Quotas: 200 calls for each daily user of the app; in an ad
account 600 and 400 for each active ad for insights, 300 and 40 for each for all else (standard
access). They are enforced only if that is asked for; a throttle that a test asked for (see
refusals) shows in the headers as well.
"""

import json
from collections import Counter
from collections.abc import Sequence

from starlette.responses import Response

from connector.simulator.clock import Clock
from connector.simulator.facebook.refusals import INSIGHTS_EDGES, Standing
from connector.simulator.facebook.settings import FacebookSettings

MINUTE = 60.0
HOUR_MINUTES = 60

CALLS_PER_USER = 200

TIER = "standard_access"

# The error codes of what has headers of its own.
APP_LIMIT = 4
INSIGHTS_LIMIT = 80000
MANAGEMENT_LIMIT = 80004
USE_CASES = {80000: "ads_insights", 80003: "custom_audience", 80004: "ads_management"}

# Calls an hour, and as many more for each ad.
QUOTAS = {INSIGHTS_LIMIT: (600, 400), MANAGEMENT_LIMIT: (300, 40)}


class Usage:
    """Counts calls in a rolling hour, by the minute."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._calls: dict[tuple[str, int], Counter[int]] = {}
        self._total = 0

    def count(self, app_id: str, ad_account: str | None, edge: str) -> None:
        """A call was made."""
        self._total += 1
        minute = int(self._clock.now() // MINUTE)
        names = [(app_id, APP_LIMIT)]
        if ad_account is not None:
            names.append((ad_account, case_of(edge)))
        for name in names:
            self._calls.setdefault(name, Counter())[minute] += 1

    def over(self, settings: FacebookSettings, ad_account: str | None, edge: str) -> int | None:
        """The code that a call is to be refused with, because its quota is used up; else None."""
        if ad_account is None or not settings.enforce_quotas:
            return None
        code = case_of(edge)
        is_over = self._in_hour((ad_account, code)).total() > _quota(settings, code)
        return code if is_over else None

    def mark(
        self,
        response: Response,
        settings: FacebookSettings,
        ad_account: str | None,
        standings: Sequence[Standing] = (),
    ) -> None:
        """Put the headers on an answer, once there were enough calls or a throttle is counting."""
        if self._total <= settings.usage_headers_after and not standings:
            return
        app = self._percent((settings.app_id, APP_LIMIT), _app_quota(settings))
        app = max([app, *(each.percent for each in standings if each.code == APP_LIMIT)])
        load: dict[str, object] = {
            "call_count": int(app),
            "total_time": int(app),
            "total_cputime": int(app),
        }
        headers: dict[str, dict[str, object]] = {"X-App-Usage": load}
        if ad_account is not None:
            own = [self._standing(settings, ad_account, code) for code in QUOTAS]
            # a case that nobody used is not told of, but for insights
            own = [each for each in own if each.percent or each.code == INSIGHTS_LIMIT]
            headers |= _account_headers(ad_account, app, [*own, *standings])
        for name, value in headers.items():
            response.headers[name] = json.dumps(value)

    def _standing(self, settings: FacebookSettings, ad_account: str, code: int) -> Standing:
        name, quota = (ad_account, code), _quota(settings, code)
        percent = self._percent(name, quota)
        minutes = self._minutes_left(name, quota) if settings.enforce_quotas else 0
        return Standing(code=code, percent=percent, minutes=minutes)

    def _minutes_left(self, name: tuple[str, int], quota: int) -> int:
        calls = self._in_hour(name)
        left, now = calls.total(), int(self._clock.now() // MINUTE)
        for minute in sorted(calls):
            if left < quota:
                break
            left -= calls[minute]
            if left < quota:
                return minute + HOUR_MINUTES - now
        return 0

    def _percent(self, name: tuple[str, int], quota: int) -> float:
        return round(100 * self._in_hour(name).total() / quota, 2)

    def _in_hour(self, name: tuple[str, int]) -> Counter[int]:
        first = int(self._clock.now() // MINUTE) - HOUR_MINUTES
        calls = self._calls.get(name, Counter())
        for minute in [minute for minute in calls if minute <= first]:
            del calls[minute]
        return calls


def case_of(edge: str) -> int:
    """The code of the use case that calls to an edge of an ad account belong to."""
    return INSIGHTS_LIMIT if edge in INSIGHTS_EDGES else MANAGEMENT_LIMIT


def _quota(settings: FacebookSettings, code: int) -> int:
    chosen = {
        INSIGHTS_LIMIT: settings.insights_calls_per_hour,
        MANAGEMENT_LIMIT: settings.management_calls_per_hour,
    }[code]
    ads = settings.campaigns_per_account * settings.ad_sets_per_campaign * settings.ads_per_ad_set
    base, per_ad = QUOTAS[code]
    return chosen or base + per_ad * ads


def _app_quota(settings: FacebookSettings) -> int:
    return CALLS_PER_USER * max(1, settings.app_daily_users)


def _account_headers(
    ad_account: str, app: float, standings: Sequence[Standing]
) -> dict[str, dict[str, object]]:
    of_account = [each for each in standings if each.code != APP_LIMIT]
    cases = {
        code: max(
            (each for each in of_account if each.code == code),
            key=lambda each: (each.percent, each.minutes),
        )
        for code in dict.fromkeys(each.code for each in of_account if each.code in USE_CASES)
    }
    minutes = max(each.minutes for each in of_account)
    return {
        "X-Ad-Account-Usage": {
            "acc_id_util_pct": max(each.percent for each in of_account),
            "reset_time_duration": int(minutes * MINUTE) or 3600,
            "ads_api_access_tier": TIER,
        },
        "X-Business-Use-Case-Usage": {
            ad_account.removeprefix("act_"): [_use_case(each) for each in cases.values()]
        },
        "X-FB-Ads-Insights-Throttle": {
            "app_id_util_pct": app,
            "acc_id_util_pct": cases[INSIGHTS_LIMIT].percent,
            "ads_api_access_tier": TIER,
        },
    }


def _use_case(standing: Standing) -> dict[str, object]:
    count = int(standing.percent)
    return {
        "type": USE_CASES[standing.code],
        "call_count": count,
        "total_cputime": count,
        "total_time": count,
        "estimated_time_to_regain_access": standing.minutes,
        "ads_api_access_tier": TIER,
    }
