"""Who may do what over TCP: every route, with every kind of key (CHECKLIST 143, 146, 147)."""

from collections.abc import AsyncIterator
from dataclasses import replace

import httpx2
import pytest
from starlette.applications import Starlette
from starlette.routing import Route

from connector.account_name import parse_glob
from connector.api_key import SCOPES, new_key
from connector.runtime import Runtime
from connector.web.dashboard import PageRoute
from tests.unit.audited import audited
from tests.unit.jobs.bench import Jobs
from tests.unit.workbench import ACCOUNT, Workbench

from .test_job_runs import ONE

BASE = "http://127.0.0.1:8470"
#: Route → what it needs besides a key, and how it is called.
CALLS: dict[tuple[str, str], tuple[str | None, str, object]] = {
    ("GET", "/readyz"): (None, "/readyz", None),
    ("GET", "/metrics"): (None, "/metrics", None),
    ("GET", "/openapi.json"): (None, "/openapi.json", None),
    ("GET", "/v1/accounts"): (None, "/v1/accounts", None),
    ("GET", "/v1/accounts/{account:path}"): (None, f"/v1/accounts/{ACCOUNT}", None),
    ("GET", "/v1/accounts/{account:path}/token"): (
        "token:read",
        f"/v1/accounts/{ACCOUNT}/token",
        None,
    ),
    ("POST", "/v1/accounts/{account:path}/refresh"): (
        "token:read",
        f"/v1/accounts/{ACCOUNT}/refresh",
        None,
    ),
    ("POST", "/v1/accounts/{account:path}/revoke"): (
        "admin",
        f"/v1/accounts/{ACCOUNT}/revoke",
        None,
    ),
    ("GET", "/v1/refreshes"): (None, f"/v1/refreshes?account={ACCOUNT}", None),
    ("POST", "/v1/consents"): (
        "consent:create",
        "/v1/consents",
        {"provider": "acme", "account": ACCOUNT},
    ),
    ("GET", "/v1/jobs"): ("jobs:run", "/v1/jobs", None),
    ("POST", "/v1/jobs/{job}/runs"): ("jobs:run", "/v1/jobs/pull/runs", {}),
    ("GET", "/v1/runs"): ("jobs:run", "/v1/runs", None),
    ("GET", "/v1/runs/{run}/log"): ("jobs:run", "/v1/runs/{run}/log", None),
}
OPEN = ("/healthz", "/connect/", "/callback/", "/consent/")
TRICKS = [
    "{}?x=/healthz",
    "{}#/healthz",
    "/healthz/..{}",
    "/callback/..{}",
    "/%2e{}",
    "/{}",
    "{}/",
    "/connect/x/../..{}",
]


@pytest.fixture
async def tcp(app: Starlette) -> AsyncIterator[httpx2.AsyncClient]:
    transport = httpx2.ASGITransport(app=app)
    async with httpx2.AsyncClient(transport=transport, base_url=BASE) as client:
        yield client


async def make(runtime: Runtime, *scopes: str, accounts: str = "**", name: str = "ci") -> str:
    made = new_key()
    await runtime.api_keys.add(
        made,
        name=name,
        accounts=(parse_glob(accounts),),
        scopes=frozenset(scopes),
        now=runtime.now(),
    )
    return f"Bearer {made.text}"


async def call(
    tcp: httpx2.AsyncClient, route: tuple[str, str], key: str | None, run: str = "none"
) -> httpx2.Response:
    _, path, body = CALLS[route]
    headers = {} if key is None else {"Authorization": key}
    return await tcp.request(route[0], path.replace("{run}", run), headers=headers, json=body)


async def make_run(runtime: Runtime) -> str:
    """Make a run; give its id."""
    run = await runtime.runs.claim("other", ACCOUNT, None, owner=runtime.owner, now=runtime.now())
    assert run is not None
    return run.id


def test_every_route_is_here_or_open(app: Starlette) -> None:
    served = {
        (method, route.path)
        for route in app.routes
        if isinstance(route, Route) and not isinstance(route, PageRoute)
        for method in route.methods or ()
        if method != "HEAD" and not route.path.startswith(OPEN)
    }
    assert served == CALLS.keys()


@pytest.mark.parametrize("route", CALLS, ids=lambda route: f"{route[0]} {route[1]}")
async def test_without_a_key_nothing(tcp: httpx2.AsyncClient, route: tuple[str, str]) -> None:
    for key in (None, "", "Bearer", "Bearer x", f"Bearer {new_key().text}", "Basic eDp5"):
        answer = await call(tcp, route, key)
        assert (answer.status_code, answer.headers["www-authenticate"]) == (
            401,
            'Bearer realm="connector"',
        )
        assert answer.json()["type"].endswith("unauthorized")


