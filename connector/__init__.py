"""Connector keeps OAuth 2.0 grants alive and hands out access tokens on demand.

    from connector import get_access_token
    token = get_access_token("acme/facebook", min_ttl=60)

Names are resolved when they are first used, so that importing the package costs nothing.
"""

TYPE_CHECKING = False  # as type checkers know it; importing typing would cost 10 ms
if TYPE_CHECKING:
    from connector.connector import AsyncConnector, Connector, get_access_token
    from connector.errors import (
        ConfigurationError,
        ConnectorError,
        ConsentNotGiven,
        ConsentRequired,
        OriginRefused,
        Refused,
        RegistrationRejected,
        TemporarilyUnavailable,
        UnknownAccount,
        VaultSealed,
    )
    from connector.jobs.context import JobContext
    from connector.oauth.token import AccessToken

__version__ = "0.1.0"

__all__ = [
    "AccessToken",
    "AsyncConnector",
    "ConfigurationError",
    "Connector",
    "ConnectorError",
    "ConsentNotGiven",
    "ConsentRequired",
    "JobContext",
    "OriginRefused",
    "Refused",
    "RegistrationRejected",
    "TemporarilyUnavailable",
    "UnknownAccount",
    "VaultSealed",
    "__version__",
    "get_access_token",
]

_MODULES = {
    "AccessToken": "connector.oauth.token",
    "AsyncConnector": "connector.connector",
    "Connector": "connector.connector",
    "JobContext": "connector.jobs.context",
    "get_access_token": "connector.connector",
}


def __getattr__(name: str) -> object:
    """Import a public name from where it is defined, when it is first used."""
    if name not in __all__:
        raise AttributeError(f"module 'connector' has no attribute {name!r}")
    from importlib import import_module

    if name in _MODULES:
        _keep_quiet()
    value: object = getattr(import_module(_MODULES.get(name, "connector.errors")), name)
    globals()[name] = value
    return value


def _keep_quiet() -> None:
    """Let a program that has set up no logging hear nothing of ours, as a library should."""
    import logging

    logger = logging.getLogger(__name__)
    if not logger.handlers:
        logger.addHandler(logging.NullHandler())


def __dir__() -> list[str]:
    """Give the public names."""
    return sorted(__all__)
