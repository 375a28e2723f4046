"""Signing in with a one-time code, and out; sessions end (CHECKLIST 154; A14)."""

import re

import httpx2
import pytest
from sqlalchemy import text
from starlette.applications import Starlette

from connector.runtime import Runtime
from connector.simulator.clock import Clock
from connector.store.dashboard_codes import CODE_LIFETIME, MOST_ATTEMPTS
from connector.store.dashboard_sessions import NOTING
from connector.web.app import make_app
from connector.web.known_keys import KnownKeys
from connector.web.run_starter import RunStarter
from tests.unit.audited import audited, events
from tests.unit.workbench import Workbench

from .visitor import ADDRESS, COOKIE, USER, Visitor

IDLE = 30 * 60
LIFETIME = 12 * 3600


@pytest.fixture
def clock(bench: Workbench) -> Clock:
    return bench.clock


async def is_signed_in(visitor: Visitor, **headers: str) -> bool:
    answer = await visitor.get("/keys", **headers)
    if answer.status_code == 303:
        assert answer.headers["location"] == "/login?to=%2Fkeys"
    return answer.status_code == 200


class TestCode:
    async def test_signs_in_once(self, visitor: Visitor) -> None:
        code = await visitor.code()
        first = await visitor.client.post("/login", data={"code": code})
        assert (first.status_code, first.headers["location"]) == (303, "/accounts")
        assert await is_signed_in(visitor)
        visitor.client.cookies.clear()
        second = await visitor.client.post("/login", data={"code": code})
        assert second.status_code == 403
        assert "wrong, used or over" in second.text
        assert not second.cookies

    async def test_as_people_type_it(self, visitor: Visitor) -> None:
        code = await visitor.code()
        typed = f"  {code.lower().replace('-', ' ').replace('1', 'l').replace('0', 'o')} "
        assert (await visitor.client.post("/login", data={"code": typed})).status_code == 303

    async def test_has_forty_bits_that_nobody_can_find_it_by(self, visitor: Visitor) -> None:
        codes = {await visitor.code() for _ in range(20)}
        assert len(codes) == 20
        assert all(
            re.fullmatch(r"([0-9A-HJKMNP-TV-Z]{4}-){2}[0-9A-HJKMNP-TV-Z]{4}", one) for one in codes
        )

    async def test_is_over_after_five_minutes(self, visitor: Visitor, clock: Clock) -> None:
        code = await visitor.code()
        clock.advance(CODE_LIFETIME)
        assert (await visitor.client.post("/login", data={"code": code})).status_code == 403

    async def test_is_void_after_a_few_wrong_attempts_at_it(self, visitor: Visitor) -> None:
        code = await visitor.code()
        wrong = code[:-1] + ("2" if code[-1] != "2" else "3")
        for _ in range(MOST_ATTEMPTS):
            assert (await visitor.client.post("/login", data={"code": wrong})).status_code == 403
        assert (await visitor.client.post("/login", data={"code": code})).status_code == 403

    async def test_is_not_voided_by_whoever_does_not_know_its_first_group(
        self, visitor: Visitor
    ) -> None:
        code = await visitor.code()
        other = "0000" if not code.startswith("0000") else "1111"
        for _ in range(MOST_ATTEMPTS + 1):
            wrong = {"code": f"{other}-0000-0000"}
            assert (await visitor.client.post("/login", data=wrong)).status_code == 403
        assert (await visitor.client.post("/login", data={"code": code})).status_code == 303

    @pytest.mark.parametrize(
        "code", ["", "x", "4F7K-2M9Q", "💥" * 12, "A" * 5000, "4F7K\0002M9QX0TZ"]
    )
    async def test_that_is_none(self, visitor: Visitor, code: str) -> None:
        answer = await visitor.client.post("/login", data={"code": code})
        assert answer.status_code == 403
        assert "A code has twelve letters" in answer.text

    async def test_neither_code_nor_session_stands_in_the_database(
        self, visitor: Visitor, bench: Workbench
    ) -> None:
        await visitor.sign_in()
        code = await visitor.code()
        async with visitor.runtime.database.read() as connection:
            tables = ("dashboard_session", "dashboard_code")
            rows = [
                str(row)
                for table in tables
                for row in await connection.execute(text(f"SELECT * FROM {table}"))  # noqa: S608
            ]
        assert len(rows) == 2
        assert visitor.cookie is not None
        for secret in (visitor.cookie, code, code.replace("-", ""), code[5:9] + code[10:]):
            assert not [row for row in rows if secret in row]
            files = [path for path in bench.folder.iterdir() if path.name.startswith("vault.db")]
            assert not [
                path for path in files if path.is_file() and secret.encode() in path.read_bytes()
            ]

    async def test_is_in_no_url(self, visitor: Visitor) -> None:
        code = await visitor.code()
        answer = await visitor.get(f"/login?code={code}")
        assert answer.status_code == 200
        assert code not in answer.text
        assert not answer.cookies


