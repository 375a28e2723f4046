"""What the catalogue says of errors and limits: real answers, and what a pull does about them.

The answers are those of the vendors' pages, see each entry's comments.
"""

import json

import pytest

from connector.providers.catalogue import catalogue_provider
from connector.pulls.answers import Verdict, classify
from connector.pulls.defaults import PullDefaults
from connector.pulls.limits import Usage, read
from connector.pulls.messages import Answer, Request
from connector.pulls.pagination import apply, first, following
from connector.pulls.rules import Action, Scope


def known_of(name: str) -> PullDefaults:
    return catalogue_provider(name).api.pull


def judge(
    name: str,
    status: int,
    body: object,
    headers: dict[str, str] | None = None,
    impossible: tuple[Action, ...] = (),
) -> Verdict | None:
    content = json.dumps(body).encode()
    rules = known_of(name).errors
    return classify(rules, status, headers or {}, content, body, impossible=impossible)


def graph(code: int, subcode: int | None = None, message: str = "") -> dict[str, object]:
    error: dict[str, object] = {"message": message, "type": "OAuthException", "code": code}
    if subcode is not None:
        error["error_subcode"] = subcode
    return {"error": error}


def test_a_cursor_that_facebook_no_longer_knows_begins_the_window_anew() -> None:
    verdict = judge("facebook", 400, graph(100, message="(#100) Invalid cursors values"))
    assert verdict is not None
    assert verdict.action is Action.RESTART
    other = judge("facebook", 400, graph(100, message="(#100) Invalid parameter"))
    assert other is not None
    assert other.action is Action.FAIL


def test_a_report_of_facebooks_that_says_it_is_too_large_is_split() -> None:
    status = {"async_status": "Job Failed", "error_code": -3, "error_subcode": 1504045}
    verdict = judge("facebook", 200, status)
    assert verdict is not None
    assert verdict.action is Action.SPLIT_WINDOW


@pytest.mark.parametrize(
    ("status", "code", "subcode", "action", "scope"),
    [
        (400, 190, None, Action.REFRESH, None),
        (400, 190, 458, Action.REFRESH, None),
        (400, 190, 463, Action.REFRESH, None),
        (400, 102, None, Action.REFRESH, None),
        (200, 190, 460, Action.REFRESH, None),
        (400, 4, None, Action.RATE_LIMITED, "app"),
        (400, 4, 1504022, Action.RETRY, None),
        (400, 4, 1504039, Action.RETRY, None),
        (400, 17, None, Action.RATE_LIMITED, "account"),
        (400, 17, 2446079, Action.RATE_LIMITED, "part"),
        (400, 32, None, Action.RATE_LIMITED, "part"),
        (400, 613, 1996, Action.RATE_LIMITED, "account"),
        (403, 80000, 2446079, Action.RATE_LIMITED, "part"),
        (400, 80004, 2446079, Action.RATE_LIMITED, "part"),
        (400, 80014, None, Action.RATE_LIMITED, "part"),
        (500, 1, None, Action.RETRY, None),
        (500, 2, None, Action.RETRY, None),
        (400, 2, 1504043, Action.RETRY, None),
        (400, -2, 2490547, Action.RETRY, None),
        (400, 2, 1504041, Action.FAIL, None),
        (400, 2, 1504042, Action.FAIL, None),
        (400, -3, 1504045, Action.SPLIT_WINDOW, None),
        (400, 100, 1487534, Action.REDUCE_PAGE_SIZE, None),
        (400, 1, 99, Action.REDUCE_PAGE_SIZE, None),
        (400, 100, 1504018, Action.REPORT, None),
        (400, 2, 1504038, Action.REPORT, None),
        (403, 10, None, Action.CONSENT, None),
        (403, 200, None, Action.CONSENT, None),
        (400, 294, None, Action.CONSENT, None),
        (400, 100, 3191001, Action.CONSENT, None),
        (400, 3, None, Action.FAIL, "app"),
        (400, 368, None, Action.FAIL, "account"),
        (400, 100, None, Action.FAIL, None),
        (200, 100, None, Action.FAIL, None),
    ],
)
def test_facebooks_codes_ask_for_what_its_pages_say(
    status: int, code: int, subcode: int | None, action: Action, scope: Scope | None
) -> None:
    verdict = judge("facebook", status, graph(code, subcode, f"(#{code}) …"))
    assert verdict is not None
    assert (verdict.action, verdict.scope) == (action, scope)


def test_facebook_is_asked_for_less_in_the_order_that_helps() -> None:
    too_much = {
        "error": {
            "code": 1,
            "message": "Please reduce the amount of data you're asking for,"
            " then retry your request",
        }
    }
    for status, body, expected in (
        (500, too_much, [Action.REDUCE_PAGE_SIZE, Action.SPLIT_WINDOW, Action.REPORT]),
        (400, graph(100, 1487534), [Action.REDUCE_PAGE_SIZE, Action.SPLIT_WINDOW, Action.REPORT]),
        (400, graph(100, 1504018), [Action.REPORT, Action.SPLIT_WINDOW, Action.REDUCE_PAGE_SIZE]),
    ):
        done: tuple[Action, ...] = ()
        for action in expected:
            verdict = judge("facebook", status, body, impossible=done)
            assert verdict is not None
            assert verdict.action is action
            done = (*done, action)
        last = judge("facebook", status, body, impossible=done)
        assert last is not None
        assert last.action in {Action.RETRY, Action.FAIL}


