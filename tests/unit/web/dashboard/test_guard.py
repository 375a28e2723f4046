"""No page without a session, no form without its token; generated over the table of routes."""

import re
from collections.abc import Iterator

import httpx2
import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route

from connector.account_name import parse_glob
from connector.api_key import new_key
from connector.runtime import Runtime
from connector.web.dashboard import PageRoute
from connector.web.dashboard.static import static_path
from tests.unit.audited import events
from tests.unit.workbench import ACCOUNT

from .visitor import ADDRESS, COOKIE, Visitor

#: What needs no session: signing in, and the look of that page.
OPEN = {"/login", "/static/{name}"}
#: What an API key, and no session, opens.
WITH_KEY = ("/v1/", "/readyz", "/openapi.json", "/metrics")
#: What anybody may reach: liveness, and where consents begin and end.
WITH_NOTHING = ("/healthz", "/connect/{", "/callback/", "/consent/")


def pages_of(app: Starlette) -> Iterator[tuple[str, str]]:
    """Give method and path of each route of the dashboard."""
    for route in app.routes:
        if isinstance(route, PageRoute):
            for method in sorted(route.methods or ()):
                path = route.path.replace("{account:path}", ACCOUNT).replace("{key}", "report")
                yield method, re.sub(r"{\w+(:\w+)?}", "x", path)


async def make_key(runtime: Runtime, name: str = "report") -> str:
    made = new_key()
    await runtime.api_keys.add(
        made,
        name=name,
        accounts=(parse_glob("**"),),
        scopes=frozenset({"admin"}),
        now=runtime.now(),
    )
    return made.text


class TestRoutes:
    def test_each_is_a_page_or_opened_by_a_key_or_known_to_be_open(self, app: Starlette) -> None:
        for route in app.routes:
            assert isinstance(route, Route)
            if not isinstance(route, PageRoute):
                assert route.path.startswith((*WITH_KEY, *WITH_NOTHING)), route.path
        assert len(list(pages_of(app))) > 15

    async def test_none_without_a_session(self, app: Starlette, visitor: Visitor) -> None:
        for method, path in pages_of(app):
            if path in OPEN or path.startswith("/static/"):
                continue
            answer = await visitor.client.request(method, path)
            assert (answer.status_code, answer.text) == (303, ""), (method, path)
            assert answer.headers["location"].startswith("/login"), (method, path)

    async def test_what_is_no_browser_is_told_and_not_led_on(
        self, app: Starlette, visitor: Visitor
    ) -> None:
        for method, path in pages_of(app):
            if path in OPEN or path.startswith("/static/"):
                continue
            answer = await visitor.client.request(method, path, headers={"Accept": "*/*"})
            assert answer.status_code == 401, (method, path)
            assert answer.headers["www-authenticate"].startswith("Bearer")

    @pytest.mark.parametrize("cookie", ["", "x", "A" * 43, "é" * 43, "A" * 10_000])
    async def test_none_with_a_cookie_of_no_session(
        self, app: Starlette, visitor: Visitor, cookie: str
    ) -> None:
        for method, path in pages_of(app):
            if path in OPEN or path.startswith("/static/"):
                continue
            headers = {b"Cookie": f"{COOKIE}={cookie}".encode()}
            answer = await visitor.client.request(method, path, headers=headers)
            assert answer.status_code == 303, (method, path)

    async def test_none_with_an_api_key(
        self, app: Starlette, visitor: Visitor, runtime: Runtime
    ) -> None:
        headers = {"Authorization": f"Bearer {await make_key(runtime)}"}
        assert (await visitor.get("/v1/accounts", **headers)).status_code == 200
        for method, path in pages_of(app):
            if path in OPEN or path.startswith("/static/"):
                continue
            answer = await visitor.client.request(method, path, headers=headers)
            assert answer.status_code == 303, (method, path)

    async def test_a_session_opens_no_api(self, app: Starlette, person: Visitor) -> None:
        for route in app.routes:
            assert isinstance(route, Route)
            if route.path.startswith(WITH_KEY):
                for method in route.methods or ():
                    path = route.path.replace("{account:path}", ACCOUNT).replace("{job}", "pull")
                    answer = await person.client.request(method, path)
                    # 429: so often as here nobody may ask without a key
                    assert answer.status_code in {401, 429}, (method, path)

    async def test_one_that_is_made_without_the_guard_is_closed(
        self, app: Starlette, person: Visitor
    ) -> None:
        async def leak(_request: Request) -> Response:
            return PlainTextResponse("secret")

        app.router.routes.append(Route("/extra", leak))
        answer = await person.get("/extra")
        assert answer.status_code == 401
        assert "secret" not in answer.text

    @pytest.mark.parametrize(
        "path", ["/KEYS", "/keys/", "//keys", "/keys%2f", "/./keys", "/keys;x", "/accounts//x"]
    )
    async def test_no_spelling_of_a_path_goes_around(self, visitor: Visitor, path: str) -> None:
        answer = await visitor.client.get(path)
        assert answer.status_code in {303, 401}, path
        assert "Create a key" not in answer.text

    async def test_a_foreign_host_is_refused(self, person: Visitor) -> None:
        assert (await person.get("/keys", Host="evil.example")).status_code == 403


