"""The description of the API is that of the routes, and of what they answer."""

import re
from typing import Any

import httpx2
import pytest
from starlette.applications import Starlette
from starlette.routing import Route

from connector.runtime import Runtime
from connector.store.run_logs import LogLine
from connector.web.dashboard import PageRoute
from connector.web.openapi import openapi
from tests.unit.jobs.bench import Jobs
from tests.unit.workbench import ACCOUNT

from .test_job_runs import ONE

Document = dict[str, Any]


@pytest.fixture
def document() -> Document:
    return openapi()


def test_each_route_and_no_other(app: Starlette, document: Document) -> None:
    served = {
        (method.lower(), re.sub("^/callback/.*", "/callback/{provider}", path))
        for route in app.routes
        if isinstance(route, Route) and not isinstance(route, PageRoute)
        for path in [route.path.replace(":path}", "}")]
        for method in route.methods or ()
        if method != "HEAD"
    }
    described = {
        (method, path)
        for path, item in document["paths"].items()
        for method in item
        if method != "parameters"
    }
    assert described == served


def test_each_parameter_of_a_path(document: Document) -> None:
    for path, item in document["paths"].items():
        named = [one["name"] for one in item.get("parameters", ()) if one["in"] == "path"]
        assert named == re.findall(r"{(\w+)}", path), path


def test_each_reference_leads_somewhere(document: Document) -> None:
    referred = set(re.findall(r"'#/components/schemas/(\w+)'", str(document)))
    assert referred == set(document["components"]["schemas"])


async def test_served(unix: httpx2.AsyncClient, document: Document) -> None:
    answer = await unix.get("/openapi.json")
    assert answer.headers["content-type"] == "application/json"
    assert answer.json() == document


@pytest.mark.parametrize(
    ("method", "path", "json"),
    [
        ("get", "/v1/accounts", None),
        ("get", "/v1/accounts/{account}", None),
        ("get", "/v1/accounts/{account}/token", None),
        ("post", "/v1/accounts/{account}/refresh", None),
        ("post", "/v1/accounts/{account}/revoke", None),
        ("post", "/v1/consents", {"provider": "acme", "account": "acme/new"}),
        ("get", "/v1/refreshes?account={account}", None),
        ("get", "/v1/refreshes", None),
        ("get", "/v1/jobs", None),
        ("post", "/v1/jobs/{job}/runs", {}),
        ("get", "/v1/runs", None),
        ("get", "/v1/runs?limit=none", None),
        ("post", "/v1/jobs/none/runs", None),
        ("get", "/v1/runs/{run}/log", None),
        ("get", "/v1/runs/{run}/log?limit=none", None),
        ("get", "/v1/runs/{run}/log?after=-1", None),
        ("get", "/v1/runs/{unknown}/log", None),
    ],
)
async def test_answers_are_as_described(
    unix: httpx2.AsyncClient,
    runtime: Runtime,
    jobs: Jobs,
    document: Document,
    method: str,
    path: str,
    json: object,
) -> None:
    jobs.write(ONE)
    if path.startswith("/v1/refreshes"):
        await unix.post(f"/v1/accounts/{ACCOUNT}/refresh")
        await runtime.refresh_history.flush()
    if path == "/v1/runs":
        await unix.post("/v1/jobs/pull/runs")
    names = {"{account}": ACCOUNT, "{job}": "pull", "{run}": await a_run_with_a_log(runtime)}
    template = path.partition("?")[0].replace("none", "{job}").replace("{unknown}", "{run}")
    for name, value in names.items():
        path = path.replace(name, value)
    answer = await unix.request(method, path, json=json)
    described = document["paths"][template][method]["responses"][str(answer.status_code)]
    kind = answer.headers["content-type"].partition(";")[0]
    check(answer.json(), described["content"][kind]["schema"], document)


async def a_run_with_a_log(runtime: Runtime) -> str:
    run = await runtime.runs.claim("other", ACCOUNT, None, owner=runtime.owner, now=runtime.now())
    assert run is not None
    line = LogLine(number=1, at=runtime.now(), kind="info", text="said")
    await runtime.runs.logs.add(run, [line], base=0)
    return run.id


def check(value: Any, schema: Document, document: Document) -> None:
    """Check a value against as much of JSON Schema as the document uses."""
    if "$ref" in schema:
        schema = document["components"]["schemas"][schema["$ref"].rpartition("/")[2]]
    if "enum" in schema:
        assert value in schema["enum"]
        return
    types = {
        "object": dict, "array": list, "string": str, "integer": int, "boolean": bool,
        "null": type(None), "number": float,
    }  # fmt: skip
    allowed = schema["type"] if isinstance(schema["type"], list) else [schema["type"]]
    assert isinstance(value, tuple(types[name] for name in allowed)), (value, schema)
    if isinstance(value, list):
        assert value, "an empty list shows nothing"
        for item in value:
            check(item, schema["items"], document)
    elif isinstance(value, dict):
        extra = {"job", "run"} if "detail" in value else set()
        assert set(value) - extra == set(schema["properties"]), value
        for name in schema["properties"]:
            check(value[name], schema["properties"][name], document)


async def test_over_tcp_a_key_is_needed(tcp: httpx2.AsyncClient, document: Document) -> None:
    for path, item in document["paths"].items():
        if path.startswith(("/healthz", "/connect/", "/callback/", "/consent/")):
            continue
        for method in item.keys() - {"parameters"}:
            assert (await tcp.request(method, path)).status_code == 401, path
            assert "401" in item[method]["responses"], path
