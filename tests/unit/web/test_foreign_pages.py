"""What pages of other sites can have a browser send to the daemon: it changes and tells nothing.

A page cannot choose Host, Origin or Sec-Fetch-*; a browser can be led to send everything else, keys
included where somebody has put them into a page. So each attempt is made with a good key too.
"""

from collections.abc import AsyncIterator

import httpx2
import pytest
from starlette.applications import Starlette

from connector.runtime import Runtime
from tests.unit.audited import events
from tests.unit.workbench import ACCOUNT

from .test_access import BASE, CALLS, make

HOST = BASE.removeprefix("http://")
EVIL = "http://evil.example:8470"
NEW = "acme/new"
WISH = {"provider": "acme", "account": NEW}
#: What browsers say of a page at evil.example, whose name leads to 127.0.0.1.
REBOUND = {
    "Host": "evil.example:8470",
    "Origin": EVIL,
    "Sec-Fetch-Site": "same-origin",
    "Sec-Fetch-Mode": "cors",
}
#: What they say of a page of another site that sends something here.
FORM = {
    "Origin": EVIL,
    "Sec-Fetch-Site": "cross-site",
    "Sec-Fetch-Mode": "navigate",
    "Sec-Fetch-Dest": "document",
}
FOREIGN = [
    FORM,
    {"Origin": "null"},
    {"Origin": "null", "Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "no-cors"},
    {"Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "cors"},
    {"Sec-Fetch-Site": "same-site", "Sec-Fetch-Mode": "no-cors"},
    {"Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "navigate", "Sec-Fetch-Dest": "iframe"},
    {"Origin": f"{BASE}.evil.example"},
    {"Origin": "http://127.0.0.1:8471"},
]
#: Every route that needs a key, then those that need none.
PATHS = [(method, path) for (method, _), (_, path, _) in CALLS.items()]
OPEN = [("GET", "/healthz"), ("GET", "/connect/x"), ("POST", "/connect/x"), ("GET", "/consent/x")]


@pytest.fixture
async def tcp(app: Starlette) -> AsyncIterator[httpx2.AsyncClient]:
    transport = httpx2.ASGITransport(app=app)
    async with httpx2.AsyncClient(transport=transport, base_url=BASE) as client:
        yield client


async def key_of(runtime: Runtime) -> dict[str, str]:
    return {"Authorization": await make(runtime, "admin")}


async def all_that_was_done(runtime: Runtime) -> object:
    """Give what a request that gets in would change: accounts, consents begun, runs."""
    accounts = [(one.name, one.state_name, one.generation) for one in await runtime.accounts.all()]
    done = [event for event in await events(runtime) if event[0] != "access.refused"]
    return accounts, done, await runtime.runs.history(None, limit=9)


@pytest.fixture
async def untouched(runtime: Runtime) -> AsyncIterator[None]:
    """See that nothing is done from here on."""
    before = await all_that_was_done(runtime)
    yield
    assert await all_that_was_done(runtime) == before


@pytest.mark.usefixtures("untouched")
async def test_a_page_whose_name_was_bound_to_our_address_gets_nothing(
    tcp: httpx2.AsyncClient, runtime: Runtime
) -> None:
    key = await key_of(runtime)
    for method, path in PATHS + OPEN:
        for headers in (REBOUND, REBOUND | key, {"Host": "evil.example"} | key, {"Host": ""}):
            answer = await tcp.request(method, path, headers=headers, json=WISH)
            assert (answer.status_code, answer.json()["status"]) == (403, 403), (path, headers)
            assert "Host" in answer.json()["detail"]
            assert ACCOUNT not in answer.text


async def test_a_name_that_somebody_forwards_is_not_believed(
    tcp: httpx2.AsyncClient, runtime: Runtime
) -> None:
    """CHECKLIST 151: no proxy is trusted; the redirect URI stays as it was registered."""
    key = await key_of(runtime)
    for name in ("X-Forwarded-Host", "X-Host", "X-Original-Host", "Forwarded"):
        value = f"host={HOST}" if name == "Forwarded" else HOST
        assert (await tcp.get("/healthz", headers={"Host": "x", name: value})).status_code == 403
        forged = {name: value.replace(HOST, "evil.example")} | key
        made = await tcp.post("/v1/consents", headers=forged, json=WISH)
        assert made.json()["connect_url"].startswith(f"{BASE}/connect/")
        link = made.json()["connect_url"].removeprefix(BASE)
        led = await tcp.post(link, headers={name: value.replace(HOST, "evil.example")})
        assert "evil" not in led.headers["location"]
    for name in ("X-Forwarded-For", "X-Real-IP", "X-Forwarded-User", "Connector.Trusted-Peer"):
        assert (await tcp.get("/v1/accounts", headers={name: "127.0.0.1"})).status_code == 401


@pytest.mark.usefixtures("untouched")
@pytest.mark.parametrize("foreign", FOREIGN, ids=str)
async def test_nothing_is_taken_from_another_sites_page(
    tcp: httpx2.AsyncClient, runtime: Runtime, foreign: dict[str, str]
) -> None:
    key = await key_of(runtime)
    for method, path in PATHS + OPEN:
        for headers in (foreign, foreign | key):
            answer = await tcp.request(method, path, headers=headers, json=WISH)
            assert answer.status_code == 403, (method, path)
            assert ACCOUNT not in answer.text


async def test_a_form_of_another_site_leads_nobody_to_consent(
    tcp: httpx2.AsyncClient, unix: httpx2.AsyncClient
) -> None:
    """Where a browser leaves Origin out, what it says of the fetch still counts."""
    link = (await unix.post("/v1/consents", json=WISH)).json()["connect_url"]
    form = {name: value for name, value in FORM.items() if name != "Origin"}
    for headers in (FORM, form):
        assert (await tcp.post(link, headers=headers, data={"a": "b"})).status_code == 403
    followed = await tcp.get(link, headers=form)
    assert followed.status_code == 200, "a link on a page may be followed; it shows a button"
    own = {"Origin": BASE, "Sec-Fetch-Site": "same-origin", "Sec-Fetch-Mode": "navigate"}
    assert (await tcp.post(link, headers=own)).status_code == 303


@pytest.mark.usefixtures("untouched")
@pytest.mark.parametrize(
    "kind", ["text/plain", "application/x-www-form-urlencoded", "multipart/form-data", None]
)
async def test_a_body_that_any_page_may_send_is_not_read(
    tcp: httpx2.AsyncClient, unix: httpx2.AsyncClient, runtime: Runtime, kind: str | None
) -> None:
    """CHECKLIST 145: a form that looks like JSON is none."""
    key = await key_of(runtime)
    headers = {} if kind is None else {"Content-Type": f"{kind}; boundary=x"}
    body = b'{"provider": "acme", "account": "acme/new"}'
    for client in (unix, tcp):
        for path in ("/v1/consents", "/v1/jobs/pull/runs"):
            answer = await client.post(path, headers=headers | key, content=body)
            assert answer.status_code == 415


async def test_nobody_is_told_that_another_site_may_read(
    tcp: httpx2.AsyncClient, unix: httpx2.AsyncClient, runtime: Runtime
) -> None:
    """CHECKLIST 144: no CORS header, to nobody, and no preflight is granted."""
    key = await key_of(runtime)
    preflight = {
        "Origin": EVIL,
        "Access-Control-Request-Method": "GET",
        "Access-Control-Request-Headers": "authorization",
        "Access-Control-Request-Private-Network": "true",
    }
    for client in (tcp, unix):
        for method, path in PATHS + OPEN:
            if not path.endswith("revoke"):
                answers = [
                    await client.request(method, path, headers=key | {"Origin": BASE}),
                    await client.request("OPTIONS", path, headers=preflight),
                    await client.request("OPTIONS", path, headers=key),
                ]
                assert {answer.status_code for answer in answers[1:]} <= {403, 405}
                for answer in answers:
                    assert not [
                        name for name in answer.headers if name.startswith("access-control-")
                    ]


async def test_nothing_is_made_a_websocket(tcp: httpx2.AsyncClient, runtime: Runtime) -> None:
    upgrade = {
        "Connection": "Upgrade",
        "Upgrade": "websocket",
        "Sec-WebSocket-Version": "13",
        "Sec-WebSocket-Key": "dGhlIHNhbXBsZSBub25jZQ==",
    }
    key = await key_of(runtime)
    for path in ("/v1/accounts", f"/v1/accounts/{ACCOUNT}/token"):
        assert (await tcp.get(path, headers=upgrade)).status_code == 401
        foreign = upgrade | {"Origin": EVIL} | key
        assert (await tcp.get(path, headers=foreign)).status_code == 403
