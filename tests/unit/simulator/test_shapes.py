"""Plain shapes of paging: each brings every record once, by its own rule."""

from typing import cast

import pytest

from connector.simulator.simulator import Simulator

from .api_client import ApiClient, Record


@pytest.fixture
def expected(simulator: Simulator) -> list[Record]:
    records = simulator.apis.expected_records("shapes")
    assert len({record["id"] for record in records}) == len(records) == 250
    assert len({str(record["name"])[0] for record in records}) > 5, "awkward names are among them"
    return records


def numbered(api: ApiClient, per_page: int) -> list[Record]:
    found: list[Record] = []
    number = total = 1
    while number <= total:
        body = api.page(api.get("shapes/pages", page=number, per_page=per_page))
        assert (body["page"], body["per_page"]) == (number, per_page)
        found += body["items"]
        total = body["total_pages"]
        number += 1
    return found


def by_offset(api: ApiClient, limit: int) -> list[Record]:
    """Until a page is not full."""
    found: list[Record] = []
    while True:
        items = api.page(api.get("shapes/offset_without_total", offset=len(found), limit=limit))[
            "items"
        ]
        found += items
        if len(items) < limit:
            return found


def test_page_numbers(api: ApiClient, expected: list[Record]) -> None:
    assert numbered(api, 60) == expected
    assert api.pages == 5
    assert numbered(api, 50) == expected
    assert api.pages == 5 + 5
    assert api.get("shapes/pages", page=6, per_page=50).json()["items"] == []
    assert api.get("shapes/pages").json()["items"] == expected[:50]


def test_offsets_with_a_total(api: ApiClient, expected: list[Record]) -> None:
    body = api.get("shapes/offset", offset=240, limit=100).json()
    assert body == {"items": expected[240:], "total": 250}
    assert api.get("shapes/offset", offset=250).json() == {"items": [], "total": 250}


def test_offsets_without_a_total(api: ApiClient, expected: list[Record]) -> None:
    assert by_offset(api, 100) == expected
    assert api.pages == 3
    assert by_offset(api, 50) == expected
    assert api.pages == 3 + 6, "only an empty page tells the end"
    assert "total" not in api.get("shapes/offset_without_total").json()


@pytest.mark.parametrize(
    ("name", "parameter"), [("cursor", "cursor"), ("nested", "cursor"), ("header", "token")]
)
def test_cursors(api: ApiClient, expected: list[Record], name: str, parameter: str) -> None:
    assert api.shape(name, parameter) == expected
    assert api.pages == 5
    assert api.shape(name, parameter, limit=99) == expected
    assert api.pages == 5 + 3


def test_pages_may_differ_in_size(api: ApiClient, expected: list[Record]) -> None:
    first = api.get("shapes/cursor", limit=100).json()
    second = api.get("shapes/cursor", limit=7, cursor=first["next_cursor"]).json()
    assert second["items"] == expected[100:107]


def test_absolute_links(simulator: Simulator, api: ApiClient, expected: list[Record]) -> None:
    assert api.linked("links", limit=99) == expected
    assert api.pages == 3
    following = api.get("shapes/links", limit=99).json()["links"]["next"]
    assert following.startswith(f"{simulator.url}/shapes/links?limit=99&cursor=")
    simulator.change({"apis_foreign_next": "http://127.0.0.1:9"})
    foreign = api.get("shapes/links").json()["links"]["next"]
    assert foreign.startswith("http://127.0.0.1:9/shapes/links?cursor=")


def test_relative_links(api: ApiClient, expected: list[Record]) -> None:
    assert api.linked("relative_links", limit=60) == expected
    assert api.pages == 5
    first = api.get("shapes/relative_links", limit=60)
    link = cast("str", first.json()["links"]["next"])
    assert link.startswith("/shapes/relative_links?limit=60&cursor=")
    second = api.get(str(first.url.join(link))).json()["links"]["next"]
    assert second.startswith("?limit=60&cursor=")


def test_an_array_is_the_whole_body(api: ApiClient, expected: list[Record]) -> None:
    assert api.get("shapes/array").json() == expected
    assert api.get("shapes/array", updated_since=expected[-1]["updated_at"]).json() == expected[-1:]


def test_windows_are_half_open(
    simulator: Simulator, api: ApiClient, expected: list[Record]
) -> None:
    bounds = [expected[index]["time"] for index in (0, 100, 249)]
    found = [
        api.get("shapes/window", **{"from": start, "to": end}).json()["items"]
        for start, end in ((bounds[0], bounds[1]), (bounds[1], bounds[2]))
    ]
    assert [len(items) for items in found] == [100, 149]
    assert [*found[0], *found[1], expected[-1]] == expected
    simulator.change({"shapes_longest_window": 60})
    longest = api.get("shapes/window", **{"from": bounds[0], "to": bounds[0] + 60})
    assert longest.json()["items"] == expected[:1]
    too_long = api.get("shapes/window", **{"from": bounds[0], "to": bounds[0] + 61})
    assert too_long.status_code == 400
    assert "at most 60 seconds" in too_long.json()["error"]["message"]


def test_every_shape_takes_what_has_changed_since(
    simulator: Simulator, api: ApiClient, expected: list[Record]
) -> None:
    moment = expected[-3]["updated_at"]
    simulator.apis.touch("shapes", 1)
    changed = simulator.apis.expected_records("shapes", since=moment)
    assert [record["id"] for record in changed] == [248, 249, 250, 1]
    assert changed[-1]["amount"] != expected[0]["amount"]
    for name, member in (
        ("pages", "items"),
        ("offset", "items"),
        ("cursor", "items"),
        ("header", "items"),
        ("links", "data"),
        ("relative_links", "data"),
    ):
        assert api.get(f"shapes/{name}", updated_since=moment).json()[member] == changed
    between = simulator.apis.expected_records("shapes", moment, str(changed[2]["updated_at"]))
    assert between == changed[:2]


@pytest.mark.parametrize(
    ("path", "parameters"),
    [
        ("pages", {"page": "0"}),
        ("pages", {"page": "many"}),
        ("pages", {"limit": "5"}),
        ("offset", {"offset": "-1"}),
        ("offset", {"limit": "0"}),
        ("cursor", {"cursor": "x"}),
        ("cursor", {"cursor": "YWJj"}),
        ("cursor", {"updated_since": "yesterday"}),
        ("header", {"cursor": "x"}),
        ("array", {"limit": "5"}),
        ("window", {}),
        ("window", {"from": "1"}),
        ("window", {"from": "1", "to": "1"}),
        ("window", {"from": "1", "to": "2026-01-01"}),
        ("cursor?limit=1&limit=2", {}),
    ],
)
def test_requests_that_make_no_sense(api: ApiClient, path: str, parameters: dict[str, str]) -> None:
    response = api.get(f"shapes/{path}", **parameters)
    assert response.status_code == 400
    assert response.json()["error"]["code"] == "invalid_request"


def test_too_large_a_page_is_refused_in_words(simulator: Simulator, api: ApiClient) -> None:
    for path, name in (("pages", "per_page"), ("cursor", "limit"), ("offset", "limit")):
        assert api.get(f"shapes/{path}", **{name: 100}).status_code == 200
        refused = api.get(f"shapes/{path}", **{name: 101})
        assert refused.status_code == 400
        error = {"code": "page_too_large", "message": f"{name} must be at most 100"}
        assert refused.json() == {"error": error}
    simulator.change({"shapes_largest_page": 20})
    assert len(api.get("shapes/cursor").json()["items"]) == 20
    assert api.get("shapes/cursor", limit=21).status_code == 400
