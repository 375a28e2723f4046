"""Connect links: who follows one grants access from one browser, once, and where wished by code."""

import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any, NoReturn
from urllib.parse import urlsplit

import httpx2
import pytest
from sqlalchemy import update
from starlette.applications import Starlette

from connector.consent.connect_links import (
    DEFAULT_LIFETIME,
    LONGEST_LIFETIME,
    MOST_TRIES,
    SHORTEST_LIFETIME,
)
from connector.errors import ConfigurationError, Problem
from connector.runtime import Runtime
from connector.store.tables import ACCOUNT
from connector.web.app import make_app
from connector.web.known_keys import KnownKeys
from connector.web.run_starter import RunStarter
from tests.unit.audited import events
from tests.unit.workbench import Workbench, in_thread, someone

NEW = "acme/new"
PUBLIC = "https://connect.example"


@pytest.fixture
def bench(bench: Workbench) -> Workbench:
    bench.configure(replace=(":49152/callback/acme", ":8470/oauth/done"))
    bench.simulator.change({"redirect_uris": ["http://127.0.0.1:8470/oauth/done"]})
    return bench


@asynccontextmanager
async def a_browser(
    app: Starlette, base: str = "http://127.0.0.1:8470"
) -> AsyncIterator[httpx2.AsyncClient]:
    """A browser of its own: it keeps cookies, and sends them where a browser would."""
    transport = httpx2.ASGITransport(app=app)
    async with httpx2.AsyncClient(transport=transport, base_url=base) as client:
        yield client


@pytest.fixture
async def browser(app: Starlette) -> AsyncIterator[httpx2.AsyncClient]:
    async with a_browser(app) as made:
        yield made


async def link(unix: httpx2.AsyncClient, **wishes: object) -> dict[str, Any]:
    answer = await unix.post("/v1/consents", json={"provider": "acme", "account": NEW, **wishes})
    assert answer.status_code == 200, answer.text
    return {**answer.json(), "path": urlsplit(answer.json()["connect_url"]).path}


def take_providers_away(runtime: Runtime) -> None:
    none = runtime.directory.present.replaced({}, {}, wire=runtime.wire)
    runtime.use(runtime.settings, none, runtime.wire)


async def consent(led: httpx2.Response, person: str = "grace") -> str:
    """Give the address that the provider sends a person to who consents."""
    assert led.status_code == 303, led.text
    with someone(person) as somebody:
        return await in_thread(somebody.consent, led.headers["location"])


async def state(unix: httpx2.AsyncClient) -> str | None:
    answer = await unix.get(f"/v1/accounts/{NEW}")
    return str(answer.json()["state"]) if answer.status_code == 200 else None


async def test_from_the_link_to_the_account(
    bench: Workbench, runtime: Runtime, unix: httpx2.AsyncClient, browser: httpx2.AsyncClient
) -> None:
    made = await link(unix)
    assert made["code"] is None
    assert await state(unix) == "pending"
    for _ in range(3):
        asked = await browser.get(made["path"])
        assert asked.status_code == 200
        assert f"Continue to {runtime.settings.providers['acme'].title}" in asked.text
    assert bench.simulator.ledger.count("authorize") == 0, "opening it asks nobody"
    assert await events(runtime, "consent") == [("consent.linked", "without_code")]
    answer = await consent(await browser.post(made["path"]))
    assert "is connected" in (await browser.get(answer, follow_redirects=True)).text
    assert await state(unix) == "active"
    for again in (browser.get, browser.post):
        assert (await again(made["path"])).status_code == 404, "it is used up"


async def test_it_lives_longer_than_a_consent_and_is_followed_again(
    bench: Workbench, unix: httpx2.AsyncClient, browser: httpx2.AsyncClient
) -> None:
    """The person looks at the provider's page, is called away, and comes back after lunch."""
    made = await link(unix)
    first = await browser.post(made["path"])
    bench.clock.advance(1800)
    second = await browser.post(made["path"])
    assert first.headers["location"] != second.headers["location"], "a fresh state"
    answer = await consent(second)
    assert "is connected" in (await browser.get(answer, follow_redirects=True)).text


async def test_who_says_no_may_think_again(
    unix: httpx2.AsyncClient, browser: httpx2.AsyncClient
) -> None:
    made = await link(unix)
    led = await browser.post(made["path"])
    with someone("grace") as grace:
        refusal = await in_thread(grace.consent, led.headers["location"], "deny")
    shown = await browser.get(refusal, follow_redirects=True)
    assert "Not connected" in shown.text
    assert await state(unix) == "pending"
    answer = await consent(await browser.post(made["path"]))
    assert "is connected" in (await browser.get(answer, follow_redirects=True)).text


