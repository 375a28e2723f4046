"""Auth for HTTP clients, against the real API on loopback."""

import asyncio
import json
import sys
import threading
from collections.abc import AsyncIterator, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import httpx2
import pytest

from connector import errors
from connector.connector import Connector
from connector.resource import AccountAuth, make_auth
from connector.runtime import Runtime, RuntimeCredentials
from connector.simulator.faults import Fault
from connector.simulator.simulator import Simulator
from tests.unit.http_clients import EVERY_CLIENT, NO_TLS, Ask, with_httpx2
from tests.unit.workbench import ACCOUNT, FACEBOOK, Workbench, someone, workbench


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[Workbench]:
    with workbench(tmp_path) as made:
        yield made


@pytest.fixture
async def runtime(bench: Workbench) -> AsyncIterator[Runtime]:
    async with bench.runtime() as opened:
        await bench.connect(opened)
        yield opened


@pytest.fixture
def connector(bench: Workbench) -> Iterator[Connector]:
    bench.connect_apart()
    with Connector.open(bench.config) as opened:
        yield opened


@pytest.mark.parametrize("ask", EVERY_CLIENT)
class TestEveryClient:
    def test_attaches_a_token(self, bench: Workbench, connector: Connector, ask: Ask) -> None:
        answer = ask(connector.auth(ACCOUNT), "GET", f"{bench.simulator.api_url}/me")
        assert (answer.status_code, answer.json()["name"]) == (200, "Ada Lovelace")
        assert bench.refreshes == 0

    def test_on_401_refreshes_once_and_sends_once_more(
        self, bench: Workbench, connector: Connector, ask: Ask
    ) -> None:
        auth = connector.auth(ACCOUNT)
        bench.simulator.state.expire_access_tokens("ada")
        answer = ask(auth, "GET", f"{bench.simulator.api_url}/me")
        assert answer.status_code == 200
        assert bench.refreshes == 1
        assert bench.simulator.ledger.count("api_me") == 2

    def test_gives_back_a_second_401(
        self, bench: Workbench, connector: Connector, ask: Ask
    ) -> None:
        bench.simulator.faults.add(Fault(endpoint="api_me", kind="status", status=401, times=None))
        answer = ask(connector.auth(ACCOUNT), "GET", f"{bench.simulator.api_url}/me")
        assert answer.status_code == 401
        assert bench.refreshes == 1
        assert bench.simulator.ledger.count("api_me") == 2

    def test_refuses_a_foreign_origin(self, connector: Connector, ask: Ask) -> None:
        with Simulator() as other, pytest.raises(errors.OriginRefused) as caught:
            ask(connector.auth(ACCOUNT), "GET", f"{other.api_url}/me")
        assert caught.value.origin == other.url
        assert other.ledger.count() == 0

    def test_a_foreign_401_after_a_redirect_refreshes_nothing(
        self, bench: Workbench, connector: Connector, ask: Ask
    ) -> None:
        with Simulator() as other:
            fault = Fault(endpoint="api_me", kind="redirect", location=f"{other.api_url}/me")
            bench.simulator.faults.add(fault)
            auth = connector.auth(ACCOUNT)
            answer = ask(auth, "GET", f"{bench.simulator.api_url}/me", follow_redirects=True)
            (record,) = other.ledger.records()
        assert answer.status_code == 401
        assert record.outcome == "unauthorized", "it came without any token"
        assert bench.refreshes == 0

    def test_says_why_there_is_no_token(
        self, bench: Workbench, connector: Connector, ask: Ask
    ) -> None:
        bench.simulator.state.revoke("ada")
        with pytest.raises(errors.ConsentRequired, match="invalid_grant"):
            ask(connector.auth(ACCOUNT), "GET", f"{bench.simulator.api_url}/me")
        assert bench.simulator.ledger.count("api_me") == 1

    def test_a_streamed_body_is_not_sent_twice(
        self, bench: Workbench, connector: Connector, ask: Ask
    ) -> None:
        bench.simulator.state.expire_access_tokens("ada")

        def parts() -> Iterator[bytes]:
            yield b"a"

        async def async_parts() -> AsyncIterator[bytes]:
            yield b"a"

        content = async_parts() if "async" in ask.__name__ else parts()
        url = f"{bench.simulator.issuer}/userinfo"
        answer = ask(connector.auth(ACCOUNT), "POST", url, content=content)
        assert answer.status_code == 401
        sent = bench.simulator.ledger.count("userinfo")
        assert (bench.refreshes, sent) == (1, 1), "the next request gets a token that works"