class TestForms:
    async def test_none_without_the_token_of_this_session(
        self, app: Starlette, person: Visitor, runtime: Runtime
    ) -> None:
        await make_key(runtime)
        transport = httpx2.ASGITransport(app=app)
        async with httpx2.AsyncClient(transport=transport, base_url=ADDRESS) as client:
            other = Visitor(client, runtime)
            await other.sign_in()
            foreign = await other.token()
        own = await person.token()
        before = await _everything(runtime)
        for method, path in pages_of(app):
            if method != "POST" or path in OPEN:
                continue
            for token in (None, "", foreign, own[:-1], own + "0", [own, own], "é"):
                data = {"x": "x"} if token is None else {"csrf_token": token}
                answer = await person.client.post(path, data=data)
                assert answer.status_code == 403, (path, token)
                assert "refused" in answer.text
        assert await _everything(runtime) == before
        await runtime.trail.collect()
        assert ("access.refused", "no_csrf_token") in await events(runtime, "access")

    @pytest.mark.parametrize(
        "headers",
        [
            {"Origin": "https://evil.example"},
            {"Origin": "null"},
            {"Origin": "http://127.0.0.1:9999"},
            {"Sec-Fetch-Site": "cross-site"},
            {"Sec-Fetch-Site": "same-site"},
            {
                "Sec-Fetch-Site": "cross-site",
                "Sec-Fetch-Mode": "navigate",
                "Sec-Fetch-Dest": "document",
            },
        ],
    )
    async def test_none_of_another_site_though_it_has_the_token(
        self, app: Starlette, person: Visitor, runtime: Runtime, headers: dict[str, str]
    ) -> None:
        await make_key(runtime)
        token, before = await person.token(), await _everything(runtime)
        for method, path in pages_of(app):
            if method == "POST" and path not in OPEN:
                answer = await person.client.post(path, data={"csrf_token": token}, headers=headers)
                assert answer.status_code == 403, path
        assert await _everything(runtime) == before

    @pytest.mark.parametrize("kind", ["text/plain", "multipart/form-data; boundary=x", ""])
    async def test_none_of_another_type(self, person: Visitor, kind: str) -> None:
        content = f"csrf_token={await person.token()}"
        headers = {"Content-Type": kind}
        answer = await person.client.post("/logout", content=content, headers=headers)
        assert answer.status_code == 415
        assert (await person.get("/keys")).status_code == 200

    async def test_none_that_is_too_long(self, person: Visitor) -> None:
        answer = await person.send("/logout", x="x" * 70_000)
        assert answer.status_code == 413

    async def test_the_token_stands_in_a_field_and_not_in_a_path(self, person: Visitor) -> None:
        token = await person.token()
        answer = await person.client.post(f"/logout?csrf_token={token}", data={"x": "x"})
        assert answer.status_code == 403

    async def test_no_get_changes_anything(
        self, app: Starlette, person: Visitor, runtime: Runtime
    ) -> None:
        await make_key(runtime)
        before = await _everything(runtime)
        fields = "?account=acme/new&provider=acme&forget=yes&everywhere=yes&name=acme/other"
        for method, path in pages_of(app):
            if method in {"GET", "HEAD"}:
                await person.client.request(method, path + fields)
            else:
                assert (await person.get(path + fields)).status_code in {200, 303, 404, 405}, path
        assert await _everything(runtime) == before
        assert (await person.get("/keys")).status_code == 200


