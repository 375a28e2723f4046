"""GitHub-like issues of one repository (REST API 2022-11-28, "List repository issues").

Pages by number, led by the Link header (RFC 8288), whose URLs name the repository by its number,
as GitHub's do. The rate limits are refused as GitHub refuses them: the primary one with
X-RateLimit-Remaining 0, the secondary one with Retry-After.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace

from connector.simulator.apis.access import Access, Quota, Visit, read_query
from connector.simulator.apis.links import link
from connector.simulator.apis.records import ApiError, Item, Items, rfc3339, seconds_of
from connector.simulator.apis.settings import GITHUB_SCOPE
from connector.simulator.call import Call, Reply
from connector.simulator.parameters import Parameters
from connector.simulator.state import State

REPOSITORY = "octocat/hello-world"
REPOSITORY_ID = "1296269"

DEFAULT_PAGE = 30
# More is not refused, only not given.
LARGEST_PAGE = 100

DOCUMENTATION = "https://docs.github.com/rest/issues/issues#list-repository-issues"
LIMITS = "https://docs.github.com/rest/using-the-rest-api/rate-limits-for-the-rest-api"

# One issue in five is closed, one in seven is a pull request.
CLOSED_SHARE = 5
PULL_SHARE = 7

SORTS: dict[str, Callable[[Item], tuple[int, int]]] = {
    "created": lambda item: (item.created_at, item.number),
    "updated": lambda item: (item.updated_at, item.number),
    "comments": lambda item: (_comments(item), item.number),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class IssuesRequest:
    """Which issues are asked for."""

    since: float | None
    state: str
    sort: str
    is_ascending: bool
    per_page: int
    page: int


class Issues:
    """The endpoint."""

    def __init__(self, state: State, access: Access, items: Items) -> None:
        self._state = state
        self._access = access
        self._items = items

    def __call__(self, call: Call) -> Reply:
        """A page of issues.

        Raises:
            RefusedError: no access, too many calls, no such repository, or a bad request.
        """
        visit = self._access.enter(call, api="github", scope=GITHUB_SCOPE)
        headers = _rate_headers(visit.quota)
        if visit.quota.is_over:
            self._refuse_limit(visit, headers)
        name = f"{call.path.get('owner')}/{call.path.get('repo')}".lower()
        if name != REPOSITORY and call.path.get("number") != REPOSITORY_ID:
            body = {"message": "Not Found", "documentation_url": DOCUMENTATION, "status": "404"}
            raise visit.refusal(404, "not_found", body, headers=headers)
        try:
            parameters = read_query(call)
            asked = _read(parameters)
        except ValueError as error:
            body = {"message": f"Validation Failed: {error}", "documentation_url": DOCUMENTATION}
            raise visit.refusal(
                422, "invalid", {**body, "status": "422"}, headers=headers
            ) from None
        found = self._found(asked)
        last = max(1, -(-len(found) // asked.per_page))
        links = self._links(parameters, asked.page, last)
        start = (asked.page - 1) * asked.per_page
        page = [record(item) for item in found[start : start + asked.per_page]]
        return visit.reply(page, headers={**headers, **({"Link": links} if links else {})})

    def _found(self, asked: IssuesRequest) -> list[Item]:
        def find(items: list[Item]) -> list[Item]:
            found = (
                item
                for item in items
                if (asked.since is None or item.updated_at >= asked.since)
                and asked.state in {"all", _state(item)}
            )
            return sorted(found, key=SORTS[asked.sort], reverse=not asked.is_ascending)

        return self._items.found(replace(asked, page=1, per_page=1), find)

    def _links(self, parameters: Parameters, page: int, last: int) -> str:
        targets = {}
        if page > 1:
            targets["prev"] = min(page - 1, last)
        if page < last:
            targets |= {"next": page + 1, "last": last}
        if page > 1:
            targets["first"] = 1
        kept = [(name, value) for name, value in parameters if name != "page"]
        path = f"/github/repositories/{REPOSITORY_ID}/issues"
        return ", ".join(
            f'<{link(self._state, path, [*kept, ("page", str(number))])}>; rel="{name}"'
            for name, number in targets.items()
        )

    def _refuse_limit(self, visit: Visit, headers: dict[str, str]) -> None:
        form = self._state.settings.github_limit
        if form == "secondary":
            message = "You have exceeded a secondary rate limit. Please wait a few minutes."
            # the primary limit is not what was met
            headers = {**headers, "X-RateLimit-Remaining": "4000"}
            headers["Retry-After"] = visit.quota.seconds
        else:
            message = "API rate limit exceeded for user ID 1."
        status = 429 if form == "primary_429" else 403
        body = {"message": message, "documentation_url": LIMITS, "status": str(status)}
        raise visit.refusal(status, "rate_limited", body, headers=headers)


def record(item: Item) -> dict[str, object]:
    """An issue as GitHub gives it, the members that pulls are after."""
    url = f"https://github.com/{REPOSITORY}/issues/{item.number}"
    digest = item.digest
    issue: dict[str, object] = {
        "id": 1_000_000_000 + item.number,
        "number": item.number,
        "title": item.name,
        "state": _state(item),
        "user": {"login": f"user{digest[4] % 20}", "id": 1000 + digest[4] % 20},
        "labels": [{"id": 1, "name": "bug"}] if digest[5] % 2 else [],
        "comments": _comments(item),
        "body": None if digest[6] % 4 == 0 else f"Seen {item.cents} times.",
        "html_url": url,
        "created_at": rfc3339(item.created_at),
        "updated_at": rfc3339(item.updated_at),
        "closed_at": rfc3339(item.updated_at) if _state(item) == "closed" else None,
    }
    if item.number % PULL_SHARE == 0:
        issue["pull_request"] = {"html_url": url.replace("/issues/", "/pull/")}
    return issue


def _state(item: Item) -> str:
    return "closed" if item.number % CLOSED_SHARE == 0 else "open"


def _comments(item: Item) -> int:
    return item.digest[7] % 30 + item.revision


def _read(parameters: Parameters) -> IssuesRequest:
    since = parameters.get("since")
    state, sort = parameters.get("state") or "open", parameters.get("sort") or "created"
    direction = parameters.get("direction") or "desc"
    if state not in {"open", "closed", "all"} or sort not in SORTS:
        raise ApiError("state or sort is unknown")
    if direction not in {"asc", "desc"}:
        raise ApiError("direction is asc or desc")
    return IssuesRequest(
        since=None if since is None else seconds_of(since),
        state=state,
        sort=sort,
        is_ascending=direction == "asc",
        per_page=min(_lenient(parameters.get("per_page"), DEFAULT_PAGE), LARGEST_PAGE),
        page=_lenient(parameters.get("page"), 1),
    )


def _lenient(text: str | None, default: int) -> int:
    """GitHub takes the default where a number makes no sense."""
    if text is None or not (text.isascii() and text.isdigit() and len(text) <= 9):
        return default
    return int(text) or default


def _rate_headers(quota: Quota) -> dict[str, str]:
    if not quota.limit:
        return {}
    return {
        "X-RateLimit-Limit": str(quota.limit),
        "X-RateLimit-Remaining": str(quota.remaining),
        "X-RateLimit-Used": str(min(quota.used, quota.limit)),
        "X-RateLimit-Reset": str(int(-(-quota.reset_at // 1))),
        "X-RateLimit-Resource": "core",
    }