@pytest.mark.parametrize("route", CALLS, ids=lambda route: f"{route[0]} {route[1]}")
@pytest.mark.parametrize("scope", SCOPES)
async def test_a_key_may_what_its_scope_says(
    tcp: httpx2.AsyncClient, runtime: Runtime, jobs: Jobs, route: tuple[str, str], scope: str
) -> None:
    jobs.write(ONE)
    needs = CALLS[route][0]
    answer = await call(tcp, route, await make(runtime, scope), await make_run(runtime))
    if needs in {None, scope} or scope == "admin":
        assert answer.status_code in {200, 202}, answer.text
    else:
        assert answer.status_code == 403
        assert needs in answer.json()["detail"]


@pytest.mark.parametrize(
    "route",
    [
        route
        for route in CALLS
        if "{account" in route[1] or route[1] in {"/v1/consents", "/v1/refreshes"}
    ],
    ids=lambda route: f"{route[0]} {route[1]}",
)
async def test_an_account_that_is_not_theirs_does_not_exist(
    tcp: httpx2.AsyncClient, runtime: Runtime, route: tuple[str, str]
) -> None:
    """The answer is, to the letter, that for an account which nobody has."""
    theirs = await make(runtime, "admin", accounts="beta/*")
    answer = await call(tcp, route, theirs)
    assert answer.status_code == 404
    _, path, body = CALLS[route]
    nobodys = "acme/adz"
    absent = await tcp.request(
        route[0],
        path.replace(ACCOUNT, nobodys),
        headers={"Authorization": theirs},
        json=body and {"provider": "acme", "account": nobodys},
    )
    assert absent.status_code == 404
    assert absent.text == answer.text.replace(ACCOUNT, nobodys)
    (account,) = await runtime.accounts.all()
    assert account.state_name == "active"


async def test_the_log_of_a_run_that_is_not_theirs_does_not_exist(
    tcp: httpx2.AsyncClient, runtime: Runtime
) -> None:
    run = await make_run(runtime)
    theirs = {"Authorization": await make(runtime, "admin", accounts="beta/*")}
    answer = await tcp.get(f"/v1/runs/{run}/log", headers=theirs)
    absent = await tcp.get("/v1/runs/none/log", headers=theirs)
    assert (answer.status_code, absent.status_code) == (404, 404)
    assert absent.text == answer.text.replace(run, "none")
    await runtime.trail.collect()
    (refused,) = await audited(runtime, "access.refused")
    assert (refused.outcome, refused.times) == ("not_theirs", 1)
    ours = {"Authorization": await make(runtime, "jobs:run", accounts="acme/*", name="ours")}
    assert (await tcp.get(f"/v1/runs/{run}/log", headers=ours)).json() == []


async def test_what_a_key_is_refused_is_told(tcp: httpx2.AsyncClient, runtime: Runtime) -> None:
    """Who tries accounts that are not theirs is in the audit trail (CHECKLIST 147)."""
    key = {"Authorization": await make(runtime, "consent:create", accounts="beta/*")}
    assert (await tcp.get(f"/v1/accounts/{ACCOUNT}", headers=key)).status_code == 404
    assert (await tcp.get("/v1/jobs", headers=key)).status_code == 403
    wish = {"provider": "acme", "account": ACCOUNT}
    assert (await tcp.post("/v1/consents", headers=key, json=wish)).status_code == 404
    assert (await tcp.get("/v1/jobs")).status_code == 401
    await runtime.trail.collect()
    refused = {
        (row.actor, row.outcome, row.times) for row in await audited(runtime, "access.refused")
    }
    assert refused >= {("key:ci", "not_theirs", 2), ("key:ci", "lacks_scope", 1)}
    assert "no_key" in {outcome for _, outcome, _ in refused}


async def test_no_nearest_name_is_told_to_a_key(tcp: httpx2.AsyncClient, runtime: Runtime) -> None:
    key = await make(runtime, "token:read", accounts="acme/*")
    answer = await tcp.get("/v1/accounts/acme/adz/token", headers={"Authorization": key})
    assert answer.status_code == 404
    assert ACCOUNT not in answer.text


async def test_lists_show_what_is_theirs(
    tcp: httpx2.AsyncClient, runtime: Runtime, bench: Workbench, jobs: Jobs
) -> None:
    jobs.write(ONE)
    await bench.connect(runtime, "beta/one", person="grace")
    everything = {"Authorization": await make(runtime, "admin")}
    betas = {"Authorization": await make(runtime, "admin", accounts="beta/*", name="beta")}
    started = await tcp.post("/v1/jobs/pull/runs", headers=everything, json={})
    assert [run["account"] for run in started.json()["runs"]] == [ACCOUNT]
    for headers, names in ((everything, [ACCOUNT, "beta/one"]), (betas, ["beta/one"])):
        listed = (await tcp.get("/v1/accounts", headers=headers)).json()
        assert [one["account"] for one in listed] == names
        runs = (await tcp.get("/v1/runs", headers=headers)).json()
        assert {run["account"] for run in runs} == {ACCOUNT} & set(names)
    (pull, _) = (await tcp.get("/v1/jobs", headers=everything)).json()
    assert pull["last_outcome"] is not None
    (pull, _) = (await tcp.get("/v1/jobs", headers=betas)).json()
    assert pull["last_outcome"] is None


