"""The GitHub-like issues: pages by the Link header, the cursor `updated_at`, both rate limits."""

import pytest

from connector.simulator.clock import Clock
from connector.simulator.simulator import Simulator

from .api_client import ApiClient
from .conftest import NOW

PATH = "github/repos/octocat/hello-world/issues"


def test_links_bring_every_issue_once(simulator: Simulator, api: ApiClient) -> None:
    expected = simulator.apis.expected_records("github")
    assert len(expected) == 250
    assert len({record["id"] for record in expected}) == 250
    assert api.issues(per_page=40) == expected
    assert api.pages == 7
    assert sum("pull_request" in record for record in expected) == 250 // 7


def test_a_page_names_its_neighbours(simulator: Simulator, api: ApiClient) -> None:
    links = api.get(PATH, state="all", per_page=100, page=2).links
    base = f"{simulator.url}/github/repositories/1296269/issues?state=all&per_page=100&page="
    assert {name: link["url"] for name, link in links.items()} == {
        "prev": f"{base}1",
        "next": f"{base}3",
        "last": f"{base}3",
        "first": f"{base}1",
    }
    assert set(api.get(PATH, state="all", per_page=100, page=3).links) == {"prev", "first"}
    assert set(api.get(PATH, state="all", per_page=100).links) == {"next", "last"}
    simulator.change({"apis_records": 20})
    assert "link" not in api.get(PATH, state="all").headers
    past_the_end = api.get(PATH, state="all", page=9)
    assert past_the_end.json() == []
    assert past_the_end.links["prev"]["url"].endswith("page=1")


def test_what_is_not_asked_for_takes_its_default(api: ApiClient) -> None:
    issues = api.get(PATH).json()
    assert len(issues) == 30
    assert {issue["state"] for issue in issues} == {"open"}
    moments = [issue["created_at"] for issue in issues]
    assert moments == sorted(moments, reverse=True)
    assert len(api.get(PATH, per_page=500, state="all").json()) == 100
    assert len(api.get(PATH, per_page="many", page="0").json()) == 30
    comments = [issue["comments"] for issue in api.get(PATH, sort="comments").json()]
    assert comments == sorted(comments, reverse=True)


def test_since_brings_what_has_changed_from_then_on(simulator: Simulator, api: ApiClient) -> None:
    before = api.issues(per_page=100)
    cursor = before[-1]["updated_at"]
    assert api.issues(since=cursor) == before[-1:]
    simulator.apis.touch("github", 3)
    simulator.apis.append("github", 2)
    changed = api.issues(since=cursor)
    assert changed == simulator.apis.expected_records("github", since=cursor)
    assert [issue["number"] for issue in changed] == [250, 3, 251, 252]
    assert changed[1] != before[2]
    assert changed[1]["created_at"] == before[2]["created_at"]


def test_an_issue_that_changes_while_it_is_paged_moves_the_others(
    simulator: Simulator, api: ApiClient
) -> None:
    simulator.change({"apis_records": 20})
    values = {"state": "all", "sort": "updated", "direction": "asc", "per_page": 10}
    first = api.get(PATH, **values)
    simulator.apis.touch("github", 1)
    second = api.get(first.links["next"]["url"]).json()
    assert [issue["number"] for issue in second] == [*range(12, 21), 1], "11 is passed over"


@pytest.mark.parametrize(
    ("parameters", "status"),
    [
        ({"since": "yesterday"}, 422),
        ({"state": "ajar"}, 422),
        ({"sort": "colour"}, 422),
        ({"direction": "up"}, 422),
    ],
)
def test_requests_that_make_no_sense(
    api: ApiClient, parameters: dict[str, str], status: int
) -> None:
    response = api.get(PATH, **parameters)
    assert response.status_code == status
    assert response.json()["message"].startswith("Validation Failed")


def test_there_is_one_repository(api: ApiClient) -> None:
    assert api.get("github/repos/octocat/other/issues").json()["message"] == "Not Found"
    assert api.get("github/repositories/1/issues").status_code == 404
    assert api.get("github/repos/Octocat/Hello-World/issues").status_code == 200


@pytest.mark.parametrize(("form", "status"), [("primary_403", 403), ("primary_429", 429)])
def test_the_primary_limit_says_when_it_is_over(
    simulator: Simulator, api: ApiClient, clock: Clock, form: str, status: int
) -> None:
    simulator.change({"apis_rate_limit": 2, "github_limit": form})
    clock.advance(0.5)
    assert [api.get(PATH).headers["x-ratelimit-remaining"] for _ in range(2)] == ["1", "0"]
    refused = api.get(PATH)
    assert refused.status_code == status
    assert refused.json()["message"].startswith("API rate limit exceeded")
    assert refused.headers["x-ratelimit-remaining"] == "0"
    assert refused.headers["x-ratelimit-reset"] == str(int(NOW) + 61), "rounded up"
    assert "retry-after" not in refused.headers
    clock.advance(59.9)
    assert api.get(PATH).status_code == status
    clock.advance(0.1)
    assert api.get(PATH).status_code == 200
    assert simulator.ledger.count("github_issues", outcome="rate_limited") == 2


def test_the_secondary_limit_says_how_long_to_wait(simulator: Simulator, api: ApiClient) -> None:
    simulator.change({"apis_rate_limit": 1, "apis_rate_window": 7, "github_limit": "secondary"})
    assert api.get(PATH).status_code == 200
    refused = api.get(PATH)
    assert refused.status_code == 403
    assert "secondary rate limit" in refused.json()["message"]
    assert refused.headers["retry-after"] == "7"
    assert refused.headers["x-ratelimit-remaining"] != "0"


def test_a_next_link_may_point_elsewhere(simulator: Simulator, api: ApiClient) -> None:
    simulator.change({"apis_foreign_next": "http://127.0.0.1:9"})
    links = api.get(PATH, state="all").links
    assert links["next"]["url"].startswith("http://127.0.0.1:9/github/repositories/1296269/issues?")
