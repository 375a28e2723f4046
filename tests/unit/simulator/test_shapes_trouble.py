"""What /shapes does badly where it is told to."""

import httpx2
import pytest

from connector.simulator.simulator import Simulator

from .api_client import ApiClient, Record


def numbers(records: list[Record]) -> list[int]:
    return [record["id"] for record in records]


def test_an_empty_page_in_the_middle_is_not_the_end(simulator: Simulator, api: ApiClient) -> None:
    simulator.change({"apis_records": 100, "shapes_empty_page": 2, "shapes_page_size": 40})
    expected = simulator.apis.expected_records("shapes")
    first = api.get("shapes/cursor").json()
    second = api.get("shapes/cursor", cursor=first["next_cursor"]).json()
    assert second["items"] == []
    assert second["next_cursor"] not in {None, first["next_cursor"]}
    assert api.shape("cursor") == api.linked("links") == expected
    assert api.pages == 4 + 4
    pages = [api.get("shapes/pages", page=number).json() for number in range(1, 5)]
    assert [len(page["items"]) for page in pages] == [40, 0, 40, 20]
    assert {page["total_pages"] for page in pages} == {4}
    assert [record for page in pages for record in page["items"]] == expected


def test_nothing_is_added_to_an_end(simulator: Simulator, api: ApiClient) -> None:
    simulator.change({"apis_records": 40, "shapes_empty_page": 2})
    assert len(api.shape("cursor")) == 40
    assert api.pages == 1
    assert api.get("shapes/pages").json()["total_pages"] == 1
    simulator.change({"apis_records": 0, "shapes_empty_page": 1})
    assert api.get("shapes/cursor").json() == {"items": [], "next_cursor": None}


@pytest.mark.parametrize("name", ["cursor", "header"])
def test_a_cursor_may_come_again_for_ever(simulator: Simulator, api: ApiClient, name: str) -> None:
    simulator.change({"shapes_stuck_cursor": True})
    parameter = "token" if name == "header" else "cursor"

    def cursor_of(response: httpx2.Response) -> str:
        following = response.headers.get("x-next-token") or response.json()["next_cursor"]
        assert isinstance(following, str)
        return following

    cursor = cursor_of(api.get(f"shapes/{name}"))
    pages = [api.get(f"shapes/{name}", **{parameter: cursor}) for _ in range(3)]
    assert {cursor_of(page) for page in pages} == {cursor}
    assert numbers(pages[2].json()["items"]) == [*range(51, 101)]


def test_pages_may_overlap(simulator: Simulator, api: ApiClient) -> None:
    simulator.change({"apis_records": 10, "shapes_page_size": 4, "shapes_overlap": 2})
    overlapping = [1, 2, 3, 4, 3, 4, 5, 6, 7, 8, 7, 8, 9, 10]
    assert numbers(api.shape("cursor")) == overlapping
    assert numbers(api.linked("relative_links")) == overlapping
    pages = [api.get("shapes/pages", page=number).json()["items"] for number in range(1, 4)]
    assert numbers([record for page in pages for record in page]) == overlapping
    simulator.change({"shapes_overlap": 3})
    assert api.get("shapes/pages", page=4).json()["items"] == [], "there is none to overlap"
    assert numbers(simulator.apis.expected_records("shapes")) == [*range(1, 11)]


def test_records_may_be_added_while_they_are_paged(simulator: Simulator, api: ApiClient) -> None:
    simulator.change(
        {
            "apis_records": 100,
            "shapes_page_size": 40,
            "shapes_appended_per_page": 15,
            "shapes_appended_most": 40,
        }
    )
    # 40 of 100, 40 of 115, 40 of 130, 20 of 140
    assert numbers(api.shape("cursor")) == [*range(1, 141)]
    assert api.pages == 4
    assert len(simulator.apis.expected_records("shapes")) == 140


def test_new_records_shift_those_behind_them(simulator: Simulator, api: ApiClient) -> None:
    simulator.change(
        {
            "apis_records": 6,
            "shapes_page_size": 3,
            "shapes_appended_per_page": 1,
            "shapes_newest_first": True,
        }
    )
    pages = [api.get("shapes/pages", page=number).json()["items"] for number in (1, 2)]
    assert [numbers(page) for page in pages] == [[6, 5, 4], [4, 3, 2]]


@pytest.mark.parametrize(
    ("form", "value"),
    [("seconds", "60"), ("date", "Fri, 15 Jan 2027 08:01:00 GMT"), ("none", None)],
)
def test_too_many_calls_are_told_when_to_come_back(
    simulator: Simulator, api: ApiClient, form: str, value: str | None
) -> None:
    simulator.change({"apis_rate_limit": 2, "shapes_retry_after": form})
    assert [api.get("shapes/array").status_code for _ in range(2)] == [200, 200]
    refused = api.get("shapes/cursor")
    assert refused.status_code == 429, "the limit is that of the whole API"
    assert refused.headers.get("retry-after") == value
    assert refused.headers["ratelimit-remaining"] == "0"
    assert refused.headers["ratelimit-reset"] == "60"
