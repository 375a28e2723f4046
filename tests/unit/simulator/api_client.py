"""A plain client of the data APIs, for the tests: it pages by each shape's own rule."""

from collections.abc import Mapping
from typing import Any, cast

import httpx2

from connector.simulator.apis.settings import API_SCOPES
from connector.simulator.simulator import Simulator

from .relying_party import bearer

# No test has more pages; a pull that goes on for longer would never end.
MOST_PAGES = 60

Record = dict[str, Any]


class ApiClient:
    """One person's access to every data API."""

    def __init__(self, simulator: Simulator, http: httpx2.Client) -> None:
        self.simulator = simulator
        self.http = http
        self.grant: Mapping[str, object] = simulator.grant("ada", scope=" ".join(API_SCOPES))
        self.pages = 0

    @property
    def token(self) -> str:
        return str(self.grant["access_token"])

    def get(self, path: str, **parameters: object) -> httpx2.Response:
        """GET a path, or the URL that a page names."""
        url = path if path.startswith("http") else f"{self.simulator.url}/{path}"
        values = {name: str(value) for name, value in parameters.items()}
        return self.http.get(url, params=values or None, headers=bearer(self.token))

    def post(
        self, path: str, body: object = None, headers: Mapping[str, str] | None = None
    ) -> httpx2.Response:
        url = f"{self.simulator.url}/{path}"
        return self.http.post(url, json=body, headers={**bearer(self.token), **(headers or {})})

    def page(self, response: httpx2.Response) -> Any:
        """The body of an answer that is one page more."""
        assert response.status_code == 200, response.text
        self.pages += 1
        assert self.pages <= MOST_PAGES
        return response.json()

    def issues(self, **parameters: object) -> list[Record]:
        """All pages of issues, by the Link header."""
        values = {"state": "all", "sort": "updated", "direction": "asc", **parameters}
        response = self.get("github/repos/octocat/hello-world/issues", **values)
        found: list[Record] = self.page(response)
        while "next" in response.links:
            response = self.get(response.links["next"]["url"])
            found += self.page(response)
        return found

    def contacts(self, body: Mapping[str, object]) -> list[Record]:
        """All pages of a search of contacts."""
        found: list[Record] = []
        asked = dict(body)
        while True:
            answer = self.page(self.post("hubspot/crm/v3/objects/contacts/search", asked))
            found += answer["results"]
            if "paging" not in answer:
                assert answer["total"] == len(found)
                return found
            asked["after"] = answer["paging"]["next"]["after"]

    def shape(self, name: str, parameter: str = "cursor", **parameters: object) -> list[Record]:
        """All pages of a shape with a cursor."""
        found: list[Record] = []
        asked = dict(parameters)
        while True:
            response = self.get(f"shapes/{name}", **asked)
            body = self.page(response)
            match name:
                case "cursor":
                    items, cursor = body["items"], body["next_cursor"]
                case "nested":
                    content = body["response"]
                    items, cursor = content["data"]["items"], content["paging"].get("cursor")
                case _:
                    items, cursor = body["items"], response.headers.get("x-next-token")
            found += items
            if cursor is None:
                return found
            asked[parameter] = cursor

    def linked(self, name: str, **parameters: object) -> list[Record]:
        """All pages of a shape whose body has the next link."""
        response = self.get(f"shapes/{name}", **parameters)
        found: list[Record] = []
        while True:
            body = self.page(response)
            found += body["data"]
            following = cast("str | None", body["links"]["next"])
            if following is None:
                return found
            response = self.get(str(response.url.join(following)))
