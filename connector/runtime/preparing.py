"""Makes another configuration ready for an open runtime, before anything of it is in force."""

import asyncio
import logging
from dataclasses import dataclass
from typing import Final

from connector.errors import ConfigurationError, ConnectorError, Problem, TemporarilyUnavailable
from connector.oauth.wire import Wire, make_transport
from connector.providers.configured import ConfiguredProviders
from connector.runtime.objects import Runtime
from connector.settings import Settings
from connector.settings.restart import needs_restart
from connector.store.reachable import check_reachable

logger = logging.getLogger(__name__)

#: A provider's metadata is waited for so long (seconds): whoever has asked for a reload waits too.
LONGEST_WAIT: Final = 10.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Prepared:
    """A configuration that may be put in force.

    Attributes:
        settings: which one.
        providers: ready; one whose server is away is made when it is asked for.
        wire: what they send with.
    """

    settings: Settings
    providers: ConfiguredProviders
    wire: Wire

    def use_in(self, runtime: Runtime) -> "Prepared":
        """Put it in force; gives what was so before, to be put back."""
        before = Prepared(
            settings=runtime.settings, providers=runtime.directory.present, wire=runtime.wire
        )
        runtime.use(self.settings, self.providers, self.wire)
        return before


async def prepare(runtime: Runtime, settings: Settings) -> Prepared:
    """Make a configuration ready.

    Args:
        runtime: of the configuration in force.
        settings: another one.

    Raises:
        ConfigurationError: every problem of it: what needs a restart, and secrets that are not
            there.
        TemporarilyUnavailable: the store cannot be asked, so that tokens of a provider that is
            another one now could not be read again.
    """
    problems = needs_restart(runtime.settings, settings)
    wire = await _wire(runtime, settings)
    providers = runtime.directory.present.replaced(
        settings.providers, settings.registrations, wire=wire
    )
    results = await asyncio.gather(
        *(_make_ready(providers, name) for name in settings.providers), return_exceptions=True
    )
    for name, result in zip(settings.providers, results, strict=True):
        if isinstance(result, ConfigurationError):
            problems += result.problems
        elif isinstance(result, ConnectorError):
            logger.warning(str(result), extra={"action": "provider.problem", "provider": name})
        elif isinstance(result, BaseException):
            raise result
    if problems:
        raise ConfigurationError(list(dict.fromkeys(problems)))
    await check_reachable(runtime.database)
    return Prepared(settings=settings, providers=providers, wire=wire)


async def _make_ready(providers: ConfiguredProviders, name: str) -> None:
    """Read its secret, and ask for its metadata where nothing is pinned; raises as `get`."""
    try:
        async with asyncio.timeout(LONGEST_WAIT):
            await providers.get(name)
    except TimeoutError:
        raise TemporarilyUnavailable(f"the metadata of provider {name} is slow to come") from None


async def _wire(runtime: Runtime, settings: Settings) -> Wire:
    """Give what sends: the same one, unless another proxy or other authorities are to be trusted.

    The one before needs no closing: it keeps no connection.
    """
    http = settings.http
    if http == runtime.settings.http and http.ca_file is None:  # a file may hold others by now
        return runtime.wire
    try:
        transport = await asyncio.to_thread(make_transport, ca_file=http.ca_file, proxy=http.proxy)
    except (OSError, ValueError) as error:
        remedy = "name a PEM file with certificates"
        problem = Problem(settings.path.name, "http.ca_file", f"cannot be used: {error}", remedy)
        raise ConfigurationError([problem]) from None
    return Wire(transport)
