"""The routes of the data APIs, by the names that faults and the ledger know them by."""

from starlette.routing import Route

from connector.simulator.apis.access import Access
from connector.simulator.apis.analytics import Reports
from connector.simulator.apis.catalogue import DataApis
from connector.simulator.apis.github import Issues
from connector.simulator.apis.hubspot import Contacts
from connector.simulator.apis.notion import Database
from connector.simulator.apis.shapes import Shapes
from connector.simulator.call import Act
from connector.simulator.endpoint import Row, Stage, routes
from connector.simulator.state import State


def data_api_routes(state: State, apis: DataApis, stage: Stage) -> list[Route]:
    """Everything under /github, /hubspot, /notion, /analytics and /shapes."""
    access = Access(state)
    issues = Issues(state, access, apis.items["github"])
    contacts = Contacts(state, access, apis.items["hubspot"])
    database = Database(access, apis.items["notion"])
    reports = Reports(access, apis.analytics, state.clock)
    gets: dict[str, tuple[str, Act]] = {
        "/github/repos/{owner}/{repo}/issues": ("github_issues", issues),
        "/github/repositories/{number}/issues": ("github_issues", issues),
        **_shapes(Shapes(state, access, apis.items["shapes"])),
    }
    posts: dict[str, tuple[str, Act]] = {
        "/hubspot/crm/v3/objects/contacts/search": ("hubspot_contacts", contacts),
        "/notion/v1/databases/{database}/query": ("notion_database", database),
        "/analytics/v1beta/properties/{property}:runReport": ("analytics_report", reports),
    }
    return routes(
        [
            Row(path, name, act, methods=(method,), preview=access.preview)
            for method, table in (("GET", gets), ("POST", posts))
            for path, (name, act) in table.items()
        ],
        stage,
    )


def _shapes(shapes: Shapes) -> dict[str, tuple[str, Act]]:
    acts = {
        "pages": shapes.act(shapes.numbered, "page", size="per_page"),
        "offset": shapes.act(shapes.offset, "offset", size="limit"),
        "offset_without_total": shapes.act(shapes.offset_without_total, "offset", size="limit"),
        "cursor": shapes.act(shapes.cursor, "cursor", size="limit"),
        "nested": shapes.act(shapes.nested, "cursor", size="limit"),
        "header": shapes.act(shapes.header, "token", size="limit"),
        "links": shapes.act(shapes.links, "cursor", size="limit"),
        "relative_links": shapes.act(shapes.relative_links, "cursor", size="limit"),
        "array": shapes.act(shapes.array),
        "window": shapes.act(shapes.window, "from", "to"),
    }
    return {f"/shapes/{name}": (f"shapes_{name}", act) for name, act in acts.items()}