@pytest.mark.parametrize("lifetime", [SHORTEST_LIFETIME, DEFAULT_LIFETIME, LONGEST_LIFETIME])
async def test_it_ends_and_takes_the_pending_account_along(
    bench: Workbench,
    runtime: Runtime,
    unix: httpx2.AsyncClient,
    browser: httpx2.AsyncClient,
    lifetime: float,
) -> None:
    made = await link(unix, expires_in=lifetime)
    bench.clock.advance(lifetime - 1)
    await runtime.links.sweep()
    assert (await browser.get(made["path"])).status_code == 200
    bench.clock.advance(1)
    for method in (browser.get, browser.post):
        assert (await method(made["path"])).status_code == 404
    assert await state(unix) == "pending"
    await runtime.links.sweep()
    assert await state(unix) is None


async def test_what_has_become_active_outlives_its_link(
    bench: Workbench, runtime: Runtime, unix: httpx2.AsyncClient, browser: httpx2.AsyncClient
) -> None:
    made = await link(unix)
    answer = await consent(await browser.post(made["path"]))
    await browser.get(answer, follow_redirects=True)
    bench.clock.advance(DEFAULT_LIFETIME)
    await runtime.links.sweep()
    assert await state(unix) == "active"


@pytest.mark.parametrize("is_followed", [False, True])
async def test_it_leads_to_the_account_by_its_new_name(
    runtime: Runtime, unix: httpx2.AsyncClient, browser: httpx2.AsyncClient, *, is_followed: bool
) -> None:
    """A second grant of the same person could end the first one."""
    made = await link(unix)
    led = await browser.post(made["path"]) if is_followed else None
    account = await runtime.accounts.require(NEW)
    assert await runtime.accounts.rename(account, "acme/renamed")
    answer = await consent(led or await browser.post(made["path"]))
    assert "is connected" in (await browser.get(answer, follow_redirects=True)).text
    renamed = await runtime.accounts.require("acme/renamed")
    assert (renamed.id, renamed.state_name) == (account.id, "active")
    assert await state(unix) is None


@pytest.mark.parametrize("is_followed", [False, True])
async def test_it_brings_no_account_back_that_was_forgotten(
    runtime: Runtime, unix: httpx2.AsyncClient, browser: httpx2.AsyncClient, *, is_followed: bool
) -> None:
    made = await link(unix)
    other = await link(unix, account="acme/other")
    led = await browser.post(made["path"]) if is_followed else None
    await runtime.accounts.forget(await runtime.accounts.require(NEW))
    assert (await browser.post(made["path"])).status_code == 404
    if led is not None:
        answer = await consent(led)
        assert (await browser.get(answer, follow_redirects=True)).status_code == 404
    assert await state(unix) is None
    assert (await browser.get(other["path"])).status_code == 200


@pytest.mark.parametrize(
    "wishes",
    [
        {"expires_in": SHORTEST_LIFETIME - 0.1},
        {"expires_in": LONGEST_LIFETIME + 1},
        {"expires_in": -1},
        {"expires_in": "3600"},
        {"expires_in": True},
        {"expires_in": None},
        {"with_code": "yes"},
        {"with_code": None},
    ],
)
async def test_what_cannot_be_wished_for(
    unix: httpx2.AsyncClient, wishes: dict[str, object]
) -> None:
    answer = await unix.post("/v1/consents", json={"provider": "acme", "account": NEW, **wishes})
    assert (answer.status_code, answer.json()["title"]) == (400, "bad request")
    assert next(iter(wishes)) in answer.json()["detail"]
    assert await state(unix) is None


class TestVisitor:
    """Who follows a link need not be one of us."""

    async def test_hears_nothing_of_who_else_consented(
        self, bench: Workbench, runtime: Runtime, unix: httpx2.AsyncClient, app: Starlette
    ) -> None:
        await bench.connect(runtime, NEW)
        known = update(ACCOUNT).values(subject="ada", subject_name="ada@example.com")
        async with runtime.database.write() as connection:
            await connection.execute(known)
        made = await link(unix)
        async with a_browser(app) as browser:
            answer = await consent(await browser.post(made["path"]))
            shown = await browser.get(answer, follow_redirects=True)
        assert shown.status_code == 400
        assert "Another person consented" in shown.text
        assert "ada@example.com" not in shown.text
        assert "<code>" not in shown.text, "a command is for whoever has a terminal here"

    async def test_hears_nothing_of_the_configuration(
        self, runtime: Runtime, unix: httpx2.AsyncClient, browser: httpx2.AsyncClient
    ) -> None:
        """The provider is taken away by a reload while the person is at its page."""
        made = await link(unix)
        answer = await consent(await browser.post(made["path"]))
        take_providers_away(runtime)
        shown = await browser.get(answer, follow_redirects=True)
        assert shown.status_code == 400
        assert "could not be made" in shown.text
        assert "providers" not in shown.text
        assert "<code>" not in shown.text

    async def test_sees_what_has_come_about_of_a_provider_that_went(
        self, runtime: Runtime, unix: httpx2.AsyncClient, browser: httpx2.AsyncClient
    ) -> None:
        made = await link(unix)
        answer = await browser.get(await consent(await browser.post(made["path"])))
        path = answer.headers["location"]
        assert "is connected" in (await browser.get(path)).text
        take_providers_away(runtime)
        again = await browser.get(path)
        assert (again.status_code, "is connected" in again.text) == (200, True)


