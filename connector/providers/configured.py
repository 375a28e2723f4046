"""A provider under our registration, ready to send; and those of one configuration, on demand.

Metadata found by discovery is pinned on first use: a refresh never waits for discovery, and never
follows it to another endpoint. A later discovery that names other endpoints is a configuration
error that an operator settles by writing the endpoints down (CHECKLIST 32, 34).
"""

import asyncio
import dataclasses
import difflib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Final, Protocol, cast

from connector.errors import ConfigurationError, Problem, TemporarilyUnavailable
from connector.oauth.authorization_server import AuthorizationServer, Revocation
from connector.oauth.discovery import DiscoveryFailed, discover
from connector.oauth.registration import ClientRegistration, fingerprint
from connector.oauth.token_endpoint import TokenEndpoint
from connector.oauth.wire import Wire
from connector.providers.declared_registration import DeclaredRegistration
from connector.providers.provider import Provider

_ENDPOINTS: Final = ("authorization_endpoint", "token_endpoint", "revocation_endpoint")


@dataclass(frozen=True, slots=True, kw_only=True)
class ProviderClient:
    """One client registration at one provider.

    Attributes:
        provider: the provider's data.
        server: its authorization server, complete.
        registration: ours.
        endpoint: its token endpoint.
        wire: what sends.
        fingerprint: of client, issuer and endpoints; tokens of another one are not sent.
    """

    provider: Provider
    server: AuthorizationServer
    registration: ClientRegistration
    endpoint: TokenEndpoint
    wire: Wire
    fingerprint: str


class MetadataPins(Protocol):
    """Keeps discovered metadata across restarts; the store does, and a dictionary in tests."""

    async def load(self, provider: str, issuer: str) -> Mapping[str, object] | None:
        """Give what was pinned, or None."""
        ...

    async def save(self, provider: str, issuer: str, metadata: Mapping[str, object]) -> None:
        """Pin metadata, replacing what was pinned for this provider."""
        ...