class TestHeaders:
    async def test_of_every_page(self, app: Starlette, person: Visitor, runtime: Runtime) -> None:
        await make_key(runtime)
        count = 0
        paths = [path for method, path in pages_of(app) if method == "GET"]
        for path in [*paths, "/accounts/acme/none", "/keys/none/revoke"]:
            if path.startswith("/static/") or path == "/login":
                continue
            answer = await person.get(path)
            assert answer.status_code in {200, 404, 409}, path
            check(answer)
            count += 1
        assert count > 8
        person.client.cookies.clear()
        check(await person.get("/login"))
        check(await person.client.post("/login", data={"code": "x"}))

    async def test_of_our_own_files(self, visitor: Visitor) -> None:
        for name, kind in (
            ("dashboard.css", "text/css"),
            ("live.js", "text/javascript"),
            ("icon.svg", "image/svg+xml"),
        ):
            answer = await visitor.get(static_path(name))
            assert answer.status_code == 200
            assert answer.headers["content-type"].startswith(kind)
            assert answer.headers["cache-control"] == "public, max-age=31536000, immutable"
            assert answer.headers["x-content-type-options"] == "nosniff"
            assert not re.search(rb"https?://(?!www\.w3\.org/2000/svg)", answer.content)
        for name in ("none.css", "..%2fapp.py", "%2e%2e/app.py", "dashboard.css"):
            assert (await visitor.get(f"/static/{name}")).status_code in {401, 404}


def check(answer: httpx2.Response) -> None:
    """Check what every page must say of itself, and that it obeys it."""
    policy = {
        name: set(values)
        for name, *values in (
            part.split() for part in answer.headers["content-security-policy"].split(";")
        )
    }
    assert policy == {
        "default-src": {"'none'"},
        "style-src": {"'self'"},
        "script-src": {"'self'"},
        "img-src": {"'self'"},
        "connect-src": {"'self'"},
        "form-action": {"'self'", ADDRESS},
        "base-uri": {"'none'"},
        "frame-ancestors": {"'none'"},
    }
    assert answer.headers["cache-control"] == "no-store"
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert answer.headers["referrer-policy"] == "same-origin"
    assert answer.headers["cross-origin-opener-policy"] == "same-origin"
    assert answer.headers["content-type"] == "text/html; charset=utf-8"
    html = answer.text
    assert "<style" not in html
    assert not re.search(r"\sstyle=|\son\w+=|javascript:", html)
    assert re.findall(r"<script.*?>", html) == [f'<script src="{static_path("live.js")}" defer>']
    for link in re.findall(r'(?:src|href|action)="([^"]*)"', html):
        assert link.startswith(("/", "#")), link
        assert not link.startswith("//"), link


async def _everything(runtime: Runtime) -> tuple[object, ...]:
    accounts = await runtime.accounts.all()
    keys = await runtime.api_keys.all()
    async with runtime.database.read() as connection:
        sessions = (await connection.exec_driver_sql("SELECT * FROM dashboard_session")).all()
        consents = (await connection.exec_driver_sql("SELECT id FROM consent")).all()
    return accounts, keys, sessions, consents
