"""The simulator: both servers on one loopback port, and the objects that work them.

Start and stop may alternate: the port and all state stay, so that a stopped simulator is a server
that is down. Every attribute may be used from the test's thread while requests are served.
"""

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import partial
from threading import RLock
from types import TracebackType
from typing import Self

from connector.simulator.ads_data import AdsData
from connector.simulator.apis.catalogue import DataApis
from connector.simulator.apis.routes import data_api_routes
from connector.simulator.app import LOOPBACK_NAMES, build_app
from connector.simulator.clock import Clock
from connector.simulator.control_desk import Controls, Desk
from connector.simulator.control_routes import control_routes
from connector.simulator.endpoint import Stage
from connector.simulator.facebook.control_desk import FacebookDesk
from connector.simulator.facebook.provider import Provider
from connector.simulator.facebook.routes import facebook_routes
from connector.simulator.facebook.truth import Truth
from connector.simulator.facebook.usage import Usage
from connector.simulator.faults import Faults
from connector.simulator.gates import Gates
from connector.simulator.ledger import Ledger
from connector.simulator.oauth.bearer import expire_bearer
from connector.simulator.oauth.issuance import Issuance
from connector.simulator.oauth.routes import oauth_routes
from connector.simulator.opaque import new_token
from connector.simulator.pages import Pages
from connector.simulator.resource_server import api_routes
from connector.simulator.server import ServerThread, bind
from connector.simulator.settings import Settings
from connector.simulator.state import State


