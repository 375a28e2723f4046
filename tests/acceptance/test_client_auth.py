"""HTTP clients whose tokens come from a daemon: over the socket, and over TCP with a key."""

from collections.abc import Iterator
from typing import Any
from urllib.parse import urlsplit

import pytest
from dlt.sources.helpers.rest_client.client import RESTClient
from google.auth.transport.requests import AuthorizedSession

from connector.client import Client, DaemonUnreachable
from connector.client_auth import ClientCredentials, client_auth
from connector.errors import ConsentRequired, OriginRefused
from connector.integrations.google_auth import AccountCredentials
from connector.simulator import Settings, Simulator
from tests.unit.http_clients import EVERY_CLIENT, with_async_aiohttp, with_requests

from .forked import Nursery
from .installation import Installation


@pytest.fixture(scope="module")
def serving(tmp_path_factory: pytest.TempPathFactory, nursery: Nursery) -> Iterator[Installation]:
    with (
        Simulator(Settings(access_token_lifetime=3600, rotation="strict_family")) as simulator,
        Installation(tmp_path_factory.mktemp("client"), simulator, nursery=nursery) as made,
    ):
        made.configure()
        made.connect("ads", "acme/ads")
        made.serve()
        yield made


@pytest.fixture(params=["socket", "tcp"])
def client(serving: Installation, request: pytest.FixtureRequest) -> Iterator[Client]:
    if request.param == "socket":
        made = Client(serving.folder / "connector.sock")
    else:
        scope = ("--accounts", "acme/*", "--scope", "token:read")
        name = f"key-{len(serving.printed)}"  # each is another
        key = serving.run("keys", "create", name, *scope).stdout.strip()
        made = Client(url=f"http://127.0.0.1:{serving.port}", key=key)
    with made:
        yield made


def origin(simulator: Simulator) -> str:
    return "http://" + urlsplit(simulator.api_url).netloc


def google_session(credentials: AccountCredentials) -> AuthorizedSession:
    return AuthorizedSession(credentials)  # type: ignore[no-untyped-call]


def refreshes(installation: Installation) -> int:
    return installation.simulator.ledger.count("token", grant_type="refresh_token")


def test_every_client(serving: Installation, client: Client) -> None:
    simulator = serving.simulator
    credentials = ClientCredentials(client, origins=[origin(simulator)])
    auth: Any = client_auth(client, "acme/ads", origins=[origin(simulator)])
    me = f"{simulator.api_url}/me"
    before = refreshes(serving)
    for ask in EVERY_CLIENT:
        answer = ask(auth, "GET", me)
        assert (answer.status_code, answer.json()["name"]) == (200, "Ada Lovelace"), ask
    with google_session(AccountCredentials("acme/ads", credentials)) as session:
        session.trust_env = False
        assert session.get(me).status_code == 200
    assert RESTClient(base_url=simulator.api_url, auth=auth).get("/me").status_code == 200
    assert refreshes(serving) == before


def test_where_the_token_goes(serving: Installation, client: Client) -> None:
    auth = client_auth(client, "acme/ads", origins=["https://*.example.com"])
    for ask in (with_requests, with_async_aiohttp):
        with pytest.raises(OriginRefused):
            ask(auth, "GET", f"{serving.simulator.api_url}/me")
    for wrong in ([], "https://a.example", ["a.example"], ["ftp://a.example"]):
        with pytest.raises(ValueError, match=r"origin"):
            ClientCredentials(client, origins=wrong)


def test_a_rejected_token_the_end_of_a_grant_and_that_of_the_daemon(
    installation: Installation, simulator: Simulator
) -> None:
    installation.connect("ads", "acme/ads")
    daemon = installation.serve()
    with Client(installation.folder / "connector.sock") as client:
        auth = client_auth(client, "acme/ads", origins=[origin(simulator)])
        me = f"{simulator.api_url}/me"
        assert with_requests(auth, "GET", me).status_code == 200
        simulator.state.expire_access_tokens("ada")
        for ask in (with_requests, with_async_aiohttp):
            assert ask(auth, "GET", me).status_code == 200
        assert refreshes(installation) == 1, "the first one renewed it for both"
        simulator.state.expire_access_tokens("ada")
        assert with_requests(auth, "GET", me).status_code == 401
        assert refreshes(installation) == 1, "minted just now: another would be no better"
        installation.run("revoke", "acme/ads")
        with pytest.raises(ConsentRequired):
            client.refresh("acme/ads")
        with pytest.raises(ConsentRequired):
            with_async_aiohttp(auth, "GET", me)
        installation.stop(daemon)
        with pytest.raises(DaemonUnreachable):
            with_requests(auth, "GET", me)
