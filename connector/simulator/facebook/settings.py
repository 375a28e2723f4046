"""What can be chosen of the Graph-like provider and of its ads; part of simulator.settings."""

# ruff: noqa: RUF009 - each default is a dataclass field, made by setting

from dataclasses import dataclass
from typing import Literal

from connector.simulator.setting import setting

TooMuch = Literal["reduce", "1487534"]
ReportOutcome = Literal["completes", "fails", "skipped", "too_large", "stuck"]
Renewal = Literal["new_token", "same_token", "same_expiry"]

# Those of the Graph API's versions that still answer beside the current one.
GRAPH_VERSIONS = ("v24.0", "v25.0", "v26.0")


# without slots: a class has at most one base that has some
@dataclass(frozen=True, kw_only=True)
class FacebookSettings:
    """How the app is registered, and how the Graph API and its ads behave."""

    app_id: str = setting("1234567890123456", "the app at the Graph-like provider")
    app_secret: str = setting("simulator-app-secret", "its secret")
    app_name: str = setting("Connector Demo", "its name, as the dialog and error messages say it")
    app_redirect_uris: tuple[str, ...] = setting(
        ("http://localhost:8470/callback/facebook",), "its redirect URIs, compared exactly"
    )
    development_mode: bool = setting(
        default=True,
        text="also allow http://localhost:PORT/callback/… and http://127.0.0.1:PORT/callback/…",
    )
    graph_versions: tuple[str, ...] = setting(GRAPH_VERSIONS, "Graph versions that answer")
    dialog_code_lifetime: float = setting(600.0, "how long a code of the dialog may be used")
    short_lived_lifetime: float = setting(3600.0, "life of a token from a code")
    long_lived_lifetime: float = setting(
        5183944.0, "life of an exchanged token (60 days less 56 s)"
    )
    data_access_lifetime: float = setting(7776000.0, "data access after a login (90 days)")
    renewal: Renewal = setting("new_token", "what exchanging a long-lived token gives")
    graph_omit_expires_in: bool = setting(
        default=False, text="leave expires_in out of Graph token answers"
    )
    require_appsecret_proof: bool = setting(
        default=False, text="refuse Graph calls without appsecret_proof"
    )
    declined_asked_again: bool = setting(
        default=False, text="offer declined permissions again without auth_type=rerequest"
    )
    usage_headers_after: int = setting(10, "Graph calls before the usage headers appear")
    app_daily_users: int = setting(
        1000, "people who use the app in a day: its quota is 200 calls an hour for each"
    )
    enforce_quotas: bool = setting(
        default=False, text="refuse calls to an ad account whose hourly quota is used up"
    )
    insights_calls_per_hour: int = setting(
        0, "that quota for insights; 0: 600 and 400 for each ad, as the real one"
    )
    management_calls_per_hour: int = setting(
        0, "that quota for all other calls; 0: 300 and 40 for each ad, as the real one"
    )
    insights_empty_pages: int = setting(
        0, "empty pages, each with a next link, before the first rows of a Graph list"
    )
    empty_page_every: int = setting(0, "every so many pages of a Graph list one is empty; 0: none")
    short_page_every: int = setting(
        0, "every so many pages of a Graph list one is half as long as asked for; 0: none"
    )
    trailing_page: bool = setting(
        default=False, text="the last page of a Graph list has a next link too, to an empty one"
    )
    cursor_lifetime: float = setting(86400.0, "how long a cursor of a Graph list may be used")
    largest_page: int = setting(0, "a greater limit asks for too much data; 0: none does")
    largest_query: int = setting(
        0, "insights of more rows than this, pages or not, are too much data; 0: none are"
    )
    too_much: TooMuch = setting(
        "reduce", "how too much data is refused: code 1 with status 500, or 100/1487534"
    )
    longest_sync_days: int = setting(
        0, "insights of more days than this have to be asked for by a report; 0: none have"
    )

    report_outcome: ReportOutcome = setting(
        "completes", "how report runs end; stuck: at 0 %, for ever"
    )
    report_polls: int = setting(2, "how many times a report run says that it is not finished")
    report_seconds: float = setting(0.0, "how long a report run takes at least")
    report_lingering_polls: int = setting(
        0, "how many times a report run says 100 % and Job Running before Job Completed"
    )
    report_lifetime: float = setting(2592000.0, "how long a report run can be found (30 days)")
    largest_report: int = setting(
        0, "report runs of more rows fail as too large (-3/1504045); 0: none do"
    )
    graph_latency_ms: float = setting(
        0.0, "milliseconds of real time that each Graph call waits before it is answered"
    )

    ads_seed: int = setting(7, "what the ads figures are computed from")
    campaigns_per_account: int = setting(2, "campaigns in each ad account")
    ad_sets_per_campaign: int = setting(2, "ad sets in each campaign")
    ads_per_ad_set: int = setting(2, "ads in each ad set")
    ad_accounts_per_person: int = setting(2, "ad accounts of each person, 1 to 900")
    first_delivery: str = setting(
        "", "the first day (2026-01-31) that any ad ran on; empty: the whole history"
    )
    restatement_days: int = setting(
        0, "how many midnights of the ad account change a day's figures once more (the real: 28)"
    )
