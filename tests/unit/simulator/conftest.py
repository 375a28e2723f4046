"""One simulator per test, on a frozen clock, with people and clients around it."""

from collections.abc import Iterator
from ssl import PROTOCOL_TLS_CLIENT, SSLContext

import httpx2
import pytest

from connector.simulator.clock import Clock
from connector.simulator.control import Control
from connector.simulator.person import Person
from connector.simulator.settings import Settings
from connector.simulator.simulator import Simulator

from .api_client import ApiClient
from .relying_party import FacebookApp, RelyingParty

# 2027-01-15 08:00:00 UTC
NOW = 1_800_000_000.0


@pytest.fixture
def clock() -> Clock:
    return Clock(source=lambda: NOW)


@pytest.fixture
def simulator(clock: Clock) -> Iterator[Simulator]:
    with Simulator(Settings(), clock=clock) as running:
        yield running


def browser() -> httpx2.Client:
    """A client for loopback; without the certificate authorities, which take 40 ms to load."""
    return httpx2.Client(trust_env=False, timeout=30.0, verify=SSLContext(PROTOCOL_TLS_CLIENT))


@pytest.fixture
def http() -> Iterator[httpx2.Client]:
    with browser() as client:
        yield client


@pytest.fixture
def ada() -> Iterator[Person]:
    with Person("ada", browser=browser()) as person:
        yield person


@pytest.fixture
def grace() -> Iterator[Person]:
    with Person("grace", browser=browser()) as person:
        yield person


@pytest.fixture
def party(simulator: Simulator, http: httpx2.Client) -> RelyingParty:
    return RelyingParty(simulator, http)


@pytest.fixture
def app(simulator: Simulator, http: httpx2.Client) -> FacebookApp:
    return FacebookApp(simulator, http)


@pytest.fixture
def control(simulator: Simulator) -> Control:
    return Control(simulator.control_url, simulator.control_key)


@pytest.fixture
def api(simulator: Simulator, http: httpx2.Client) -> ApiClient:
    return ApiClient(simulator, http)