class ConfiguredProviders:
    """Makes and keeps a `ProviderClient` for each provider of one configuration.

    Args:
        providers: by name.
        registrations: by the same names.
        wire: what sends.
        pins: where discovered metadata is kept.
        now: gives seconds since the epoch.
        source: the configuration file, for messages.

    Attributes:
        providers, registrations: as given.
    """

    def __init__(
        self,
        providers: Mapping[str, Provider],
        registrations: Mapping[str, DeclaredRegistration],
        *,
        wire: Wire,
        pins: MetadataPins,
        now: Callable[[], float],
        source: str,
    ) -> None:
        self.providers = providers
        self.registrations = registrations
        self._wire = wire
        self._pins = pins
        self._now = now
        self._source = source
        self._clients: dict[str, ProviderClient] = {}

    def replaced(
        self,
        providers: Mapping[str, Provider],
        registrations: Mapping[str, DeclaredRegistration],
        *,
        wire: Wire,
    ) -> "ConfiguredProviders":
        """Give those of another configuration in the same file; arguments as for the class."""
        return ConfiguredProviders(
            providers,
            registrations,
            wire=wire,
            pins=self._pins,
            now=self._now,
            source=self._source,
        )

    async def get(self, name: str) -> ProviderClient:
        """Give the client of a provider; discovery happens only where nothing is pinned.

        Raises:
            ConfigurationError: no such provider, a secret is missing, or its metadata is wrong.
            TemporarilyUnavailable: its metadata cannot be had now.
        """
        if name not in self._clients:
            provider = self.provider(name)
            self._clients[name] = await self._made(provider, await self._pinned_server(provider))
        return self._clients[name]

    async def fingerprint(self, name: str) -> str:
        """Give the fingerprint of a provider's registration; no secret is read for it.

        Raises:
            As `get`, but for the secret: a token that works needs none.
        """
        if name in self._clients:
            return self._clients[name].fingerprint
        provider = self.provider(name)
        server = await self._pinned_server(provider)
        return fingerprint(self.registrations[name].client_id, server)

    async def get_for_consent(self, name: str) -> ProviderClient:
        """Give the client of a provider after asking anew what its metadata says.

        Raises:
            ConfigurationError: as for `get`, or the metadata names other endpoints than before.
            TemporarilyUnavailable: its metadata cannot be had now.
        """
        provider = self.provider(name)
        if not _needs_discovery(provider.server):
            return await self.get(name)
        issuer = provider.server.issuer or ""
        metadata = await self._discover(provider)
        pinned = await self._pins.load(name, issuer)
        if pinned is not None:
            self._compare(provider, pinned, metadata)
        await self._pins.save(name, issuer, metadata)
        self._clients[name] = await self._made(provider, complete(provider.server, metadata))
        return self._clients[name]

    def provider(self, name: str) -> Provider:
        """Give a provider's data.

        Raises:
            ConfigurationError: there is no such provider.
        """
        if name in self.providers:
            return self.providers[name]
        nearest = difflib.get_close_matches(name, self.providers, n=1)
        known = ", ".join(sorted(self.providers)) or "none"
        raise ConfigurationError(
            [
                Problem(
                    self._source,
                    f"providers.{name}",
                    f"there is no provider {name!r}",
                    f"did you mean {nearest[0]}?" if nearest else f"configured here: {known}",
                )
            ]
        )

    async def _pinned_server(self, provider: Provider) -> AuthorizationServer:
        if not _needs_discovery(provider.server):
            return provider.server
        issuer = provider.server.issuer or ""
        metadata = await self._pins.load(provider.name, issuer)
        if metadata is None:
            metadata = await self._discover(provider)
            await self._pins.save(provider.name, issuer, metadata)
        return complete(provider.server, metadata)

    async def _discover(self, provider: Provider) -> Mapping[str, object]:
        try:
            return await discover(self._wire, provider.server.issuer or "")
        except DiscoveryFailed as error:
            if error.is_temporary:
                reason = f"the metadata of provider {provider.name} cannot be had: {error}"
                raise TemporarilyUnavailable(reason) from None
            key = f"providers.{provider.name}.issuer"
            remedy = "write the issuer as its document names it, or the endpoints one by one"
            raise ConfigurationError([Problem(self._source, key, str(error), remedy)]) from None

    def _compare(
        self, provider: Provider, pinned: Mapping[str, object], found: Mapping[str, object]
    ) -> None:
        """Refuse metadata that moves an endpoint for which tokens may be kept."""
        problems = [
            Problem(
                self._source,
                f"providers.{provider.name}.{name}",
                f"the metadata now names {found.get(name)}, and named {pinned.get(name)} before",
                f"if that is right, write it down: {name} = {found.get(name)!r}",
            )
            for name in _ENDPOINTS
            if pinned.get(name) != found.get(name) and not _is_declared(provider.server, name)
        ]
        if problems:
            raise ConfigurationError(problems)

    async def _made(self, provider: Provider, server: AuthorizationServer) -> ProviderClient:
        """Make a client; a keyring that asks a person stops no event loop meanwhile."""
        if self.registrations[provider.name].is_in_keyring:
            return await asyncio.to_thread(self._make, provider, server)
        return self._make(provider, server)

    def _make(self, provider: Provider, server: AuthorizationServer) -> ProviderClient:
        registration = self.registrations[provider.name].resolve(server)
        return ProviderClient(
            provider=provider,
            server=server,
            registration=registration,
            endpoint=TokenEndpoint(server, registration, self._wire, now=self._now),
            wire=self._wire,
            fingerprint=registration.fingerprint(server),
        )


def complete(server: AuthorizationServer, metadata: Mapping[str, object]) -> AuthorizationServer:
    """Fill in from metadata what the configuration does not say."""
    found: dict[str, object] = {}
    for field in dataclasses.fields(server):
        value = metadata.get(field.name)
        if value is None or getattr(server, field.name):
            continue
        found[field.name] = tuple(value) if isinstance(value, list) else value
    endpoint = metadata.get("revocation_endpoint")
    if server.revocation is None and isinstance(endpoint, str):
        found["revocation"] = Revocation(endpoint=endpoint)
    return dataclasses.replace(server, **cast("dict[str, str]", found))  # type: ignore[arg-type]


def _is_declared(server: AuthorizationServer, name: str) -> bool:
    """Tell whether the configuration itself names an endpoint; then metadata does not matter."""
    if name == "revocation_endpoint":
        return server.revocation is not None
    return bool(getattr(server, name))


def _needs_discovery(server: AuthorizationServer) -> bool:
    return server.issuer is not None and not (
        server.authorization_endpoint and server.token_endpoint
    )