class TestCookie:
    async def test_is_for_this_site_and_no_script(self, visitor: Visitor) -> None:
        answer = await visitor.sign_in()
        (cookie,) = answer.headers.get_list("set-cookie")
        name, *attributes = [part.strip().lower() for part in cookie.split(";")]
        assert name.startswith(f"{COOKIE}=")
        assert set(attributes) == {"httponly", "samesite=strict", "path=/"}
        assert len(visitor.cookie or "") >= 43, "256 bits in base64url"

    async def test_is_bound_to_the_host_under_tls(
        self, bench: Workbench, starter: RunStarter
    ) -> None:
        bench.configure(more='[daemon]\npublic_url = "https://connector.example"\n')
        async with bench.runtime() as runtime:
            app = make_app(runtime, starter, KnownKeys(runtime.api_keys, now=runtime.now))
            transport = httpx2.ASGITransport(app=app)
            base = "https://connector.example"
            async with httpx2.AsyncClient(transport=transport, base_url=base) as client:
                visitor = Visitor(client, runtime)
                answer = await visitor.sign_in()
                (cookie,) = answer.headers.get_list("set-cookie")
                assert cookie.startswith("__Host-connector_session=")
                assert {"secure", "path=/", "httponly", "samesite=strict"} == {
                    part.strip().lower() for part in cookie.split(";")[1:]
                }
                assert await is_signed_in(visitor)

    async def test_that_somebody_planted_is_worth_nothing(self, visitor: Visitor) -> None:
        """Session fixation: signing in gives an id that nobody has had before (A14)."""
        planted = "A" * 43
        visitor.client.cookies.set(COOKIE, planted, domain="127.0.0.1")
        assert not await is_signed_in(visitor)
        answer = await visitor.sign_in()
        (made,) = [value for name, value in answer.cookies.items() if name == COOKIE]
        assert made != planted
        visitor.client.cookies.clear()
        visitor.client.cookies.set(COOKIE, planted)
        assert not await is_signed_in(visitor)

    async def test_of_another_person_ends_when_one_signs_in(self, visitor: Visitor) -> None:
        await visitor.sign_in()
        old = visitor.cookie
        await visitor.sign_in()
        assert visitor.cookie != old
        visitor.client.cookies.clear()
        visitor.client.cookies.set(COOKIE, str(old))
        assert not await is_signed_in(visitor)

    async def test_is_good_at_another_daemon_on_the_same_store(
        self, visitor: Visitor, runtime: Runtime, starter: RunStarter
    ) -> None:
        await visitor.sign_in()
        other = make_app(runtime, starter, KnownKeys(runtime.api_keys, now=runtime.now))
        transport = httpx2.ASGITransport(app=other)
        async with httpx2.AsyncClient(transport=transport, base_url=ADDRESS) as client:
            client.cookies.set(COOKIE, str(visitor.cookie))
            assert await is_signed_in(Visitor(client, runtime))