def test_facebooks_passing_and_permission_errors_are_told_apart() -> None:
    passing = {"error": {"code": 5000, "message": "Unknown", "is_transient": True}}
    verdict = judge("facebook", 400, passing)
    assert verdict == Verdict(Action.RETRY, "HTTP 400: Unknown")
    missing = judge("facebook", 400, graph(100, None, "(#100) Missing permissions"))
    assert missing is not None
    assert missing.action is Action.CONSENT
    assert judge("facebook", 200, {"data": [], "paging": {}}) is None


def test_facebooks_usage_is_read_in_its_units() -> None:
    headers = {
        "x-app-usage": '{"call_count":28,"total_time":25,"total_cputime":25}',
        "x-ad-account-usage": '{"acc_id_util_pct":9.5,"reset_time_duration":100}',
        "x-business-use-case-usage": '{"1":[{"type":"ads_insights","call_count":97,'
        '"total_cputime":23,"total_time":23,"estimated_time_to_regain_access":2}]}',
        "x-fb-ads-insights-throttle": '{"app_id_util_pct":80,"acc_id_util_pct":10}',
    }
    assert read(headers, known_of("facebook").limits, 0.0) == [
        Usage("app", 28.0, 0.0),
        Usage("part", 9.5, 100.0),
        Usage("part", 97.0, 120.0),
        Usage("app", 80.0, 0.0),
        Usage("part", 10.0, 0.0),
    ]


@pytest.mark.parametrize(
    ("name", "status", "body", "headers", "action"),
    [
        (
            "github",
            403,
            {"message": "API rate limit exceeded"},
            {"x-ratelimit-remaining": "0"},
            Action.RATE_LIMITED,
        ),
        (
            "github",
            403,
            {"message": "You have exceeded a secondary rate limit"},
            {"retry-after": "60"},
            Action.RATE_LIMITED,
        ),
        (
            "github",
            403,
            {"message": "You have exceeded a secondary rate limit."},
            {},
            Action.RATE_LIMITED,
        ),
        (
            "github",
            403,
            {"message": "Resource not accessible"},
            {"x-ratelimit-remaining": "9"},
            Action.FAIL,
        ),
        ("github", 409, {"message": "Git Repository is empty."}, {}, Action.IGNORE),
        (
            "google",
            403,
            {"error": {"errors": [{"reason": "userRateLimitExceeded"}]}},
            {},
            Action.RATE_LIMITED,
        ),
        ("google", 403, {"error": {"errors": [{"reason": "forbidden"}]}}, {}, Action.FAIL),
        ("google", 429, {"error": {"status": "RESOURCE_EXHAUSTED"}}, {}, Action.RATE_LIMITED),
        (
            "google",
            403,
            {
                "error": {
                    "status": "PERMISSION_DENIED",
                    "details": [{"reason": "ACCESS_TOKEN_SCOPE_INSUFFICIENT"}],
                }
            },
            {},
            Action.CONSENT,
        ),
        ("google", 409, {"error": {"status": "ABORTED"}}, {}, Action.RETRY),
        ("hubspot", 403, {"category": "MISSING_SCOPES"}, {}, Action.CONSENT),
        ("hubspot", 429, {"errorType": "RATE_LIMIT"}, {}, Action.RATE_LIMITED),
        ("hubspot", 423, {}, {}, Action.RETRY),
        ("microsoft", 509, {}, {}, Action.RATE_LIMITED),
        ("microsoft", 410, {"error": {"code": "resyncRequired"}}, {}, Action.RESTART),
        ("salesforce", 403, [{"errorCode": "REQUEST_LIMIT_EXCEEDED"}], {}, Action.RATE_LIMITED),
        ("salesforce", 400, [{"errorCode": "INVALID_QUERY_LOCATOR"}], {}, Action.RESTART),
        ("salesforce", 401, [{"errorCode": "INVALID_SESSION_ID"}], {}, Action.REFRESH),
    ],
)
def test_other_apis_errors_ask_for_what_their_pages_say(
    name: str, status: int, body: object, headers: dict[str, str], action: Action
) -> None:
    verdict = judge(name, status, body, headers)
    assert verdict is not None
    assert verdict.action is action


@pytest.mark.parametrize(
    ("name", "body", "headers", "next_url"),
    [
        (
            "facebook",
            {"paging": {"cursors": {"after": "b"}, "next": "https://x/?after=b"}},
            {},
            "https://api.example/x?after=b&limit=100",
        ),
        (
            "github",
            [],
            {"link": '<https://api.example/x?page=2>; rel="next"'},
            "https://api.example/x?page=2&per_page=100",
        ),
        ("google", {"nextPageToken": "b"}, {}, "https://api.example/x?pageToken=b"),
        (
            "hubspot",
            {"paging": {"next": {"after": "b"}}},
            {},
            "https://api.example/x?after=b&limit=100",
        ),
        (
            "microsoft",
            {"@odata.nextLink": "https://api.example/x?$skiptoken=b"},
            {},
            "https://api.example/x?$skiptoken=b",
        ),
        (
            "salesforce",
            {"nextRecordsUrl": "/services/data/v1/query/b-2000"},
            {},
            "https://api.example/services/data/v1/query/b-2000",
        ),
    ],
)
def test_the_next_page_is_asked_for_as_each_api_wants_it(
    name: str, body: object, headers: dict[str, str], next_url: str
) -> None:
    known = known_of(name)
    assert known.pagination is not None
    url = "https://api.example/x"
    state = following(
        known.pagination,
        first(known.pagination),
        Answer(url=url, body=body, headers=headers, records=1),
    )
    assert state is not None
    assert apply(known.pagination, state, Request(url=url), known.size).full_url == next_url


def test_salesforce_tells_of_its_daily_limit() -> None:
    usage = read({"sforce-limit-info": "api-usage=4500/5000"}, known_of("salesforce").limits, 0.0)
    assert usage == [Usage("app", 90.0, 0.0)]
