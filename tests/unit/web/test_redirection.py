"""The redirect URI, at whatever path it is registered; nothing but the answer uses it up."""

import asyncio
from collections.abc import AsyncIterator

import httpx2
import pytest

from connector.consent import CompletedConsent, UnknownConsent
from connector.runtime import Runtime
from connector.store.consents import ConsentRecord
from connector.web import redirection
from connector.web.app import make_app
from connector.web.known_keys import KnownKeys
from connector.web.listener import RedirectListener
from connector.web.redirection import Work
from connector.web.run_starter import RunStarter
from connector.web.server import bind_loopback
from tests.unit.workbench import Workbench, in_thread, someone

NEW = "acme/new"
PATHS = ["/callback/acme", "/oauth/done", "/cb", "/", "", "/a/b/c", "/%7Bx%7D/cb%20"]


class Listening:
    """A listener, and the consent whose answer it takes."""

    def __init__(self, bench: Workbench, runtime: Runtime, path: str) -> None:
        sockets = bind_loopback("127.0.0.1", 0)
        self.redirect_uri = f"http://127.0.0.1:{sockets[0].getsockname()[1]}{path}"
        bench.simulator.change({"redirect_uris": [self.redirect_uri]})
        self.answered: asyncio.Future[Work] = asyncio.get_running_loop().create_future()
        providers = runtime.settings.providers
        self.listener = RedirectListener(
            sockets, self.redirect_uri, runtime.consents, providers.__getitem__, self._note
        )
        self._consents = runtime.consents

    def _note(self, _consent: str, work: Work) -> None:
        self.answered.set_result(work)

    async def completed(self) -> CompletedConsent:
        return await (await self.answered)

    async def url(self) -> str:
        started = await self._consents.begin("acme", NEW, redirect_uri=self.redirect_uri)
        return await self._consents.url(started.id)


@pytest.fixture
async def listening(
    bench: Workbench, runtime: Runtime, request: pytest.FixtureRequest
) -> AsyncIterator[Listening]:
    made = Listening(bench, runtime, getattr(request, "param", "/callback/acme"))
    await made.listener.start()
    yield made
    await made.listener.aclose()


@pytest.mark.parametrize("listening", PATHS, indirect=True)
async def test_a_listener_takes_the_answer_at_its_path(listening: Listening) -> None:
    with someone() as ada:
        page = await in_thread(ada.deliver, await in_thread(ada.consent, await listening.url()))
    assert page.status == 200
    assert "is connected" in page.text
    assert (await listening.completed()).account.name == NEW


async def test_a_preview_uses_nothing_up(listening: Listening) -> None:
    """HEAD, as link checkers and previews send it, comes before the person's browser."""
    with someone() as ada:
        answer = await in_thread(ada.consent, await listening.url())
        async with httpx2.AsyncClient(trust_env=False) as preview:
            for method in ("HEAD", "OPTIONS", "POST"):
                assert (await preview.request(method, answer)).status_code == 404
        assert not listening.answered.done()
        assert (await in_thread(ada.deliver, answer)).status == 200
    assert (await listening.completed()).account.name == NEW


async def test_a_preview_of_the_last_page_is_not_taken_for_the_person(
    listening: Listening,
) -> None:
    with someone() as ada:
        answer = await in_thread(ada.consent, await listening.url())
    async with httpx2.AsyncClient(trust_env=False) as browser:
        led = await browser.get(answer)
        last = httpx2.URL(answer).join(led.headers["location"])
        assert (await browser.head(last)).status_code == 404
        assert not listening.listener._shown.is_set()
        assert (await browser.get(last)).status_code == 200
        assert listening.listener._shown.is_set()


class TestDaemon:
    @pytest.fixture
    def bench(self, bench: Workbench, request: pytest.FixtureRequest) -> Workbench:
        path = getattr(request, "param", "/oauth/done")
        bench.configure(replace=(":49152/callback/acme", f":8470{path}"))
        bench.simulator.change({"redirect_uris": [f"http://127.0.0.1:8470{path}"]})
        return bench

    @pytest.fixture
    async def browser(
        self, runtime: Runtime, starter: RunStarter
    ) -> AsyncIterator[httpx2.AsyncClient]:
        transport = httpx2.ASGITransport(
            app=make_app(runtime, starter, KnownKeys(runtime.api_keys, now=runtime.now))
        )
        base = "http://127.0.0.1:8470"
        async with httpx2.AsyncClient(transport=transport, base_url=base) as client:
            yield client

    @pytest.mark.parametrize("bench", PATHS, indirect=True)
    async def test_takes_the_answer_at_its_path(
        self, bench: Workbench, runtime: Runtime, browser: httpx2.AsyncClient
    ) -> None:
        with someone() as ada:
            answer = await bench.begin(runtime, ada, NEW)
        assert (await browser.head(answer)).status_code in {303, 401, 404}  # 303: to the login
        shown = await browser.get(answer, follow_redirects=True)
        assert shown.status_code == 200
        assert "is connected" in shown.text


async def test_ends_that_many_others_have_followed_are_forgotten(
    runtime: Runtime, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Who has a link may begin one consent after the other, and say no to each."""
    monkeypatch.setattr(redirection, "MOST_KEPT", 3)
    taking = redirection.Redirection(runtime.consents, runtime.directory.provider)
    records = [
        ConsentRecord(
            id=f"{number}",
            state_hash="",
            account=NEW,
            provider="acme",
            request=b"",
            created_at=0.0,
            expires_at=0.0,
        )
        for number in range(4)
    ]
    works = [taking.complete(record, {}, arrived_at="/") for record in records[:3]]
    await asyncio.wait(works)
    works.append(taking.complete(records[3], {}, arrived_at="/"))
    await asyncio.wait(works)
    assert [
        taking.complete(record, {}, arrived_at="/") is work
        for record, work in zip(records[1:], works[1:], strict=True)
    ] == [True] * 3
    again = taking.complete(records[0], {}, arrived_at="/")
    assert again is not works[0], "it is looked up, and found to be used"
    with pytest.raises(UnknownConsent):
        await again