async def test_a_job_of_one_account_that_is_not_theirs_is_not_listed(
    tcp: httpx2.AsyncClient, runtime: Runtime, jobs: Jobs
) -> None:
    jobs.write(ONE)
    one = replace(runtime.settings.jobs["pull"], name="boss", accounts=parse_glob("acme/boss"))
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(runtime.settings.jobs, "boss", one)
        everything = {"Authorization": await make(runtime, "jobs:run")}
        betas = {"Authorization": await make(runtime, "admin", accounts="beta/*", name="beta")}
        listed = await tcp.get("/v1/jobs", headers=everything)
        assert [job["job"] for job in listed.json()] == ["pull", "other", "boss"]
        listed = await tcp.get("/v1/jobs", headers=betas)
        assert [job["job"] for job in listed.json()] == ["pull", "other"]
        assert "acme/boss" not in listed.text


async def test_a_job_is_run_for_what_is_theirs(
    tcp: httpx2.AsyncClient, runtime: Runtime, jobs: Jobs
) -> None:
    jobs.write(ONE)
    key = {"Authorization": await make(runtime, "jobs:run", accounts="beta/*")}
    answer = await tcp.post("/v1/jobs/pull/runs", headers=key, json={})
    assert (answer.status_code, answer.json()["type"][-10:]) == (409, "no-account")
    answer = await tcp.post("/v1/jobs/pull/runs", headers=key, json={"account": ACCOUNT})
    assert answer.status_code == 404
    assert await runtime.runs.history(None, limit=9) == []


async def test_who_mistypes_an_address_in_a_browser_is_led_to_the_dashboard(
    tcp: httpx2.AsyncClient,
) -> None:
    browser = {"Sec-Fetch-Site": "none", "Sec-Fetch-Mode": "navigate", "Sec-Fetch-Dest": "document"}
    answer = await tcp.get("/acounts", headers=browser)
    assert answer.status_code == 401
    assert answer.headers["content-type"].startswith("text/html")
    assert '<a href="/">' in answer.text
    assert "default-src 'none'" in answer.headers["content-security-policy"]
    answer = await tcp.get("/acounts")
    assert answer.headers["content-type"] == "application/problem+json"
    answer = await tcp.get("/acounts", headers=browser | {"Authorization": "Bearer ck_x"})
    assert answer.headers["content-type"] == "application/problem+json", "a program's"


@pytest.mark.parametrize("trick", TRICKS)
@pytest.mark.parametrize("path", ["/v1/accounts", f"/v1/accounts/{ACCOUNT}/token"])
async def test_no_spelling_of_a_path_needs_no_key(
    tcp: httpx2.AsyncClient, trick: str, path: str
) -> None:
    answer = await tcp.get(trick.format(path))
    assert answer.status_code in {303, 401, 404}  # 303: to the dashboard's login
    assert "access_token" not in answer.text
    assert ACCOUNT not in answer.text.replace(trick.format(path), "")


@pytest.mark.parametrize(
    "headers",
    [
        [("X-API-Key", "{key}")],
        [("Cookie", "key={key}")],
        [("Proxy-Authorization", "Bearer {key}")],
        [("Authorization", "{key}")],
        [("Authorization", "Basic {key}")],
        [("Authorization", "Bearer {key}"), ("Authorization", "Bearer {key}")],
    ],
)
async def test_a_key_is_taken_from_one_place(
    tcp: httpx2.AsyncClient, runtime: Runtime, headers: list[tuple[str, str]]
) -> None:
    text = (await make(runtime, "admin")).removeprefix("Bearer ")
    filled = [(name, value.format(key=text)) for name, value in headers]
    assert (await tcp.get("/v1/accounts", headers=filled)).status_code == 401
    assert (await tcp.get(f"/v1/accounts?access_token={text}")).status_code == 401


async def test_a_foreign_page_is_refused_with_a_key_too(
    tcp: httpx2.AsyncClient, runtime: Runtime
) -> None:
    key = await make(runtime, "admin")
    ours, evil = BASE.removeprefix("http://"), "https://evil.example"
    for foreign in (
        [("Host", "evil.example")],
        [("Host", ours), ("Host", "evil.example")],
        [("Host", "evil.example"), ("Host", ours)],
        [("Host", ours), ("Host", ours)],
        [("Origin", evil)],
        [("Origin", BASE), ("Origin", evil)],
        [("Sec-Fetch-Site", "same-origin"), ("Sec-Fetch-Site", "cross-site")],
    ):
        answer = await tcp.get("/v1/accounts", headers=[("Authorization", key), *foreign])
        assert answer.status_code == 403, foreign
