"""Another configuration's providers are put in force while the first one's work is under way."""

import asyncio
import dataclasses
from collections.abc import Mapping

import pytest

from connector.errors import ConfigurationError
from connector.oauth.authorization_server import AuthorizationServer
from connector.oauth.wire import Wire
from connector.providers.client import ProviderDirectory
from connector.providers.configured import ConfiguredProviders
from connector.providers.declared_registration import DeclaredRegistration
from connector.providers.provider import Provider

from .tables import read_client

SERVER = AuthorizationServer(
    authorization_endpoint="https://a.example/authorize", token_endpoint="https://a.example/token"
)
FOUND = {
    "authorization_endpoint": "https://i.example/authorize",
    "token_endpoint": "https://i.example/token",
}


class SlowPins:
    """Knows what an issuer's metadata says, once it is let."""

    def __init__(self) -> None:
        self.asked = asyncio.Event()
        self.answers = asyncio.Event()

    async def load(self, provider: str, issuer: str) -> Mapping[str, object] | None:  # noqa: ARG002
        self.asked.set()
        await self.answers.wait()
        return FOUND

    async def save(self, provider: str, issuer: str, metadata: Mapping[str, object]) -> None:
        raise AssertionError((provider, issuer, metadata))


def provider(name: str = "acme", server: AuthorizationServer = SERVER) -> Provider:
    return Provider(name=name, title=name, server=server, redirect_uri="http://127.0.0.1/callback")


def registration() -> DeclaredRegistration:
    return read_client('client_id = "c"\n')[0]


def directory(wire: Wire, *providers: Provider, pins: SlowPins | None = None) -> ProviderDirectory:
    return ProviderDirectory(
        ConfiguredProviders(
            {one.name: one for one in providers},
            {one.name: registration() for one in providers},
            wire=wire,
            pins=pins or SlowPins(),
            now=lambda: 0.0,
            source="config.toml",
        )
    )


def exchange(found: ProviderDirectory, wire: Wire, *providers: Provider) -> frozenset[str]:
    named = {one.name: one for one in providers}
    registrations = {name: registration() for name in named}
    return found.use(found.present.replaced(named, registrations, wire=wire))


async def test_what_is_other_or_gone_is_told(wire: Wire) -> None:
    found = directory(wire, provider(), provider("same"))
    other = dataclasses.replace(provider(), title="Other")
    assert exchange(found, wire, other, provider("same"), provider("new")) == {"acme"}
    assert set(found.providers) == {"acme", "same", "new"}
    assert exchange(found, wire) == {"acme", "same", "new"}
    with pytest.raises(ConfigurationError):
        await found.get("acme")


async def test_a_client_is_made_anew_for_its_secret_may_be_another(wire: Wire) -> None:
    found = directory(wire, provider())
    before = await found.get("acme")
    assert exchange(found, wire, provider()) == frozenset()
    assert await found.get("acme") is not before


async def test_what_is_found_out_meanwhile_is_none_of_the_new_ones(wire: Wire) -> None:
    """Client and fingerprint would be those of a server that nobody means any more."""
    pins = SlowPins()
    server = AuthorizationServer(
        authorization_endpoint="", token_endpoint="", issuer="https://i.example"
    )
    found = directory(wire, provider(server=server), pins=pins)
    getting = asyncio.create_task(found.get("acme"))
    knowing = asyncio.create_task(found.known("acme"))
    await pins.asked.wait()
    exchange(found, wire, provider())
    pins.answers.set()
    assert (await getting).server.token_endpoint == "https://i.example/token", "it goes on"
    client = await found.get("acme")
    assert client.server is SERVER
    assert await knowing == (client.provider, client.fingerprint)