class TestEnd:
    async def test_when_nobody_uses_it(self, person: Visitor, clock: Clock) -> None:
        clock.advance(IDLE - 1)
        assert await is_signed_in(person)
        clock.advance(IDLE - 1)
        assert await is_signed_in(person)
        clock.advance(IDLE)
        assert not await is_signed_in(person)

    async def test_a_page_that_keeps_itself_fresh_is_no_use(
        self, person: Visitor, clock: Clock
    ) -> None:
        clock.advance(IDLE - 1)
        assert await is_signed_in(person, **{"Connector-Live": "1"})
        clock.advance(1)
        assert not await is_signed_in(person)

    async def test_however_much_it_is_used(self, person: Visitor, clock: Clock) -> None:
        for _ in range(LIFETIME // (IDLE // 2) - 1):
            clock.advance(IDLE // 2)
            assert await is_signed_in(person)
        clock.advance(IDLE // 2)
        assert not await is_signed_in(person)

    async def test_use_is_written_now_and_then(self, person: Visitor, clock: Clock) -> None:
        async def used_at() -> float:
            async with person.runtime.database.read() as connection:
                found = await connection.execute(text("SELECT used_at FROM dashboard_session"))
                return float(found.scalar_one())

        before = await used_at()
        clock.advance(NOTING - 1)
        assert await is_signed_in(person)
        assert await used_at() == before, "a page is no write"
        clock.advance(1)
        assert await is_signed_in(person)
        assert await used_at() == before + NOTING

    async def test_by_signing_out(self, person: Visitor) -> None:
        stale = person.cookie
        answer = await person.send("/logout")
        assert (answer.status_code, answer.headers["location"]) == (303, "/login")
        assert "max-age=0" in answer.headers["set-cookie"].lower()
        assert person.cookie is None
        assert not await is_signed_in(person)
        person.client.cookies.set(COOKIE, str(stale))
        assert not await is_signed_in(person), "a stale cookie is none (A14)"

    async def test_everywhere(self, app: Starlette, person: Visitor, runtime: Runtime) -> None:
        transport = httpx2.ASGITransport(app=app)
        async with httpx2.AsyncClient(transport=transport, base_url=ADDRESS) as client:
            elsewhere = Visitor(client, runtime)
            await elsewhere.sign_in()
            await person.send("/logout", everywhere="yes")
            assert not await is_signed_in(elsewhere)
        assert not await is_signed_in(person)

    async def test_here_alone(self, app: Starlette, person: Visitor, runtime: Runtime) -> None:
        transport = httpx2.ASGITransport(app=app)
        async with httpx2.AsyncClient(transport=transport, base_url=ADDRESS) as client:
            elsewhere = Visitor(client, runtime)
            await elsewhere.sign_in()
            await person.send("/logout")
            assert await is_signed_in(elsewhere)


@pytest.mark.parametrize(
    ("to", "led"),
    [
        ("/keys?x=1", "/keys?x=1"),
        ("/accounts/acme/ads", "/accounts/acme/ads"),
        ("", "/accounts"),
        ("//evil.example", "/accounts"),
        ("/\\evil.example", "/accounts"),
        ("https://evil.example/", "/accounts"),
        ("evil", "/accounts"),
        ("/%0d%0aSet-Cookie:x", "/%0d%0aSet-Cookie:x"),
        ("/a\r\nSet-Cookie: x=1", "/accounts"),
        ("/\t/evil.example", "/accounts"),
        ("/login", "/accounts"),
        ("/logout", "/accounts"),
        ("javascript:alert(1)", "/accounts"),
    ],
)
async def test_signing_in_leads_to_a_page_of_ours(visitor: Visitor, to: str, led: str) -> None:
    answer = await visitor.sign_in(to)
    assert answer.headers["location"] == led


async def test_where_one_wanted_to_go_is_kept(visitor: Visitor) -> None:
    asked = await visitor.get("/accounts?state=failing&text=a%26b")
    location = asked.headers["location"]
    page = await visitor.get(location)
    assert 'name="to" value="/accounts?state=failing&amp;text=a%26b"' in page.text


LED_HERE = {
    "Sec-Fetch-Site": "cross-site",
    "Sec-Fetch-Mode": "navigate",
    "Sec-Fetch-Dest": "document",
}


async def test_a_link_of_another_site_leads_there_by_a_page_that_leads_to_itself(
    visitor: Visitor,
) -> None:
    answer = await visitor.get("/keys?a=1&b=%22", **LED_HERE)
    assert answer.status_code == 200
    assert '<meta http-equiv="refresh" content="0">' in answer.text
    assert 'href="/keys?a=1&amp;b=%22"' in answer.text
    assert "Create a key" not in answer.text
    again = await visitor.get("/keys", **{**LED_HERE, "Sec-Fetch-Site": "same-origin"})
    assert again.status_code == 303, "it is led to once"
    visitor.client.cookies.set(COOKIE, "A" * 43)
    assert (await visitor.get("/keys", **LED_HERE)).status_code == 303
    assert (await visitor.client.post("/logout", headers=LED_HERE)).status_code == 403


async def test_the_trail_says_who_signed_in_and_what_was_refused(visitor: Visitor) -> None:
    await visitor.client.post("/login", data={"code": "0000-0000-0000"})
    await visitor.client.post("/login", data={"code": "nothing"})
    await visitor.sign_in()
    await visitor.send("/logout")
    rows = await audited(visitor.runtime, "dashboard")
    assert [(row.event, row.outcome, row.actor, row.through) for row in rows] == [
        ("dashboard.opened", None, f"uid:{USER}", "dashboard"),
        ("dashboard.closed", "here", f"uid:{USER}", "dashboard"),
    ]
    await visitor.runtime.trail.collect()
    refused = await events(visitor.runtime, "access.refused")
    assert set(refused) == {("access.refused", "wrong_code"), ("access.refused", "no_code")}


async def test_what_is_done_is_told_of_the_person(person: Visitor) -> None:
    await person.send("/accounts/acme/ads/revoke")
    (revoked,) = await audited(person.runtime, "account.revoked")
    assert (revoked.actor, revoked.through) == (f"uid:{USER}", "dashboard")