class TestRequest:
    """What a request looks like when it leaves."""

    @pytest.fixture
    def seen(self) -> list[httpx2.Request]:
        return []

    def client(
        self, auth: AccountAuth, seen: list[httpx2.Request], **options: Any
    ) -> httpx2.AsyncClient:
        def answer(request: httpx2.Request) -> httpx2.Response:
            seen.append(request)
            return httpx2.Response(200, json={})

        transport = httpx2.MockTransport(answer)
        return httpx2.AsyncClient(auth=auth, transport=transport, **options)

    async def test_every_request_has_the_present_token(
        self, bench: Workbench, runtime: Runtime, seen: list[httpx2.Request]
    ) -> None:
        auth = make_auth(ACCOUNT, RuntimeCredentials(runtime))
        async with self.client(auth, seen) as api:
            await api.get(f"{bench.simulator.api_url}/me")
            await runtime.tokens.refresh(ACCOUNT)
            await api.get(f"{bench.simulator.api_url}/me")
        first, second = (request.headers["Authorization"] for request in seen)
        assert first != second
        assert second == f"Bearer {(await runtime.tokens.get(ACCOUNT)).value}"

    async def test_headers_of_the_provider_do_not_replace_the_callers(
        self, bench: Workbench, seen: list[httpx2.Request]
    ) -> None:
        bench.configure(
            replace=(
                'api = { base_url = "',
                'api = { headers = { Accept = "application/x", X-Version = "3" }, base_url = "',
            )
        )
        async with bench.runtime() as runtime:
            await bench.connect(runtime)
            auth = make_auth(ACCOUNT, RuntimeCredentials(runtime))
            url = f"{bench.simulator.api_url}/me"
            async with self.client(auth, seen) as api:
                await api.get(url)
                await api.get(url, headers={"Accept": "text/csv", "x-version": "4"})
                await api.get(url, headers={"Authorization": "Basic mine"})
        assert [request.headers["Accept"] for request in seen][:2] == ["application/x", "text/csv"]
        assert [request.headers["X-Version"] for request in seen][:2] == ["3", "4"]
        assert seen[2].headers["Authorization"].startswith("Bearer ")

    async def test_a_proof_is_made_for_the_token_in_use(
        self, bench: Workbench, runtime: Runtime, seen: list[httpx2.Request]
    ) -> None:
        with someone() as ada:
            await bench.consent(runtime, ada, FACEBOOK, provider="facebook")
        auth = make_auth(FACEBOOK, RuntimeCredentials(runtime))
        async with self.client(auth, seen) as api:
            await api.get(f"{bench.simulator.graph_url}/v26.0/me?fields=id&appsecret_proof=old")
            await runtime.tokens.refresh(FACEBOOK)
            await api.get(f"{bench.simulator.graph_url}/v26.0/me")
        proofs = [request.url.params.get_list("appsecret_proof") for request in seen]
        assert [len(one) for one in proofs] == [1, 1]
        assert proofs[0] != proofs[1]
        assert seen[0].url.params["fields"] == "id"

    @pytest.mark.parametrize(
        "url",
        ["http://api.example/", "https://api.example.evil/", "https://user@api.evil/", "/relative"],
    )
    async def test_nothing_leaves_for_anywhere_else(
        self, runtime: Runtime, seen: list[httpx2.Request], url: str
    ) -> None:
        auth = make_auth(ACCOUNT, RuntimeCredentials(runtime))
        async with self.client(auth, seen) as api:
            with pytest.raises(errors.OriginRefused):
                await api.get(url)
        assert seen == []

    async def test_without_origins_it_goes_to_that_of_the_base_url(
        self, bench: Workbench, seen: list[httpx2.Request]
    ) -> None:
        bench.configure(replace=(f'api_origins = ["{bench.simulator.url}"]', ""))
        async with bench.runtime() as runtime:
            await bench.connect(runtime)
            auth = make_auth(ACCOUNT, RuntimeCredentials(runtime))
            async with self.client(auth, seen) as api:
                await api.get(f"{bench.simulator.url}/anything")
                with pytest.raises(errors.OriginRefused):
                    await api.get("https://api.example/")
        assert len(seen) == 1

    async def test_where_nothing_is_known_of_the_api_no_token_goes_in_clear_text(
        self, bench: Workbench, seen: list[httpx2.Request]
    ) -> None:
        url = bench.simulator.url
        lines = f'api = {{ base_url = "{url}/api/" }}\napi_origins = ["{url}"]'
        bench.configure(replace=(lines, ""))
        async with bench.runtime() as runtime:
            await bench.connect(runtime)
            auth = make_auth(ACCOUNT, RuntimeCredentials(runtime))
            async with self.client(auth, seen) as api:
                await api.get("https://api.example/")
                with pytest.raises(errors.OriginRefused):
                    await api.get("http://api.example/")
        assert len(seen) == 1

    def test_auth_shows_no_secret(self, runtime: Runtime) -> None:
        assert repr(make_auth(ACCOUNT, RuntimeCredentials(runtime))).endswith(f"('{ACCOUNT}')")

    def test_a_program_without_plain_httpx_does_not_load_it(
        self, runtime: Runtime, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.delitem(sys.modules, "httpx")
        auth = make_auth(ACCOUNT, RuntimeCredentials(runtime))
        assert type(auth) is AccountAuth


class TestRejection:
    async def test_a_hundred_stale_rejections_make_one_refresh(
        self, bench: Workbench, runtime: Runtime
    ) -> None:
        bench.simulator.state.expire_access_tokens("ada")
        auth = make_auth(ACCOUNT, RuntimeCredentials(runtime))
        async with httpx2.AsyncClient(auth=auth, verify=NO_TLS, trust_env=False) as api:
            answers = await asyncio.gather(
                *(api.get(f"{bench.simulator.api_url}/me") for _ in range(100))
            )
        assert {answer.status_code for answer in answers} == {200}
        assert bench.refreshes == 1

    async def test_a_long_pull_survives_a_refresh_that_kills_its_token(
        self, bench: Workbench, runtime: Runtime
    ) -> None:
        bench.simulator.change({"old_access_token": "dies_now"})
        auth = make_auth(ACCOUNT, RuntimeCredentials(runtime))
        async with httpx2.AsyncClient(auth=auth, verify=NO_TLS, trust_env=False) as api:
            for _ in range(3):
                assert (await api.get(f"{bench.simulator.api_url}/me")).status_code == 200
                await runtime.tokens.refresh(ACCOUNT)
        assert bench.refreshes == 3

    async def test_the_content_is_sent_again(self, bench: Workbench, runtime: Runtime) -> None:
        bodies: list[bytes] = []

        def answer(request: httpx2.Request) -> httpx2.Response:
            bodies.append(request.content)
            return httpx2.Response(401 if len(bodies) == 1 else 200)

        auth = make_auth(ACCOUNT, RuntimeCredentials(runtime))
        transport = httpx2.MockTransport(answer)
        async with httpx2.AsyncClient(auth=auth, transport=transport) as api:
            answered = await api.post(f"{bench.simulator.api_url}/me", json={"a": 1})
        assert (answered.status_code, bodies) == (200, [b'{"a":1}', b'{"a":1}'])

    async def test_a_challenge_does_not_say_where_tokens_come_from(
        self, bench: Workbench, runtime: Runtime
    ) -> None:
        with Simulator() as hostile:
            challenge = f'Bearer realm="{hostile.issuer}", as_uri="{hostile.issuer}"'
            headers = {"WWW-Authenticate": challenge}
            fault = Fault(endpoint="api_me", kind="status", status=401, headers=headers)
            bench.simulator.faults.add(fault)
            auth = make_auth(ACCOUNT, RuntimeCredentials(runtime))
            async with httpx2.AsyncClient(auth=auth, verify=NO_TLS, trust_env=False) as api:
                assert (await api.get(f"{bench.simulator.api_url}/me")).status_code == 200
            assert hostile.ledger.count() == 0

    async def test_the_provider_is_away(self, bench: Workbench, runtime: Runtime) -> None:
        bench.simulator.state.expire_access_tokens("ada")
        bench.fault("status", times=None)
        auth = make_auth(ACCOUNT, RuntimeCredentials(runtime))
        async with httpx2.AsyncClient(auth=auth, verify=NO_TLS, trust_env=False) as api:
            with pytest.raises(errors.TemporarilyUnavailable):
                await api.get(f"{bench.simulator.api_url}/me")

    async def test_403_is_no_rejection(self, bench: Workbench, runtime: Runtime) -> None:
        bench.simulator.faults.add(Fault(endpoint="api_me", kind="status", status=403))
        auth = make_auth(ACCOUNT, RuntimeCredentials(runtime))
        async with httpx2.AsyncClient(auth=auth, verify=NO_TLS, trust_env=False) as api:
            assert (await api.get(f"{bench.simulator.api_url}/me")).status_code == 403
        assert bench.refreshes == 0

    async def test_the_store_is_away_and_the_token_is_in_memory(
        self, bench: Workbench, runtime: Runtime, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        auth = make_auth(ACCOUNT, RuntimeCredentials(runtime))
        async with httpx2.AsyncClient(auth=auth, verify=NO_TLS, trust_env=False) as api:
            await api.get(f"{bench.simulator.api_url}/me")

            def fail(*_: object) -> None:
                raise errors.TemporarilyUnavailable("the database is away")

            monkeypatch.setattr(type(runtime.accounts), "get", fail)
            assert (await api.get(f"{bench.simulator.api_url}/me")).status_code == 200


class TestFacebook:
    @pytest.fixture
    async def api(self, bench: Workbench, runtime: Runtime) -> AsyncIterator[httpx2.AsyncClient]:
        bench.simulator.change({"require_appsecret_proof": True})
        with someone() as ada:
            await bench.consent(runtime, ada, FACEBOOK, provider="facebook")
        auth = make_auth(FACEBOOK, RuntimeCredentials(runtime))
        base_url = f"{bench.simulator.graph_url}/v26.0/"
        async with httpx2.AsyncClient(
            auth=auth, base_url=base_url, verify=NO_TLS, trust_env=False
        ) as client:
            yield client

    def fail(self, bench: Workbench, body: object) -> None:
        text = body if isinstance(body, str) else json.dumps(body)
        fault = Fault(endpoint="graph_me", kind="falsify", status=400, body=text)
        bench.simulator.faults.add(fault)

    async def test_400_with_code_190_is_a_rejection(
        self, bench: Workbench, api: httpx2.AsyncClient
    ) -> None:
        self.fail(bench, {"error": {"code": 190, "error_subcode": 463}})
        mark = bench.simulator.ledger.last_number
        answer = await api.get("me")
        assert (answer.status_code, answer.json()["name"]) == (200, "Ada Lovelace")
        assert bench.simulator.ledger.count("graph_access_token", after=mark) == 1

    @pytest.mark.parametrize(
        "body", [{"error": {"code": 100}}, {"error": "190"}, [], "not JSON", '{"error":{"code":']
    )
    async def test_any_other_400_is_the_callers(
        self, bench: Workbench, api: httpx2.AsyncClient, body: object
    ) -> None:
        self.fail(bench, body)
        mark = bench.simulator.ledger.last_number
        answer = await api.get("me")
        assert answer.status_code == 400
        assert answer.text == (body if isinstance(body, str) else json.dumps(body))
        assert bench.simulator.ledger.count("graph_access_token", after=mark) == 0

    async def test_a_token_that_is_dead_for_good(
        self, bench: Workbench, api: httpx2.AsyncClient
    ) -> None:
        bench.simulator.facebook.change_password("ada")
        with pytest.raises(errors.ConsentRequired, match="invalid_grant"):
            await api.get("me")


class TestThreads:
    def test_one_client_in_several_threads(self, bench: Workbench, connector: Connector) -> None:
        bench.simulator.state.expire_access_tokens("ada")
        barrier = threading.Barrier(16)
        auth = connector.auth(ACCOUNT)
        with httpx2.Client(auth=auth, verify=NO_TLS, trust_env=False) as api:

            def ask(_: int) -> int:
                barrier.wait()
                return api.get(f"{bench.simulator.api_url}/me").status_code

            with ThreadPoolExecutor(16) as pool:
                assert set(pool.map(ask, range(16))) == {200}
        assert bench.refreshes == 1

    async def test_a_synchronous_client_inside_a_running_loop(
        self, bench: Workbench, connector: Connector
    ) -> None:
        answer = with_httpx2(connector.auth(ACCOUNT), "GET", f"{bench.simulator.api_url}/me")
        assert answer.status_code == 200

    async def test_a_synchronous_client_in_the_loop_that_has_to_answer(
        self, bench: Workbench, runtime: Runtime
    ) -> None:
        auth = make_auth(ACCOUNT, RuntimeCredentials(runtime))
        with pytest.raises(RuntimeError, match="the daemon's own loop"):
            with_httpx2(auth, "GET", f"{bench.simulator.api_url}/me")
        async with Connector.open_async(bench.config) as opened:
            with pytest.raises(RuntimeError, match="use an AsyncClient"):
                with_httpx2(opened.auth(ACCOUNT), "GET", f"{bench.simulator.api_url}/me")