class TestBrowser:
    async def test_the_answer_counts_from_the_browser_that_went_on(
        self, app: Starlette, runtime: Runtime, unix: httpx2.AsyncClient
    ) -> None:
        """Matrix C1: an attacker's link, finished in somebody else's browser."""
        made = await link(unix)
        async with a_browser(app) as one, a_browser(app) as other:
            answer = await consent(await one.post(made["path"]))
            for _ in range(2):
                assert (await other.get(answer)).status_code == 403
            assert (await events(runtime, "consent"))[-1] == ("consent.refused", "wrong_browser")
            assert "is connected" in (await one.get(answer, follow_redirects=True)).text

    async def test_another_browser_cannot_go_on_with_it(
        self, app: Starlette, unix: httpx2.AsyncClient
    ) -> None:
        made = await link(unix)
        async with a_browser(app) as one, a_browser(app) as other:
            assert (await one.post(made["path"])).status_code == 303
            assert (await other.post(made["path"])).status_code == 404
            assert (await one.post(made["path"])).status_code == 303

    async def test_a_cookie_of_another_link_is_no_good(
        self, app: Starlette, unix: httpx2.AsyncClient
    ) -> None:
        made, others = await link(unix), await link(unix, account="acme/another")
        async with a_browser(app) as one, a_browser(app) as other:
            await one.post(made["path"])
            await other.post(others["path"])
            assert (await other.post(made["path"])).status_code == 404

    async def test_the_cookie(self, unix: httpx2.AsyncClient, browser: httpx2.AsyncClient) -> None:
        """CHECKLIST 5; without https a cookie cannot have the prefix."""
        made = await link(unix)
        led = await browser.post(made["path"])
        cookie = led.headers["set-cookie"]
        assert re.fullmatch(
            r"connector_consent_[0-9a-f]{16}=[\w-]{43}; HttpOnly; Max-Age=3600; Path=/;"
            " SameSite=lax",
            cookie,
        )

    async def test_what_is_stored_does_not_make_the_cookie(
        self, runtime: Runtime, unix: httpx2.AsyncClient, browser: httpx2.AsyncClient
    ) -> None:
        made = await link(unix)
        await browser.post(made["path"])
        (kept,) = await runtime.links.open()
        values = [*browser.cookies.values(), made["path"].rpartition("/")[2]]
        assert not [value for value in values if value in repr(kept)]


class TestPublic:
    @pytest.fixture
    def bench(self, bench: Workbench) -> Workbench:
        bench.configure(
            replace=("http://127.0.0.1:49152/callback/acme", f"{PUBLIC}/oauth/done"),
            more=f'[daemon]\npublic_url = "{PUBLIC}"\n',
        )
        bench.simulator.change({"redirect_uris": [f"{PUBLIC}/oauth/done"]})
        return bench

    @pytest.fixture
    def app(self, runtime: Runtime, starter: RunStarter) -> Starlette:
        return make_app(runtime, starter, KnownKeys(runtime.api_keys, now=runtime.now))

    async def test_links_and_cookies_are_those_of_the_public_address(
        self, app: Starlette, unix: httpx2.AsyncClient
    ) -> None:
        """CHECKLIST 5 and 28: no other host of the domain can plant the cookie."""
        made = await link(unix)
        assert made["connect_url"].startswith(f"{PUBLIC}/connect/")
        async with a_browser(app, PUBLIC) as browser:
            led = await browser.post(
                made["path"],
                headers={"X-Forwarded-Host": "evil.example", "Forwarded": "host=evil.example"},
            )
            assert re.fullmatch(
                r"__Host-connector_consent_[0-9a-f]{16}=[\w-]{43}; HttpOnly; Max-Age=3600;"
                " Path=/; SameSite=lax; Secure",
                led.headers["set-cookie"],
            )
            assert "evil" not in led.headers["location"]
            answer = await consent(led)
            assert answer.startswith(f"{PUBLIC}/oauth/done?")
            assert "is connected" in (await browser.get(answer, follow_redirects=True)).text

    async def test_a_cookie_without_the_prefix_is_not_looked_at(
        self, app: Starlette, unix: httpx2.AsyncClient
    ) -> None:
        made = await link(unix)
        async with a_browser(app, PUBLIC) as browser:
            answer = await consent(await browser.post(made["path"]))
            (name, value), *_ = browser.cookies.items()
            browser.cookies.clear()
            browser.cookies.set(name.removeprefix("__Host-"), value)
            assert (await browser.get(answer)).status_code == 403


