"""The checks behind ``connector doctor``; each gives findings and goes on, whatever it finds."""

from collections.abc import AsyncIterator

from connector.cli.checkup.accounts import check_accounts
from connector.cli.checkup.channels import check_channels
from connector.cli.checkup.finding import Finding, ok, problem
from connector.cli.checkup.host import check_host
from connector.cli.checkup.providers import check_providers
from connector.cli.checkup.storage import check_storage
from connector.cli.options import config_path
from connector.cli.session import opened
from connector.errors import ConfigurationError, ConnectorError
from connector.runtime import Runtime
from connector.settings import load_settings

__all__ = ["Finding", "examine"]


async def examine(config: str | None) -> list[Finding]:
    """Run all checks, as far as each lets the next ones be run."""
    findings: list[Finding] = []
    try:
        settings = load_settings(config_path(config))
    except ConfigurationError as error:
        return _misconfigured(error)
    findings.append(ok("configuration", f"{settings.path} has no problems"))
    findings.extend(check_host(settings))
    findings.extend(check_channels(settings))
    try:
        async with opened(settings) as runtime:
            findings.extend([finding async for finding in _check_open(runtime)])
    except ConfigurationError as error:
        findings.extend(_misconfigured(error))
    except ConnectorError as error:
        findings.append(problem("vault", error))
    return findings


async def _check_open(runtime: Runtime) -> AsyncIterator[Finding]:
    async for finding in check_storage(runtime):
        yield finding
    accounts = await runtime.accounts.all()
    async for finding in check_providers(runtime, accounts):
        yield finding
    async for finding in check_accounts(runtime, accounts):
        yield finding


def _misconfigured(error: ConfigurationError) -> list[Finding]:
    return [
        Finding(
            subject="configuration",
            verdict="problem",
            message=str(found._replace(remedy="")),
            remedy=found.remedy,
        )
        for found in error.problems
    ]
