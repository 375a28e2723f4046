"""The providers of the configuration that is in force; it may be exchanged while a daemon serves.

Whatever is under way goes on with the client it has: one operation never sees two configurations.
"""

from collections.abc import Mapping

from connector.providers.configured import (
    ConfiguredProviders,
    MetadataPins,
    ProviderClient,
    complete,
)
from connector.providers.provider import Provider

__all__ = ["MetadataPins", "ProviderClient", "ProviderDirectory", "complete"]


class ProviderDirectory:
    """Gives a `ProviderClient` for each provider of the configuration that is in force.

    Args:
        configured: what is in force at first.

    Attributes:
        present: what is in force.
    """

    def __init__(self, configured: ConfiguredProviders) -> None:
        self.present = configured

    @property
    def providers(self) -> Mapping[str, Provider]:
        """The providers, by name."""
        return self.present.providers

    def provider(self, name: str) -> Provider:
        """Give a provider's data; see `ConfiguredProviders.provider`."""
        return self.present.provider(name)

    async def get(self, name: str) -> ProviderClient:
        """Give the client of a provider; see `ConfiguredProviders.get`."""
        return await self.present.get(name)

    async def fingerprint(self, name: str) -> str:
        """Give the fingerprint of a registration; see `ConfiguredProviders.fingerprint`."""
        return await self.present.fingerprint(name)

    async def get_for_consent(self, name: str) -> ProviderClient:
        """Give the client for a consent; see `ConfiguredProviders.get_for_consent`."""
        return await self.present.get_for_consent(name)

    async def known(self, name: str) -> tuple[Provider, str]:
        """Give a provider and the fingerprint of its registration, as they are at this moment.

        Raises:
            As `fingerprint`.
        """
        while True:
            present = self.present
            fingerprint = await present.fingerprint(name)
            if present is self.present:  # else it was exchanged while that was found out
                return present.provider(name), fingerprint

    def use(self, configured: ConfiguredProviders) -> frozenset[str]:
        """Put something else in force; what is under way goes on with what it has.

        Returns:
            The names of providers that are other ones now, or gone.
        """
        before, self.present = self.present, configured
        return frozenset(
            name
            for name, provider in before.providers.items()
            if provider != configured.providers.get(name)
            or before.registrations[name] != configured.registrations.get(name)
        )