class TestCode:
    async def test_who_has_the_link_alone_gets_nowhere(
        self,
        bench: Workbench,
        runtime: Runtime,
        unix: httpx2.AsyncClient,
        browser: httpx2.AsyncClient,
    ) -> None:
        """CHECKLIST 6."""
        made = await link(unix, with_code=True)
        assert re.fullmatch(r"[0-9A-HJKMNP-TV-Z]{4}-[0-9A-HJKMNP-TV-Z]{4}", made["code"])
        asked = await browser.get(made["path"])
        assert 'name="code"' in asked.text
        assert made["code"] not in asked.text
        for left in range(MOST_TRIES - 1, 0, -1):
            wrong = await browser.post(made["path"], data={"code": "0000-0000"})
            assert wrong.status_code == 403
            assert f"{left} {'try is' if left == 1 else 'tries are'} left" in wrong.text
            assert not browser.cookies
        assert (await browser.post(made["path"], data={"code": ""})).status_code == 404
        assert (await browser.post(made["path"], data={"code": made["code"]})).status_code == 404
        assert await runtime.links.open() == []
        assert bench.simulator.ledger.count("authorize") == 0
        told = await events(runtime, "consent")
        assert told == [
            ("consent.linked", "with_code"),
            *[("consent.code_rejected", None)] * MOST_TRIES,
        ]

    @pytest.mark.parametrize("spelled", ["{}", " {} ", "{} ", "lower", "without"])
    async def test_with_the_code_it_goes_on(
        self, unix: httpx2.AsyncClient, browser: httpx2.AsyncClient, spelled: str
    ) -> None:
        made = await link(unix, with_code=True)
        code = made["code"]
        written = {"lower": code.lower(), "without": code.replace("-", "")}.get(
            spelled, spelled.format(code)
        )
        await browser.post(made["path"], data={"code": "wrong"})
        answer = await consent(await browser.post(made["path"], data={"code": written}))
        assert (await browser.post(made["path"])).status_code == 303, "asked for once"
        assert 'name="code"' not in (await browser.get(made["path"])).text
        assert "is connected" in (await browser.get(answer, follow_redirects=True)).text

    async def test_a_right_code_at_the_last_try_is_not_too_late(
        self, unix: httpx2.AsyncClient, browser: httpx2.AsyncClient
    ) -> None:
        made = await link(unix, with_code=True)
        for _ in range(MOST_TRIES - 1):
            await browser.post(made["path"], data={"code": "wrong"})
        led = await browser.post(made["path"], data={"code": made["code"]})
        assert led.status_code == 303
        assert (await browser.post(made["path"])).status_code == 303, "and it may begin again"

    async def test_a_code_of_another_link(
        self, unix: httpx2.AsyncClient, browser: httpx2.AsyncClient
    ) -> None:
        made = await link(unix, with_code=True)
        other = await link(unix, account="acme/another", with_code=True)
        wrong = await browser.post(made["path"], data={"code": other["code"]})
        assert wrong.status_code == 403


async def test_a_consent_that_cannot_begin_tells_the_person_no_internals(
    runtime: Runtime,
    unix: httpx2.AsyncClient,
    browser: httpx2.AsyncClient,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """CHECKLIST 149: what is wrong is for whoever made the link, in the log."""
    made = await link(unix)

    async def broken(_provider: str) -> NoReturn:
        raise ConfigurationError([Problem("config.toml", "providers.acme", "canary", "mend it")])

    monkeypatch.setattr(runtime.directory, "get_for_consent", broken)
    led = await browser.post(made["path"])
    assert led.status_code == 503
    assert "Nothing was changed" in led.text
    assert "canary" not in led.text
    monkeypatch.undo()
    assert (await browser.post(made["path"])).status_code == 303, "it is this browser's still"
