"""What an answer asks for: the job's rules, the provider's, then those of HTTP."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from connector.pulls.answers import Verdict, classify, describe, parse_json
from connector.pulls.rules import Action, ErrorRule

HTML = b"<html><head><title>503</title></head><body><h1>Service Unavailable</h1></body></html>"


def judge(
    rules: list[ErrorRule],
    status: int,
    body: object = None,
    headers: dict[str, str] | None = None,
    *,
    content: bytes | None = None,
    impossible: tuple[Action, ...] = (),
) -> Verdict | None:
    sent = json.dumps(body).encode() if content is None else content
    return classify(rules, status, headers or {}, sent, parse_json(sent), impossible=impossible)


@pytest.mark.parametrize(
    ("status", "headers", "action"),
    [
        (200, {}, None),
        (201, {}, None),
        (304, {}, Action.IGNORE),
        (302, {}, Action.FAIL),
        (400, {}, Action.FAIL),
        (401, {}, Action.REFRESH),
        (401, {"www-authenticate": 'Bearer error="invalid_token"'}, Action.REFRESH),
        (
            401,
            {"www-authenticate": 'Bearer error="insufficient_user_authentication"'},
            Action.CONSENT,
        ),
        (403, {}, Action.FAIL),
        (
            403,
            {"www-authenticate": 'Bearer realm="x", error="insufficient_scope", scope="y"'},
            Action.CONSENT,
        ),
        (403, {"www-authenticate": "Bearer error=insufficient_scope"}, Action.CONSENT),
        (
            403,
            {"www-authenticate": 'Bearer error_description="no insufficient_scope"'},
            Action.FAIL,
        ),
        (404, {}, Action.FAIL),
        (408, {}, Action.RETRY),
        (425, {}, Action.RETRY),
        (429, {}, Action.RATE_LIMITED),
        (500, {}, Action.RETRY),
        (501, {}, Action.FAIL),
        (502, {}, Action.RETRY),
        (503, {}, Action.RETRY),
        (504, {}, Action.RETRY),
        (529, {}, Action.RETRY),
    ],
)
def test_without_rules_http_decides(
    status: int, headers: dict[str, str], action: Action | None
) -> None:
    verdict = judge([], status, {"data": []}, headers)
    assert (None if verdict is None else verdict.action) == action


def test_a_page_that_is_no_json_is_asked_for_again() -> None:
    verdict = judge([], 200, content=HTML)
    assert verdict == Verdict(
        Action.RETRY, "HTTP 200 with a body that is not JSON: 503 Service Unavailable"
    )
    empty = judge([], 200, content=b"")
    assert empty is not None
    assert empty.message == "HTTP 200 with a body that is not JSON: nothing"
    assert judge([], 204, content=b"") is None
    assert judge([], 200, content=b"null") is None


def test_the_first_rule_that_fits_holds() -> None:
    rules = [
        ErrorRule(action=Action.IGNORE, statuses=(404,)),
        ErrorRule(action=Action.RATE_LIMITED, when={"error.code": (4, 17)}, scope="app"),
        ErrorRule(action=Action.RETRY, when={"error.code": (17,)}),
    ]
    assert judge(rules, 404) == Verdict(Action.IGNORE, "HTTP 404: Not Found")
    body = {"error": {"code": 17, "message": "(#17) User request limit reached"}}
    assert judge(rules, 400, body) == Verdict(
        Action.RATE_LIMITED, "HTTP 400: (#17) User request limit reached", "app"
    )
    other = judge(rules, 400, {"error": {"code": 100}})
    assert other == Verdict(Action.FAIL, "HTTP 400: Bad Request")


def test_what_cannot_be_done_any_more_is_passed_over() -> None:
    rules = [
        ErrorRule(action=action, when={"error.code": (100,)}, message="too much data")
        for action in (Action.REDUCE_PAGE_SIZE, Action.SPLIT_WINDOW, Action.REPORT)
    ]
    body = {"error": {"code": 100}}
    done: tuple[Action, ...] = ()
    asked = []
    for _ in range(4):
        verdict = judge(rules, 400, body, impossible=done)
        assert verdict is not None
        asked.append(verdict.action)
        done = (*done, verdict.action)
    assert asked == [Action.REDUCE_PAGE_SIZE, Action.SPLIT_WINDOW, Action.REPORT, Action.FAIL]


@pytest.mark.parametrize(
    ("when", "body", "fits"),
    [
        ({"error.code": (190,)}, {"error": {"code": 190}}, True),
        ({"error.code": (190,)}, {"error": {"code": "190"}}, True),
        ({"error.code": (190,)}, {"error": {"code": 191}}, False),
        ({"error.code": (190,)}, {"data": []}, False),
        ({"error.code": (190,)}, [], False),
        ({"error": ("*",)}, {"error": {}}, True),
        ({"error": ("*",)}, {"error": None}, False),
        ({"error": (None,)}, {"error": None}, True),
        ({"ok": (False,)}, {"ok": False}, True),
        ({"ok": (False,)}, {"ok": 0}, False),
        ({"code": (1,)}, {"code": True}, False),
        ({"a": ("x",), "b": (1,)}, {"a": "x", "b": 1}, True),
        ({"a": ("x",), "b": (1,)}, {"a": "x", "b": 2}, False),
        ({"errors.*.reason": ("quota",)}, {"errors": [{"reason": "a"}, {"reason": "quota"}]}, True),
        ({"$.errors[*].reason": ("quota",)}, {"errors": [{"reason": "quota"}]}, True),
    ],
)
def test_conditions_compare_as_json_does(
    when: dict[str, tuple[object, ...]],
    body: object,
    fits: bool,  # noqa: FBT001 - a row of the table
) -> None:
    verdict = judge([ErrorRule(action=Action.IGNORE, when=when)], 200, body)
    assert (verdict is not None) == fits


def test_a_header_fits_by_its_value_or_by_being_there() -> None:
    used_up = ErrorRule(
        action=Action.RATE_LIMITED, statuses=(403,), headers={"x-ratelimit-remaining": ("0",)}
    )
    asked = ErrorRule(action=Action.RATE_LIMITED, statuses=(403,), headers={"retry-after": ("*",)})
    for headers, action in (
        ({"x-ratelimit-remaining": "0"}, Action.RATE_LIMITED),
        ({"x-ratelimit-remaining": "10"}, Action.FAIL),
        ({"retry-after": "30"}, Action.RATE_LIMITED),
        ({}, Action.FAIL),
    ):
        verdict = judge([used_up, asked], 403, {}, headers)
        assert verdict is not None
        assert verdict.action is action


def test_a_record_that_holds_the_words_of_an_error_is_none() -> None:
    rule = ErrorRule(action=Action.REDUCE_PAGE_SIZE, contains="Reduce the Amount of data")
    page = {"data": [{"name": "reduce the amount of data you sell"}]}
    assert judge([rule], 200, page) is None
    verdict = judge([rule], 500, {"error": {"message": "Please reduce the amount of data"}})
    assert verdict is not None
    assert verdict.action is Action.REDUCE_PAGE_SIZE
    named = ErrorRule(action=Action.FAIL, statuses=(200,), contains="Service Unavailable")
    verdict = judge([named], 200, content=HTML)
    assert verdict is not None
    assert verdict.action is Action.FAIL


@pytest.mark.parametrize(
    ("body", "told"),
    [
        ({"type": "about:blank", "title": "Gone", "detail": "It was moved."}, "It was moved."),
        ({"title": "Gone"}, "Gone"),
        ({"message": "Not found."}, "Not found."),
        ({"error": {"message": "(#100) Bad", "error_user_msg": "Choose fewer"}}, "Choose fewer"),
        ({"error": {"message": "(#100) Bad"}}, "(#100) Bad"),
        ({"errors": [{"message": "Boom"}]}, "Boom"),
        ({"errors": [{"detail": "Boom"}]}, "Boom"),
        ({"errors": ["Boom"]}, "Boom"),
        ([{"message": "Session expired", "errorCode": "X"}], "Session expired"),
        ({"error": "invalid_request", "error_description": "No such"}, "No such"),
        ({"error": "invalid_request"}, "invalid_request"),
        ({"message": {"odd": 1}}, "Bad Request"),
        ({}, "Bad Request"),
        ({"message": "two\n lines\x1b[31m\u202e"}, "two lines [31m"),
    ],
)
def test_what_the_body_tells_people_is_told(body: object, told: str) -> None:
    assert describe(400, json.dumps(body).encode(), body) == f"HTTP 400: {told}"


def test_a_page_of_html_is_told_as_a_person_would_read_it() -> None:
    page = b"<style>body{}</style><h1>Forbidden</h1><script>evil()</script><p>by  policy</p>"
    assert describe(403, page, None) == "HTTP 403: Forbidden by policy"
    assert describe(799, b"", None) == "HTTP 799: no reason given"


def test_a_message_is_short_and_holds_no_token() -> None:
    secret = "EAAB12345"
    for text in (
        f"Cannot GET /x?access_token={secret}&a=1",
        f'{{"access_token": "{secret}"}}',
        f"bad header: Bearer {secret}",
        f"appsecret_proof={secret}",
    ):
        assert secret not in describe(400, b"", {"message": text})
    assert len(describe(400, b"", {"message": "x" * 5000})) < 320


@given(content=st.binary(max_size=80), status=st.integers(100, 599))
def test_no_answer_raises(content: bytes, status: int) -> None:
    rules = [ErrorRule(action=Action.FAIL, when={"error.code": (1,)}, contains="x")]
    verdict = classify(rules, status, {}, content, parse_json(content))
    assert verdict is None or verdict.message.isprintable()


def test_nesting_without_end_is_no_json() -> None:
    assert parse_json(b"[" * 200_000) is None