class NotStartedError(RuntimeError):
    """The simulator has no address before its first start."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ConfidentialClient:
    """The client of the authorization server that has a secret."""

    client_id: str
    client_secret: str = field(repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class RegisteredApp:
    """The app as the Graph-like provider knows it."""

    app_id: str
    app_secret: str = field(repr=False)


class Simulator:
    """Both servers; a context manager that is listening inside."""

    def __init__(
        self,
        settings: Settings | None = None,
        *,
        host: str = "127.0.0.1",
        port: int = 0,
        clock: Clock | None = None,
    ) -> None:
        authority = f"[{host}]" if ":" in host else host
        if authority not in LOOPBACK_NAMES:
            message = f"{host!r} is not a loopback address: 127.0.0.1, ::1 or localhost"
            raise ValueError(message)
        self._host, self._authority, self._port = host, authority, port
        self.clock = clock or Clock()
        """The clock that every lifetime is measured on."""
        self.state = State(settings or Settings(), self.clock, RLock())
        """The authorization server's memory and knobs, and the settings in force."""
        self.ledger = Ledger(now=self.clock.now)
        """Every request that reached an endpoint."""
        self.faults = Faults()
        """What is to go wrong."""
        self.gates = Gates()
        """Where requests are held."""
        self.facebook = Provider(self.state)
        """The Graph-like provider's memory and knobs."""
        self.ads = AdsData(settings=lambda: self.state.settings, clock=self.clock)
        """The figures behind both APIs."""
        self.apis = DataApis(self.state)
        """The records of the data APIs, and what a pull of them has to bring."""
        self.truth = Truth(self.ads)
        """What a complete and correct pull of Graph insights has to have."""
        self.endpoint_names: set[str] = set()
        """What the ledger and faults call the endpoints; known once it has started."""
        self._issuance = Issuance(self.state)
        self._usage = Usage(self.clock)
        self._generated_key = new_token("control_")
        self._server: ServerThread | None = None

    # Starting and stopping

    def start(self) -> None:
        """Listen; on the same port again after a stop.

        Raises:
            OSError: the port is taken.
        """
        if self._server is not None:
            return
        stopping = asyncio.Event()
        pages = Pages()
        stage = Stage(
            lock=self.state.lock,
            clock=self.clock,
            ledger=self.ledger,
            faults=self.faults,
            gates=self.gates,
            expire_token=partial(expire_bearer, state=self.state),
            latency=self._latency,
            stopping=stopping,
        )
        controls = Controls(
            state=self.state,
            clock=self.clock,
            ledger=self.ledger,
            faults=self.faults,
            gates=self.gates,
            facebook=self.facebook,
            apis=self.apis,
            issuance=self._issuance,
        )
        routes = [
            *oauth_routes(self.state, pages, stage),
            *facebook_routes(self.facebook, self.ads, self._usage, pages, stage),
            *api_routes(self.state, self.ads, stage),
            *data_api_routes(self.state, self.apis, stage),
            *control_routes(
                Desk(controls), FacebookDesk(self.facebook, self.ads), lambda: self.control_key
            ),
        ]

        def on_stop() -> None:
            stopping.set()
            self.gates.abandon()
            self.ledger.abandon()

        self.endpoint_names = {str(route.name) for route in routes}
        app = build_app(list(routes), pages, self._public_places)
        listener = bind(self._host, self._port)
        self.gates.reopen()
        self.ledger.reopen()
        self._port = listener.getsockname()[1]
        self.state.origin = f"http://{self._authority}:{self._port}"
        server = ServerThread(app, listener, on_stop=on_stop)
        server.start()
        self._server = server

    def stop(self) -> None:
        """Close every connection and the port; state stays for a later start."""
        server, self._server = self._server, None
        if server is not None:
            server.stop()

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.stop()

    # Where everything is

    @property
    def url(self) -> str:
        """The origin.

        Raises:
            NotStartedError: it was never started.
        """
        if not self.state.origin:
            raise NotStartedError("start the simulator before asking where it is")
        return self.state.origin

    @property
    def issuer(self) -> str:
        """The authorization server's issuer identifier."""
        return f"{self.url}/oauth"

    @property
    def graph_url(self) -> str:
        """Stands for https://graph.facebook.com."""
        return f"{self.url}/graph"

    @property
    def dialog_url(self) -> str:
        """Stands for https://www.facebook.com."""
        return f"{self.url}/facebook"

    @property
    def api_url(self) -> str:
        """The resource server beside the authorization server."""
        return f"{self.url}/api"

    @property
    def control_url(self) -> str:
        """Where other processes work it from; see control.Control."""
        return f"{self.url}/control"

    @property
    def control_key(self) -> str:
        """The bearer key of the control routes."""
        return self.state.settings.control_key or self._generated_key

    # What is registered, and how it behaves

    @property
    def client(self) -> ConfidentialClient:
        """The confidential client; the one without a secret is settings.public_client_id."""
        settings = self.state.settings
        return ConfidentialClient(
            client_id=settings.client_id, client_secret=settings.client_secret
        )

    @property
    def app(self) -> RegisteredApp:
        """The app of the Graph-like provider."""
        settings = self.state.settings
        return RegisteredApp(app_id=settings.app_id, app_secret=settings.app_secret)

    @property
    def settings(self) -> Settings:
        """The settings in force; assign another value to change them."""
        return self.state.settings

    @settings.setter
    def settings(self, settings: Settings) -> None:
        self.state.settings = settings

    def change(self, changes: Mapping[str, object]) -> Settings:
        """Replace the named settings, values as in JSON.

        Raises:
            SettingsError: a name is unknown or a value does not fit; nothing is changed.
        """
        return self.state.change(changes)

    def grant(self, person: str, *, scope: str | None = None) -> dict[str, object]:
        """A consent to the confidential client without its pages; returns the token answer.

        Raises:
            UnknownPersonError: no such person.
            AuthorizationRequestError: invalid_scope.
        """
        return self._issuance.grant(person, scope=scope)

    def places(self) -> dict[str, str]:
        """Where everything is and what is registered, the secrets of the simulation included."""
        return {
            "url": self.url,
            "issuer": self.issuer,
            "graph_url": self.graph_url,
            "dialog_url": self.dialog_url,
            "api_url": self.api_url,
            "client_id": self.client.client_id,
            "client_secret": self.client.client_secret,
            "app_id": self.app.app_id,
            "app_secret": self.app.app_secret,
            "control_url": self.control_url,
            "control_key": self.control_key,
        }

    def _latency(self, endpoint: str) -> float:
        return self.settings.graph_latency_ms / 1000 if endpoint.startswith("graph_") else 0.0

    def _public_places(self) -> dict[str, str]:
        secrets = {"client_secret", "app_secret", "control_key"}
        return {name: value for name, value in self.places().items() if name not in secrets}
