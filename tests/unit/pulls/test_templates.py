"""Placeholders: filled in where they stand, and leading nowhere else."""

import json
from urllib.parse import parse_qsl, unquote, urlsplit

import pytest
from hypothesis import given
from hypothesis import strategies as st

from connector.pulls.messages import Request, without_params
from connector.pulls.spec import RequestTemplate
from connector.pulls.templates import MissingValue, fill, fill_url, fill_value, names

anything = st.text(max_size=20)


def test_a_request_is_filled_in_everywhere() -> None:
    template = RequestTemplate(
        method="POST",
        url="{ad_account}/insights?level=ad",
        params={"limit": 25, "time_range": {"since": "{since}", "until": "{until}"}},
        headers={"X-Account": "{ad_account}"},
        body={"filter": {"ids": ["{id}"]}, "deep": True},
    )
    request = fill(
        template, {"ad_account": "act_1", "since": "2026-11-01", "until": "2026-11-02", "id": 7}
    )
    assert request == Request(
        method="POST",
        url="act_1/insights?level=ad",
        params={"limit": "25", "time_range": '{"since":"2026-11-01","until":"2026-11-02"}'},
        headers={"X-Account": "act_1"},
        body={"filter": {"ids": [7]}, "deep": True},
    )
    assert names(template) == {"ad_account", "since", "until", "id"}


def test_a_placeholder_alone_keeps_its_type_and_one_in_text_does_not() -> None:
    values = {"n": 5, "list": ["a"], "flag": False}
    assert fill_value(["{n}", "{list}", "{flag}"], values) == [5, ["a"], False]
    assert fill_value("after {n}, {list}, {flag}", values) == 'after 5, ["a"], false'


def test_a_first_run_sends_no_start() -> None:
    template = RequestTemplate(
        url="items",
        params={"since": "{since}", "q": "updated > {since}", "range": {"a": ["{since}"]}, "x": 1},
        headers={"If-Modified-Since": "{since}"},
        body={"since": "{since}", "kept": [1, "{since}"]},
        form={"since": "{since}"},
    )
    for values in ({}, {"since": None}):
        request = fill(template, values)
        assert request.params == {"x": "1"}
        assert request.headers == {}
        assert request.body == {"kept": [1]}
        assert request.form == {}


def test_a_url_needs_its_values() -> None:
    with pytest.raises(MissingValue, match=r"\{since\}"):
        fill_url("items/{since}", {})
    with pytest.raises(MissingValue, match=r"\{since\}"):
        fill_url("items?since={since}", {"since": None})


def test_braces_that_are_no_placeholders_stay() -> None:
    assert fill_value('{"since":"{since}","a":{"b":1}}', {"since": "x"}) == (
        '{"since":"x","a":{"b":1}}'
    )
    assert fill_value("query { user { id } }", {}) == "query { user { id } }"
    assert fill_value("{{name} {{{n}", {"n": 1}) == "{name} {1"
    assert names("{{name} {Name} { name } {}") == set()


@given(value=anything)
def test_a_value_in_a_path_stays_in_its_segment(value: str) -> None:
    url = "https://api.example/v1/{id}/items?a=1"
    try:
        filled = fill_url(url, {"id": value})
    except ValueError:
        assert value in {"", ".", ".."}
        return
    parts = urlsplit(filled)
    assert (parts.scheme, parts.netloc, parts.query, parts.fragment) == (
        "https",
        "api.example",
        "a=1",
        "",
    )
    before, middle, after = parts.path.split("/")[1:]
    assert (before, unquote(middle), after) == ("v1", value, "items")


@given(value=anything, other=anything)
def test_a_value_never_adds_a_parameter(value: str, other: str) -> None:
    template = RequestTemplate(
        url="https://api.example/x?fixed=1&in_url={value}",
        params={"q": "{value}", "range": {"since": "{other}"}},
    )
    url = fill(template, {"value": value, "other": other}).full_url
    sent = parse_qsl(urlsplit(url).query, keep_blank_values=True, strict_parsing=True)
    assert sent == [
        ("fixed", "1"),
        ("in_url", value),
        ("q", value),
        ("range", json.dumps({"since": other}, separators=(",", ":"), ensure_ascii=False)),
    ]


@pytest.mark.parametrize("value", ["a\r\nX-Evil: 1", "a\0", "é"])
def test_a_value_never_ends_a_header(value: str) -> None:
    with pytest.raises(ValueError, match="X-Part"):
        fill(RequestTemplate(url="x", headers={"X-Part": "{value}"}), {"value": value})


@pytest.mark.parametrize("value", ["", ".", ".."])
def test_a_value_never_leads_up_the_path_or_to_another_host(value: str) -> None:
    with pytest.raises(ValueError, match="leads elsewhere"):
        fill_url("/{id}/items", {"id": value})
    with pytest.raises(ValueError, match="leads elsewhere"):
        fill_url("v1/{a}{b}", {"a": "", "b": value})


def test_a_parameter_takes_the_place_of_one_in_the_url() -> None:
    request = Request(url="https://api.example/x?limit=100&a=%2F", params={"limit": "50"})
    assert request.full_url == "https://api.example/x?a=%2F&limit=50"
    assert Request(url="https://api.example/x").full_url == "https://api.example/x"
    assert without_params(
        "https://a.example/?x=1&%61ccess_token=s", frozenset({"access_token"})
    ) == ("https://a.example/?x=1")


def test_a_field_of_the_body_is_set_without_touching_the_template() -> None:
    body = {"paging": {"limit": 10}, "filter": ["a"]}
    request = Request(url="x", method="POST", body=body)
    changed = request.having("body.paging.cursor", "c").having("body.size", 5)
    assert changed.body == {"paging": {"limit": 10, "cursor": "c"}, "filter": ["a"], "size": 5}
    assert body == {"paging": {"limit": 10}, "filter": ["a"]}
    assert Request(url="x", method="POST").having("body.cursor", "c").body == {"cursor": "c"}


def test_a_field_of_a_form_is_set_as_text() -> None:
    request = Request(url="x", method="POST", form={"a": "1"}).having("body.limit", 50)
    assert (request.form, request.body) == ({"a": "1", "limit": "50"}, None)
